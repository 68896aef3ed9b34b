#include "models/carried_state.h"

#include "config/check.h"

namespace einet {
namespace {

std::span<const Register> registers_before(const Program& program, int next_block) {
  EINET_CHECK(next_block >= 1 && next_block < program.block_count(), "the boundary lies between two blocks");
  return program.state_after(next_block - 1);
}

std::size_t bytes_of(Shape shape) {
  return static_cast<std::size_t>(shape.elements()) * sizeof(float);
}

}  // namespace

ByteCount carried_bytes(const Program& program, int next_block) {
  std::size_t bytes = 0;
  for (const Register r : registers_before(program, next_block)) bytes += bytes_of(program.shape(r));
  return ByteCount{bytes};
}

std::vector<CarriedRegister> carried_registers(const Program& program, int next_block, ByteCount room) {
  std::vector<CarriedRegister> carried;
  std::size_t offset = 0;
  for (const Register r : registers_before(program, next_block)) {
    const Shape shape = program.shape(r);
    carried.push_back({r, shape, offset, bytes_of(shape)});
    offset += carried.back().bytes;
  }
  EINET_CHECK(room.value == offset, "there is as much room as the state takes");
  return carried;
}

}  // namespace einet
