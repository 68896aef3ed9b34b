// The parts that the zoo's networks are made of, each with its lowering: convolution with batch norm folded
// in, pooling, local response norm, the residual block, the exit. One tensor in, one out.
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
class Chain final : public Part {
 public:
  explicit Chain(std::vector<std::shared_ptr<Part>> parts);

  torch::Tensor forward(const torch::Tensor& x) override;
  Register lower(Lowering& to, Register x, const std::string& name) const override;

 private:
  std::vector<std::shared_ptr<Part>> parts_;
};

}  // namespace einet
