#include "models/torch/loss.h"

#include <torch/nn/functional/loss.h>
#include <torch/utils.h>

namespace einet {
namespace {

constexpr double kTemperature = 3;  // of the answers that are distilled

double exit_weight(std::size_t exit, std::size_t exits) {
  return 0.4 + 0.6 * static_cast<double>(exit + 1) / static_cast<double>(exits);
}

}  // namespace

torch::Tensor joint_loss(const std::vector<torch::Tensor>& logits, const torch::Tensor& labels,
                         const Recipe& recipe) {
  namespace functional = torch::nn::functional;
  const auto to_label = functional::CrossEntropyFuncOptions().label_smoothing(recipe.label_smoothing);
  const torch::Tensor teacher = torch::softmax(logits.back().detach().to(torch::kFloat32) / kTemperature, 1);
  torch::Tensor sum;
  double weights = 0;
  for (std::size_t e = 0; e < logits.size(); ++e) {
    const torch::Tensor scores = logits[e].to(torch::kFloat32);
    torch::Tensor loss = functional::cross_entropy(scores, labels, to_label);
    if (recipe.distillation > 0 && e + 1 < logits.size()) {
      // Hinton, Vinyals, Dean (2015), section 2: the square of the temperature keeps the gradient's size.
      const torch::Tensor student = torch::log_softmax(scores / kTemperature, 1);
      const torch::Tensor distance = torch::kl_div(student, teacher, at::Reduction::Sum) / scores.size(0) *
                                     (kTemperature * kTemperature);
      loss = (1 - recipe.distillation) * loss + recipe.distillation * distance;
    }
    const double weight = exit_weight(e, logits.size());
    sum = e == 0 ? weight * loss : sum + weight * loss;
    weights += weight;
  }
  return sum / weights;
}

}  // namespace einet
