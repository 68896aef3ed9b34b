#include "planner/mlp.h"

#include <cmath>

#include "planner/logit.h"

namespace einet {
namespace {

Mlp zeros_like(const Mlp& network) {
  Mlp zeros = network;
  for (Mlp::Layer& layer : zeros.layers) {
    layer.weight.setZero();
    layer.bias.setZero();
  }
  return zeros;
}

}  // namespace

Mlp Mlp::make(const std::vector<int>& widths, RandomBits& random) {
  Mlp network;
  for (std::size_t i = 1; i < widths.size(); ++i) {
    Layer layer{Eigen::MatrixXd::Zero(widths[i], widths[i - 1]), Eigen::VectorXd::Zero(widths[i])};
    const double range = i + 1 < widths.size() ? std::sqrt(6.0 / widths[i - 1]) : 0;
    for (double& weight : layer.weight.reshaped()) weight = range * (2 * random.uniform() - 1);
    network.layers.push_back(std::move(layer));
  }
  return network;
}

double loss(const Mlp& network, const MlpBatch& batch, Mlp* gradient) {
  std::vector<Eigen::MatrixXd> in = {batch.input};  // of each layer, and the last one's output
  for (const Mlp::Layer& layer : network.layers) {
    Eigen::MatrixXd out = (layer.weight * in.back()).colwise() + layer.bias;
    if (in.size() < network.layers.size()) out = out.cwiseMax(0.0);
    in.push_back(std::move(out));
  }
  const double counted = batch.weight.sum();
  if (gradient != nullptr) *gradient = zeros_like(network);
  if (counted <= 0) return 0;
  const Eigen::ArrayXXd x = batch.base.array() + in.back().array();
  // ln(1 + e^x) - target * x, without overflow.
  const Eigen::ArrayXXd entropy = x.max(0.0) + (-x.abs()).exp().log1p() - batch.target.array() * x;
  const double mean = (batch.weight.array() * entropy).sum() / counted;
  if (gradient == nullptr) return mean;

  Eigen::MatrixXd by_output = batch.weight.array() *
                              (x.unaryExpr([](double v) { return sigmoid(v); }) - batch.target.array()) /
                              counted;
  for (std::size_t i = network.layers.size(); i-- > 0;) {
    gradient->layers[i].weight.noalias() = by_output * in[i].transpose();
    gradient->layers[i].bias = by_output.rowwise().sum();
    if (i == 0) break;
    const Eigen::MatrixXd by_input = network.layers[i].weight.transpose() * by_output;
    by_output = (in[i].array() > 0).select(by_input, 0.0);
  }
  return mean;
}

void Adam::step(Mlp& network, const Mlp& gradient, double rate, double decay) {
  constexpr double kMean = 0.9;
  constexpr double kSquare = 0.999;
  if (steps_ == 0) mean_ = square_ = zeros_like(network);
  ++steps_;
  const double unbiased = std::sqrt(1 - std::pow(kSquare, steps_)) / (1 - std::pow(kMean, steps_));
  const auto update = [&](auto& value, const auto& slope, auto& mean, auto& square) {
    mean = kMean * mean + (1 - kMean) * slope;
    square = kSquare * square + (1 - kSquare) * slope.cwiseAbs2();
    value.array() -= rate * unbiased * mean.array() / (square.array().sqrt() + 1e-8);
  };
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    Mlp::Layer& layer = network.layers[i];
    layer.weight *= 1 - rate * decay;
    update(layer.weight, gradient.layers[i].weight, mean_.layers[i].weight, square_.layers[i].weight);
    update(layer.bias, gradient.layers[i].bias, mean_.layers[i].bias, square_.layers[i].bias);
  }
}

}  // namespace einet
