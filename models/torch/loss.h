// What a training makes small. For models/torch only.
#pragma once

#include <vector>

#include <torch/types.h>

#include "models/torch/recipe.h"

namespace einet {

// The weighted mean of the exits' losses on a batch: cross entropy with the recipe's label smoothing and
// distillation. Later exits weigh more: the early ones must not take the trunk for themselves. `logits` by
// exit, [n, classes], of any precision; `labels` i64 [n].
torch::Tensor joint_loss(const std::vector<torch::Tensor>& logits, const torch::Tensor& labels,
                         const Recipe&);

}  // namespace einet
