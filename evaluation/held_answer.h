// The answer that a recorded sample holds after some of its exits were executed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/profiles.h"
#include "planner/aggregation.h"

namespace einet {

// One sample's answer, exit by exit. Reused from sample to sample: allocates at construction only.
class HeldAnswer {
 public:
  // `temperature`: one per exit, > 0, read for as long as this lives; only product looks at it.
  HeldAnswer(Aggregation aggregation, int classes, std::span<const double> temperature);

  // No exit is executed.
  void clear();
  // The exit is executed. `calibrated`: the probability that its answer is right, judged by its own
  // confidence.
  void add(const ProfileSplit& split, int sample, int exit, double calibrated);

  // The class; -1: none yet.
  int answer() const { return answer_; }
  // In [0, 1], the larger the surer: the calibrated confidence of the exit that gave the answer; for product
  // ProductAnswer::confidence().
  double confidence() const { return confidence_; }

 private:
  Aggregation aggregation_;
  std::span<const double> temperature_;
  int answer_ = -1;
  double confidence_ = 0;
  ProductAnswer product_;
  std::vector<std::uint16_t> classes_;  // of one exit, as ProductAnswer takes them
  std::vector<float> scores_;
};

}  // namespace einet
