// The update of a training step against LibTorch's own optimisers.
#include "models/torch/update.h"

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>
#include <torch/utils.h>

namespace einet {
namespace {

struct Weights {
  std::vector<torch::Tensor> all;

  Weights() {
    torch::manual_seed(3);
    for (const auto& shape : std::vector<std::vector<std::int64_t>>{{4, 3, 3, 3}, {7}, {5, 2}}) {
      all.push_back(torch::randn(shape).requires_grad_());
    }
  }
  // As a batch would; the first are larger than what clipping lets through.
  void grow_gradients(int step) {
    torch::manual_seed(10 + static_cast<std::uint64_t>(step));
    for (torch::Tensor& weight : all)
      weight.mutable_grad() = torch::randn_like(weight) * (step == 0 ? 10 : 0.1);
  }
};

Recipe recipe_with(Optimiser optimiser) {
  Recipe r;
  r.optimiser = optimiser;
  r.weight_decay = 0.02;
  return r;
}

double rate_of(int step) {
  return 0.05 / (1 + step);
}

template <class Library, class Options>
void expect_steps_of(Optimiser optimiser, Options options) {
  Weights ours, theirs;
  Update update(ours.all, recipe_with(optimiser));
  Library library(theirs.all, options);
  for (int step = 0; step < 5; ++step) {
    update.set_rate(rate_of(step));
    ours.grow_gradients(step);
    update.step();
    for (auto& group : library.param_groups()) group.options().set_lr(rate_of(step));
    theirs.grow_gradients(step);
    torch::nn::utils::clip_grad_norm_(theirs.all, 5);
    library.step();
    for (std::size_t i = 0; i < ours.all.size(); ++i) {
      EXPECT_TRUE(torch::allclose(ours.all[i], theirs.all[i], 1e-5, 1e-6))
          << "step " << step << ", weight " << i;
    }
  }
}

TEST(Update, StepsAsSgdWithNesterovMomentum) {
  expect_steps_of<torch::optim::SGD>(
      Optimiser::sgd, torch::optim::SGDOptions(0.05).momentum(0.9).nesterov(true).weight_decay(0.02));
}

TEST(Update, StepsAsAdamW) {
  expect_steps_of<torch::optim::AdamW>(Optimiser::adamw, torch::optim::AdamWOptions(0.05).weight_decay(0.02));
}

// The control: without its moments an optimiser goes elsewhere, so the comparison above sees them.
TEST(Update, NeedsItsMoments) {
  Weights kept, lost;
  Update update(kept.all, recipe_with(Optimiser::sgd));
  for (int step = 0; step < 3; ++step) {
    Update fresh(lost.all, recipe_with(Optimiser::sgd));
    for (Update* u : {&update, &fresh}) u->set_rate(0.05);
    kept.grow_gradients(step);
    update.step();
    lost.grow_gradients(step);
    fresh.step();
  }
  EXPECT_FALSE(torch::allclose(kept.all[0], lost.all[0], 1e-5, 1e-6));
}

TEST(Update, LeavesWeightsAloneThatGetNoGradient) {
  Weights weights;
  weights.all[1].set_requires_grad(false);
  const torch::Tensor frozen = weights.all[1].clone(), unused = weights.all[2].detach().clone();
  Update update(weights.all, recipe_with(Optimiser::adamw));
  update.set_rate(0.1);
  weights.grow_gradients(0);
  weights.all[2].mutable_grad() = torch::Tensor();
  update.step();
  EXPECT_TRUE(torch::equal(weights.all[1], frozen));
  EXPECT_TRUE(torch::equal(weights.all[2], unused));
  update.clear();
  EXPECT_FALSE(weights.all[0].grad().defined());
}

}  // namespace
}  // namespace einet
