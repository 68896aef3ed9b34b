// Chooses the exits that a job will execute, and predicts when its next answer is due. Predictions use median
// block times; a job without exits has one planned "exit", its last block. No decisions about lanes here.
#pragma once

#include <array>
#include <bit>
#include <optional>

#include "planner/planner.h"
#include "scheduler/job_table.h"
#include "scheduler/policy.h"

namespace einet {

// The highest exit of a set; -1: none.
constexpr int deepest(ExitMask exits) {
  return kMaxBlocks - 1 - std::countl_zero(exits);
}

// All exits from that block on.
constexpr ExitMask from_block(int block) {
  return block >= kMaxBlocks ? 0 : ~ExitMask{0} << block;
}

// Median time of one block of `job` on a device, with its exit if `exits` has it.
Duration block_time(const JobRecord& job, DeviceId, int block, ExitMask exits);

// The worst of the same with its exit, by the profile.
Duration worst_block_time(const JobRecord& job, DeviceId, int block);

// Median time of all that the job has left there, with its last exit only; and of what it has left until its
// mandatory answer could be had, with that exit only (zero once it is there).
Duration remaining_time(const JobRecord& job, DeviceId);
Duration mandatory_time(const JobRecord& job, DeviceId);
// Until its state can be on that device; zero where it is, or if it has none yet.
Duration move_time(const JobRecord& job, DeviceId to);
// Median time of what its plan has left there.
Duration planned_time(const JobRecord& job, DeviceId);
// The worst that all of its blocks may take that are left, with their exits, by the profile.
Duration worst_remaining_time(const JobRecord& job, DeviceId);

// Lane time that the job has had, as a share of what all of its blocks with all exits take there (medians).
double age(const JobRecord& job, DeviceId, Duration had);

// Whether an answer still to come is expected to be more accurate than the one that is held.
bool may_improve(const JobRecord& job);

// Whether the next planned exit would be ready at or before the deadline if `job` went on with its next block
// at `start`. False if no exit is planned. True for every job without exits, and for OnMiss::keep_on.
bool can_deliver(const JobRecord& job, DeviceId, TimePoint start);

// When the first of the exits to come that the job may have would be ready, if it went on there at `start`
// and executed that one alone.
TimePoint soonest_exit(const JobRecord& job, DeviceId, TimePoint start);
// Whether that is early enough: at or before the deadline, or the job goes on behind it.
bool in_time(const JobRecord& job, TimePoint);

// Of these exits of the blocks up to `last`, executed whatever it plans: those that would be ready at or
// before the deadline, likewise.
ExitMask exits_in_time(const JobRecord& job, DeviceId, TimePoint start, ExitMask exits, int last);

// The exit from `first` on that a job without an answer should execute to make room soon, if it goes on with
// its next block at `start`: its mandatory exit or, where any answer will do, the one of most expected
// accuracy per time, if it alone was executed. -1: it has an answer, has no exits, or none would be in time.
int hurried_exit(const JobRecord& job, DeviceId, TimePoint start, int first);

// One thread. Allocates at construction only.
class ExitPlanner {
 public:
  explicit ExitPlanner(SurvivalParts = {});

  // The exits that `job` should execute if it goes on with its next block at `start`; empty: none that is
  // worth it and would be ready before the deadline.
  //
  // PlanMode::exact: the plan of the highest expected accuracy (planner/planner.h) for survival(), where
  // `ahead` is time that more urgent work is likely to take from the job. If nothing ends the job: the one
  // most accurate exit. The mandatory exit, or where that is passed the next one, is added if the plan ends
  // before it and it can still be ready in time.
  //
  // PlanMode::all: every exit of JobSpec::exits that is still to come. PlanMode::last: the last one.
  //
  // In every mode: reserved work executes its mandatory exit and none before it, which is what admission has
  // counted, as long as that could be ready in time from `earliest` <= start on: `start` may only be
  // expected. And a job that is hurried has the mandatory exit, or where any answer will do the one of most
  // expected accuracy per time, among its exits, so that it can make room with an answer in hand.
  ExitMask plan(const JobRecord& job, DeviceId, TimePoint earliest, TimePoint start, Duration ahead);

  // What plan() would rest on.
  PlanBasis explain(const JobRecord& job, DeviceId, TimePoint start, Duration ahead);

  // The probability that `job` is still alive some lane time after `start`; nothing if it lives for ever. The
  // product of what SurvivalParts asks for:
  //   deadline, demand   1 until (deadline - start - ahead) * median / worst, where median / worst compares
  //                      the profiled times of what is left; from there falling linearly to 0 at the deadline
  //   lived              L(age + t) / L(age), with L the curve of job.lives and its age: the lane time that
  //                      it has had
  // It is this function until the next call. Precondition: start < deadline, or no deadline counts.
  std::optional<Survival> survival(const JobRecord& job, DeviceId, TimePoint start, Duration ahead);

 private:
  ExitMask by_mode(const JobRecord&, DeviceId, TimePoint start, Duration ahead);
  ExitMask exact(const JobRecord&, DeviceId, TimePoint start, Duration ahead);
  bool ends_at_deadline(const JobRecord&) const;
  PlanProblem problem(const JobRecord&, DeviceId);  // valid until the next call

  const SurvivalParts parts_;
  PlanSearch search_;
  ChangingPoints points_;
  std::array<double, kMaxBlocks> accuracy_{};
  std::array<double, kMaxBlocks> trunk_ns_{};
  std::array<double, kMaxBlocks> exit_ns_{};
};

}  // namespace einet
