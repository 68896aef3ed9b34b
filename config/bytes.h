// Byte counts and their text form ("64MiB").
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "config/result.h"

namespace einet {

struct ByteCount {
  std::uint64_t value{};

  constexpr ByteCount() = default;
  constexpr explicit ByteCount(std::uint64_t v) : value(v) {}
  friend constexpr auto operator<=>(ByteCount, ByteCount) = default;
  friend constexpr ByteCount operator+(ByteCount a, ByteCount b) { return ByteCount{a.value + b.value}; }
  friend constexpr ByteCount operator-(ByteCount a, ByteCount b) { return ByteCount{a.value - b.value}; }
};

// `[0-9]+(B|KiB|MiB|GiB)`. Error: other text, or >= 2^62 bytes.
Result<ByteCount> parse_bytes(std::string_view text);

// "64MiB", "1.4KiB", "12B": three significant digits, for people.
std::string format_bytes(ByteCount n);

}  // namespace einet
