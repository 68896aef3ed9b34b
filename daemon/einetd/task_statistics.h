// What has become of each task's jobs. The driver counts, the list of tasks shows it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "config/ids.h"
#include "config/time.h"

namespace einet {

struct TaskCounts {
  std::uint64_t jobs = 0;                    // accepted
  std::uint64_t met = 0;                     // ended with their mandatory answer, in time
  std::uint64_t missed = 0;                  // without
  std::uint64_t throttled = 0;               // came too early
  std::uint64_t overran = 0;                 // used more lane time than the task reserved
  std::optional<Duration> worst_response{};  // from a release to the mandatory answer; of a miss: to its end

  void responded(Duration response) {
    worst_response = std::max(worst_response.value_or(Duration{}), response);
  }
};

// One thread.
class TaskStatistics {
 public:
  void add(TaskId task) { counts_.try_emplace(task); }
  void remove(TaskId task) { counts_.erase(task); }
  // Null: it is no task, or has been removed. Valid until it is.
  TaskCounts* find(TaskId task) {
    const auto at = counts_.find(task);
    return at == counts_.end() ? nullptr : &at->second;
  }
  const TaskCounts* find(TaskId task) const {
    const auto at = counts_.find(task);
    return at == counts_.end() ? nullptr : &at->second;
  }

 private:
  std::unordered_map<TaskId, TaskCounts> counts_;
};

}  // namespace einet
