#include "models/torch/recipe.h"

namespace einet {
namespace {

Recipe with_sgd(Recipe r, int epochs, int batch, double learning_rate, double weight_decay) {
  r.optimiser = Optimiser::sgd;
  r.epochs = epochs;
  r.batch = batch;
  r.learning_rate = learning_rate;
  r.weight_decay = weight_decay;
  return r;
}

}  // namespace

Recipe standard_recipe(std::string_view network, std::string_view set) {
  Recipe r;
  if (set.starts_with("cifar")) r.augmentation = Augmentation::crop_flip;
  // Networks without batch norm, and the small one for the demo: AdamW on a few epochs suits a CPU.
  if (network.starts_with("b-alexnet")) r.epochs = 40;
  // The usual recipes on CIFAR (He et al., CVPR 2016, section 4.2, with a cosine for its steps).
  if (network.starts_with("vgg-16") || network.starts_with("flex-vgg-16"))
    return with_sgd(r, 200, 128, 0.05, 5e-4);
  if (network.starts_with("resnet-50")) return with_sgd(r, 200, 128, 0.1, 5e-4);
  // Huang et al., ICLR 2018, section 5, again with a cosine for its steps.
  if (network.starts_with("msdnet")) return with_sgd(r, 300, 64, 0.1, 1e-4);
  return r;
}

Result<void> check(const Recipe& r) {
  if (r.epochs < 1) return error("epochs is " + std::to_string(r.epochs) + "; allowed: 1 and more");
  if (r.batch < 2) return error("batch is " + std::to_string(r.batch) + "; allowed: 2 and more");
  // Negated comparisons refuse NaN as well.
  if (!(r.learning_rate > 0)) return error("the learning rate must be above 0");
  if (!(r.weight_decay >= 0)) return error("the weight decay must not be negative");
  const auto is_share = [](double v) { return v >= 0 && v < 1; };
  if (!is_share(r.label_smoothing)) return error("the label smoothing must be from 0 to below 1");
  if (!is_share(r.distillation)) return error("the distillation must be from 0 to below 1");
  return {};
}

std::string_view name(Optimiser optimiser) {
  return optimiser == Optimiser::sgd ? "sgd" : "adamw";
}

std::string_view name(Augmentation augmentation) {
  switch (augmentation) {
    case Augmentation::crop:
      return "crop";
    case Augmentation::crop_flip:
      return "crop-flip";
    default:
      return "none";
  }
}

std::string_view name(Learn learn) {
  return learn == Learn::all ? "all" : "branches";
}

}  // namespace einet
