#include "models/torch/network.h"

#include <torch/autograd.h>

#include "config/check.h"

namespace einet {
namespace {

class JoinedTrunks final : public Trunk {
 public:
  explicit JoinedTrunks(std::vector<std::shared_ptr<Trunk>> trunks) : trunks_(std::move(trunks)) {
    for (std::size_t i = 0; i < trunks_.size(); ++i) register_module(std::to_string(i), trunks_[i]);
  }
  State advance(const State& state) override {
    State next = state;
    for (const auto& trunk : trunks_) next = trunk->advance(next);
    return next;
  }
  Registers lower_state(Lowering& to, const Registers& state, const std::string& name) const override {
    Registers next = state;
    for (std::size_t i = 0; i < trunks_.size(); ++i) {
      next = trunks_[i]->lower_state(to, next, name + "." + std::to_string(i));
    }
    return next;
  }

 private:
  std::vector<std::shared_ptr<Trunk>> trunks_;
};

}  // namespace

std::shared_ptr<Trunk> join(std::vector<std::shared_ptr<Trunk>> trunks) {
  return std::make_shared<JoinedTrunks>(std::move(trunks));
}

std::string Lowering::keep(std::string name, const torch::Tensor& tensor) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor values = tensor.to(torch::kFloat32).cpu().contiguous();
  Tensor copy;
  copy.shape = values.sizes().vec();
  copy.values.assign(values.const_data_ptr<float>(), values.const_data_ptr<float>() + values.numel());
  const bool fresh = weights_.emplace(name, std::move(copy)).second;
  EINET_CHECK(fresh, "every tensor has a name of its own");
  return name;
}

Result<Package> Lowering::finish(std::string network_name, Normalisation normalisation) && {
  auto program = std::move(builder_).finish();
  if (!program) return program.error();
  Package package{PackageInfo{.name = std::move(network_name),
                              .version = "1",
                              .program = std::move(*program),
                              .normalisation = std::move(normalisation),
                              .labels = {},
                              .times = {},
                              .confidences = {},
                              .digest = {}},
                  std::move(weights_)};
  return package;
}

Network::Network(std::string name, Shape input, int classes)
    : network_name_(std::move(name)), input_(input), classes_(classes) {}

std::vector<torch::Tensor> Network::forward(const torch::Tensor& x) {
  State state = {x};
  std::vector<torch::Tensor> logits;
  for (int b = 0; b < block_count(); ++b) {
    state = trunk(b, state);
    logits.push_back(exit(b, state));
  }
  return logits;
}

Result<Package> Network::lower(const Normalisation& normalisation) const {
  const torch::NoGradGuard no_grad;
  Lowering to(input_, classes_);
  Registers state = {to.builder().input()};
  for (std::size_t b = 0; b < trunks_.size(); ++b) {
    to.builder().begin_block();
    state = trunks_[b]->lower_state(to, state, "trunk" + std::to_string(b));
    to.builder().begin_exit();
    const Register logits = exits_[b]->lower(to, state.back(), "exit" + std::to_string(b));
    to.builder().add(Softmax{}, {logits});
  }
  return std::move(to).finish(network_name_, normalisation);
}

void Network::add(std::shared_ptr<Trunk> trunk, std::shared_ptr<Part> exit) {
  const std::string b = std::to_string(trunks_.size());
  trunks_.push_back(register_module("trunk" + b, std::move(trunk)));
  exits_.push_back(register_module("exit" + b, std::move(exit)));
}

std::shared_ptr<Network> Network::single_exit(std::string name) const {
  auto single = std::make_shared<Network>(std::move(name), input_, classes_);
  single->add(join(trunks_), exits_.back());
  return single;
}

}  // namespace einet
