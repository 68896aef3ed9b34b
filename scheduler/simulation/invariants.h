// What must hold in every run of the core, whatever lanes, clients and clocks do. It hears of everything that
// goes into the core, comes out of it, and truly happens on the lanes, keeps the truth on its own, and writes
// down every broken guarantee. It never looks into the core beyond its public introspection.
//
// The invariants, by the word that a violation carries:
//   time        reports and outcomes come when they may; nothing starts after its deadline
//   one-lane    a job is on one lane, and a lane runs one block; of a core's two lanes one makes progress
//   order       blocks run in order, near the job's state, and not after a stop or an outcome
//   state       a job goes only where its life allows
//   outcome     one outcome per job, the right one; nothing after its end
//   protocol    the core knows what it told its lanes, and answers its callers rightly
//   rule        the work that starts is what the oracle (oracle.h) would choose
//   batch       jobs that run as one batch are alike, best-effort, and no more than profiled; none overtakes
//               a more urgent job that has a deadline
//   conserving  no lane is idle beside work that it could do, no running job lacks a successor
//   preemption  a lane does not go on with less urgent work than what waits
//   urgent      an urgent lane runs only what may use it, and what cannot wait is not kept waiting
//   home        while reserved work is away, its home lane starts nothing less urgent
//   guarantee   accepted tasks miss nothing while blocks keep to their worst times
//   budget      a budget carries one job at a time, and pays for all that begins while it does: in each of
//               its windows no more than its amount and what blocks exceed their worst times by
//   overrun     a task that overruns or comes too early loses its rank or waits; others keep theirs
//   quality     the best answer of a job never gets worse
//   sums        what the core counts equals what can be counted; queues are bounded
//   drain       in the end everything has left
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "scheduler/outlook.h"
#include "scheduler/simulation/oracle.h"
#include "scheduler/simulation/scenario_run.h"
#include "scheduler/simulation/simulated_lane.h"

namespace einet {

// "job 7", "lane 0": for the words of a violation.
std::string job_words(JobId);
std::string lane_words(std::size_t lane);

class Invariants {
 public:
  // All outlive it. `violations` and `counts` are added to.
  Invariants(const Scenario&, const Core&, std::vector<Violation>&, ScenarioResult::Counts&);

  // --- Into the core. `now` as the core was told. ---
  void submitted(const JobSpec&, const boost::system::result<Accepted, Reason>&, std::size_t jobs_before,
                 TimePoint now);
  // What the core must answer.
  bool can_cancel(JobId) const;
  void cancelled(JobId);
  void reserved(TaskId, const Reservation&);
  void unreserved(TaskId, TimePoint now);
  void lane_up(LaneId, DeviceId, std::optional<LaneId> base, Preemption);
  void lane_lost(LaneId, LaneLoss);
  // A tenant has this budget from the start.
  void budgeted(TenantId, const Budget&);
  void resides(ModelId, DeviceId, Residence);
  // The models have these times now.
  void loaded(const std::vector<std::shared_ptr<const ModelTimes>>&);
  // A record that the core is about to read; and that it has read, with its answer.
  void telling(LaneId, const LaneRecord&, TimePoint now);
  void told(LaneId, const LaneRecord&, bool known, TimePoint now);

  // --- Out of it. ---
  void granted(const Grant&, TimePoint now);
  void stop_told(LaneId, GrantNumber);
  void taken_back(LaneId, GrantNumber, TimePoint now);
  void exits_set(LaneId, GrantNumber, ExitMask, TimePoint now);
  void finished(JobId, Outcome, Reason, TimePoint now);
  void freed(JobId, TimePoint now);
  void state_changed(JobId, JobState from, JobState to, TimePoint now);
  void overran(JobId, TaskId, TimePoint now);
  void in_force(TaskId, TimePoint now);
  void carried(JobId, TimePoint now);
  void put_down(JobId);

  // --- On the lanes. ---
  // From now on this block runs, whatever the lane is told. First of the job that leads.
  void committed(LaneId, JobId, int block, TimePoint now);
  // A block begins now; the one before it on this lane has ended.
  void block_begun(LaneId, JobId, int block, TimePoint now);
  // And so does this block of a job that rides. After block_begun of the job that leads.
  void rides(LaneId, JobId, int block, TimePoint now);
  // The lane has ended its block and begun no other.
  void lane_rests(LaneId, TimePoint now);

  // --- In between. ---
  // Everything that happens at `now` has happened. `all_told`: and the core has read all of it.
  void instant_over(TimePoint now, bool all_told);
  void run_over(TimePoint now);

 private:
  struct Truth {
    JobSpec spec;  // as accepted
    const Scenario::Job* job = nullptr;
    bool accepted = false, finished = false, freed = false, cancelled = false;
    bool never_released = false;  // ended before
    JobState state = JobState::waiting;
    std::optional<std::size_t> holder;  // lane of its grant, until the core was told that it ended
    GrantNumber grant;
    std::optional<GrantNumber> with;  // rides, or is to ride, with that grant
    TimePoint granted_at = kNever;
    ExitMask told_exits = 0;
    bool stop_told = false;
    std::optional<std::size_t> running;  // lane of its block
    std::optional<std::size_t> last_lane;
    int next_block = 0;
    int reported = -1;   // the last block of its grant of which the core has heard
    int committed = -1;  // the last block of its grant that runs even if it is stopped
    // Its exits were changed then, when the core had not heard of the block in progress: until a later block
    // has been reported it may think that more is in flight, or less. kNever: it knows.
    TimePoint unclear_since = kNever;
    int reserved_blocks = 0;
    ExitMask paid = 0;  // the blocks of its grant that began while a budget carried it
    // Of which blocks in flight it is decided whether the exit is executed, and of which it is.
    ExitMask decided = 0, executes = 0;
    int best_exit = -1;  // told to the core, in time
    Outlook outlook;
    bool target_reached = false;
    bool all_blocks_in_time = false;
    std::optional<Reservation> reservation;  // of its task, while it may use it
    Duration used{};                         // told
    TimePoint let_go_at = kNever;            // when its newest grant ended on its lane
    TimePoint taken_back_at = kNever;        // when its newest grant that was taken back was
    TimePoint demoted_at = kNever;           // when the core noticed that it had overrun
    int moved_before = -1;                   // the first block of its newest grant, if its state moves for it
    TimePoint arrives{};                     // its state then, as expected
    bool stays = false;                      // its state could not be moved
    bool stranded = false;                   // its lane was lost while another device had its grant
    bool exempt = false;                     // its own blocks, or the world, have broken the terms
    std::optional<TimePoint> mandatory_at;   // when its mandatory part was truly ready
  };
  struct LaneTruth {
    DeviceId device;
    bool up = false;
    bool gone = false;                  // for good, as the core was told
    std::optional<std::size_t> base;    // of an urgent lane
    std::optional<std::size_t> urgent;  // of a base lane
    Preemption preemption = Preemption::boundary;
    JobId current;              // whose block it runs; 0: none
    std::vector<JobId> riders;  // with it
    int block = 0;
    TimePoint begun{};
    Duration stood_still{};  // of the block, for an urgent lane
    bool continued = false;  // its block before was one of the same job
    // The block for which the lane had a choice last: the first of a grant, or one that joined those in
    // flight.
    JobId chosen;
    int choice = 0;
    TimePoint chose_at = kNever;
    // Whether it has chosen at this instant to go on with the job that it runs.
    bool has_chosen(TimePoint now) const {
      return current != JobId{} && chosen == current && chose_at == now;
    }
    Duration used{};         // told; never more than the time that has passed
    Duration riders_used{};  // told of a block of which the job that leads has not told yet
  };
  struct TaskTruth {
    std::optional<Reservation> reservation;  // as told
    std::optional<Duration> patience;        // in force; none: nothing is yet
    TimePoint in_force_at = kNever;          // since when
    TimePoint promised_at{};
    TimePoint idle_at = kNever;  // when its home was last seen idle while it waits to be in force
    TimePoint next_release{};
    bool overruns = false;     // blocks of its jobs do, sooner or later
    bool has_overrun = false;  // the core has said so
  };

  struct BudgetTruth {
    std::optional<Budget> budget;
    TimePoint window_end{};
    Duration used{}, excess{};  // told, in this window
    JobId carried;              // 0: none
  };

  void violation(std::string_view invariant, TimePoint now, const std::string& what);
  Truth& truth(JobId id) { return jobs_[id.value - 1]; }
  Truth* holder_of(LaneId, GrantNumber);
  void given_back(TaskId);
  static void begin_window(BudgetTruth&, TimePoint now);
  void pay(const Truth&, const LaneTruth&, const BlockReport&, TimePoint now);
  Truth& begins(LaneId, JobId, int block, TimePoint now);
  void block_ended(LaneTruth&, TimePoint now);
  void check_outcome(const Truth&, Outcome, const std::string& what, TimePoint now);
  void check_guarantee(const Truth&, Outcome, TimePoint now);
  Duration excess(TimePoint now) const;  // lane time beyond all that was declared
  Duration counted(const Truth&, const LaneTruth&, int block) const;
  void check_promises(TimePoint now);
  void check_homes(TimePoint now);
  void check_starts(TimePoint now);
  void check_urgent_lanes(TimePoint now);
  void check_quiet(TimePoint now);
  void check_riders(TimePoint now);
  // Whether f(const Truth&) holds of all jobs whose block the lane runs.
  template <class F>
  bool all_running(const LaneTruth& l, F&& f) const {
    const auto its = [&](JobId id) { return f(jobs_[id.value - 1]); };
    return its(l.current) && std::all_of(l.riders.begin(), l.riders.end(), its);
  }
  // What the rules see of a job that would go on with `next_block`.
  Candidate candidate(const Truth&, int next_block, int best_exit) const;
  Candidate waiting_candidate(const Truth&) const;
  Candidate running_candidate(const Truth&) const;            // after what is in flight
  static ExitMask exits_of(const Truth&, int block);          // that count for it
  Candidate chosen_candidate(const Truth&, int block) const;  // as it will be before that block
  bool may_run(const Truth&, const LaneTruth&) const;
  bool is_evicted(const Truth&, DeviceId) const;  // its model
  bool may_move(const Truth&, DeviceId from, DeviceId to) const;
  bool is_away(const Truth&, const LaneTruth&) const;  // its state is on another device
  Duration move_time(const Truth&, const LaneTruth& to) const;
  static void begin_again(Truth&);
  enum class Lane : std::uint8_t { free, busy };
  TimePoint soonest_exit(const Truth&, const LaneTruth&, TimePoint start) const;
  bool may_await_device(const Truth&, const LaneTruth&, Lane) const;
  bool may_use_urgent(const Truth&, std::size_t base) const;
  bool may_interrupt(const Candidate& above, const Candidate& below) const;
  static bool ends(const Truth&);  // with what is in flight, as far as its lane was told
  bool goes_on(const Truth&, TimePoint now) const;
  bool mandatory_done(const Truth&, int next_block, int best_exit) const;
  static bool leaves(const Truth&, TimePoint now);
  static bool waits(const Truth&, TimePoint now);
  bool ends_here(const Truth&) const;
  bool prefers(std::size_t lane, const Candidate& a, const Candidate& b) const;
  bool prefers_to_run(std::size_t lane, const Candidate& a, const Candidate& b) const;
  TimePoint expected_end(const LaneTruth&) const;
  TimePoint expected_end(const LaneTruth&, int last) const;
  bool is_helped(const Truth& running, const LaneTruth&) const;
  bool more_urgent_is_away(std::size_t home, const Candidate&) const;
  bool has_budget(const Truth&) const;
  bool has_home_work(std::size_t lane) const;
  // A job that was released before and counts on what is promised on this lane, or is helped there.
  const Truth* counts_on(LaneId home, TimePoint now) const;
  static LaneId id_of(std::size_t lane) { return LaneId{static_cast<std::uint32_t>(lane)}; }

  const Scenario& scenario_;
  const Core& core_;
  std::vector<Violation>& violations_;
  ScenarioResult::Counts& counts_;
  const bool strict_;                 // nothing surprises the core: it must do at once what the rules say
  const bool punctual_;               // the core hears of everything at once
  std::vector<Duration> longest_on_;  // what is in flight by worst times, of any model; by DeviceId
  Duration longest_stretch_{};        // of them
  Duration longest_overrun_{};
  std::vector<Truth> jobs_;  // by number - 1
  std::vector<LaneTruth> lanes_;
  std::vector<TaskTruth> tasks_;      // by number - 1
  std::vector<std::size_t> present_;  // accepted and not freed; indices into jobs_
  std::vector<BudgetTruth> budgets_;  // by tenant
  std::vector<std::pair<ModelId, DeviceId>> evicted_;
  Duration excess_{};  // that was told
  TimePoint last_{};
};

}  // namespace einet
