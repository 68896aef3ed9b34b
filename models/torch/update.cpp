#include "models/torch/update.h"

#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <torch/autograd.h>
#include <torch/utils.h>

namespace einet {
namespace {

constexpr double kMomentum = 0.9;
constexpr double kMeanDecay = 0.9, kSquaresDecay = 0.999, kEpsilon = 1e-8;  // AdamW's usual ones
constexpr double kMaxGradientNorm = 5;

}  // namespace

Update::Update(std::vector<torch::Tensor> weights, const Recipe& recipe)
    : optimiser_(recipe.optimiser), weight_decay_(recipe.weight_decay) {
  for (torch::Tensor& weight : weights) {
    if (weight.requires_grad()) weights_.push_back(std::move(weight));
  }
  const torch::NoGradGuard no_grad;
  const torch::Device device = weights_.front().device();
  const auto fp32 = torch::TensorOptions(torch::kFloat32).device(device);
  rate_ = torch::zeros({}, fp32);
  for (const torch::Tensor& weight : weights_) {
    momentum_.push_back(torch::zeros_like(weight));
    if (optimiser_ == Optimiser::sgd) continue;
    squares_.push_back(torch::zeros_like(weight));
    steps_.push_back(torch::zeros({}, fp32));
  }
}

void Update::set_rate(double rate) {
  rate_.fill_(rate);
}

void Update::clear() {
  for (torch::Tensor& weight : weights_) weight.mutable_grad() = torch::Tensor();
}

void Update::step() {
  const torch::NoGradGuard no_grad;
  // Those that the loss depends on.
  std::vector<torch::Tensor> weights, gradients, momentum, squares, steps;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    if (!weights_[i].grad().defined()) continue;
    weights.push_back(weights_[i]);
    gradients.push_back(weights_[i].grad());
    momentum.push_back(momentum_[i]);
    if (optimiser_ == Optimiser::sgd) continue;
    squares.push_back(squares_[i]);
    steps.push_back(steps_[i]);
  }
  const torch::Tensor norm = torch::stack(at::_foreach_norm(gradients)).norm();
  at::_foreach_mul_(gradients, torch::clamp(kMaxGradientNorm / (norm + 1e-6), std::nullopt, 1.0));
  if (optimiser_ == Optimiser::sgd) {
    // With a momentum of zero before it, the first step needs no case of its own.
    at::_fused_sgd_(weights, gradients, momentum, weight_decay_, kMomentum, rate_, /*dampening=*/0,
                    /*nesterov=*/true, /*maximize=*/false, /*is_first_step=*/false);
  } else {
    at::_foreach_add_(steps, 1);
    at::_fused_adamw_(weights, gradients, momentum, squares, {}, steps, rate_, kMeanDecay, kSquaresDecay,
                      weight_decay_, kEpsilon, /*amsgrad=*/false, /*maximize=*/false);
  }
}

void Update::save(torch::serialize::OutputArchive& archive) const {
  const auto write = [&](const char* name, const std::vector<torch::Tensor>& tensors) {
    for (std::size_t i = 0; i < tensors.size(); ++i) archive.write(name + std::to_string(i), tensors[i]);
  };
  write("momentum", momentum_);
  write("squares", squares_);
  write("steps", steps_);
}

void Update::load(torch::serialize::InputArchive& archive) {
  const torch::NoGradGuard no_grad;
  const auto read = [&](const char* name, std::vector<torch::Tensor>& tensors) {
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      torch::Tensor saved;
      archive.read(name + std::to_string(i), saved);
      TORCH_CHECK(saved.sizes() == tensors[i].sizes(), name, i, " is of another shape than its weight");
      tensors[i].copy_(saved);
    }
  };
  read("momentum", momentum_);
  read("squares", squares_);
  read("steps", steps_);
}

}  // namespace einet
