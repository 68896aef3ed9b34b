#include "models/memory_plan.h"

#include <algorithm>

namespace einet {
namespace {

// One area, filled first fit. Operations are visited in order.
class Area {
 public:
  std::size_t place(std::size_t floats, int last_use) {
    constexpr std::size_t kAlignment = 16;
    const std::size_t size = (floats + kAlignment - 1) / kAlignment * kAlignment;
    std::size_t offset = 0;
    auto before = live_.begin();
    while (before != live_.end() && offset + size > before->offset) {
      offset = before->offset + before->size;
      ++before;
    }
    live_.insert(before, {offset, size, last_use});
    floats_ = std::max(floats_, offset + size);
    return offset;
  }
  // Forgets what is not used by operation `now` or later.
  void advance(int now) {
    std::erase_if(live_, [&](const Piece& p) { return p.last_use < now; });
  }
  std::size_t floats() const { return floats_; }

 private:
  struct Piece {
    std::size_t offset, size;
    int last_use;
  };
  std::vector<Piece> live_;  // by offset
  std::size_t floats_ = 0;
};

}  // namespace

MemoryPlan plan_memory(const Program& program) {
  const std::size_t registers = static_cast<std::size_t>(program.register_count());
  MemoryPlan plan;
  plan.places.resize(registers);
  plan.places[0].area = MemoryPlan::Area::state;
  for (int b = 0; b < program.block_count(); ++b) {
    for (const Register r : program.state_after(b)) {
      plan.places[static_cast<std::size_t>(r)].area = MemoryPlan::Area::state;
    }
  }
  // Register r is written by operation r (the input before operation 1).
  std::vector<int> last_use(registers);
  for (std::size_t r = 0; r < registers; ++r) last_use[r] = static_cast<int>(r);
  const auto read_by = [&](const std::vector<Operation>& part) {
    for (const Operation& op : part) {
      for (const Register r : op.inputs) last_use[static_cast<std::size_t>(r)] = op.output;
    }
  };
  for (const Block& block : program.blocks()) {
    read_by(block.trunk);
    read_by(block.exit);
  }

  Area state, arena;
  for (int r = 0; r < program.register_count(); ++r) {
    state.advance(r);
    arena.advance(r);
    MemoryPlan::Place& place = plan.places[static_cast<std::size_t>(r)];
    Area& area = place.area == MemoryPlan::Area::state ? state : arena;
    place.offset = area.place(static_cast<std::size_t>(program.shape(r).elements()),
                              last_use[static_cast<std::size_t>(r)]);
  }
  plan.state_floats = state.floats();
  plan.arena_floats = arena.floats();
  return plan;
}

}  // namespace einet
