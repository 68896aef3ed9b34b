// How a step changes the weights: all gradients are clipped together, then SGD with Nesterov momentum or
// AdamW is applied. A few kernels for all weights, and nothing that waits for the device or comes from the
// host, so that a step can be recorded once and replayed. For models/torch only.
#pragma once

#include <vector>

#include <torch/serialize.h>
#include <torch/types.h>

#include "models/torch/recipe.h"

namespace einet {

class Update {
 public:
  // `weights` on one device; those that take no gradient stay as they are. Reads optimiser and weight decay
  // of the recipe.
  Update(std::vector<torch::Tensor> weights, const Recipe&);

  // The learning rate of the steps to come.
  void set_rate(double rate);
  // Forgets the gradients.
  void clear();
  // One step along the gradients that the weights have. Scales the gradients.
  void step();

  // Moments and the number of steps. `load` throws c10::Error where they are not of these weights.
  void save(torch::serialize::OutputArchive& archive) const;
  void load(torch::serialize::InputArchive& archive);

 private:
  std::vector<torch::Tensor> weights_;
  Optimiser optimiser_;
  double weight_decay_;
  torch::Tensor rate_;                   // on the device
  std::vector<torch::Tensor> momentum_;  // by weight; AdamW: mean of gradients
  std::vector<torch::Tensor> squares_;   // AdamW: mean of squared gradients
  std::vector<torch::Tensor> steps_;     // AdamW: done so far
};

}  // namespace einet
