// Where an executor keeps a program's registers: those that cross a block boundary in the job's state, the
// others in the lane's arena; registers whose lifetimes do not overlap share their place. Numbers only, no
// memory.
#pragma once

#include <cstddef>
#include <vector>

#include "models/program.h"

namespace einet {

struct MemoryPlan {
  enum class Area : std::uint8_t { state, arena };
  struct Place {
    Area area = Area::arena;
    std::size_t offset = 0;  // in floats, a multiple of 16 (64 bytes)
  };
  std::vector<Place> places;  // by register
  std::size_t state_floats = 0;
  std::size_t arena_floats = 0;
};

// A register lives from the operation that writes it to the last one that reads it, both included: an
// operation never writes over what it reads. The input and what Program::state_after names live in the state.
// First fit.
MemoryPlan plan_memory(const Program&);

}  // namespace einet
