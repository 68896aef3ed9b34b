// Random numbers for training that are the same with every standard library.
#pragma once

#include <cstdint>
#include <random>

namespace einet {

class RandomBits {
 public:
  explicit RandomBits(std::uint64_t seed) : bits_(seed) {}
  // In [0, 1).
  double uniform() { return static_cast<double>(bits_() >> 11) * 0x1p-53; }
  // In [0, n). Precondition: n > 0.
  int below(int n) { return static_cast<int>(uniform() * n); }

 private:
  std::mt19937_64 bits_;
};

}  // namespace einet
