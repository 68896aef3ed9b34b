// JSON in the order in which it was written, one document or object per line.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace einet::cli {

using Json = nlohmann::ordered_json;

// One line, without its end. Bytes that are not UTF-8 (paths) are replaced, never an exception.
inline std::string text_of(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace einet::cli
