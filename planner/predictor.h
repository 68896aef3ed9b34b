// What the exits still to come are worth for one sample, predicted from what its executed exits answered: a
// small network over calibrated confidences, with the exits' accuracies over all samples (the static prior)
// as its starting point. Published with EINet as the "CS-Predictor" (ICDCS 2023, section IV). Inference only;
// training is in planner/predictor_training.h, the file in models/package.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "config/ids.h"
#include "config/result.h"
#include "planner/aggregation.h"
#include "planner/calibration.h"
#include "planner/forecast.h"
#include "planner/lookalikes.h"

namespace einet {

// A predictor as plain data: what its file holds, and what training makes.
struct PredictorParameters {
  // y = W x + b. Between two layers negative values become 0.
  struct Layer {
    int inputs = 0;
    int outputs = 0;
    std::vector<float> weight;  // outputs x inputs, row-major
    std::vector<float> bias;    // outputs
    friend bool operator==(const Layer&, const Layer&) = default;
  };

  int classes = 0;                       // that the exits tell apart
  std::vector<Calibration> calibration;  // one per exit
  std::vector<float> prior;              // one per exit: its accuracy over all samples, in [0, 1]
  // From 2 values per exit to 1 per exit (Predictor says which). None: the prior is what is to come.
  std::vector<Layer> layers;
  // How the exits' answers are made one answer: last, product or discounted; with its discount in (0, 1].
  Aggregation aggregation = Aggregation::last;
  float discount = 1;
  // What became of samples that looked alike, with answers made in that way; of as many exits. Or none.
  std::optional<LookalikeParameters> lookalikes{};

  static constexpr int kMaxLayers = 4;
  static constexpr int kMaxWidth = 256;        // outputs of a layer
  static constexpr float kMaxWeight = 10'000;  // its size, biases too: so that no sum overflows

  int exits() const { return static_cast<int>(calibration.size()); }
  friend bool operator==(const PredictorParameters&, const PredictorParameters&) = default;
};

// Error: the first thing that is not as it says above: no exits or more than kMaxBlocks, lists of different
// lengths, a calibration that falls, layers that do not fit each other, a value that is out of range or no
// number.
Result<void> check(const PredictorParameters&);

// For exit k let p_k be its prior, and if it was executed c_k its calibrated confidence and d_k = logit(c_k)
// - logit(p_k), with logit(p) = ln(p / (1 - p)) and p kept from 1e-4 to 1 - 1e-4: how much better than usual
// its answer looks. The network's inputs are d_k for executed exits and 0 for the others, then 1 for executed
// exits and 0 for the others. With its output f_k, and l the deepest executed exit, the expected accuracy of
// exit l and all after it is 1 / (1 + exp(-(logit(p_k) + d_l + f_k))): a network that says nothing, f = 0,
// takes the sample to be as much better than usual later as it is now. The answer held is judged in the same
// way as those to come, by all that was seen; so their differences, on which plans rest, are unbiased.
//
// Immutable; any number of threads; copies share their data. Nothing here allocates but make().
class Predictor final : public Forecast {
 public:
  // Error: as check().
  static Result<Predictor> make(PredictorParameters);

  int exits() const;
  const PredictorParameters& parameters() const;

  // Calibrated confidence of an executed exit: the probability that its answer is right, judged by itself.
  // `scores`: as for tempered_confidence. Precondition: 0 <= exit < exits().
  double calibrated(int exit, std::span<const float> scores) const;

  // What its scores are tempered with.
  double temperature(int exit) const;

  // Of `calibrated` (one per exit), the entries in `executed` are read. Writes the expected accuracy of every
  // exit after the deepest executed one to `accuracy` (one per exit), leaves the other entries as they are,
  // and returns that of the deepest executed exit: of the answer held, where answers are replaced. With
  // nothing executed that is 0, and the accuracies are the prior; without layers they are too, and the answer
  // held is worth its calibrated confidence. All results are in [0, 1]. Precondition: no bit of `executed` is
  // past the last exit; what is read is in [0, 1].
  double predict(std::span<const double> calibrated, ExitMask executed, std::span<double> accuracy) const;
  // The same; `seen.held` is not looked at.
  double expect(const Seen& seen, std::span<double> accuracy) const override {
    return predict(seen.calibrated, seen.executed, accuracy);
  }

 private:
  struct Impl;
  explicit Predictor(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace einet
