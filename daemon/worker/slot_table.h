// The states of the jobs in progress, between grants: who is in which job slot and how far it got. A job's
// state belongs to one lane at a time. Memory stays with its slot for the next job.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <boost/system/result.hpp>

#include "config/bytes.h"
#include "daemon/worker/device_memory.h"
#include "ipc/lane/grant.h"
#include "models/executor.h"

namespace einet {

// Why a grant cannot be run: for the log, and for the daemon.
struct GrantRefusal {
  std::string message;
  lane::End end = lane::End::failed;  // or out_of_memory
};

// Any thread; nobody ever waits: an urgent lane must not wait for the lane that it keeps from running.
class SlotTable {
 public:
  // `backend` gives the memory, `memory` counts it; both outlive it.
  SlotTable(Backend& backend, DeviceMemory& memory) : backend_(backend), memory_(memory) {}

  // Hands out the state of the grant's job, at least `size` large: a fresh one for first_block 0, else the
  // one that an earlier grant left. Valid until put_back. Allocates when a slot is used for the first time,
  // or for a larger model. Error: the job is not here, or not at that block, in use by another lane, or
  // there is no memory left for it.
  boost::system::result<TrunkState*, GrantRefusal> take(const lane::GrantMessage&, ByteCount size);
  // The lane lets go of it; `next_block` is the first one not executed. Precondition: taken.
  void put_back(std::uint32_t slot, int next_block);

 private:
  struct Slot {
    std::atomic<bool> in_use = false;  // guards the rest
    JobId job;
    ModelId model;
    int next_block = 0;
    std::unique_ptr<TrunkState> state;
  };
  Result<void> make_state(Slot&, ByteCount size);

  Backend& backend_;
  DeviceMemory& memory_;
  std::vector<Slot> slots_ = std::vector<Slot>(lane::kMaxJobSlots);
};

}  // namespace einet
