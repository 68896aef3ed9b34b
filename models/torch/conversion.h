// Turning a single-exit network into a multi-exit one: where its trunk is cut, and what of it is trained. The
// network is a package of any origin; its program's weights are kept, and a branch is attached at every cut.
// No LibTorch in this header.
#pragma once

#include <vector>

#include "config/result.h"
#include "models/package.h"
#include "models/torch/recipe.h"

namespace einet {

enum class CutAt : std::uint8_t {
  convolutions,  // before every convolution but the first
  stages,        // before maps get smaller
  times          // in parts of equal time, as measured on this machine
};

struct Conversion {
  Package source;         // its trunks are taken as one, its exits but the last are dropped
  std::vector<int> cuts;  // ascending: how many of the trunk's operations lie before each cut
};

// `exits` is how many the result is to have; only `times` reads it. Error: no place for a branch (they stand
// on square maps), or more than a program may have.
Result<std::vector<int>> find_cuts(const Package& source, CutAt at, int exits);

}  // namespace einet
