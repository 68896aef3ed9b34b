// Chooses the exits that a job will execute, and predicts when its next answer is due. Predictions use median
// block times; a job without exits has one planned "exit", its last block. No decisions about lanes here.
#pragma once

#include <array>
#include <bit>

#include "planner/planner.h"
#include "scheduler/job_table.h"

namespace einet {

// The highest exit of a set; -1: none.
constexpr int deepest(ExitMask exits) {
  return kMaxBlocks - 1 - std::countl_zero(exits);
}

// Median time of one block of `job` on a device, with its exit if `exits` has it.
Duration block_time(const JobRecord& job, DeviceId, int block, ExitMask exits);

// Median time of all that the job has left there, with its last exit only.
Duration remaining_time(const JobRecord& job, DeviceId);

// Whether the next planned exit would be ready at or before the deadline if `job` went on with its next block
// at `start`. False if no exit is planned. True for every job without exits, and for OnMiss::keep_on.
bool can_deliver(const JobRecord& job, DeviceId, TimePoint start);

// One thread. Allocates at construction only.
class ExitPlanner {
 public:
  // The exits that `job` should execute if it goes on with its next block at `start`; empty: none that is
  // worth it and would be ready before the deadline.
  //
  // PlanMode::exact: the plan of the highest expected accuracy (planner/planner.h), for a survival of 1 until
  // (deadline - start - ahead) * median / worst, falling linearly to 0 at the deadline, where median / worst
  // compares the profiled times of what is left. `ahead`: time that more urgent work is likely to take from
  // the job. Without a deadline: the one most accurate exit. The mandatory exit is added if the plan ends
  // before it and it can still be ready in time.
  ExitMask plan(const JobRecord& job, DeviceId, TimePoint start, Duration ahead);

 private:
  ExitMask exact(const JobRecord&, DeviceId, TimePoint start, Duration ahead);

  PlanSearch search_;
  std::array<double, kMaxBlocks> accuracy_{};
  std::array<double, kMaxBlocks> trunk_ns_{};
  std::array<double, kMaxBlocks> exit_ns_{};
};

}  // namespace einet
