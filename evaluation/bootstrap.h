// The paired bootstrap: how far a figure could be off because other samples could have been drawn. Every
// planner is judged on the same drawn samples, so that what they share cancels out of their differences
// (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, sections 8 and 13).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace einet {

// 95 %: all but the lowest and the highest fortieth of the drawn figures.
struct Interval {
  double low = 0;
  double high = 0;
};

struct Estimate {
  double value = 0;
  Interval interval;
};

// One planner's credit and output (replay.h), one entry per sample.
struct SampleColumns {
  std::vector<float> credit;
  std::vector<float> output;
};

struct Comparison {
  Estimate accuracy;      // mean credit
  Estimate given_output;  // sum of credits / sum of outputs; 0 if there is no output
  Estimate gain;          // accuracy less that of the base
  Estimate gain_given_output;
};

inline constexpr int kResamples = 2000;

// One comparison per planner, with the planner `base` as the base. The same seed gives the same intervals.
// Precondition: at least one sample; as many of each planner; base < planners.size().
std::vector<Comparison> compare(std::span<const SampleColumns> planners, std::size_t base,
                                std::uint64_t seed);

}  // namespace einet
