#include "models/torch/network.h"

#include <algorithm>
#include <array>

#include <torch/autograd.h>

#include "config/check.h"
#include "config/text.h"

namespace einet {

std::string Lowering::keep(std::string name, const torch::Tensor& tensor) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor values = tensor.to(torch::kFloat32).contiguous();
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

std::vector<torch::Tensor> Network::forward(torch::Tensor x) {
  std::vector<torch::Tensor> logits;
  for (int b = 0; b < block_count(); ++b) {
    x = trunk(b, x);
    logits.push_back(exit(b, x));
  }
  return logits;
}

Result<Package> Network::lower(const Normalisation& normalisation) const {
  const torch::NoGradGuard no_grad;
  Lowering to(input_, classes_);
  Register state = to.builder().input();
  for (std::size_t b = 0; b < trunks_.size(); ++b) {
    to.builder().begin_block();
    state = trunks_[b]->lower(to, state, "trunk" + std::to_string(b));
    to.builder().begin_exit();
    const Register logits = exits_[b]->lower(to, state, "exit" + std::to_string(b));
    to.builder().add(Softmax{}, {logits});
  }
  return std::move(to).finish(network_name_, normalisation);
}

void Network::add(std::shared_ptr<Part> trunk, std::shared_ptr<Part> exit) {
  const std::string b = std::to_string(trunks_.size());
  trunks_.push_back(register_module("trunk" + b, std::move(trunk)));
  exits_.push_back(register_module("exit" + b, std::move(exit)));
}

Result<std::shared_ptr<Network>> make_network(std::string_view name, Shape input, int classes) {
  struct Entry {
    std::string_view name;
    std::shared_ptr<Network> (*make)(Shape, int);
  };
  constexpr std::array<Entry, 2> kZoo = {Entry{"b-alexnet", make_b_alexnet},
                                         Entry{"fine-resnet", make_fine_resnet}};
  constexpr std::array<std::string_view, 2> kNames = {kZoo[0].name, kZoo[1].name};
  const auto entry = std::find_if(kZoo.begin(), kZoo.end(), [&](const Entry& e) { return e.name == name; });
  if (entry == kZoo.end()) {
    const std::string_view near = nearest(name, kNames);
    return error("there is no network \"" + escape(name) + "\"" +
                 (near.empty() ? "" : " (did you mean \"" + std::string(near) + "\"?)") +
                 "; allowed: " + one_of(kNames));
  }
  constexpr int kSmallest = 28, kLargest = 64;
  if (input.height != input.width || input.height < kSmallest || input.height > kLargest) {
    return error("the network " + std::string(name) + " takes square images of " + std::to_string(kSmallest) +
                 " to " + std::to_string(kLargest) + " pixels, not " + format_shape(input));
  }
  if (input.channels < 1 || classes < 2) return error("a network needs at least one channel and two classes");
  return entry->make(input, classes);
}

}  // namespace einet
