// The states of the jobs in progress, between grants: who is in which job slot and how far it got. A job's
// state belongs to one lane at a time. Memory stays with its slot for the next job.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "config/bytes.h"
#include "config/result.h"
#include "ipc/lane/grant.h"
#include "models/executor.h"

namespace einet {

// Any thread.
class SlotTable {
 public:
  // Hands out the state of the grant's job, at least `size` large: a fresh one for first_block 0, else the
  // one that an earlier grant left. Valid until put_back. Allocates when a slot is used for the first time,
  // or for a larger model. Error: the job is not here, or not at that block, or in use by another lane.
  Result<TrunkState*> take(const lane::GrantMessage&, ByteCount size);
  // The lane lets go of it; `next_block` is the first one not executed. Precondition: taken.
  void put_back(std::uint32_t slot, int next_block);

 private:
  struct Slot {
    JobId job;
    ModelId model;
    int next_block = 0;
    bool in_use = false;
    std::unique_ptr<TrunkState> state;
  };
  std::mutex mutex_;  // held for a few instructions; lanes meet here once per grant
  std::unordered_map<std::uint32_t, Slot> slots_;
};

}  // namespace einet
