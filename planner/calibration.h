// What an exit's answer is worth: from its class scores to the probability that it is right. A temperature
// makes the scores of all exits comparable; an isotonic curve turns the top score into expected accuracy.
// Both are fitted to samples that trained nothing else (planner/predictor_training.h). No file is read here.
#pragma once

#include <span>
#include <vector>

#include "config/result.h"

namespace einet {

// Only this many of an exit's scores, the best ones, are looked at; the rest counts as spread evenly over the
// other classes. So a profile that keeps the best ones says what the scores of all classes say.
inline constexpr int kTopScores = 10;

// The top class's score after all scores were raised to the power 1 / temperature and scaled to sum 1
// (temperature scaling, Guo et al., "On Calibration of Modern Neural Networks", ICML 2017). `scores`: a
// softmax of `classes` classes, or its kTopScores largest; any order, each in [0, 1], at least one.
// temperature > 0.
double tempered_confidence(std::span<const float> scores, int classes, double temperature);

// The calibration of one exit. Straight lines between the knots, constant outside.
struct Calibration {
  float temperature = 1;  // from kMinTemperature to kMaxTemperature
  std::vector<float>
      confidence;  // at the knots: tempered confidences in [0, 1], rising strictly; 1 to kMaxKnots
  std::vector<float> accuracy;  // at the knots: expected accuracy in [0, 1], never falling; as many

  static constexpr float kMinTemperature = 0.05F;
  static constexpr float kMaxTemperature = 20;
  static constexpr std::size_t kMaxKnots = 64;

  // Expected accuracy at a tempered confidence. Precondition: check() holds.
  double operator()(double confidence) const;
  friend bool operator==(const Calibration&, const Calibration&) = default;
};

// Error: the first field that is not as it says above; NaN is never.
Result<void> check(const Calibration&);

}  // namespace einet
