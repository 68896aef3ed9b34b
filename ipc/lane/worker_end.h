// The worker's end of a lane channel: one LaneEnd per lane thread. It sleeps until a grant comes, reads the
// control word at each boundary, and reports blocks. run_lane is the lane's whole life; what a block is, is
// behind LaneProgram. Nothing here knows models, and nothing decides.
#pragma once

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
  // The next grant, as the daemon wrote it; sleeps on a futex until there is one. Grants withdrawn meanwhile
  // are passed over. Nothing: the channel is closing.
  std::optional<GrantMessage> next_grant();

  // At a boundary of the grant taken last: says that a block begins now (heartbeat), then reads whether it
  // may: one cache line. In this order, so that a stop that the daemon set before `now` is always seen.
  struct Control {
    TimePoint now;
    ExitMask exits = 0;
    std::uint32_t stop = 0;  // not 0: stop here
  };
  Control at_boundary();
  // The exits as they are now.
  ExitMask exits() const;

  // Reports a block; `end` says whether the grant ends with it.
  void report(const BlockDone&, End end);
  // The grant ends without a block, or without a further one.
  void report_end(End end, int block);

 private:
  struct Next {
    GrantNumber number;  // 0: none
    std::size_t slot = 0;
  };
  enum class Ring : std::uint8_t {
    always,
    unless_work_waits,  // with the next grant posted the lane goes straight on, and nobody need be told
  };
  static Ring ring_for(End);
  Next next() const;
  void report_end(End end, int block, Ring);
  void push(RecordData&, std::span<const float> scores);
  // If the daemon is armed.
  void ring(Ring when);

  const Down* down_;
  const LaneDown* posted_;
  LaneUp* up_;
  int doorbell_;
  const Clock* clock_;
  // Of the grant taken last.
  GrantNumber number_;
  JobId job_;
  const GrantSlot* slot_ = nullptr;
  std::uint64_t records_ = 0;  // pushed so far
  std::uint64_t drained_ = 0;  // of these, as far as we have looked
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

// What a lane runs. Called by run_lane from the lane's thread alone, in the order begin, then trunk (and
// exit) per block, then end; take_rank in between.
class LaneProgram {
 public:
  virtual ~LaneProgram() = default;
  // What follows, a block or a wait for work, has this rank. Called at every boundary: to change nothing must
  // cost next to nothing.
  virtual void take_rank(Rank) {}
  // What this thread has used of its lane so far.
  virtual Duration lane_time() const { return thread_cpu_time(); }
  // Finds or makes the job's state. None, or how the grant ends, for it cannot be run here: failed or
  // out_of_memory; no `end` follows.
  virtual End begin(const GrantMessage&) = 0;
  // False: the block failed, and with it the grant.
  virtual bool trunk(int block) = 0;
  // The scores, one per class, valid until the next call; empty: like false.
  virtual std::span<const float> exit(int block) = 0;
  // The lane lets go of the job; `next_block` is the first one not executed. Before the daemon hears of it.
  virtual void end(int next_block) = 0;
};

// Takes grants and runs them until the channel closes.
void run_lane(LaneEnd&, LaneProgram&);

}  // namespace einet::lane
