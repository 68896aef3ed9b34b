// Made-up answers of a network's exits, with known truths: how likely each one is to be right, given its
// scores.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "planner/predictor_training.h"
#include "planner/random_bits.h"

namespace einet::test {

struct AnswersWanted {
  int samples = 1000;
  int exits = 5;
  int classes = 10;
  std::uint64_t seed = 1;
  double sharpened = 1;  // the power that all scores are raised to: above 1, exits are too sure of themselves
  enum class Exits : std::uint8_t { alike, unrelated } exits_are = Exits::alike;  // on one sample
};

// Samples are easy or hard, and later exits are better. An exit's scores are a softmax of which it is a
// calibrated draw what the label is; then they are sharpened.
inline ExitAnswers make_answers(const AnswersWanted& want) {
  RandomBits random(want.seed);
  ExitAnswers answers;
  answers.samples = want.samples;
  answers.exits = want.exits;
  answers.classes = want.classes;
  answers.kept = std::min(want.classes, kTopScores);
  for (int s = 0; s < want.samples; ++s) {
    double ease = 4 * random.uniform();
    for (int k = 0; k < want.exits; ++k) {
      if (want.exits_are == AnswersWanted::Exits::unrelated) ease = 4 * random.uniform();
      std::vector<double> scores;
      double sum = 0;
      for (int c = 0; c < want.classes; ++c) {
        const double lead = c == 0 ? ease + 0.4 * k : 0;
        scores.push_back(std::exp(lead + random.uniform()));
        sum += scores.back();
      }
      std::sort(scores.rbegin(), scores.rend());
      int rank = 0;
      for (double left = random.uniform() * sum;
           rank + 1 < want.classes && left >= scores[static_cast<std::size_t>(rank)]; ++rank) {
        left -= scores[static_cast<std::size_t>(rank)];
      }
      sum = 0;
      for (double& score : scores) sum += score = std::pow(score, want.sharpened);
      for (int i = 0; i < answers.kept; ++i) {
        answers.score.push_back(static_cast<float>(scores[static_cast<std::size_t>(i)] / sum));
      }
      answers.rank.push_back(static_cast<std::uint8_t>(std::min(rank, answers.kept)));
    }
  }
  return answers;
}

}  // namespace einet::test
