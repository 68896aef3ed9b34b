// Labelled 8-bit images in memory: the one form in which training, profiling, tests and the demo see data.
// Readers of files are in models/data/files.h, the drawn digits in models/data/digits.h; `load_images`
// chooses between them. Nothing here knows a neural network.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"

namespace einet {

struct ImageShape {
  int channels = 0;
  int height = 0;
  int width = 0;

  std::size_t bytes() const {
    return static_cast<std::size_t>(channels) * static_cast<std::size_t>(height) *
           static_cast<std::size_t>(width);
  }
  friend bool operator==(const ImageShape&, const ImageShape&) = default;
};

// The published split: what a network may learn from, and what it is judged by.
enum class ImageSplit : std::uint8_t { train, test };

struct Images {
  std::string set;  // "digits", "mnist", "cifar-10", "cifar-100"
  ImageShape shape;
  int classes = 0;
  std::vector<std::uint8_t> pixels;  // size() * shape.bytes(), each image channel by channel, row by row
  std::vector<std::uint8_t> labels;  // each < classes

  std::size_t size() const { return labels.size(); }
  // Precondition: i < size().
  std::span<const std::uint8_t> image(std::size_t i) const {
    return std::span(pixels).subspan(i * shape.bytes(), shape.bytes());
  }
  // The images [first, first + count), as a copy. Precondition: within size().
  Images slice(std::size_t first, std::size_t count) const;
};

// `source` is "digits" (the drawn set, models/data/digits.h); "mnist", "cifar-10" or "cifar-100", looked for
// in the directory that the environment variable EINET_DATA names; or a directory that holds one of these
// sets in its standard files (models/data/files.h), itself or in the folder of the set's usual name
// (MNIST/raw, cifar-10-batches-bin, cifar-100-binary); with several, the first in this order. Error: says
// what was looked for, or what is wrong with a file.
Result<Images> load_images(std::string_view source, ImageSplit split);

}  // namespace einet
