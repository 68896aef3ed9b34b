// Task sets: the input of `einet simulate` (docs/files.md), read from TOML into checked values and
// expanded to numbered jobs. Nothing is simulated here.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/bytes.h"
#include "scheduler/core.h"

namespace einet {

// Where one or many jobs come from: a [[task]] or a [[job]].
struct JobSource {
  std::string name;     // [A-Za-z0-9_.-]+, unique in its set
  Duration deadline{};  // relative to the release, > 0
  int priority = 0;
  std::optional<Duration> period{};         // of a [[task]]
  std::shared_ptr<const ModelTimes> times;  // on device 0, without exits
};

struct TaskSetJob {
  std::size_t source = 0;   // index into TaskSet::sources
  std::uint64_t index = 0;  // k of the task's k-th job; 0 for a [[job]]
  TimePoint release{};
  TimePoint deadline{};  // may exceed kNever: then it is never reached
};

// Where the jobs of tasks may run.
enum class Placement : std::uint8_t {
  global,       // nothing is reserved: every lane takes the most urgent job (docs/files.md)
  partitioned,  // tasks that fit are reserved on a home lane, as the daemon does; other jobs are best-effort
};

struct TaskSet {
  Policy policy = Policy::edf;
  int lanes = 1;
  Preemption preemption = Preemption::boundary;  // else each lane has an urgent lane beside it
  Placement placement = Placement::global;
  OnMiss on_miss = OnMiss::stop;
  std::vector<JobSource> sources;  // tasks, then single jobs, in file order
  std::vector<TaskSetJob> jobs;    // a job's number is its index
};

inline constexpr int kMaxSetLanes = 1024;
inline constexpr std::size_t kMaxSetJobs = 1'000'000;
inline constexpr std::size_t kMaxSetBlocks = 10'000'000;  // of all jobs together
inline constexpr ByteCount kMaxSetBytes{std::uint64_t{16} << 20};

// Error: "FILE:LINE:COLUMN: key: what was found, what is allowed", on one line. `file` is only used in
// messages.
Result<TaskSet> parse_task_set(std::string_view text, const std::string& file);

}  // namespace einet
