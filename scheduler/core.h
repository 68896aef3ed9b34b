// The decision core: decides everything and does nothing. No clock, no I/O, no threads, no logging. Events go
// in with the time as an argument, commands come out through `Commands`; the daemon drives it with real
// lanes, the simulator with simulated ones.
//
// The scheduling-point rule (docs/scheduling.md): at each boundary a lane takes the most urgent of all ready
// jobs and the job that it holds. A lane runs on by itself from block to block; so the core keeps, for every
// lane, the job that should be next at its coming boundary (projected from expected block ends), posts that
// job's grant to the lane beforehand, and tells the running grant to stop. Between lanes, the boundary
// expected first takes the most urgent job; lanes expected at the same instant (idle and overdue ones: now)
// choose together: a job whose last block ran on one of them keeps it, the others, most urgent first, take
// the remaining lanes in ascending number. When another lane gets free earlier, a posted grant is withdrawn
// and posted there. A lane that is to go on with its job has what follows the job's end posted behind it, so
// that it does not wait for a decision then.
//
// Drivers of the core deliver the events of one instant in this order: submit and cancel, then `advance`
// (releases, deadlines), then what lanes did at that instant. After each group they call `decide`, which
// emits commands.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/ids.h"
#include "config/result.h"
#include "config/time.h"
#include "scheduler/job.h"
#include "scheduler/policy.h"

namespace einet {

struct CoreOptions {
  Policy policy = Policy::imprecise;
  std::size_t max_jobs = 65536;  // accepted and not gone; allocated at construction (about 750 bytes each)
  // imprecise: a best-effort job whose mandatory part must begin within this time to be ready by its deadline
  // outranks all other best-effort work. Zero: no promotion.
  Duration promote_at_laxity{};
  // What admission adds to the worst times of profiles (AdmissionOptions): a block in progress may last this
  // long.
  double margin = 1;
  Duration overhead{};
  SurvivalParts survival{};
};

// Permission for a lane to run blocks of a job. The lane runs trunk after trunk from `first_block`, executes
// each exit whose bit is set, and ends after the block of the highest set bit, at a stop, or at an error. A
// job without exits (ModelTimes::accuracy is empty) has the bit of its last block set: where it ends.
struct Grant {
  LaneId lane;
  GrantNumber number;  // counts up by one per lane
  JobId job;
  int first_block = 0;
  ExitMask exits = 0;  // at least one bit at or after first_block
  // The device that holds the job's state, if it is another: from there it must be brought first.
  std::optional<DeviceId> from{};
  // Blocks below this one are reserved work: the lane's thread should run them with a rank that other
  // processes cannot take the core from. 0: none.
  int reserved_blocks = 0;
  // The job rides with that of this grant of the same lane, which is posted after it, or was posted and is
  // not begun as far as the core knows: when that begins, so does this, from the same block of the same
  // model; they run each block at the same time, and this ends, stopped, where that ends, unless it has ended
  // before. If the lane has begun that grant already, it ends this one at once, stopped before its first
  // block.
  std::optional<GrantNumber> with{};
};

// What the core tells its driver. Called only from within `decide`; must not call back into the core.
class Commands {
 public:
  virtual ~Commands() = default;
  // A lane has at most two grants that have not ended: the one that it runs, and one posted behind it, which
  // it goes on with when the first ends; and with each at most kMaxBatch - 1 that ride.
  virtual void grant(const Grant&, Reason) = 0;
  // End this grant at its next boundary; before its first block, if the lane has not begun it. The urgent
  // grant, if any, was posted before. Cannot be taken back.
  virtual void stop(LaneId, GrantNumber, Reason) = 0;
  // Take back a posted grant. True: the lane had not begun it and never will. False: it has, or
  // it gives the grant up at this very moment: reports will follow, and `stopped` without a block says the
  // latter.
  virtual bool withdraw(LaneId, GrantNumber, Reason) = 0;
  // The exits of a running or posted grant changed. The lane may have ended the grant meanwhile, by its old
  // exits; a model's last block, once begun, executes its exit whatever they are.
  virtual void set_exits(LaneId, GrantNumber, ExitMask, Reason) = 0;
  // The job's one final outcome. Its best answer is that of the deepest exit reported in time.
  virtual void finish(JobId, Outcome, Reason) = 0;
  // No lane refers to the job any more: its input and state may be freed. After `finish`, perhaps at once.
  virtual void release(JobId) = 0;
};

// Listens to what happened and why (trace, metrics, tests). Called from within events and decisions.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void job_state(JobId, JobState /*from*/, JobState /*to*/, TimePoint) {}
  virtual void block_done(LaneId, JobId, int /*block*/, TimePoint /*start*/, TimePoint /*end*/) {}
  // A job left a lane at a boundary for a more urgent one.
  virtual void preempted(LaneId, JobId /*victim*/, JobId /*by*/, TimePoint) {}
  // A more urgent job took the core from the block in progress on this lane; the block goes on afterwards.
  virtual void suspended(LaneId, JobId /*victim*/, JobId /*by*/, TimePoint) {}
  // A job of a task came too early and is released at `until` instead; its deadline moves with it.
  virtual void throttled(JobId, TaskId, TimePoint /*until*/, TimePoint) {}
  // A job has used more than its task reserved: it goes on without the reservation.
  virtual void overran(JobId, TaskId, Duration /*used*/, TimePoint) {}
  // The budget of its tenant carries the job from now on; and no longer.
  virtual void carried(JobId, TimePoint) {}
  virtual void put_down(JobId, TimePoint) {}
  // From now on the task may count on what was last reserved for it.
  virtual void in_force(TaskId, TimePoint) {}
};

// What a lane reports of one block that it executed under a grant. Where jobs ride, theirs come first, each
// with the same times and its share of the lane time.
struct BlockReport {
  LaneId lane;
  GrantNumber grant;
  int block = 0;
  TimePoint start;  // of the trunk
  TimePoint end;    // of the trunk, or of the exit if it was executed
  std::optional<ExitAnswer> answer{};
  Duration used{};  // lane time between them: less than end - start if an urgent lane had the core meanwhile
};

// When an accepted job will be ready and must be done: later than asked for where its task was throttled.
struct Accepted {
  TimePoint release;
  TimePoint deadline;
};

// How a grant ended on its lane.
enum class GrantEnd : std::uint8_t {
  done,           // the highest set exit was executed
  stopped,        // at a boundary, because of the stop word
  failed,         // the lane could not run it; the job fails, the lane lives
  not_moved,      // before its first block: the job's state could not be brought there; it stays where it is
  out_of_memory,  // as failed, for the lane's device has no memory left for the job
  not_begun,      // before its first block: the device has no memory for the job yet; it is ready again
};

// Whether a device's memory holds a model's weights. Its jobs begin there only while it does.
enum class Residence : std::uint8_t {
  in,       // as at first
  out,      // they may come back: jobs that only this device can run wait
  lost,     // they will not: jobs that no other device can run fail with no_lane
  no_room,  // nor will they then, for want of memory: these fail with out_of_device_memory
};
// As in traces: index = value of the enum.
std::span<const std::string_view> residence_words();
std::string_view name(Residence);

// Whether a lost lane is expected to come back.
enum class LaneLoss : std::uint8_t {
  comes_back,  // its worker is being restarted: jobs that only it can run wait
  for_good,    // jobs that no remaining lane can run fail with no_lane, and are rejected with it
};
// As in scenarios and traces: index = value of the enum.
std::span<const std::string_view> loss_words();
std::string_view name(LaneLoss);

// What a job's plan rests on (exit_planner.h). Times count from the start of its next block, as expected.
struct PlanBasis {
  Duration to_deadline = kForever;  // <= 0: it has passed
  Duration ahead{};                 // of that, for more urgent work that is known
  double lives = 0;                 // such jobs that ended before, by what they count; 0: nobody asked
  double held = 0;                  // expected accuracy of the answer held
  double expected = 0;              // of the answer held when the job is stopped, by its plan
  struct Exit {
    int exit = 0;
    Duration ready{};     // when it would answer, with the planned exits before it
    double accuracy = 0;  // expected, of the answer held then
    double alive = 0;     // probability that the job lives so long
    bool planned = false;
  };
  std::vector<Exit> exits;  // that are still to come
};

// One thread. Memory is bounded by CoreLimits; nothing grows with run time.
class Core {
 public:
  Core(const CoreOptions&, Commands&, Observer&);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // --- Events. `now` never goes back. ---

  // Error: the Reason of the rejection (queue_full, deadline_in_past, deadline_before_release, no_lane,
  // no_such_task). Accepted jobs get exactly one `finish`, and later exactly one `release`. A job of a task
  // has its deadline, priority and mandatory exit from the reservation, whatever the spec says. Precondition:
  // the id is new; the model has 1 to kMaxBlocks blocks, no exits or one per block, and the mandatory exit.
  boost::system::result<Accepted, Reason> submit(const JobSpec&, TimePoint now);
  // `why`: by_request or shutting_down. False: no such job, or it has ended already.
  bool cancel(JobId, TimePoint now, Reason why = Reason::by_request);
  // Lanes come and go; grant numbers go on counting. Jobs whose last block ran on a lost lane become ready
  // again from their first block (their state died with the worker; the best answer is kept). A job that was
  // running on a lost lane for the second time fails with lane_lost: perhaps it is what kills the worker. No
  // reports follow for the grants of a lost lane.
  // Precondition of lane_up: the lane is not up, and was never up on another device. Of lane_lost: it is up.
  void lane_up(LaneId, DeviceId, TimePoint now);
  // The urgent lane of a core whose base lane is up: while it runs a block, the base lane's block in progress
  // stands still. Precondition: `preemption` is not boundary; one urgent lane per base lane, and always the
  // same.
  void urgent_lane_up(LaneId, LaneId base, Preemption, TimePoint now);
  void lane_lost(LaneId, LaneLoss, TimePoint now);
  // Precondition of out and lost: no lane of the device has a grant for a job of the model.
  void set_residence(ModelId, DeviceId, Residence, TimePoint now);
  // Reports of a lane, in the order in which things happened there. False: the report fits nothing that this
  // lane was told (a worker gone mad); nothing has changed.
  [[nodiscard]] bool block_done(const BlockReport&, TimePoint now);
  [[nodiscard]] bool grant_ended(LaneId, GrantNumber, GrantEnd, TimePoint now);
  // Accepted tasks come and go, and change (a known id: replaced). Jobs of a task that has gone finish as
  // best-effort. Jobs under way have met what was promised before. So another patience, the first task that
  // may take the core of its home, and what comes after them or after a task went, are in force from the
  // first instant on at which no job of a task is under way there (the idle-time protocol of Tindell and
  // Alonso, 1996); a new task's jobs until then are best-effort. Of one change, tell those that are known
  // first. Precondition: the home lane was up once.
  void reserve(TaskId, const Reservation&, TimePoint now);
  void unreserve(TaskId, TimePoint now);
  // Tenants start with Share{}. Jobs in the core keep their place; it counts for later ones.
  void set_share(TenantId, const Share&, TimePoint now);
  // Releases and deadlines up to and including `now`. (`decide` begins with it.)
  void advance(TimePoint now);

  // Brings every lane's posted work in line with the policy and emits the commands: withdrawals first, then
  // grants and stops, then outcomes. Idempotent.
  void decide(TimePoint now);

  // When `advance` is due next; kNever if only events can change anything.
  TimePoint next_wakeup() const;

  // --- Introspection. ---
  struct JobView {
    JobSpec spec;
    JobState state;
    int next_block;
    ExitMask plan;
    ExitAnswer best;
    std::optional<LaneId> lane;      // of its grant
    std::optional<DeviceId> awaits;  // on no lane: a busy device where it is done sooner than on a free one
    int preemptions;
  };
  std::optional<JobView> job(JobId) const;
  // What a plan for the job would rest on now. Nothing: no such job, it has ended, or has no exits.
  std::optional<PlanBasis> explain(JobId) const;
  std::size_t job_count() const;
  // Multi-line text of every lane and queue, for logs and debugging.
  std::string dump() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace einet
