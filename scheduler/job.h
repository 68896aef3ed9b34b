// What the decision core knows of a job: the description that comes in with it, the states it goes through,
// and how it ends. Plain data; no behaviour beyond names.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "config/ids.h"
#include "config/time.h"
#include "planner/forecast.h"

namespace einet {

// Times of one block of a model on one kind of lane. The scheduling analysis uses the worst, predictions the
// median.
struct BlockTime {
  Duration trunk{};        // median
  Duration exit{};         // median, when the exit is executed
  Duration worst_trunk{};  // profile maximum (>= trunk)
  Duration worst_exit{};   // profile maximum (>= exit)
};

// What it takes to bring a job's state from a device, and to a device, at a block boundary.
struct MoveTime {
  Duration out{}, in{};
};

// What the core needs of a model, per device kind it can run on. Immutable, shared by its jobs.
struct ModelTimes {
  // One entry per device (DeviceId.value); an empty vector: the model cannot run on this device.
  std::vector<std::vector<BlockTime>> on_device;
  // One entry per device with one per block, at the boundary before it. No entry, or an empty one: a job
  // stays where it has begun.
  std::vector<std::vector<MoveTime>> moves{};
  // One entry per device: entry n - 1 is how many times as long a block takes for n jobs at once as for one,
  // so the first is 1, and none is less than the one before; at most kMaxBatch. No entry, or an empty one:
  // jobs run one by one there.
  std::vector<std::vector<double>> batch{};
  // One entry per device: how many blocks of a job a lane there has in flight, 1 … kMaxInFlight. No entry: 1.
  std::vector<int> in_flight{};
  // Expected accuracy of the answer after exit k, in [0, 1]. Same length as the blocks. Empty: the job
  // carries no exits (a task set of the simulator); then only its last block counts.
  std::vector<double> accuracy;
  // What a job's own answers say of those to come. Null: every job is expected to do as well as the mean.
  std::shared_ptr<const Forecast> forecast{};
  int blocks() const;
  // Median time of all blocks with all exits. Zero: it does not run there.
  Duration whole_time(DeviceId) const;
  // Of a job's state at the boundary before that block. Precondition: it can leave the one and come to the
  // other.
  Duration move_time(DeviceId from, DeviceId to, int block) const;
  int largest_batch(DeviceId) const;  // >= 1
  // What takes so long for one job, for `jobs` at once. Precondition: 1 <= jobs <= largest_batch.
  Duration in_batch(Duration alone, DeviceId, int jobs) const;
  int blocks_in_flight(DeviceId) const;  // >= 1
  // The longest that a lane there cannot be stopped: as many blocks as it has in flight, with their exits, in
  // the largest batch. Zero: it does not run there.
  Duration longest_stretch(DeviceId) const;
};

// What to do when a deadline passes.
enum class OnMiss : std::uint8_t {
  stop,     // the job leaves with its best answer (default)
  keep_on,  // all blocks run, however late (task sets of the simulator: "continue")
};

// How the exits of a job are chosen (planner/planner.h).
enum class PlanMode : std::uint8_t { exact, all, last };
// As in scenarios and traces: index = value of the enum.
std::span<const std::string_view> plan_words();
std::string_view name(PlanMode);
inline constexpr ExitMask kEveryExit = ~ExitMask{0};

struct JobSpec {
  JobId id;
  TenantId tenant;
  TaskId task{};  // whose reservation it uses; 0: best-effort
  ModelId model;
  std::shared_ptr<const ModelTimes> times;
  TimePoint release;            // not ready before
  TimePoint deadline = kNever;  // absolute
  int priority = 0;             // larger is more urgent
  int mandatory_exit = -1;  // without an answer of this exit or a later one the job is missed; -1: any answer
  double target_confidence = 2;  // stop once an exit reports at least this; above 1: never
  OnMiss on_miss = OnMiss::stop;
  PlanMode plan = PlanMode::exact;
  ExitMask exits = kEveryExit;  // PlanMode::all: which; at least one that the model has
};

// The answer of one executed exit, as a lane reports it.
struct ExitAnswer {
  int exit = -1;
  int top_class = -1;
  float confidence = 0;  // in [0, 1]
  // For forecasts only: the probability that the exit is right, judged by its own scores; and how sure the
  // answer is that is held now (Seen::held). Both in [0, 1].
  float calibrated = 0;
  float sure = 0;
};

// The life of a job. Legal transitions are asserted (is_legal):
//   waiting -> ready -> granted -> running -> ready (preempted, or its lane was lost)
//   granted or running -> ready (withdrawn before it began)
//   waiting, ready, granted, running -> ended -> gone
enum class JobState : std::uint8_t {
  waiting,  // accepted, before its release
  ready,    // could run; on no lane (new, or preempted at a boundary)
  granted,  // posted to a lane that has not begun it
  running,  // the lane has begun it, as far as the core can know (an idle lane begins a grant at once)
  ended,    // outcome decided and announced; a lane still holds it until its next boundary
  gone,     // nothing refers to it any more
};

enum class Outcome : std::uint8_t {
  completed,  // its last exit, or the target confidence, was reached in time
  deadline,   // stopped by its deadline (or because nothing more fitted before it), with a sufficient answer
  missed,     // the deadline passed without the mandatory answer
  cancelled,
  rejected,  // never accepted
  failed,    // a lane or model error
};

// Why the core did what it did. Handed to the observer with each decision; printed by name in logs and
// traces.
enum class Reason : std::uint8_t {
  none,
  most_urgent,              // grant: the most urgent ready job for this lane
  more_urgent_work,         // stop or withdraw: a more urgent job takes the lane at the boundary
  plan_finished,            // finish: every planned exit is done
  target_reached,           // finish: an exit reached the target confidence
  deadline_passed,          // stop, withdraw or finish
  cannot_deliver,           // finish: no further planned exit would be ready before the deadline
  by_request,               // stop, withdraw or finish: cancelled
  lane_lost,                // finish: a lane's worker died under this job again
  no_lane,                  // finish or rejected: no lane is left that can run the model
  lane_failed,              // finish: the lane reported an error for this job
  out_of_device_memory,     // finish: the lane's device has no memory left for this job
  better_lane,              // withdraw: another lane became free earlier
  done_sooner,              // grant: the job's state moves to this device, where it is done sooner
  in_batch,                 // grant: with that of a more urgent job that runs the same blocks
  cannot_wait,              // grant on an urgent lane: the job's slack does not cover the block in progress
  replanned,                // mask: the plan changed after an answer
  queue_full,               // rejected: the bounded queue has no place
  deadline_in_past,         // rejected
  deadline_before_release,  // rejected
  no_such_task,             // rejected: the task was removed
  shutting_down,            // stop, withdraw or finish: cancelled, for the daemon ends
};

bool is_legal(JobState from, JobState to);

std::string_view name(JobState);
std::string_view name(Outcome);
// index = value of the enum.
std::span<const std::string_view> outcome_words();
std::string_view name(Reason);

}  // namespace einet
