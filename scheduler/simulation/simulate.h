// Runs a task set through the decision core on simulated lanes, and writes what happened as CSV: the work of
// `einet simulate` (formats and rules: docs/files.md). Virtual time only; no files.
#pragma once

#include <string>
#include <vector>

#include "scheduler/simulation/task_set.h"

namespace einet {

struct SimulatedBlock {
  std::size_t job = 0;
  int block = 0;
  int lane = 0;  // urgent lanes after all base lanes, in the order of these
  TimePoint start{};
  TimePoint finish{};  // an urgent lane may have had the core in between
  friend bool operator==(const SimulatedBlock&, const SimulatedBlock&) = default;
};

struct SimulatedJob {
  TimePoint finish{};  // when it left; stopped: the later of its deadline and the end of its last block
  Outcome outcome = Outcome::missed;  // or completed
  friend bool operator==(const SimulatedJob&, const SimulatedJob&) = default;
};

struct SimulationResult {
  std::vector<SimulatedBlock> blocks;  // by start, then lane
  std::vector<SimulatedJob> jobs;      // by number
};

// Runs until every job has left. Error: time passes 2^62 ns; names the job.
Result<SimulationResult> simulate(const TaskSet&);

// job,task,index,block,lane,start_ns,finish_ns
std::string blocks_csv(const TaskSet&, const SimulationResult&);
// job,task,index,release_ns,deadline_ns,finish_ns,outcome
std::string jobs_csv(const TaskSet&, const SimulationResult&);

}  // namespace einet
