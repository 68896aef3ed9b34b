#include "daemon/worker/slot_table.h"

#include <string>
#include <utility>

#include "config/check.h"

namespace einet {

boost::system::result<TrunkState*, GrantRefusal> SlotTable::take(const lane::GrantMessage& grant, ByteCount size) {
  Slot& slot = slots_[grant.job_slot];
  const auto complaint = [&](const std::string& why, lane::End end = lane::End::failed) {
    return GrantRefusal{"job slot " + std::to_string(grant.job_slot) + why, end};
  };
  if (slot.in_use.exchange(true, std::memory_order_acquire)) return complaint(" is in use by another lane");
  const auto refuse = [&](const std::string& why, lane::End end = lane::End::failed) {
    slot.in_use.store(false, std::memory_order_release);
    return complaint(why, end);
  };
  if (grant.first_block != 0) {
    if (slot.job != grant.job || slot.model != grant.model) return refuse(" holds another job");
    if (slot.next_block != grant.first_block) {
      return refuse(" is before block " + std::to_string(slot.next_block) + ", not " +
                    std::to_string(grant.first_block));
    }
  }
  if (!slot.state || slot.state->size() < size) {
    if (auto ok = make_state(slot, size); !ok) return refuse(": " + ok.error().message, lane::End::out_of_memory);
  }
  slot.job = grant.job;
  slot.model = grant.model;
  return slot.state.get();
}

Result<void> SlotTable::make_state(Slot& slot, ByteCount size) {
  if (slot.state) {  // first: there may be room for one only
    memory_.give_back(slot.state->size());
    slot.state.reset();
  }
  if (auto ok = memory_.take(size); !ok) return ok;
  auto state = backend_.make_state(size);
  if (state) {
    slot.state = std::move(*state);
    return {};
  }
  memory_.give_back(size);
  return state.error();
}

void SlotTable::put_back(std::uint32_t number, int next_block) {
  Slot& slot = slots_[number];
  EINET_CHECK(slot.in_use.load(std::memory_order_relaxed), "a job's state put back twice");
  slot.next_block = next_block;
  slot.in_use.store(false, std::memory_order_release);
}

}  // namespace einet
