#include "config/bytes.h"

#include <array>
#include <charconv>
#include <cstdio>

namespace einet {
namespace {

struct Unit {
  std::string_view name;
  int shift;
};
constexpr std::array<Unit, 4> kUnits{{{"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}}};

}  // namespace

Result<ByteCount> parse_bytes(std::string_view text) {
  std::uint64_t n = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), n);
  const std::string_view name = text.substr(static_cast<std::size_t>(end - text.data()));
  if (code == std::errc{}) {
    for (const Unit& unit : kUnits) {
      if (unit.name != name) continue;
      if (n >= (std::uint64_t{1} << (62 - unit.shift))) break;
      return ByteCount{n << unit.shift};
    }
  }
  return error("\"" + std::string(text.substr(0, 40)) +
               "\" is not a size: write a whole number and a unit (B, KiB, MiB, GiB) below 2^62 bytes, such "
               "as \"64MiB\"");
}

std::string format_bytes(ByteCount n) {
  const Unit* unit = &kUnits[0];
  for (const Unit& u : kUnits) {
    if (n.value >= (std::uint64_t{1} << u.shift)) unit = &u;
  }
  const double value = static_cast<double>(n.value) / static_cast<double>(std::uint64_t{1} << unit->shift);
  const bool whole = (n.value & ((std::uint64_t{1} << unit->shift) - 1)) == 0;
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%.*f%.*s", whole || value >= 99.95 ? 0 : 1, value,
                static_cast<int>(unit->name.size()), unit->name.data());
  return text.data();
}

}  // namespace einet
