// The zoo: every network that the trainer knows, by name. Each name has two more: NAME-single, the classic
// network with its last exit alone, as one block, and NAME-compressed, the same narrowed to about half the
// time. What each is, and where it comes from, stands in its own file. For models/torch and its tests only.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "models/torch/network.h"

namespace einet {

// Error: no network of that name (the nearest is named), or one that cannot take this input.
Result<std::shared_ptr<Network>> make_network(std::string_view name, Shape input, int classes);

// What every builder below gets. Precondition: what make_network has checked.
struct NetworkOptions {
  std::string name;
  Shape input;
  int classes = 0;
  double width = 1;  // share of the published channels, (0, 1]

  // A number of channels narrowed to `width`, in steps of 8 as vector units like them; at least 8.
  int narrowed(int channels) const;
};

std::shared_ptr<Network> make_b_alexnet(const NetworkOptions&);
std::shared_ptr<Network> make_early_alexnet(const NetworkOptions&);
std::shared_ptr<Network> make_fine_resnet(const NetworkOptions&);
std::shared_ptr<Network> make_flex_vgg_16(const NetworkOptions&);
std::shared_ptr<Network> make_vgg_16(const NetworkOptions&);
std::shared_ptr<Network> make_resnet_50(const NetworkOptions&);
std::shared_ptr<Network> make_msdnet_21(const NetworkOptions&);
std::shared_ptr<Network> make_msdnet_40(const NetworkOptions&);

}  // namespace einet
