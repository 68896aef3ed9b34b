// JSON in the order in which it was written, one document or object per line.
#pragma once

#include <array>
#include <charconv>
#include <string>

#include <nlohmann/json.hpp>

namespace einet::cli {

using Json = nlohmann::ordered_json;

// One line, without its end. Bytes that are not UTF-8 (paths) are replaced, never an exception.
inline std::string text_of(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// The number with the fewest digits that is this float: 0.9, not 0.899999976.
inline Json number(float value) {
  std::array<char, 64> text{};
  const auto [end, code] = std::to_chars(text.data(), text.data() + text.size(), value);
  double out = value;
  std::from_chars(text.data(), end, out);
  return out;
}

}  // namespace einet::cli
