// Result<T>: what can fail for reasons outside the program. The error is a sentence for a person: what was
// found, what is allowed, what to do. A separate code exists only where a caller reacts differently to it.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <boost/system/result.hpp>

#include "config/check.h"

namespace einet {

struct Error {
  std::string message;
  bool out_of_memory = false;  // of a device: with less in it the same call could succeed
  bool refused = false;        // by the daemon, which is there and had the request

  // Made by error() and within() only: were it constructible from a string, a Result<std::string> could not
  // tell its value from its error.
  Error() = default;
};

[[noreturn]] inline void throw_exception_from_error(const Error& e, const boost::source_location&) {
  // Reached only when value() is called on an error, which is a bug: callers test first.
  check_failed(__FILE__, __LINE__, "has_value()", e.message.c_str());
}

template <class T>
using Result = boost::system::result<T, Error>;

[[nodiscard]] inline Error error(std::string message) {
  Error e;
  e.message = std::move(message);
  return e;
}

[[nodiscard]] inline Error out_of_memory(std::string message) {
  Error e = error(std::move(message));
  e.out_of_memory = true;
  return e;
}

// The same error, with the place in front: "models/a.einet: …".
[[nodiscard]] inline Error within(std::string_view place, Error e) {
  e.message = std::string(place) + ": " + e.message;
  return e;
}

}  // namespace einet
