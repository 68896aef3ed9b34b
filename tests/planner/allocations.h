// Counts what the test program allocates, so that a test can say that something allocates nothing.
#pragma once

#include <cstddef>

namespace einet {

// Calls of operator new, and of malloc from code that is linked into the program, by this thread so far.
std::size_t allocations();

}  // namespace einet
