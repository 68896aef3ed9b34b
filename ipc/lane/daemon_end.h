// The daemon's end of a lane channel: posts grants, stops and withdraws them, drains what the lanes report.
// What the worker wrote is foreign: it is copied once and every field is checked, so a mad worker is an
// error, never a crash. No scheduling and no policy in here; it does not start or watch the worker's process.
//
// A grant that was posted ends in exactly one way: withdraw() returned `withdrawn`, or a report with
// `finished` comes for it, or the worker is lost. Reports of one lane come in the order of its grants and
// blocks.
//
// Sleeping. The daemon waits for doorbell_fd() to become readable, together with everything else it waits
// for:
//
//   on doorbell readable, or whenever it is awake anyhow:
//     do {
//       end.disarm();
//       end.drain(clock, handle); … decide …
//     } while (end.arm() == Arm::reports_waiting);
//
// (or return to the event loop with a call posted to oneself in place of the loop, for fairness). While it is
// armed, a lane rings when the daemon must act: a grant is done or failed, an exit has its answer, a grant
// stopped with nothing posted behind it. Blocks without an exit, and a stop with the next grant posted, are
// reported but do not ring: they are seen with the next drain.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/result.h"
#include "config/time.h"
#include "config/unique_fd.h"
#include "ipc/lane/grant.h"
#include "ipc/lane/layout.h"
#include "ipc/lane/record.h"
#include "ipc/lane/shared_memory.h"

namespace einet::lane {

enum class Withdrawal : std::uint8_t {
  withdrawn,  // the lane had not taken the grant and never will; no report comes
  taken,  // the lane has taken it: reports come, and one of them ends it. If the lane saw the withdrawal in
          // time, that is `stopped` without a block.
};

enum class Arm : std::uint8_t { asleep, reports_waiting };

// One thread. One object per start of a worker: memory is never reused for the next worker.
class DaemonEnd {
 public:
  // `lanes` in 1 … kMaxLanes. Error: no memory or descriptors left.
  static Result<DaemonEnd> create(int lanes);

  int lanes() const { return static_cast<int>(lanes_.size()); }

  // For the worker (control.h, Configure). The daemon keeps its own copies for as long as this object lives.
  int down_fd() const { return down_.fd.get(); }
  int up_fd() const { return up_.fd.get(); }
  // Readable after a lane rang.
  int doorbell_fd() const { return doorbell_.get(); }

  // Posts a grant and wakes the lane if it sleeps. The lane takes grants in the order of their numbers, but
  // for those that ride: so to preempt, post the urgent grant first, then stop the running one; and what is
  // to ride from the beginning is posted before what it rides with, whose number is known by then. Works
  // before the worker is up. Preconditions: the grant is legal (grant.h); fewer than kSlots grants of this
  // lane are outstanding.
  void post(int lane, const GrantMessage&);

  // Ends a grant at its next boundary. Once this has returned the lane starts no further block of it: any
  // block that it runs of it has begun before (its `start` is earlier than any clock read after this), but
  // for the in_flight - 1 at most that a lane has enqueued behind it (worker_end.h). No effect on a grant
  // that has ended.
  void stop(int lane, GrantNumber);

  // Replaces the exits of a grant. The lane sees it at its next boundary, and before the exit of a trunk that
  // runs already. If no bit is left behind the running block (or, before the first one, at or behind it), the
  // grant is done at that boundary. With several blocks in flight it is seen for the next block to be
  // enqueued, and the grant is done when those in flight are, unless a bit is set by then. The model's
  // last block, once it runs, executes its exit whatever the bits say. No effect on a grant that has ended.
  // Precondition: no bit at or behind the model's blocks.
  void set_exits(int lane, GrantNumber, ExitMask);

  // Takes back a grant that the lane has not begun. Precondition: posted and neither withdrawn nor reported
  // as ended. What rides with it is withdrawn before it: it would wait for ever.
  //
  // Both sides store, then look (handshake.h): the daemon clears the grant's number and looks whether the
  // lane took it; the lane says that it takes it and looks whether the number still stands. That neither sees
  // the other, and the grant runs in two places, cannot happen. If both saw each other, the lane gives it up
  // and says so with a report, and the daemon, told `taken`, waits for that report.
  Withdrawal withdraw(int lane, GrantNumber);

  // Posted, neither withdrawn nor reported as ended.
  std::size_t outstanding(int lane) const;

  // Hands over what the lanes have reported, lane by lane, at most one ring of each (the rest stays: arm()
  // says so). Returns how many reports it handed over. Error: the worker broke the rules (the text says how,
  // for the log); kill it. After an error every later call gives the same error. `handle` must not call back
  // into this object.
  //
  // Checked per record: commit and checksum; the grant is the oldest outstanding one of the lane that rides
  // with none, or rides with that one, and ends before it, or never began; of a block of both it tells first,
  // or has failed and says so at most kMaxInFlight - 1 blocks later; the job is its job; the block is
  // the next one and below the model's blocks; only legal flags; start not before the end of the block before
  // on the lane, unless both were one batch, start <= end <= now; as many scores as the model has classes,
  // each finite and in [0, 1]; top_class in range and confidence the score of it.
  using Handler = std::function<void(const Report&)>;
  Result<std::size_t> drain(const Clock&, const Handler& handle);

  // The daemon is awake: lanes need not ring. Takes the doorbell's rings so far.
  void disarm();
  // The daemon is about to sleep. `reports_waiting`: there is something to drain now; drain it first.
  Arm arm();

  // Heartbeat: since when the lane's current block runs, by the worker's word (it may lie: compare with a
  // limit only); nothing if none runs.
  std::optional<TimePoint> running_since(int lane) const;

  // The time of all blocks that the lane has reported: the sum of their end - start.
  Duration ran(int lane) const { return lanes_[static_cast<std::size_t>(lane)].ran; }

  // Lets the lanes return once they are at a boundary and wakes those that sleep: an orderly end. Grants
  // outstanding get no reports any more.
  void close();

 private:
  struct Posted {
    GrantMessage message;
    std::size_t slot = 0;
    int next_block = 0;
    bool withdrawn_late = false;  // withdraw() said `taken`: the lane may say that it gave it up
  };
  struct Lane {
    std::vector<Posted> posted;    // outstanding, by number; at most kSlots
    std::uint64_t withdrawn = 0;   // grants of which the lane may still say that it gave them up
    GrantNumber newest;            // posted so far
    std::uint64_t drained = 0;     // records
    int block = 0;                 // the last one reported,
    TimePoint start{};             // when it began,
    std::optional<TimePoint> end;  // and ended
    Duration ran{};                // the sum of all blocks reported
  };
  enum class Drained : std::uint8_t { report, nothing_to_say, end_of_ring, violation };

  DaemonEnd() = default;
  Down& down() const { return *reinterpret_cast<Down*>(down_.mapping.writable_data()); }
  LaneDown& down_of(int lane) const { return down().lanes()[lane]; }
  const LaneUp& up_of(int lane) const { return reinterpret_cast<const LaneUp*>(up_.mapping.data())[lane]; }
  Lane& at(int lane);
  Posted* find(int lane, GrantNumber);
  // What is wrong with a record that speaks of this grant; "" if nothing.
  static std::string fault_of_turn(const Lane&, const Posted&, const RecordData&);
  Drained drain_one(int lane, const Clock&, const Handler&);

  SharedMemory down_;
  SharedMemory up_;
  UniqueFd doorbell_;
  std::vector<Lane> lanes_;
  std::vector<float> scores_;  // of the record being drained
  int idle_rings_ = 0;         // in a row, without a report
  std::string broken_;         // how the worker broke the rules; "" while it did not
};

}  // namespace einet::lane
