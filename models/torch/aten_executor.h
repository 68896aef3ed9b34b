// Runs block programs through ATen, operation by operation: the reference that other executors are compared
// with. Clear rather than fast: unlike the oneDNN lanes it allocates while it runs.
#pragma once

#include <memory>

#include "models/executor.h"

namespace einet {

// Backend "aten", on the CPU.
std::unique_ptr<Backend> make_aten_backend();

}  // namespace einet
