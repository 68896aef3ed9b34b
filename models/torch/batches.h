// Images as a training sees them: on its device, normalised, in the order of an epoch, each changed at
// random. For models/torch only.
#pragma once

#include <cstdint>
#include <vector>

#include <torch/types.h>

#include "models/data/images.h"
#include "models/package.h"
#include "models/torch/recipe.h"

namespace einet {

Shape shape_of(const Images& images);

// Mean and deviation of each channel, of values in [0, 1].
Normalisation measure(const Images& images);

// The order in which an epoch sees the images: a permutation that depends on seed and epoch alone, so that a
// resumed training needs no generator state.
std::vector<std::int64_t> epoch_order(std::size_t images, std::uint64_t seed, int epoch);

// Bytes to what the first block takes: fp32, channels last.
class Normaliser {
 public:
  Normaliser(const Normalisation&, torch::Device);
  torch::Tensor operator()(const torch::Tensor& bytes) const;

 private:
  torch::Tensor mean_, deviation_;
};

// Images on a device. On the CPU the pixels are the images' own, which must outlive them.
struct DeviceImages {
  DeviceImages(const Images&, torch::Device);
  torch::Tensor pixels;  // u8 [n, channels, height, width]
  torch::Tensor labels;  // i64 [n]
};

// The changes of one epoch's images, drawn from LibTorch's generator for the CPU at once: copying a few
// numbers to a device costs as much as copying all.
class Changes {
 public:
  Changes(Augmentation, std::size_t images, torch::Device);
  // What becomes of `pixels`, the images `first`, `first` + 1, … of the epoch.
  torch::Tensor apply(const torch::Tensor& pixels, std::int64_t first) const;

 private:
  Augmentation augmentation_;
  torch::Tensor row_, column_;  // [n]: which of the padded rows and columns comes first
  torch::Tensor mirrored_;      // bool [n]
};

}  // namespace einet
