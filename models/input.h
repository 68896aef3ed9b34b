// A job's input becomes the program's register 0: checked, scaled and normalised. Shared by the executors.
#pragma once

#include <cstdint>

#include "config/result.h"
#include "models/executor.h"

namespace einet {

// How an executor keeps a map in memory; a vector is the same in both.
enum class Layout : std::uint8_t {
  chw,  // channel, row, column
  hwc,  // row, column, channel ("NHWC")
};

// Writes (v - mean) / deviation for every element to `out`, which has room for the input shape. Allocates
// only for an error: a wrong number of bytes, or a float that is not finite.
Result<void> normalise_input(const InputView&, const PackageInfo&, Layout, float* out);

}  // namespace einet
