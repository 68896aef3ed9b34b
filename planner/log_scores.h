// The best scores of one answer, in logarithms, so that a temperature is a factor. For calibration and its
// fitting.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <span>

#include "planner/calibration.h"

namespace einet {

class LogScores {
 public:
  // Precondition: as for tempered_confidence.
  LogScores(std::span<const float> scores, int classes) {
    std::array<float, kTopScores> top;
    const auto last =
        std::partial_sort_copy(scores.begin(), scores.end(), top.begin(), top.end(), std::greater<>());
    count_ = static_cast<int>(last - top.begin());
    others_ = classes - count_;
    double left = 1;
    for (int i = 0; i < count_; ++i) {
      log_[i] = kept(top[i]) - kept(top[0]);
      left -= top[i];
    }
    if (others_ > 0) log_other_ = kept(left / others_) - kept(top[0]);
  }

  // How many times the best score all of them are, after each was raised to `power`.
  double sum(double power) const {
    double sum = others_ > 0 ? others_ * std::exp(power * log_other_) : 0;
    for (int i = 0; i < count_; ++i) sum += std::exp(power * log_[i]);
    return sum;
  }
  // Of the class at that place, or of one that is not among the best: ln(score / best score).
  double log_ratio(int place) const { return place < count_ ? log_[place] : log_other_; }

 private:
  // Kept from 1e-7 on: files round scores, and what is 0 would stay 0 at every temperature.
  static double kept(double score) { return std::log(std::max(score, 1e-7)); }

  int count_ = 0;
  int others_ = 0;
  double log_other_ = 0;
  std::array<double, kTopScores> log_;
};

}  // namespace einet
