// The answer that a recorded sample holds after some of its exits were executed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/profiles.h"
#include "planner/aggregation.h"

namespace einet {

// How one answer is made of several, with what was learned for it; products alone look at the rest.
struct Pooling {
  Aggregation aggregation = Aggregation::last;
  std::span<const double> temperature;  // one per exit, > 0; lives longer
  double discount = 1;                  // in (0, 1]; of discounted
};

// One sample's answer, exit by exit. Reused from sample to sample: allocates at construction only.
class HeldAnswer {
 public:
  HeldAnswer(const Pooling& pooling, int classes);

  // No exit is executed.
  void clear();
  // The exit is executed. `calibrated`: the probability that its answer is right, judged by its own
  // confidence.
  void add(const ProfileSplit& split, int sample, int exit, double calibrated);

  // The class; -1: none yet.
  int answer() const { return answer_; }
  // In [0, 1], the larger the surer: the calibrated confidence of the exit that gave the answer; for products
  // ProductAnswer::confidence().
  double confidence() const { return confidence_; }

 private:
  bool multiplies() const;

  Pooling pooling_;
  int answer_ = -1;
  double confidence_ = 0;
  ProductAnswer product_;
  std::vector<std::uint16_t> classes_;  // of one exit, as ProductAnswer takes them
  std::vector<float> scores_;
};

}  // namespace einet
