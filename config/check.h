// EINET_CHECK: an invariant of our own code. It stays on in release builds: a scheduler that goes on after
// its state stopped making sense is worse than one that restarts. Never use it for anything that comes from
// outside.
#pragma once

namespace einet {

// Prints "file:line: check failed: expression: words" to stderr and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* expression,
                               const char* words) noexcept;

}  // namespace einet

#define EINET_CHECK(condition, words) \
  (static_cast<bool>(condition) ? void(0) : ::einet::check_failed(__FILE__, __LINE__, #condition, words))
