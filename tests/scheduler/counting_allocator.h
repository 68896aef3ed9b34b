// Replaces this test program's global allocator by one that counts.
#pragma once

#include <cstddef>

namespace einet {

// Calls of operator new so far, by any thread.
std::size_t allocations();

}  // namespace einet
