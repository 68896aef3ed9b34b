// What a sanitizer build runs: it is many times slower, and sees what there is to see in a part of the cases
// that other builds run in whole.
#pragma once

namespace einet::test {

#ifdef EINET_SANITIZED  // by cmake/Layers.cmake
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// Of so many cases.
constexpr int cases(int all) { return kSanitized ? all / 5 : all; }

}  // namespace einet::test
