#include "config/text.h"

#include <algorithm>
#include <charconv>
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

std::string escape_but(std::string_view kept, std::string_view text, std::size_t limit) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (char c : text.substr(0, limit)) {
    const auto byte = static_cast<unsigned char>(c);
    const bool special = c == '"' || c == '\\';
    if (byte >= 0x20 && byte < 0x7f && (!special || kept.find(c) != std::string_view::npos)) {
      out += c;
    } else {
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  if (text.size() > limit) out += "…";
  return out;
}

}  // namespace

std::string escape(std::string_view text, std::size_t limit) {
  return escape_but("", text, limit);
}

std::string printable(std::string_view text, std::size_t limit) {
  return escape_but("\"\\", text, limit);
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
