#include "models/torch/layers.h"

#include <torch/nn/functional/normalization.h>
#include <torch/nn/functional/pooling.h>
#include <torch/nn/init.h>

#include "config/check.h"

namespace einet {
namespace {

namespace nn = torch::nn;

bool is_relu(Activation activation) {
  return activation == Activation::relu;
}

// Weights that keep the size of what passes a relu, however many layers follow each other (He et al.:
// Delving Deep into Rectifiers, ICCV 2015, equation 10). LibTorch's own are 2.4 times as small, which batch
// norm makes up for; without it short trainings get less far.
template <class Layer>
void begin_for_relu(Layer& layer) {
  nn::init::kaiming_normal_(layer->weight, 0, torch::kFanIn, torch::kReLU);
  nn::init::zeros_(layer->bias);
}

Window square(int kernel, int stride, int padding) {
  return {kernel, kernel, stride, stride, padding, padding};
}

}  // namespace

ConvolutionLayer::ConvolutionLayer(int in, int out, int kernel, int stride, Norm norm, Activation activation)
    : out_(out), kernel_(kernel), stride_(stride), activation_(activation) {
  auto options =
      nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2).bias(norm == Norm::none);
  convolution_ = register_module("convolution", nn::Conv2d(options));
  if (norm == Norm::batch) {
    norm_ = register_module("norm", nn::BatchNorm2d(out));
  } else if (is_relu(activation)) {
    begin_for_relu(convolution_);
  }
}

torch::Tensor ConvolutionLayer::forward(const torch::Tensor& x) {
  torch::Tensor y = convolution_(x);
  if (!norm_.is_empty()) y = norm_(y);
  return is_relu(activation_) ? torch::relu(y) : y;
}

Register ConvolutionLayer::lower(Lowering& to, Register x, const std::string& name) const {
  return lower_fused(to, {x}, activation_, name);
}

Register ConvolutionLayer::lower_with_residual(Lowering& to, Register x, Register residual,
                                               const std::string& name) const {
  EINET_CHECK(!is_relu(activation_), "the sum comes before the activation");
  return lower_fused(to, {x, residual}, Activation::relu, name);
}

Register ConvolutionLayer::lower_fused(Lowering& to, std::vector<Register> inputs, Activation activation,
                                       const std::string& name) const {
  // In double, so that folding adds no rounding of its own.
  torch::Tensor weight = convolution_->weight.to(torch::kFloat64), bias;
  if (norm_.is_empty()) {
    bias = convolution_->bias;
  } else {
    // Ioffe, Szegedy (ICML 2015): g (x - m) / sqrt(v + e) + b with constants m and v is a scale and an
    // offset.
    const torch::Tensor scale = norm_->weight.to(torch::kFloat64) /
                                torch::sqrt(norm_->running_var.to(torch::kFloat64) + norm_->options.eps());
    weight = weight * scale.view({-1, 1, 1, 1});
    bias = norm_->bias - norm_->running_mean.to(torch::kFloat64) * scale;
  }
  Convolution action;
  action.channels = out_;
  action.window = square(kernel_, stride_, kernel_ / 2);
  action.relu = is_relu(activation);
  action.weight = to.keep(name + ".weight", weight);
  action.bias = to.keep(name + ".bias", bias);
  return to.builder().add(std::move(action), std::move(inputs));
}

torch::Tensor MaxPoolLayer::forward(const torch::Tensor& x) {
  return torch::max_pool2d(x, kernel_, stride_, padding_);
}

Register MaxPoolLayer::lower(Lowering& to, Register x, const std::string&) const {
  return to.builder().add(MaxPool{square(kernel_, stride_, padding_)}, {x});
}

torch::Tensor AveragePoolLayer::forward(const torch::Tensor& x) {
  return torch::avg_pool2d(x, kernel_, stride_);
}

Register AveragePoolLayer::lower(Lowering& to, Register x, const std::string&) const {
  return to.builder().add(AveragePool{square(kernel_, stride_, 0)}, {x});
}

torch::Tensor GlobalMeanLayer::forward(const torch::Tensor& x) {
  return x.mean({2, 3});
}

Register GlobalMeanLayer::lower(Lowering& to, Register x, const std::string&) const {
  return to.builder().add(GlobalMean{}, {x});
}

torch::Tensor DropoutLayer::forward(const torch::Tensor& x) {
  return torch::dropout(x, 0.5, is_training());
}

Register DropoutLayer::lower(Lowering&, Register x, const std::string&) const {
  return x;
}

torch::Tensor LocalResponseNormLayer::forward(const torch::Tensor& x) {
  const LocalResponseNorm& p = parameters_;
  return nn::functional::local_response_norm(
      x, nn::functional::LocalResponseNormFuncOptions(p.size).alpha(p.alpha).beta(p.beta).k(p.k));
}

Register LocalResponseNormLayer::lower(Lowering& to, Register x, const std::string&) const {
  return to.builder().add(parameters_, {x});
}

ResidualLayer::ResidualLayer(int in, int out, int stride) {
  first_ = std::make_shared<ConvolutionLayer>(in, out, 3, stride, Norm::batch, Activation::relu);
  second_ = std::make_shared<ConvolutionLayer>(out, out, 3, 1, Norm::batch, Activation::none);
  register_module("first", first_);
  register_module("second", second_);
  if (in != out || stride != 1) {
    shortcut_ = std::make_shared<ConvolutionLayer>(in, out, 1, stride, Norm::batch, Activation::none);
    register_module("shortcut", shortcut_);
  }
}

torch::Tensor ResidualLayer::forward(const torch::Tensor& x) {
  const torch::Tensor around = shortcut_ ? shortcut_->forward(x) : x;
  return torch::relu(second_->forward(first_->forward(x)) + around);
}

Register ResidualLayer::lower(Lowering& to, Register x, const std::string& name) const {
  const Register around = shortcut_ ? shortcut_->lower(to, x, name + ".shortcut") : x;
  return second_->lower_with_residual(to, first_->lower(to, x, name + ".first"), around, name + ".second");
}

BottleneckLayer::BottleneckLayer(int in, int inner, int stride) {
  const int out = kExpansion * inner;
  const auto add = [&](const char* name, int from, int to, int kernel, int step, Activation activation) {
    return register_module(
        name, std::make_shared<ConvolutionLayer>(from, to, kernel, step, Norm::batch, activation));
  };
  first_ = add("first", in, inner, 1, 1, Activation::relu);
  second_ = add("second", inner, inner, 3, stride, Activation::relu);
  third_ = add("third", inner, out, 1, 1, Activation::none);
  if (in != out || stride != 1) shortcut_ = add("shortcut", in, out, 1, stride, Activation::none);
}

torch::Tensor BottleneckLayer::forward(const torch::Tensor& x) {
  const torch::Tensor around = shortcut_ ? shortcut_->forward(x) : x;
  return torch::relu(third_->forward(second_->forward(first_->forward(x))) + around);
}

Register BottleneckLayer::lower(Lowering& to, Register x, const std::string& name) const {
  const Register around = shortcut_ ? shortcut_->lower(to, x, name + ".shortcut") : x;
  const Register inner = second_->lower(to, first_->lower(to, x, name + ".first"), name + ".second");
  return third_->lower_with_residual(to, inner, around, name + ".third");
}

LinearLayer::LinearLayer(int in, int out, Activation activation) : activation_(activation) {
  linear_ = register_module("linear", nn::Linear(in, out));
  if (is_relu(activation)) begin_for_relu(linear_);
}

torch::Tensor LinearLayer::forward(const torch::Tensor& x) {
  const torch::Tensor y = linear_(x);
  return is_relu(activation_) ? torch::relu(y) : y;
}

Register LinearLayer::lower(Lowering& to, Register x, const std::string& name) const {
  Linear action;
  action.size = static_cast<int>(linear_->options.out_features());
  action.relu = is_relu(activation_);
  action.weight = to.keep(name + ".weight", linear_->weight);
  action.bias = to.keep(name + ".bias", linear_->bias);
  return to.builder().add(std::move(action), {x});
}

torch::Tensor FlattenLayer::forward(const torch::Tensor& x) {
  return x.flatten(1);
}

Register FlattenLayer::lower(Lowering& to, Register x, const std::string&) const {
  return to.builder().add(Flatten{}, {x});
}

Sequence::Sequence(std::vector<std::shared_ptr<Part>> parts) : parts_(std::move(parts)) {
  for (std::size_t i = 0; i < parts_.size(); ++i) register_module(std::to_string(i), parts_[i]);
}

torch::Tensor Sequence::forward(const torch::Tensor& x) {
  torch::Tensor y = x;
  for (const auto& part : parts_) y = part->forward(y);
  return y;
}

Register Sequence::lower(Lowering& to, Register x, const std::string& name) const {
  for (std::size_t i = 0; i < parts_.size(); ++i) x = parts_[i]->lower(to, x, name + "." + std::to_string(i));
  return x;
}

std::shared_ptr<Part> chain(Parts parts) {
  return std::make_shared<Sequence>(std::move(parts));
}

std::shared_ptr<Part> convolution(int in, int out, int kernel, int stride, Norm norm) {
  return std::make_shared<ConvolutionLayer>(in, out, kernel, stride, norm, Activation::relu);
}

std::shared_ptr<Part> linear(int in, int out, Activation activation) {
  return std::make_shared<LinearLayer>(in, out, activation);
}

std::shared_ptr<Part> branch(int channels, int side, int convolved, int hidden, int classes) {
  constexpr int kConvolvedSide = 8, kFlatSide = 4;
  Parts parts;
  const auto pool_to = [&](int most) {
    const int window = (side + most - 1) / most;
    if (window == 1) return;
    parts.push_back(std::make_shared<MaxPoolLayer>(window, window, 0));
    side /= window;
  };
  pool_to(kConvolvedSide);
  parts.push_back(convolution(channels, convolved, 3, 1, Norm::batch));
  pool_to(kFlatSide);
  parts.push_back(std::make_shared<FlattenLayer>());
  parts.push_back(linear(convolved * side * side, hidden, Activation::relu));
  parts.push_back(linear(hidden, classes, Activation::none));
  return chain(std::move(parts));
}

}  // namespace einet
