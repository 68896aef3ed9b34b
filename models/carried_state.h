// A job's state between two blocks in a form that every executor understands, so that the job can go on in
// another worker, on a device of another kind: what Program::state_after names, register after register,
// ascending, each in fp32, channel, row, column order, nothing in between. Numbers only, no memory.
#pragma once

#include <cstddef>
#include <vector>

#include "config/bytes.h"
#include "models/program.h"

namespace einet {

struct CarriedRegister {
  Register reg = 0;
  Shape shape;
  std::size_t offset = 0;  // in bytes, from the carried state's begin
  std::size_t bytes = 0;
};

// The size of the state that a job carries from block next_block - 1 to `next_block`; never zero.
// Precondition: both are blocks of the program.
ByteCount carried_bytes(const Program&, int next_block);

// What it consists of. Precondition: the same; `room`, what the caller has for it, is of that size.
std::vector<CarriedRegister> carried_registers(const Program&, int next_block, ByteCount room);

}  // namespace einet
