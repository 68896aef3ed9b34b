// A block program's operations as steps that oneDNN (or a plain loop, where that is as good) executes. Made
// once per model and shared: a step holds primitives and packed weights, never a register's memory.
#pragma once

#include <variant>
#include <vector>

#include <oneapi/dnnl/dnnl.hpp>

#include "models/package.h"

namespace einet::onednn {

struct PrimitiveStep {
  struct Argument {
    int index;     // DNNL_ARG_…
    Register reg;  // whose memory is bound per lane
    dnnl::memory::desc layout;
  };
  dnnl::primitive primitive;
  std::vector<Argument> arguments;
  // Packed for this primitive, read by every lane; empty without weights.
  std::vector<std::pair<int, dnnl::memory>> constants;
  dnnl::memory::desc scratchpad;
};

// Registers side by side: for each pixel the inputs' channels one after the other.
struct ConcatenationStep {
  struct Part {
    Register reg;
    std::size_t channels;
  };
  std::vector<Part> inputs;
  Register output;
  std::size_t pixels;
};

// NHWC to a vector in channel, row, column order.
struct FlattenStep {
  Register input, output;
  std::size_t channels, pixels;
};

struct SoftmaxStep {
  Register input, output;
  std::size_t size;
};

using Step = std::variant<PrimitiveStep, ConcatenationStep, FlattenStep, SoftmaxStep>;

// The steps of one part of a block, in order. Throws dnnl::error.
std::vector<Step> make_steps(const dnnl::engine&, const Program&, const std::vector<Operation>& part,
                             const Weights&);

}  // namespace einet::onednn
