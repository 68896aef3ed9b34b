// A recipe: what decides a network's weights, whatever they are computed on, and the standard one of each
// network of the zoo. Plain data; no LibTorch.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "config/result.h"

namespace einet {

enum class Optimiser : std::uint8_t {
  adamw,  // Loshchilov, Hutter: Decoupled Weight Decay Regularization, ICLR 2019
  sgd     // with Nesterov momentum 0.9
};

// What is done to a training image before it is used.
enum class Augmentation : std::uint8_t {
  none,
  crop,      // padded by 4 black pixels on each side, a random part of its size taken
  crop_flip  // and mirrored or not, as usual on CIFAR (Lee et al.: Deeply-Supervised Nets, AISTATS 2015)
};

// What of a converted network (models/torch/conversion.h) is trained; a network of the zoo is trained whole.
enum class Learn : std::uint8_t { all, branches };

// On one machine, on the CPU, the weights depend on nothing else but the number of threads and the precision
// (Compute). On a GPU some sums come in another order each time, and the last bits differ.
struct Recipe {
  std::string network;           // make_network (models/torch/zoo.h), or a label for what was converted
  std::string data;              // load_images (models/data/images.h); here a label
  int epochs = 6;                // >= 1
  std::size_t epoch_images = 0;  // drawn anew for every epoch; 0: all
  int batch = 64;                // >= 2
  Optimiser optimiser = Optimiser::adamw;
  double learning_rate = 3e-3;  // the peak of the schedule, > 0
  double weight_decay = 0.01;   // >= 0
  Augmentation augmentation = Augmentation::none;
  double label_smoothing =
      0;  // share of the target that is spread over all classes (Szegedy et al., CVPR 2016); [0, 1)
  // Share of every earlier exit's loss that is its distance from the last exit's answer instead of from the
  // label (Zhang et al.: Be Your Own Teacher, ICCV 2019); [0, 1).
  double distillation = 0;
  Learn learn = Learn::all;
  std::uint64_t seed = 1;
  friend bool operator==(const Recipe&, const Recipe&) = default;
};

// What `network` is usually trained with on images of the set `set` ("cifar-10", …). An unknown network gets
// the recipe above: make_network says what is wrong.
Recipe standard_recipe(std::string_view network, std::string_view set);

// Error: a value outside its range.
Result<void> check(const Recipe&);

// As they are written on the command line.
std::string_view name(Optimiser);
std::string_view name(Augmentation);
std::string_view name(Learn);

}  // namespace einet
