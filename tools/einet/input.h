// From a file to the input of a model: reads the file, and brings an image to the model's size and number of
// channels.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/result.h"
#include "tools/einet/image.h"

namespace einet::cli {

enum class Colours { as_they_are, inverted };

struct Input {
  wire::DataType dtype = wire::U8;
  std::vector<std::uint32_t> shape;  // the model's: channels, height, width
  std::vector<std::byte> bytes;
  std::string note;  // what was changed to make it fit ("" if nothing), for people
};

// Reads a PNG, PGM, PPM or .npy (told by content, not by name). An image is made grey or RGB and resized by
// area averaging; an array must have the model's shape (leading 1s may be missing or extra) and is taken as
// it is. Error: names the path; a shape that no image fits (not 1 or 3 channels) too.
Result<Input> read_input(const std::filesystem::path& path, const std::vector<std::uint32_t>& shape, Colours);

// Every pixel of the result is the mean of the part of the image that it covers.
Image resize(const Image& image, std::uint32_t width, std::uint32_t height);
// Precondition: channels is 1 or 3. Grey is Rec. 601 luma.
Image with_channels(Image image, std::uint32_t channels);

}  // namespace einet::cli
