// What each operation of a block program computes, in ATen, a batch at a time: the one place for the
// executors and for networks that are trained from programs. For models/torch only.
#pragma once

#include <functional>
#include <map>
#include <span>
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

// The same for operations of this program, one after the other. Returns its registers: those that they wrote;
// the others stay undefined. `before`: what a register holds that none of them has written.
std::vector<torch::Tensor> evaluate(const Program& program, std::span<const Operation> operations,
                                    const NamedTensors& tensors,
                                    const std::function<torch::Tensor(Register)>& before);

}  // namespace einet
