// The inside of the decision core: its state, and how the work divides. core.cpp and reservations.cpp turn
// events into state; decide.cpp, device_choice.cpp, urgent_lanes.cpp and batches.cpp turn state into
// commands. Nothing outside these includes this.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <span>
#include <vector>

#include "scheduler/exit_planner.h"
#include "scheduler/job_table.h"
#include "scheduler/lives.h"
#include "scheduler/ranking.h"
#include "scheduler/shares.h"

namespace einet {

// A grant that its lane has not ended.
struct HeldGrant {
  JobRecord* job = nullptr;  // null: none
  GrantNumber number;
  int first_block = 0;
  int block = 0;            // the one that it runs, or will run next, as far as reports tell
  ExitMask exits = 0;       // as the lane was told
  int reserved_blocks = 0;  // as the lane was told: blocks below it are in flight one at a time
  // What is in flight, as far as the core can know: the last block that it runs even if it is stopped. If it
  // may have several (runs_ahead), which of their exits it executes is decided, too.
  int committed = 0;
  bool runs_ahead = false;
  ExitMask committed_exits = 0;
  TimePoint block_start{};  // of `block`, once begun
  bool begun = false;       // as far as the core can know; its job is in no queue then
  bool certain = false;     // begun by evidence: a report, or a withdrawal that came too late
  bool stop_told = false;
  bool ends_here = false;       // must not go on after the block in progress, whatever is more urgent then
  bool withdrawn_late = false;  // the lane has begun it, or gives it up and says so
  bool moves = false;           // its job's state is brought from another device first
  GrantNumber with{};           // it rides with this one; 0: with none
  std::uint64_t posted_in = 0;  // the number of that decision

  explicit operator bool() const { return job != nullptr; }
  int last_block() const;  // where it ends by itself
  // Where it ends if it is stopped now.
  int stops_after() const { return std::max(block, committed); }
  // Whether its job plans an exit behind that.
  bool plans_more() const { return (job->plan & from_block(stops_after() + 1)) != 0; }
  // Whether it needs no stop to go no further. What is in flight is not known for sure, and a job that is
  // over must begin nothing more.
  bool ends_by_itself() const { return (job->is_over() ? block : stops_after()) >= last_block(); }
  // Whether all that it runs has been reported, as far as the core can know.
  bool is_through() const { return block > std::max(last_block(), committed); }
  // The exits that it executes up to there, as far as the core can know.
  ExitMask exits_in_flight() const { return runs_ahead ? committed_exits : exits; }
  // As far as the core can know, the lane has not begun it, for the job's state is not there yet.
  bool awaits_state(TimePoint now) const { return moves && !certain && block_start >= now; }
};

struct Lane {
  enum class Status : std::uint8_t { unknown, up, comes_back, gone };

  LaneId id;
  DeviceId device;
  Status status = Status::unknown;
  // Of the core that it is on: the base lane, itself or another; the urgent lane, if there is one.
  LaneId base;
  std::optional<LaneId> urgent;
  Preemption preemption = Preemption::boundary;  // of an urgent lane
  int homed = 0;                                 // tasks and budgets whose home this base lane is
  int takers = 0;                                // of these, tasks that may take its core at once
  bool changing = false;                         // promises made now wait to be in force (Core::reserve)
  std::uint64_t grants = 0;                      // so far; the number of the newest
  HeldGrant front;                               // the one that it runs, or is about to
  HeldGrant back;                                // posted behind it
  std::vector<HeldGrant> riders;                 // with `front` or `back`, or with one that has ended
  // The lane has begun `back`, but its report of how `front` ended has not been read yet. Until then nothing
  // is posted to it.
  bool between_reports = false;

  // Scratch of a decision.
  TimePoint boundary{};       // when it is expected to be free to choose; now for an idle or overdue lane
  bool overdue = false;       // should have been there before
  bool waiting = false;       // has nothing to do until its job's state arrives
  bool helps = false;         // would go on with reserved work of another lane that is up
  JobRecord* next = nullptr;  // what should run there from that boundary on
  TimePoint end{};            // if that is the job that it runs: when the job's end is expected,
  JobRecord* successor = nullptr;  // and what should follow it
  Urgency key;                     // of the job that it runs, as it will be at the boundary
  bool closed = false;             // takes no other job at that boundary
  bool suspended = false;          // its block stands still: it is told nothing but that its job is over
  bool yields = false;             // stops there, whatever follows

  bool is_urgent() const { return base != id; }
  // Lanes with the same value choose together. Whether an overdue lane is about to be there is not known: it
  // chooses after idle lanes, and after all that work which cannot wait has taken cores.
  std::pair<TimePoint, bool> chooses() const { return {boundary, overdue}; }
  JobRecord* behind() const { return next != nullptr && next == front.job ? successor : next; }
};

class Core::Impl {
 public:
  Impl(const CoreOptions&, Commands&, Observer&);
  ~Impl();

  // --- Events (core.cpp) ---
  boost::system::result<Accepted, Reason> submit(const JobSpec&, TimePoint now);
  bool cancel(JobId, TimePoint now, Reason why);
  void lane_up(LaneId, DeviceId, TimePoint now);
  void urgent_lane_up(LaneId, LaneId base, Preemption, TimePoint now);
  void reserve(TaskId, const Reservation&, TimePoint now);
  void unreserve(TaskId, TimePoint now);
  void set_share(TenantId, const Share&, TimePoint now);
  void lane_lost(LaneId, LaneLoss, TimePoint now);
  void set_residence(ModelId, DeviceId, Residence, TimePoint now);
  bool block_done(const BlockReport&, TimePoint now);
  bool grant_ended(LaneId, GrantNumber, GrantEnd, TimePoint now);
  void advance(TimePoint now);
  TimePoint next_wakeup();
  std::optional<JobView> job(JobId);
  std::optional<PlanBasis> explain(JobId);
  std::size_t job_count() const { return jobs_.size(); }
  std::string dump();

  // --- Decisions (decide.cpp) ---
  void decide(TimePoint now);

 private:
  // Transitions of a job and what hangs on them (core.cpp).
  void set_state(JobRecord&, JobState, TimePoint now);
  void make_ready(JobRecord&, TimePoint now);  // into its queue
  // Brings the job's urgency up to date, with what `change` changes of the job.
  template <class Change>
  void rank(JobRecord&, Change&& change);
  void rank(JobRecord&);
  void set_timer(JobRecord&, TimePoint now);  // of a job that was released
  void end(JobRecord&, Outcome, Reason, TimePoint now);
  void end_with_best(JobRecord&, Reason, TimePoint now);  // outcome: whether the best answer suffices
  void end_without_plan(JobRecord&, TimePoint now);       // nothing is left that is worth running
  void note_life(JobRecord&, Reason, TimePoint now);      // how long it lived, and whether it was stopped
  void forget_state(JobRecord&);                          // back to the first block
  void deadline_reached(JobRecord&, TimePoint now);
  void after_block(JobRecord&, const BlockReport&, TimePoint now);
  // Transitions of a grant.
  void begin(Lane&, HeldGrant&, TimePoint start, TimePoint now);
  void begin(HeldGrant&, TimePoint start, TimePoint now);
  void commit(Lane&, HeldGrant& leader);
  void commit_anew(Lane&, HeldGrant& leader);
  void drop_front(Lane&, TimePoint end, TimePoint now);  // `back` moves up
  void let_go(JobRecord&, TimePoint now);  // its grant has gone: ready again, or what was waiting for that
  void move_clock(TimePoint now);
  Lane* up_lane(LaneId);
  static HeldGrant* find_grant(Lane&, GrantNumber);        // that it may run now
  const HeldGrant* running_grant(const JobRecord&) const;  // begun, as far as the core can know
  void replan(JobRecord&, DeviceId, TimePoint start);
  void replan_behind(JobRecord&, const HeldGrant& runs, DeviceId, TimePoint start);
  ExitMask plan(const JobRecord&, DeviceId, TimePoint start);
  // Reservations and budgets.
  void charge(const HeldGrant&, const BlockReport&, TimePoint now);
  void overran(JobRecord&, TimePoint now);
  void put_off(const JobRecord&, Duration excess);
  void give_back(JobRecord&);  // the release of a task that it does not need
  void drop_reservation(JobRecord&);
  void carry(TimePoint now);                  // jobs that budgets have room for
  void abandon_home(LaneId);                  // nobody can keep what was promised there
  bool takes_core(const Reservation&) const;  // at its home, at least from some blocks
  bool promises_under_way(LaneId home, TimePoint now);
  void put_in_force(TimePoint now);         // what waits for an idle home, where it is
  void put_down(JobRecord&);                // its budget carries it no longer
  void settle(JobRecord&);                  // no lane runs anything more that its budget has to pay for
  void leave(JobRecord&);                   // it has ended, and no lane runs anything of it any more
  std::size_t base_lanes(DeviceSet) const;  // of these devices, that are up
  void count_homes();
  Duration longest_block(const JobRecord&, DeviceId, int block) const;  // as admission counts it
  // How long it keeps a lane from less urgent jobs.
  Duration time_before_others(const JobRecord&, DeviceId) const;
  Duration time_ahead(const JobRecord&, DeviceId, TimePoint start) const;

  // Steps of a decision (decide.cpp).
  void review(TimePoint now);
  void project(TimePoint now);
  void hurry(TimePoint now);
  void choose_reserved(std::span<Lane*> group, TimePoint boundary, TimePoint now);
  void choose(std::span<Lane*> group, TimePoint boundary, TimePoint now);
  void assign(std::span<Lane*> group);
  void help(std::span<Lane*> group, TimePoint now);
  void keep_homes_free(std::span<Lane*> group);
  static bool at_home(const JobRecord&, const Urgency&, const Lane&);
  void choose_successors();
  enum class Away : std::uint8_t { runs, runs_or_follows };  // follows: at a busy lane's coming boundary
  const JobRecord* away_from(const Lane& home, Away) const;
  bool displaced(const Lane&) const;
  // Urgent lanes (urgent_lanes.cpp).
  void choose_on_urgent_lane(Lane&, TimePoint boundary, TimePoint now);
  void take_cores(TimePoint now);
  bool serves_reserved_only(const Lane& base) const;
  bool may_take_core(const JobRecord&, const Urgency&, const Lane& urgent) const;
  bool can_wait(const JobRecord&, const Lane& urgent, TimePoint now) const;
  bool takes_now(const JobRecord&, const Lane& urgent, const JobRecord* away, TimePoint now);
  static bool outranks_all(const JobRecord&, const Urgency&, const Lane& base);  // that it runs
  Duration worst_remaining(const Lane& base, TimePoint now) const;
  void stand_still(const BlockReport&);
  // Jobs that ride (batches.cpp).
  static bool rides(const HeldGrant& rider, const HeldGrant& leader);
  static bool rides(const HeldGrant& rider, const HeldGrant& leader, int block);
  static int batch_size(const Lane&, const HeldGrant& leader, int block);
  // Of a block of the job that leads, as those in its batch are told.
  Duration batch_time(const Lane&, const HeldGrant& leader, int block, ExitMask exits) const;
  bool may_ride(const JobRecord&) const;
  bool may_ride_with(const JobRecord&, const JobRecord& leader, DeviceId) const;
  bool leads(const JobRecord&) const;
  void choose_riders(const Lane&, const JobRecord& leader, GrantNumber number);
  void post_riders(Lane&, GrantNumber leader, TimePoint now);
  void fill_batches(TimePoint now);
  void withdraw_riders(Lane&, GrantNumber leader, TimePoint now);
  bool withdraw_misplaced_riders(Lane&, TimePoint now);
  void withdraw_rider(Lane&, std::size_t index, TimePoint now);
  void tell_riders(Lane&);
  // The walk through the ready jobs, and which devices they wait for (device_choice.cpp).
  void rewind();
  JobRecord* next_for(DeviceSet);
  void pass(JobRecord&);  // that next_for returned
  // Of these devices, at least one, the one that needs the least time for what the job is wanted for; the
  // first of equals.
  static DeviceId fastest(const JobRecord&, DeviceSet);
  DeviceSet usable(
      const JobRecord&) const;  // devices that it could begin on now; if none, that run its model
  DeviceSet open_to(const JobRecord&);
  bool can_move(const JobRecord&, DeviceId from, DeviceId to) const;
  bool lives(DeviceSet able, ModelId) const;  // some device that runs the model
  DeviceSet where_to_begin(const JobRecord&) const;
  DeviceSet where_to_go_on(const JobRecord&) const;
  TimePoint could_begin(const JobRecord&, DeviceId, TimePoint boundary) const;
  void call_over();
  bool set_aside(JobRecord&);  // false: there is no more room
  bool waits_for_better(JobRecord&, DeviceSet free, TimePoint start);
  bool waits_for_faster(JobRecord&, DeviceId);
  bool keep_off_too_slow();
  TimePoint expected_finish(const JobRecord&, DeviceId, TimePoint start) const;
  bool is_awaited(const JobRecord&);
  bool is_placed(const JobRecord&) const;  // some lane has chosen it
  bool prepare(JobRecord&, DeviceId, TimePoint start, TimePoint now);
  void expect_boundary(Lane&, TimePoint now);
  TimePoint committed_until(const Lane&) const;
  TimePoint boundary_of(const Lane&, TimePoint now, bool& overdue) const;
  TimePoint end_of(const Lane&) const;
  bool ends_there(const HeldGrant&, TimePoint boundary) const;
  bool withdraw_misplaced(TimePoint now);
  bool withdraw(Lane&, HeldGrant&, TimePoint now);
  bool post_all(TimePoint now);
  void post(Lane&, JobRecord&, HeldGrant&, TimePoint now);
  void tell(Lane&);
  void announce(TimePoint now);
  Reason why_withdrawn(const Lane&, const JobRecord&) const;

  const CoreOptions options_;
  Commands& commands_;
  Observer& observer_;
  TimePoint clock_{};
  JobTable jobs_;
  Timers timers_;
  ReadyQueues ready_;
  ExitPlanner planner_;
  Lives lives_;
  std::map<TaskId, TaskState> tasks_;
  Shares shares_;
  std::vector<Lane> lanes_;  // by LaneId
  DeviceSet dead_devices_ = 0;
  // On which devices a model's weights are not.
  struct Missing {
    DeviceSet now = 0, for_good = 0;
  };
  std::vector<Missing> missing_;  // by ModelId
  Missing missing(ModelId model) const {
    return model.value < missing_.size() ? missing_[model.value] : Missing();
  }
  TimePoint look_again_ = kNever;  // a decision is due then even if nothing happens

  // Jobs with exits that have executed blocks since the last decision.
  boost::intrusive::list<JobRecord, boost::intrusive::member_hook<JobRecord, decltype(JobRecord::to_review),
                                                                  &JobRecord::to_review>>
      to_review_;
  // Ended jobs with a finish or a release to announce.
  boost::intrusive::list<JobRecord, boost::intrusive::member_hook<JobRecord, decltype(JobRecord::departing),
                                                                  &JobRecord::departing>>
      departing_;

  // Scratch of a decision; sized with the lanes.
  struct Choice {
    JobRecord* job;
    DeviceId device;
  };
  std::vector<Lane*> order_;
  std::vector<Lane*> holders_;
  std::vector<Choice> chosen_;
  std::vector<Choice> too_slow_;  // a device where the job would be late, and that has a faster one
  std::vector<JobRecord*> candidates_, riders_;  // to ride
  // Jobs that a lane could have had, and that are expected to be done sooner elsewhere.
  struct Waiting {
    JobRecord* job;
    DeviceSet not_on;    // these are not for it
    bool aside = false;  // nothing is for it while urgent lanes choose
  };
  static constexpr std::size_t kMostWaiting = 32;  // further ones take what is free
  static constexpr int kSettled = 4;  // projections of one decision; in later ones nobody begins to wait
  std::uint64_t decisions_ = 0;       // so far
  int projections_ = 0;
  std::vector<Waiting> waiting_;
  Waiting* find_waiting(const JobRecord&);
  std::array<int, kMaxDevices> free_lanes_{};
  bool contended_ = false;  // more mandatory work than idle lanes
};

template <class Change>
void Core::Impl::rank(JobRecord& job, Change&& change) {
  const bool queued = ReadyQueues::contains(job);
  if (queued) ready_.erase(job);
  change();
  job.urgency = urgency(options_.policy, job, standing(job), job.usual_device());
  if (queued) ready_.insert(job);
}

}  // namespace einet
