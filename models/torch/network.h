// A multi-exit network as LibTorch modules: what the trainer trains, and what lowers itself to a block
// program. The zoo's networks (b_alexnet.cpp, fine_resnet.cpp) are put together from the parts in
// models/torch/layers.h. For models/torch and its tests only: everyone else sees packages.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <torch/nn/module.h>
#include <torch/types.h>

#include "config/result.h"
#include "models/package.h"
#include "models/program.h"

namespace einet {

// Collects the program and its tensors while modules lower themselves. One use, one thread.
class Lowering {
 public:
  explicit Lowering(Shape input, int classes) : builder_(input, classes) {}

  ProgramBuilder& builder() { return builder_; }
  // Copies an fp32 tensor under `name`, which must be new, and returns the name.
  std::string keep(std::string name, const torch::Tensor& tensor);
  Result<Package> finish(std::string network_name, Normalisation normalisation) &&;

 private:
  ProgramBuilder builder_;
  Weights weights_;
};

// The trunk or the exit of a block: one tensor in, one tensor out, a batch at a time.
class Part : public torch::nn::Module {
 public:
  virtual torch::Tensor forward(const torch::Tensor& x) = 0;
  // Appends operations that compute forward(x) in evaluation mode; an exit leaves its softmax to
  // Network::lower. `name` goes before the names of the weights.
  virtual Register lower(Lowering& to, Register x, const std::string& name) const = 0;
};

class Network : public torch::nn::Module {
 public:
  Network(std::string name, Shape input, int classes);

  // Which of the zoo's networks this is, as `make_network` knows it.
  const std::string& network_name() const { return network_name_; }
  Shape input() const { return input_; }
  int classes() const { return classes_; }
  int block_count() const { return static_cast<int>(trunks_.size()); }

  // Block `b` of a batch: its trunk takes the state left by the block before (the input for b = 0), its exit
  // takes its trunk's state and gives unnormalised class scores (logits).
  torch::Tensor trunk(int b, const torch::Tensor& state) {
    return trunks_[static_cast<std::size_t>(b)]->forward(state);
  }
  torch::Tensor exit(int b, const torch::Tensor& state) {
    return exits_[static_cast<std::size_t>(b)]->forward(state);
  }
  // The logits of every exit.
  std::vector<torch::Tensor> forward(torch::Tensor x);

  // The program and its weights, of the network in evaluation mode.
  Result<Package> lower(const Normalisation&) const;

 protected:
  // Appends a block. Called by the constructors of the zoo's networks.
  void add(std::shared_ptr<Part> trunk, std::shared_ptr<Part> exit);

 private:
  std::string network_name_;
  Shape input_;
  int classes_;
  std::vector<std::shared_ptr<Part>> trunks_, exits_;
};

// The zoo. Error: no network of that name (the nearest is named), or one that cannot take this input.
Result<std::shared_ptr<Network>> make_network(std::string_view name, Shape input, int classes);

// Each in its own file. Precondition: what make_network has checked.
std::shared_ptr<Network> make_b_alexnet(Shape input, int classes);
std::shared_ptr<Network> make_fine_resnet(Shape input, int classes);

}  // namespace einet
