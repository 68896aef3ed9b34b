#include "daemon/worker/slot_table.h"

#include <string>
#include <utility>

#include "config/check.h"

namespace einet {

Result<TrunkState*> SlotTable::take(const lane::GrantMessage& grant, ByteCount size) {
  Slot& slot = slots_[grant.job_slot];
  const auto complaint = [&](const std::string& why) {
    return error("job slot " + std::to_string(grant.job_slot) + why);
  };
  if (slot.in_use.exchange(true, std::memory_order_acquire)) return complaint(" is in use by another lane");
  const auto refuse = [&](const std::string& why) {
    slot.in_use.store(false, std::memory_order_release);
    return complaint(why);
  };
  if (grant.first_block != 0) {
    if (slot.job != grant.job || slot.model != grant.model) return refuse(" holds another job");
    if (slot.next_block != grant.first_block) {
      return refuse(" is before block " + std::to_string(slot.next_block) + ", not " +
                    std::to_string(grant.first_block));
    }
  }
  if (!slot.state || slot.state->size() < size) {
    slot.state.reset();  // first: there may be room for one only
    auto state = backend_.make_state(size);
    if (!state) return refuse(": " + state.error().message);
    slot.state = std::move(*state);
  }
  slot.job = grant.job;
  slot.model = grant.model;
  return slot.state.get();
}

void SlotTable::put_back(std::uint32_t number, int next_block) {
  Slot& slot = slots_[number];
  EINET_CHECK(slot.in_use.load(std::memory_order_relaxed), "a job's state put back twice");
  slot.next_block = next_block;
  slot.in_use.store(false, std::memory_order_release);
}

}  // namespace einet
