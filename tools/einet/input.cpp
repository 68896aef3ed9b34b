#include "tools/einet/input.h"

#include <algorithm>
#include <cmath>

#include "config/files.h"
#include "config/text.h"

namespace einet::cli {
namespace {

std::string shape_text(const std::vector<std::uint32_t>& shape) {
  std::string out;
  for (std::uint32_t d : shape) out += (out.empty() ? "" : "x") + std::to_string(d);
  return out.empty() ? "scalar" : out;
}

std::vector<std::uint32_t> without_leading_ones(std::vector<std::uint32_t> shape) {
  const auto first = std::find_if(shape.begin(), shape.end(), [](std::uint32_t d) { return d != 1; });
  shape.erase(shape.begin(), first);
  return shape;
}

// How much of each source cell a target cell covers, along one axis.
struct Share {
  std::uint32_t from;
  double weight;
};
std::vector<std::vector<Share>> shares(std::uint32_t source, std::uint32_t target) {
  std::vector<std::vector<Share>> out(target);
  const double scale = static_cast<double>(source) / target;
  for (std::uint32_t t = 0; t < target; ++t) {
    const double begin = t * scale;
    const double end = std::min<double>((t + 1) * scale, source);
    for (auto s = static_cast<std::uint32_t>(begin); s < source && s < end; ++s) {
      const double covered = std::min<double>(end, s + 1.0) - std::max<double>(begin, s);
      if (covered > 0) out[t].push_back({s, covered / scale});
    }
  }
  return out;
}

Result<Input> from_image(Image image, const std::vector<std::uint32_t>& shape, Colours colours) {
  const std::uint32_t channels = shape[0];
  const std::uint32_t height = shape[1];
  const std::uint32_t width = shape[2];
  Input input;
  if (image.channels != channels) {
    input.note = image.channels == 3 ? "colours made grey" : "grey used for all three colours";
    image = with_channels(std::move(image), channels);
  }
  if (image.width != width || image.height != height) {
    if (!input.note.empty()) input.note += ", ";
    input.note += "resized from " + std::to_string(image.width) + "x" + std::to_string(image.height) +
                  " to " + std::to_string(width) + "x" + std::to_string(height);
    image = resize(image, width, height);
  }
  input.dtype = wire::U8;
  input.shape = shape;
  input.bytes.resize(image.pixels.size());
  const std::size_t plane = std::size_t{width} * height;
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    const std::uint8_t value = image.pixels[i];
    // Pixels have their channels side by side; the model wants plane after plane.
    input.bytes[i % channels * plane + i / channels] =
        static_cast<std::byte>(colours == Colours::inverted ? 255 - value : value);
  }
  return input;
}

}  // namespace

Image with_channels(Image image, std::uint32_t channels) {
  if (image.channels == channels) return image;
  Image out{image.width, image.height, channels, {}};
  if (channels == 1) {
    for (std::size_t i = 0; i + 2 < image.pixels.size(); i += 3) {
      const int luma = 299 * image.pixels[i] + 587 * image.pixels[i + 1] + 114 * image.pixels[i + 2];
      out.pixels.push_back(static_cast<std::uint8_t>((luma + 500) / 1000));
    }
  } else {
    for (std::uint8_t grey : image.pixels) out.pixels.insert(out.pixels.end(), 3, grey);
  }
  return out;
}

Image resize(const Image& image, std::uint32_t width, std::uint32_t height) {
  const auto columns = shares(image.width, width);
  const auto rows = shares(image.height, height);
  Image out{width, height, image.channels, {}};
  out.pixels.reserve(std::size_t{width} * height * image.channels);
  for (const auto& row : rows) {
    for (const auto& column : columns) {
      for (std::uint32_t c = 0; c < image.channels; ++c) {
        double sum = 0;
        for (const Share& y : row) {
          for (const Share& x : column) {
            const std::size_t at = (std::size_t{y.from} * image.width + x.from) * image.channels + c;
            sum += y.weight * x.weight * image.pixels[at];
          }
        }
        out.pixels.push_back(static_cast<std::uint8_t>(std::clamp(std::lround(sum), 0L, 255L)));
      }
    }
  }
  return out;
}

Result<Input> read_input(const std::filesystem::path& path, const std::vector<std::uint32_t>& shape,
                         Colours colours) {
  const std::string place = escape(path.string());
  const auto file = read_file(path, kMaxInputFile);
  if (!file) return error(printable(file.error().message));
  const std::string_view bytes = *file;

  if (bytes.starts_with("\x93NUMPY")) {
    auto array = decode_npy(bytes);
    if (!array) return within(place, array.error());
    if (without_leading_ones(array->shape) != without_leading_ones(shape)) {
      return error(place + ": the array is " + shape_text(array->shape) + "; the model's input is " +
                   shape_text(shape) + " (channels, height, width)");
    }
    if (colours == Colours::inverted)
      return error(place + ": --invert is for images; invert the array itself");
    return Input{array->dtype, shape, std::move(array->bytes), ""};
  }
  const bool png = bytes.starts_with("\x89PNG");
  if (!png && !bytes.starts_with("P5") && !bytes.starts_with("P6"))
    return error(place + ": is neither PNG, binary PGM or PPM, nor .npy; convert it to one of these");
  auto image = png ? decode_png(bytes) : decode_pnm(bytes);
  if (!image) return within(place, image.error());
  const auto side = [](std::uint32_t pixels) { return pixels >= 1 && pixels <= kMaxSide; };
  if (shape.size() != 3 || (shape[0] != 1 && shape[0] != 3) || !side(shape[1]) || !side(shape[2])) {
    return error(place + ": the model's input is " + shape_text(shape) +
                 ", which no image fits; give a .npy file of that shape");
  }
  return from_image(std::move(*image), shape, colours);
}

}  // namespace einet::cli
