#include "daemon/worker/slot_table.h"

#include <string>

#include "config/check.h"

namespace einet {

Result<TrunkState*> SlotTable::take(const lane::GrantMessage& grant, ByteCount size) {
  Slot* slot = nullptr;
  {
    const std::lock_guard lock(mutex_);
    slot = &slots_[grant.job_slot];  // stays where it is when others come
    const std::string where = "job slot " + std::to_string(grant.job_slot);
    if (slot->in_use) return error(where + " is in use by another lane");
    if (grant.first_block != 0) {
      if (slot->job != grant.job || slot->model != grant.model) return error(where + " holds another job");
      if (slot->next_block != grant.first_block) {
        return error(where + " is before block " + std::to_string(slot->next_block) + ", not " +
                     std::to_string(grant.first_block));
      }
    }
    slot->job = grant.job;
    slot->model = grant.model;
    slot->in_use = true;
  }
  // Ours alone until put_back: memory is allocated outside the lock.
  if (!slot->state || slot->state->size() < size) slot->state = std::make_unique<TrunkState>(size);
  return slot->state.get();
}

void SlotTable::put_back(std::uint32_t slot, int next_block) {
  const std::lock_guard lock(mutex_);
  Slot& s = slots_.at(slot);
  EINET_CHECK(s.in_use, "a job's state put back twice");
  s.next_block = next_block;
  s.in_use = false;
}

}  // namespace einet
