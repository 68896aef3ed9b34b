// What each operation of a block program computes, in ATen, a batch at a time: the one place for the executor
// and for networks that are trained from programs. For models/torch only.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <torch/types.h>

#include "models/program.h"

namespace einet {

using NamedTensors = std::map<std::string, torch::Tensor>;

// Preconditions: the operation is of a checked program, its tensors are in `tensors` in their shapes, and
// `inputs` are its registers with a batch in front.
torch::Tensor evaluate(const Action& action, const std::vector<torch::Tensor>& inputs,
                    const NamedTensors& tensors);

}  // namespace einet
