// The version of einetd: the CMake project's.
#pragma once

#include <string_view>

namespace einet {

inline constexpr std::string_view kVersion = EINET_VERSION;

}  // namespace einet
