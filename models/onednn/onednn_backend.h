// CPU lanes: block programs as oneDNN primitives. Everything is created at load: primitives and packed
// weights once per model, shared by all lanes; an arena and a scratchpad per lane. The only folder that
// includes oneDNN.
#pragma once

#include <memory>

#include "models/executor.h"

namespace einet {

struct OneDnnOptions {
  // OpenMP threads that a lane computes with, >= 1. Primitives are made for this number.
  int threads_per_lane = 1;
};

// Maps are kept in NHWC fp32. The convolutions' relu and residual, and the relu of linear layers and
// additions, are fused. Running allocates nothing here; oneDNN itself makes a small table of arguments per
// primitive.
std::unique_ptr<Backend> make_onednn_backend(OneDnnOptions);

}  // namespace einet
