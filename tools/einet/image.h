// Image and array files, decoded from bytes in memory. Foreign data: every size is checked before it is
// believed, and nothing is larger than the limits here. No files, no models.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/bytes.h"
#include "config/result.h"
#include "ipc/client/protocol.pb.h"

namespace einet::cli {

inline constexpr std::uint32_t kMaxSide = 16384;             // pixels
inline constexpr std::size_t kMaxElements = 64u << 20;       // pixels times channels, or array elements
inline constexpr ByteCount kMaxInputFile{kMaxElements * 4};  // bytes of an encoded file

struct Image {
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  std::uint32_t channels = 0;        // 1: grey, 3: red, green, blue
  std::vector<std::uint8_t> pixels;  // rows from the top; channels of a pixel side by side
};

// Any PNG, as 8 bits per channel, grey or RGB as the file is; transparent parts become black. Error: not a
// PNG, damaged, or too large.
Result<Image> decode_png(std::string_view bytes);

// Binary PGM (P5) or PPM (P6) with 8 bits per channel.
Result<Image> decode_pnm(std::string_view bytes);

// What numpy.save wrote: uint8 or float32, row-major.
struct Array {
  wire::DataType dtype = wire::U8;
  std::vector<std::uint32_t> shape;
  std::vector<std::byte> bytes;
};
Result<Array> decode_npy(std::string_view bytes);

}  // namespace einet::cli
