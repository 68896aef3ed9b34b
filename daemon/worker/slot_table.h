// The states of the jobs in progress, between grants: who is in which job slot and how far it got. A job's
// state belongs to one lane at a time, or to who moves it to another worker. Memory stays with its slot for
// the next job.
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

// Why a grant cannot be run, or a state not be moved: for the log, and for the daemon.
struct GrantRefusal {
  std::string message;
  lane::End end = lane::End::failed;  // or out_of_memory
};

// A job in its slot, before a block.
struct JobInSlot {
  std::uint32_t slot = 0;  // < kMaxJobSlots
  JobId job;
  ModelId model;
  int next_block = 0;
};

// Any thread; nobody ever waits: an urgent lane must not wait for the lane that it keeps from running.
class SlotTable {
 public:
  // `backend` gives the memory, `memory` counts it; both outlive it.
  SlotTable(Backend& backend, DeviceMemory& memory) : backend_(backend), memory_(memory) {}

  using Taken = boost::system::result<TrunkState*, GrantRefusal>;

  // Hands out the state of the grant's job: a fresh one for first_block 0, else the one that is there. `size`
  // is its model's. Error: as below.
  Taken take(const lane::GrantMessage&, ByteCount size);
  // The state that the job left there. Valid until put_back. Precondition: its next block is not the first.
  // Error: the job is not here, or not before that block, or in use.
  Taken take_left(const JobInSlot&);
  // A fresh one for the job, at least `size` large, for whoever the slot was before. Valid until put_back.
  // Allocates when a slot is used for the first time, or for a larger model. Error: in use, or there is no
  // memory left for it.
  Taken take_fresh(const JobInSlot&, ByteCount size);
  // Lets go of it; `next_block` is the first one not executed, 0 if there is nothing to go on with.
  // Precondition: taken.
  void put_back(std::uint32_t slot, int next_block);
  // All that lanes did before they put back a state happens before this thread goes on. It knows from another
  // process, the daemon, that jobs have gone, which is no order between threads.
  void catch_up() const;

 private:
  struct Slot {
    std::atomic<bool> in_use = false;  // guards the rest
    JobId job;
    ModelId model;
    int next_block = 0;
    std::unique_ptr<TrunkState> state;
  };
  // Error: the slot is in use, or what `prepare` says.
  template <class F>
  Taken take(std::uint32_t slot, F&& prepare);
  Result<void> make_state(Slot&, ByteCount size);

  Backend& backend_;
  DeviceMemory& memory_;
  std::vector<Slot> slots_ = std::vector<Slot>(lane::kMaxJobSlots);
};

}  // namespace einet
