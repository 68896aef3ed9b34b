// The worker's end of a lane channel: one LaneEnd per lane thread. It sleeps until a grant comes, reads the
// control word at each boundary, and reports blocks. run_lane is the lane's whole life; what a block is, is
// behind LaneProgram. Nothing here knows models, and nothing decides.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "config/result.h"
#include "config/time.h"
#include "config/unique_fd.h"
#include "ipc/lane/grant.h"
#include "ipc/lane/record.h"
#include "ipc/lane/shared_memory.h"

namespace einet::lane {

// A block that was executed.
struct BlockDone {
  int block = 0;
  TimePoint start;
  TimePoint end;
  Duration used{};  // lane time between them
  std::optional<Answer> answer;
  std::span<const float> scores;  // if there is an answer: one per class
};

// One lane. One thread at a time.
class LaneEnd {
 public:
  LaneEnd(const Down&, LaneUp*, int lane, int doorbell_fd, const Clock&);

  // Whether a grant waits: next_grant() would not sleep.
  bool has_work() const { return next().number.value != 0; }
  // Whether the grant that waits behind the one taken last begins with a reserved block.
  bool reserved_work_waits() const;
  // The next grant that rides with none, as the daemon wrote it; sleeps on a futex until there is one. Grants
  // withdrawn meanwhile are passed over, as are those that ride with one that was taken before. Nothing: the
  // channel is closing. The lane's batch is this grant then, number 0.
  std::optional<GrantMessage> next_grant();
  // Those that ride with it: numbers 1, 2, … of its batch. Valid until the next call of next_grant.
  std::span<const GrantMessage> take_riders();
  // Ends those that came too late to ride, stopped before their first block.
  void give_up_late();

  // What the daemon wants of this grant of the batch as of now: one cache line.
  struct Control {
    ExitMask exits = 0;
    std::uint32_t stop = 0;  // not 0: start no further block
  };
  Control control(std::size_t number = 0) const;
  // At a boundary of the grant taken last: says that a block begins now (heartbeat), then reads whether it
  // may. In this order, so that a stop that the daemon set before `now` is always seen.
  struct Boundary {
    TimePoint now;
    Control control;
  };
  Boundary at_boundary();

  // Reports a block of this grant of the batch; `end` says whether the grant ends with it.
  void report(const BlockDone&, End end, std::size_t number = 0);
  // The grant ends without a block, or without a further one.
  void report_end(End end, int block, std::size_t number = 0);

 private:
  struct Next {
    GrantNumber number;  // 0: none
    std::size_t slot = 0;
  };
  enum class Ring : std::uint8_t {
    always,
    unless_work_waits,  // with the next grant posted the lane goes straight on, and nobody need be told
  };
  struct Taken {
    GrantNumber number;
    JobId job;
    const GrantSlot* slot = nullptr;
  };
  static Ring ring_for(End);
  Next next() const;
  // Whether this grant was taken from its slot before, or nearly. It has ended then, or runs: while the
  // daemon writes the next one the slot has that one's words under the old number.
  bool was_taken(std::size_t slot, GrantNumber) const;
  bool take(std::size_t slot, GrantNumber);
  GrantMessage read(const Taken&) const;
  void report_end(End end, int block, const Taken&, Ring);
  void push(RecordData&, const Taken&, std::span<const float> scores);
  // If the daemon is armed.
  void ring(Ring when);

  const Down* down_;
  const LaneDown* posted_;
  LaneUp* up_;
  int doorbell_;
  const Clock* clock_;
  GrantNumber number_;                    // taken last, of those that ride with none
  std::array<Taken, kMaxBatch> batch_{};  // it, and those that ride
  std::array<GrantMessage, kMaxBatch> riders_{};
  std::uint64_t looked_at_ = 0;  // what give_up_late depends on, when it last looked
  std::uint64_t records_ = 0;    // pushed so far
  std::uint64_t drained_ = 0;    // of these, as far as we have looked
};

class WorkerEnd {
 public:
  // Error: not the memory of a channel of this version.
  static Result<WorkerEnd> map(int down_fd, int up_fd, UniqueFd doorbell);

  int lanes() const;
  // Valid while this object lives. Precondition: lane < lanes(); once per lane.
  LaneEnd lane(int lane, const Clock&) const;

 private:
  const Down& down() const;

  Mapping down_;
  Mapping up_;
  UniqueFd doorbell_;
};

// What a lane runs. Called by run_lane from the lane's thread alone, in the order begin (for each job of a
// batch), then trunk (and exit) per block, or launch and await, then end (for each); take_rank in between.
class LaneProgram {
 public:
  virtual ~LaneProgram() = default;
  // What follows, a block or a wait for work, has this rank. Called at every boundary: to change nothing must
  // cost next to nothing.
  virtual void take_rank(Rank) {}
  // What this thread has used of its lane so far.
  virtual Duration lane_time() const { return thread_cpu_time(); }
  // Some jobs of a batch: bit n is number n.
  using Jobs = std::uint32_t;
  // Finds or makes the state of number n of a new batch; the one that leads, 0, comes first. None, or how the
  // grant ends, for it cannot be run here: failed or out_of_memory; no `end` follows.
  virtual End begin(const GrantMessage&, std::size_t n) = 0;
  // False: the block failed, and with it their grants.
  virtual bool trunk(int block, Jobs) = 0;
  // After the trunk, of some of its jobs. Returns for which it worked; the grants of the others have failed.
  virtual Jobs exit(int block, Jobs) = 0;
  // In place of both, where several blocks are in flight: enqueues a block behind those in flight, with the
  // exits of `answers`, and returns. False: it failed, and is not in flight.
  virtual bool launch(int /*block*/, Jobs, Jobs /*answers*/) { return false; }
  // Sleeps until the oldest block in flight is done; all is as it was launched. Returns for which of its jobs
  // it worked.
  virtual Jobs await(int /*block*/, Jobs, Jobs /*answers*/) { return 0; }
  // What it answered to number n in the block of the last exit or await, one score per class. Valid until the
  // next of these or begin, though blocks are launched meanwhile.
  virtual std::span<const float> scores(std::size_t n) const = 0;
  // The lane lets go of the job, of which nothing is in flight; `next_block` is the first one not executed.
  // Before the daemon hears of it.
  virtual void end(std::size_t n, int next_block) = 0;
};

// Takes grants and runs them until the channel closes.
//
// With in_flight > 1 (at most kMaxInFlight) up to so many consecutive blocks of a grant are enqueued at a
// time, so that the device goes from one to the next without the lane's thread. A block is decided when it is
// enqueued: stop and exits are read then, and it runs to its end and is reported whatever is read later. So a
// grant ends only when none of its blocks is in flight; exits that were added by then let it go on.
// Reserved blocks run one at a time: nothing is enqueued behind one in flight.
void run_lane(LaneEnd&, LaneProgram&, int in_flight = 1);

}  // namespace einet::lane
