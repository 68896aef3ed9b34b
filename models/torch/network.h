// A multi-exit network as LibTorch modules: what the trainer trains, and what lowers itself to a block
// program. The zoo's networks (models/torch/zoo.h) are put together from the parts in models/torch/layers.h.
// For models/torch and its tests only: everyone else sees packages.
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

// What a trunk hands to the next: one tensor in most networks, one per scale, finest first, in MSDNet.
using State = std::vector<torch::Tensor>;
using Registers = std::vector<Register>;

// The trunk of a block: the state that the block before left (the input for the first) to its own, a batch at
// a time.
class Trunk : public torch::nn::Module {
 public:
  virtual State advance(const State&) = 0;
  // Appends operations that compute advance(state) in evaluation mode. `name` goes before the names of the
  // weights.
  virtual Registers lower_state(Lowering& to, const Registers& state, const std::string& name) const = 0;
};

// One tensor in, one tensor out: an exit, or a trunk whose state is one tensor.
class Part : public Trunk {
 public:
  virtual torch::Tensor forward(const torch::Tensor& x) = 0;
  // As lower_state. An exit leaves its softmax to Network::lower.
  virtual Register lower(Lowering& to, Register x, const std::string& name) const = 0;

  State advance(const State& state) final { return {forward(state.back())}; }
  Registers lower_state(Lowering& to, const Registers& state, const std::string& name) const final {
    return {lower(to, state.back(), name)};
  }
};

// Trunks one after the other, named 0, 1, ….
std::shared_ptr<Trunk> join(std::vector<std::shared_ptr<Trunk>>);

class Network : public torch::nn::Module {
 public:
  Network(std::string name, Shape input, int classes);

  // Which of the zoo's networks this is, as `make_network` knows it.
  const std::string& network_name() const { return network_name_; }
  Shape input() const { return input_; }
  int classes() const { return classes_; }
  int block_count() const { return static_cast<int>(trunks_.size()); }

  // Block `b` of a batch: its trunk takes the state left by the block before (the input for b = 0), its exit
  // the last tensor of its trunk's state, and gives unnormalised class scores (logits).
  State trunk(int b, const State& state) { return trunks_[static_cast<std::size_t>(b)]->advance(state); }
  torch::Tensor exit(int b, const State& state) {
    return exits_[static_cast<std::size_t>(b)]->forward(state.back());
  }
  // The logits of every exit.
  std::vector<torch::Tensor> forward(const torch::Tensor& x);

  // The program and its weights, of the network in evaluation mode.
  Result<Package> lower(const Normalisation&) const;

  // Appends a block.
  void add(std::shared_ptr<Trunk> trunk, std::shared_ptr<Part> exit);
  // The same trunk as one block with the last exit alone: the classic network. It shares this one's modules.
  std::shared_ptr<Network> single_exit(std::string name) const;

 private:
  std::string network_name_;
  Shape input_;
  int classes_;
  std::vector<std::shared_ptr<Trunk>> trunks_;
  std::vector<std::shared_ptr<Part>> exits_;
};

}  // namespace einet
