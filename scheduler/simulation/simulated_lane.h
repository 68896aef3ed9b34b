// A lane as a worker implements it, on virtual time: grants and stop words go in, records of what happened
// come out. It knows how long blocks truly take; the core does not have to. A core with an urgent lane is two
// of these: while one runs, its owner suspends the other. No decisions here.
#pragma once

#include <optional>
#include <vector>

#include "scheduler/core.h"

namespace einet {

// What jobs truly do when they run.
class SimulatedWork {
 public:
  virtual ~SimulatedWork() = default;
  // That the job's model has.
  virtual int blocks(JobId) = 0;
  // Of the job whose grant leads, with so many in its batch. > 0
  virtual Duration trunk(JobId, int block, int jobs) = 0;
  // Asked only for exits that are executed, by one of them at least. >= 0
  virtual Duration exit(JobId, int exit, int jobs) = 0;
  // How many blocks of this job the lane has in flight; asked when its grant begins.
  virtual int in_flight(JobId) { return 1; }
  // From now on this block of the job runs, whatever the lane is told: it begins, or is enqueued behind one
  // that has begun. First of the job that leads.
  virtual void commits(JobId, int /*block*/) {}
  // This block of a job that rides begins, too.
  virtual void rides(JobId, int /*block*/) {}
  virtual std::optional<ExitAnswer> answer(JobId, int exit) = 0;
};

// One record of a lane: a block that it has executed, or how a grant ended.
struct LaneRecord {
  std::optional<BlockReport> block;
  std::optional<GrantEnd> ended;  // exactly one of the two
  GrantNumber grant;
};

class SimulatedLane {
 public:
  // `newest`: the number of the newest grant that a lane of this id was given before (it was lost since).
  SimulatedLane(LaneId, SimulatedWork&, GrantNumber newest = {});

  // The commands of the core. They take effect when the lane next acts. Checked: at most two grants that have
  // not ended, but for those that ride, numbers that count up, stops and exits for grants that exist (or have
  // ended). `arrives`: when the job's state is there.
  void post(const Grant&, TimePoint arrives = {});
  // The states that are still on their way for grants of which f(const Grant&) is true cannot be moved.
  template <class F>
  void fail_moves(TimePoint now, F&& f) {
    for (std::optional<Held>* held : {&first_, &second_}) {
      if (*held && (*held)->arrives > now && f((*held)->grant)) (*held)->fails = true;
    }
  }
  void stop(GrantNumber);
  void set_exits(GrantNumber, ExitMask);
  bool withdraw(GrantNumber);
  // Posted and not begun.
  bool waits(GrantNumber) const;

  // Does what falls due at `now`: the block that ends, the decision to go on, the next grant. Blocks take no
  // time to begin. Precondition: no boundary lies before `now`.
  void act(TimePoint now);
  // When it next has something to do by itself: a trunk or an exit that ends, a state that arrives; kNever:
  // idle or suspended.
  TimePoint next_event() const { return next_event_; }
  // Whether a block is in progress.
  bool in_block() const { return in_block_; }

  // Another lane has the core, or has left it again. What falls due at `now` is done; then the block in
  // progress stands still, and nothing new begins. Idempotent. Preconditions as for `act`.
  void suspend(TimePoint now);
  void resume(TimePoint now);

  // What happened since the last call, oldest first.
  std::vector<LaneRecord> take_records();

 private:
  struct Held {
    Grant grant;
    TimePoint arrives{};  // the job's state
    bool fails = false;   // it does not
    bool stop = false;
    int committed = -1;     // the last block that runs even if it is stopped
    ExitMask executes = 0;  // of those blocks
  };
  template <class F>
  void with_grant(GrantNumber, F&& f);
  void gather();
  void give_up_late();
  void end_rider(std::size_t index, GrantEnd);
  void commit();
  bool runs_ahead() const;
  ExitMask executed(const Held&, int block) const;
  bool is_done(const Held&) const;
  void begin_block(TimePoint now);
  void end_part(TimePoint now);
  void end_block(TimePoint now);
  void go_on(TimePoint now);
  void end_grant(GrantEnd);

  LaneId id_;
  SimulatedWork& work_;
  std::optional<Held> running_;  // begun
  std::optional<Held> first_;    // posted, in order
  std::optional<Held> second_;
  std::vector<Held> riders_;   // of running_, in order
  std::vector<Held> to_ride_;  // posted, in order
  GrantNumber begun_;          // the newest
  GrantNumber newest_;
  int block_ = 0;          // of running_: in progress, or the next
  int in_flight_ = 1;      // of its blocks, at most
  bool in_block_ = false;  // else between two
  bool in_exit_ = false;
  TimePoint block_start_{};
  TimePoint next_event_ = kNever;
  std::optional<TimePoint> suspended_since_;
  Duration left_{};  // of the part in progress, while suspended
  Duration away_{};  // of the block in progress: how long it stood still
  std::vector<LaneRecord> records_;
};

}  // namespace einet
