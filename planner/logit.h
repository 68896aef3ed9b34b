// Probabilities as real numbers and back, for the predictor and its training, which must agree.
#pragma once

#include <algorithm>
#include <cmath>

namespace einet {

// ln(p / (1 - p)), with p kept from 1e-4 to 1 - 1e-4, so that nothing is beyond doubt.
inline double logit(double p) {
  p = std::clamp(p, 1e-4, 1 - 1e-4);
  return std::log(p / (1 - p));
}

// The inverse of it: from 0 to 1.
inline double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

}  // namespace einet
