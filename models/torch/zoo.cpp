#include "models/torch/zoo.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "config/text.h"

namespace einet {
namespace {

struct Entry {
  std::string_view name;
  std::shared_ptr<Network> (*make)(const NetworkOptions&);
  int smallest;             // side of the input
  double compressed_width;  // takes about half the time (docs/networks.md)
};

constexpr std::array<Entry, 8> kZoo = {{{"b-alexnet", make_b_alexnet, 28, 0.65},
                                        {"early-alexnet", make_early_alexnet, 28, 0.65},
                                        {"fine-resnet", make_fine_resnet, 28, 0.65},
                                        {"flex-vgg-16", make_flex_vgg_16, 32, 0.7},
                                        {"vgg-16", make_vgg_16, 32, 0.7},
                                        {"resnet-50", make_resnet_50, 28, 0.7},
                                        {"msdnet-21", make_msdnet_21, 28, 0.7},
                                        {"msdnet-40", make_msdnet_40, 28, 0.7}}};
constexpr int kLargest = 64;

std::string_view without(std::string_view name, std::string_view ending) {
  return name.ends_with(ending) ? name.substr(0, name.size() - ending.size()) : name;
}

Error no_network(std::string_view name) {
  std::array<std::string_view, kZoo.size()> names;
  std::transform(kZoo.begin(), kZoo.end(), names.begin(), [](const Entry& e) { return e.name; });
  const std::string_view near = nearest(name, names);
  return error("there is no network \"" + escape(name) + "\"" +
               (near.empty() ? "" : " (did you mean \"" + std::string(near) + "\"?)") +
               "; allowed: " + one_of(names) + ", each also with -single or -compressed behind it");
}

}  // namespace

int NetworkOptions::narrowed(int channels) const {
  constexpr int kStep = 8;
  return std::max(kStep, static_cast<int>(std::lround(channels * width / kStep)) * kStep);
}

Result<std::shared_ptr<Network>> make_network(std::string_view name, Shape input, int classes) {
  const bool compressed = name.ends_with("-compressed"), single = name.ends_with("-single");
  const std::string_view base = without(name, compressed ? "-compressed" : "-single");
  const auto entry = std::find_if(kZoo.begin(), kZoo.end(), [&](const Entry& e) { return e.name == base; });
  if (entry == kZoo.end()) return no_network(base);
  if (input.height != input.width || input.height < entry->smallest || input.height > kLargest) {
    return error("the network " + std::string(name) + " takes square images of " +
                 std::to_string(entry->smallest) + " to " + std::to_string(kLargest) + " pixels, not " +
                 format_shape(input));
  }
  if (input.channels < 1 || classes < 2) return error("a network needs at least one channel and two classes");
  const std::string own(name);
  const auto network = entry->make({own, input, classes, compressed ? entry->compressed_width : 1});
  return compressed || single ? network->single_exit(own) : network;
}

}  // namespace einet
