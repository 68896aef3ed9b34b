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
enum class Split : std::uint8_t { train, test };

struct Images {
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

// `source` is "digits" (the drawn set, models/data/digits.h) or a directory that holds MNIST or CIFAR-10 in
// their standard files (models/data/files.h), itself or in the folder of the set's usual name (MNIST/raw,
// cifar-10-batches-bin); with both, MNIST. Error: says what was looked for, or what is wrong with a file.
Result<Images> load_images(std::string_view source, Split split);

}  // namespace einet
