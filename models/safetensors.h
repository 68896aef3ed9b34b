// The safetensors container: an 8-byte little-endian header length, a JSON header, then the tensors' bytes
// without holes. Only the container: what the tensors mean belongs to models/package. Never crashes on
// foreign bytes.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"

namespace einet {

// A tensor inside a file's bytes, any alignment; valid while they live.
struct TensorView {
  std::string_view dtype;  // "F32", "F16", "U16", "U8": those that the project uses
  std::vector<std::int64_t> shape;
  std::string_view bytes;  // elements * element size, little-endian, row-major
};

struct SafetensorsLimits {
  static constexpr std::size_t kHeader = std::size_t{4} << 20;  // bytes of JSON
  static constexpr std::size_t kTensors = 16384;
  static constexpr std::size_t kRank = 8;
};

// Error: not safetensors, another dtype, a shape whose size overflows or differs from its bytes, offsets
// outside the file, holes or overlaps, a name twice, more than the limits.
Result<std::map<std::string, TensorView>> read_safetensors(std::string_view file);

// The header's "__metadata__": words about the file; empty if there is none. Error: as read_safetensors for
// the header; says nothing about the tensors' bytes.
Result<std::map<std::string, std::string>> read_safetensors_metadata(std::string_view file);

// The bytes of a file that the readers above read back; tensors in the order of their names. Names and
// metadata must be UTF-8.
std::string write_safetensors(const std::map<std::string, TensorView>& tensors,
                              const std::map<std::string, std::string>& metadata = {});

}  // namespace einet
