#include "daemon/worker/slot_table.h"

#include <optional>
#include <string>
#include <utility>

#include "config/check.h"

namespace einet {
namespace {

GrantRefusal of_slot(std::uint32_t slot, const GrantRefusal& why) {
  return {"job slot " + std::to_string(slot) + why.message, why.end};
}

}  // namespace

template <class F>
SlotTable::Taken SlotTable::take(std::uint32_t number, F&& prepare) {
  Slot& slot = slots_[number];
  if (slot.in_use.exchange(true, std::memory_order_acquire)) return of_slot(number, {" is in use"});
  if (const std::optional<GrantRefusal> refusal = prepare(slot)) {
    slot.in_use.store(false, std::memory_order_release);
    return of_slot(number, *refusal);
  }
  return slot.state.get();
}

SlotTable::Taken SlotTable::take(const lane::GrantMessage& grant, ByteCount size) {
  const JobInSlot job{grant.job_slot, grant.job, grant.model, grant.first_block};
  return grant.first_block == 0 ? take_fresh(job, size) : take_left(job);
}

SlotTable::Taken SlotTable::take_left(const JobInSlot& job) {
  return take(job.slot, [&](const Slot& slot) -> std::optional<GrantRefusal> {
    if (slot.job != job.job || slot.model != job.model) return GrantRefusal{" holds another job"};
    if (slot.next_block == job.next_block) return std::nullopt;
    return GrantRefusal{" is before block " + std::to_string(slot.next_block) + ", not " +
                        std::to_string(job.next_block)};
  });
}

SlotTable::Taken SlotTable::take_fresh(const JobInSlot& job, ByteCount size) {
  return take(job.slot, [&](Slot& slot) -> std::optional<GrantRefusal> {
    slot.job = job.job;
    slot.model = job.model;
    slot.next_block = 0;
    if (slot.state && slot.state->size() >= size) return std::nullopt;
    if (auto ok = make_state(slot, size); !ok) {
      return GrantRefusal{": " + ok.error().message, lane::End::out_of_memory};
    }
    return std::nullopt;
  });
}

Result<void> SlotTable::make_state(Slot& slot, ByteCount size) {
  if (slot.state) {  // first: there may be room for one only
    memory_.give_back(slot.state->size());
    slot.state.reset();
  }
  if (const auto ok = memory_.take(size); !ok) return out_of_memory(ok.error().message);
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

void SlotTable::catch_up() const {
  for (const Slot& slot : slots_) (void)slot.in_use.load(std::memory_order_acquire);
}

}  // namespace einet
