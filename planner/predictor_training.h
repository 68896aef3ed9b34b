// Makes a predictor from what the exits of a trained network answered on samples that trained nothing: fits
// the calibration of every exit, trains the network, and measures both on further samples. Plain numbers in
// and out; where they come from is models/profiles.h.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "planner/predictor.h"

namespace einet {

// The answers of every exit on some samples.
struct ExitAnswers {
  int samples = 0;
  int exits = 0;
  int classes = 0;
  int kept = 0;              // scores per answer: the best ones, at most kTopScores and classes
  std::vector<float> score;  // samples x exits x kept, each answer's from the best down, in [0, 1]
  std::vector<std::uint8_t>
      rank;  // samples x exits: the label's place among the scores; `kept`: not among them

  bool right(int sample, int exit) const { return rank[answer(sample, exit)] == 0; }
  std::span<const float> scores(int sample, int exit) const {
    return std::span(score).subspan(answer(sample, exit) * static_cast<std::size_t>(kept),
                                    static_cast<std::size_t>(kept));
  }
  std::size_t answer(int sample, int exit) const {
    return static_cast<std::size_t>(sample) * static_cast<std::size_t>(exits) +
           static_cast<std::size_t>(exit);
  }
};

// Every `of`-th sample, from the first on; and all the others.
struct ExitAnswersParts {
  ExitAnswers part, rest;
};
ExitAnswersParts divide(const ExitAnswers&, int of);

// Error: sizes that do not fit each other or are out of range, scores that are not in order or no numbers in
// [0, 1].
Result<void> check(const ExitAnswers&);

// The values, never falling, with the least sum of weight * (value - result)^2: pool adjacent violators
// (Barlow et al., 1972). As many weights > 0 as values.
std::vector<double> isotonic(std::span<const double> values, std::span<const double> weights);

// Fits one exit: the temperature of the least negative log likelihood of the labels, then accuracy over
// tempered confidence. The latter is isotonic over groups of about equally many samples, each with one more
// that is right as often as the exit is, so that few samples do not promise certainty; what isotonic
// regression made equal is one knot at its mean ("centered", Oron and Flournoy, 2017). Precondition:
// check(answers); at least one sample.
Calibration fit_calibration(const ExitAnswers& answers, int exit);

struct PredictorTraining {
  std::uint64_t seed = 1;  // the same seed and answers give the same predictor on the same machine
  int hidden = 16;         // values in the hidden layer of each of five networks, from 1 to 51
  int epochs = 150;        // at most, of each
  int patience = 25;       // epochs without a better loss on the held-out fifth, after which training ends
  // Called after every epoch: how many of the most that there could be are done.
  std::function<void(int done, int of)> progress = {};
};

// Fits the calibrations to all samples, and gives the mean of five networks, each trained on another four
// fifths of them: for each sample, epoch by epoch, a random set of executed exits; the loss is the
// cross-entropy of whether the answer held and each exit to come are right. Kept are the weights that did
// best on the fifth that was held out, which are the untrained ones if nothing beats them. Planning picks
// what promises most, so it finds the errors of a single network; in the mean there are less of them. Error:
// check(answers), or fewer than kLeastSamples.
inline constexpr int kLeastSamples = 50;
Result<PredictorParameters> train_predictor(const ExitAnswers&, const PredictorTraining&);

// How good a predictor is on samples that it has not seen.
struct PredictorQuality {
  struct Exit {
    double accuracy = 0;
    // Expected calibration errors (15 bins of equal width) of the top score as it is and of the calibrated
    // one.
    double ece_before = 0;
    double ece_after = 0;
  };
  // Over random sets of executed exits, each sample several of them.
  struct Error {
    double absolute = 0;  // mean distance to the calibrated confidence that the exit turned out to have
    double squared = 0;   // mean squared distance to 1 if the exit was right, else 0 (Brier score)
  };
  std::vector<Exit> exits;
  // Of the exits after the deepest executed one; "prior" predicts each exit's mean accuracy whatever was
  // seen.
  Error prior, predicted;
};
// Precondition: check(answers), of as many exits and classes as the predictor, at least one sample.
PredictorQuality measure(const Predictor&, const ExitAnswers&);

}  // namespace einet
