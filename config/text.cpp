#include "config/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <numeric>
#include <vector>

namespace einet {
namespace {

// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours, each counting 1.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before.swap(above);
    above.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substitute = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, substitute});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

// Of valid UTF-8 beyond ASCII: controls, and what ends a line or turns the direction of the text around it.
bool is_harmful(std::uint32_t point) {
  const auto within = [point](std::uint32_t first, std::uint32_t last) {
    return point >= first && point <= last;
  };
  return within(0x80, 0x9f) || point == 0x61c || within(0x200e, 0x200f) || within(0x2028, 0x202e) ||
         within(0x2066, 0x2069);
}

// How many bytes the printable character at the front of `text` has. 0: there is none.
std::size_t printable_length(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7f ? 1 : 0;
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc0 || lead > 0xf4 || text.size() < length) return 0;
  std::uint32_t point = lead & (0xffU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return 0;
    point = point << 6 | (byte(i) & 0x3fU);
  }
  constexpr std::array<std::uint32_t, 3> kLeast{0x80, 0x800, 0x10000};
  const bool surrogate = point >= 0xd800 && point <= 0xdfff;
  if (point < kLeast[length - 2] || point > 0x10ffff || surrogate || is_harmful(point)) return 0;
  return length;
}

std::string escape_but(std::string_view kept, std::string_view text, std::size_t limit) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  while (!text.empty()) {
    const char c = text.front();
    const bool special = (c == '"' || c == '\\') && kept.find(c) == std::string_view::npos;
    const std::size_t whole = special ? 0 : printable_length(text);
    const std::size_t used = std::max<std::size_t>(1, whole);
    if (used > limit) return out + "…";
    limit -= used;
    if (whole > 0) {
      out += text.substr(0, whole);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
    text.remove_prefix(used);
  }
  return out;
}

}  // namespace

std::string escape(std::string_view text, std::size_t limit) {
  return escape_but("", text, limit);
}

std::string printable(std::string_view text, std::size_t limit) {
  return escape_but("\"\\", text, limit);
}

bool is_plain_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
  if (word.size() > 64) return {};
  std::string_view best;
  std::size_t best_distance = std::min<std::size_t>(3, word.size() / 2) + 1;
  for (std::string_view candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string one_of(std::span<const std::string_view> names) {
  std::string out;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) out += i + 1 == names.size() ? " or " : ", ";
    out += names[i];
  }
  return out;
}

Result<ExitMask> parse_exits(std::string_view text) {
  ExitMask exits = 0;
  for (std::string_view rest = text;;) {
    const std::size_t comma = rest.find(',');
    const std::string_view number = rest.substr(0, comma);
    int exit = -1;
    const auto [end, code] = std::from_chars(number.data(), number.data() + number.size(), exit);
    if (code != std::errc{} || end != number.data() + number.size() || exit < 0 || exit >= kMaxBlocks) {
      return error("found \"" + escape(text, 60) + "\"; expected exits from 0 to " +
                   std::to_string(kMaxBlocks - 1) + " with commas between them: 0,2");
    }
    exits |= exit_bit(exit);
    if (comma == std::string_view::npos) return exits;
    rest.remove_prefix(comma + 1);
  }
}

}  // namespace einet
