// The parts that the zoo's networks are made of, each with its lowering: convolution with batch norm folded
// in, pooling, local response norm, residual blocks, and the branch that most exits are.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include "models/torch/network.h"

namespace einet {

enum class Norm : std::uint8_t { none, batch };
enum class Activation : std::uint8_t { none, relu };

// Convolution of a square kernel, padding kernel / 2, then batch norm or none, then relu or none.
class ConvolutionLayer final : public Part {
 public:
  ConvolutionLayer(int in, int out, int kernel, int stride, Norm norm, Activation activation);

  torch::Tensor forward(const torch::Tensor& x) override;
  Register lower(Lowering& to, Register x, const std::string& name) const override;
  // relu(forward(x) + residual) as one operation. Precondition: this layer has no activation of its own.
  Register lower_with_residual(Lowering& to, Register x, Register residual, const std::string& name) const;

 private:
  Register lower_fused(Lowering& to, std::vector<Register> inputs, Activation activation,
                       const std::string& name) const;

  int out_, kernel_, stride_;
  Activation activation_;
  torch::nn::Conv2d convolution_{nullptr};
  torch::nn::BatchNorm2d norm_{nullptr};
};

// Max pooling of a square window, padding as given.
class MaxPoolLayer final : public Part {
 public:
  MaxPoolLayer(int kernel, int stride, int padding) : kernel_(kernel), stride_(stride), padding_(padding) {}

  torch::Tensor forward(const torch::Tensor& x) override;
  Register lower(Lowering& to, Register x, const std::string& name) const override;

 private:
  int kernel_, stride_, padding_;
};

// Average pooling of a square window without padding.
class AveragePoolLayer final : public Part {
 public:
  AveragePoolLayer(int kernel, int stride) : kernel_(kernel), stride_(stride) {}

  torch::Tensor forward(const torch::Tensor& x) override;
  Register lower(Lowering& to, Register x, const std::string& name) const override;

 private:
  int kernel_, stride_;
};

// The mean of each channel: a vector.
class GlobalMeanLayer final : public Part {
 public:
  torch::Tensor forward(const torch::Tensor& x) override;
  Register lower(Lowering& to, Register x, const std::string& name) const override;
};

// Zeroes half of the elements while it is trained, and is nothing in a program (Srivastava et al.: Dropout,
// JMLR 2014).
class DropoutLayer final : public Part {
 public:
  torch::Tensor forward(const torch::Tensor& x) override;
  Register lower(Lowering& to, Register x, const std::string& name) const override;
};

// Across channels, after Krizhevsky, Sutskever, Hinton (NIPS 2012), section 3.3.
class LocalResponseNormLayer final : public Part {
 public:
  explicit LocalResponseNormLayer(LocalResponseNorm parameters) : parameters_(parameters) {}

  torch::Tensor forward(const torch::Tensor& x) override;
  Register lower(Lowering& to, Register x, const std::string& name) const override;

 private:
  LocalResponseNorm parameters_;
};

// Two 3x3 convolutions and a shortcut, which is a 1x1 convolution where the shape changes (He, Zhang, Ren,
// Sun: Deep Residual Learning for Image Recognition, CVPR 2016, figure 2 and option B of section 3.3).
class ResidualLayer final : public Part {
 public:
  ResidualLayer(int in, int out, int stride);

  torch::Tensor forward(const torch::Tensor& x) override;
  Register lower(Lowering& to, Register x, const std::string& name) const override;

 private:
  std::shared_ptr<ConvolutionLayer> first_, second_, shortcut_;
};

// The bottleneck of the deep residual networks: 1x1, 3x3, 1x1 convolutions, the last of 4 * `inner` channels,
// and a shortcut as above (the same paper, figure 5). The stride is the 3x3's.
class BottleneckLayer final : public Part {
 public:
  static constexpr int kExpansion = 4;
  BottleneckLayer(int in, int inner, int stride);

  torch::Tensor forward(const torch::Tensor& x) override;
  Register lower(Lowering& to, Register x, const std::string& name) const override;

 private:
  std::shared_ptr<ConvolutionLayer> first_, second_, third_, shortcut_;
};

// A map to a vector in channel, row, column order.
class FlattenLayer final : public Part {
 public:
  torch::Tensor forward(const torch::Tensor& x) override;
  Register lower(Lowering& to, Register x, const std::string& name) const override;
};

// relu?(W x + b) of a vector.
class LinearLayer final : public Part {
 public:
  LinearLayer(int in, int out, Activation activation);

  torch::Tensor forward(const torch::Tensor& x) override;
  Register lower(Lowering& to, Register x, const std::string& name) const override;

 private:
  Activation activation_;
  torch::nn::Linear linear_{nullptr};
};

// Parts one after the other, named 0, 1, ….
class Sequence final : public Part {
 public:
  explicit Sequence(std::vector<std::shared_ptr<Part>> parts);

  torch::Tensor forward(const torch::Tensor& x) override;
  Register lower(Lowering& to, Register x, const std::string& name) const override;

 private:
  std::vector<std::shared_ptr<Part>> parts_;
};

using Parts = std::vector<std::shared_ptr<Part>>;
std::shared_ptr<Part> chain(Parts);
// A padded square convolution with relu.
std::shared_ptr<Part> convolution(int in, int out, int kernel, int stride, Norm);
// W x + b
std::shared_ptr<Part> linear(int in, int out, Activation);

// An exit of one convolution and two fully connected layers on a square map of `side`. The map is pooled to
// at most 8 x 8 first and to at most 4 x 4 after, so that an exit costs a fraction of a block on any map.
constexpr int kBranchChannels = 64, kBranchHidden = 128;  // its usual size: channels convolved to, width hidden
std::shared_ptr<Part> branch(int channels, int side, int convolved, int hidden, int classes);

}  // namespace einet
