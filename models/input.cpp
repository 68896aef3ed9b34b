#include "models/input.h"

#include <cmath>
#include <cstring>

namespace einet {
namespace {

// Channel by channel. False: a value that is not finite.
template <class T>
bool normalise(const std::byte* in, float scale, const PackageInfo& info, Layout layout, float* out) {
  const Shape shape = info.program.input();
  // A vector's elements are its channels: one pixel.
  const std::size_t pixels = static_cast<std::size_t>(shape.pixels());
  const std::size_t channels = static_cast<std::size_t>(shape.channels);
  const std::size_t channel_step = layout == Layout::chw ? pixels : 1;
  const std::size_t pixel_step = layout == Layout::chw ? 1 : channels;
  bool finite = true;
  for (std::size_t c = 0; c < channels; ++c) {
    const float mean = info.normalisation.mean[c];
    const float deviation = info.normalisation.deviation[c];
    for (std::size_t p = 0; p < pixels; ++p) {
      T v;
      std::memcpy(&v, in + (c * pixels + p) * sizeof(T), sizeof(T));
      const float x = (static_cast<float>(v) * scale - mean) / deviation;
      finite = finite && std::isfinite(x);
      out[c * channel_step + p * pixel_step] = x;
    }
  }
  return finite;
}

}  // namespace

Result<void> normalise_input(const InputView& input, const PackageInfo& info, Layout layout, float* out) {
  const Shape shape = info.program.input();
  const bool is_u8 = input.type == ElementType::u8;
  const std::size_t expected =
      static_cast<std::size_t>(shape.elements()) * (is_u8 ? sizeof(std::uint8_t) : sizeof(float));
  if (input.bytes.size() != expected) {
    return error("the input has " + std::to_string(input.bytes.size()) + " bytes; the model " + info.name +
                 " takes " + format_shape(shape) + (is_u8 ? " u8" : " f32") + ", which is " +
                 std::to_string(expected) + " bytes");
  }
  const bool finite = is_u8 ? normalise<std::uint8_t>(input.bytes.data(), 1.0F / 255, info, layout, out)
                            : normalise<float>(input.bytes.data(), 1, info, layout, out);
  if (!finite) return error("the input holds a value that is not finite");
  return {};
}

}  // namespace einet
