#include "models/torch/operations.h"

#include <torch/nn/functional/normalization.h>

namespace einet {
namespace {

torch::Tensor with_relu(const torch::Tensor& y, bool relu) {
  return relu ? torch::relu(y) : y;
}

struct Apply {
  const std::vector<torch::Tensor>& in;
  const NamedTensors& tensors;

  torch::Tensor operator()(const Convolution& a) const {
    const Window& w = a.window;
    torch::Tensor y = torch::conv2d(in[0], tensors.at(a.weight), tensors.at(a.bias), {w.stride_h, w.stride_w},
                                    {w.padding_h, w.padding_w}, 1, a.groups);
    if (in.size() == 2) y = y + in[1];
    return with_relu(y, a.relu);
  }
  torch::Tensor operator()(const Linear& a) const {
    return with_relu(torch::linear(in[0], tensors.at(a.weight), tensors.at(a.bias)), a.relu);
  }
  torch::Tensor operator()(const MaxPool& a) const {
    const Window& w = a.window;
    return torch::max_pool2d(in[0], {w.kernel_h, w.kernel_w}, {w.stride_h, w.stride_w},
                             {w.padding_h, w.padding_w});
  }
  torch::Tensor operator()(const AveragePool& a) const {
    const Window& w = a.window;
    return torch::avg_pool2d(in[0], {w.kernel_h, w.kernel_w}, {w.stride_h, w.stride_w},
                             {w.padding_h, w.padding_w});
  }
  torch::Tensor operator()(const LocalResponseNorm& a) const {
    namespace functional = torch::nn::functional;
    return functional::local_response_norm(
        in[0], functional::LocalResponseNormFuncOptions(a.size).alpha(a.alpha).beta(a.beta).k(a.k));
  }
  torch::Tensor operator()(const Concatenation&) const { return torch::cat(in, 1); }
  torch::Tensor operator()(const Addition& a) const { return with_relu(in[0] + in[1], a.relu); }
  torch::Tensor operator()(const Relu&) const { return torch::relu(in[0]); }
  torch::Tensor operator()(const GlobalMean&) const { return in[0].mean({2, 3}); }
  torch::Tensor operator()(const Flatten&) const { return in[0].flatten(1); }
  torch::Tensor operator()(const Softmax&) const { return torch::softmax(in[0], 1); }
};

}  // namespace

torch::Tensor evaluate(const Action& action, const std::vector<torch::Tensor>& inputs,
                       const NamedTensors& tensors) {
  return std::visit(Apply{inputs, tensors}, action);
}

std::vector<torch::Tensor> evaluate(const Program& program, std::span<const Operation> operations,
                                    const NamedTensors& tensors,
                                    const std::function<torch::Tensor(Register)>& before) {
  std::vector<torch::Tensor> registers(static_cast<std::size_t>(program.register_count()));
  for (const Operation& operation : operations) {
    std::vector<torch::Tensor> inputs;
    for (const Register r : operation.inputs) {
      const torch::Tensor& value = registers[static_cast<std::size_t>(r)];
      inputs.push_back(value.defined() ? value : before(r));
    }
    registers[static_cast<std::size_t>(operation.output)] = evaluate(operation.action, inputs, tensors);
  }
  return registers;
}

}  // namespace einet
