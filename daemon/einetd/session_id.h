// Which connection a request came by.
#pragma once

#include <cstdint>

#include "config/ids.h"

namespace einet {

using SessionId = Id<struct SessionTag, std::uint64_t>;  // never reused while the daemon lives

}  // namespace einet
