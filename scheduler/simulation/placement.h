// Homes for the tasks of a set with placement = "partitioned": what admission promises each of them, as in
// the daemon. Nothing is simulated here.
#pragma once

#include <optional>
#include <vector>

#include "scheduler/admission/admission.h"
#include "scheduler/simulation/task_set.h"

namespace einet {

struct Placed {
  std::optional<Reservation> reservation{};  // nothing: refused, or best-effort
  std::optional<TaskBound> bound{};          // with a reservation
  std::optional<Refusal> refusal{};          // of a task that did not fit: its jobs are best-effort
};

// By source of the set: its tasks first fit, the largest share of a lane first. Single jobs, and the jobs of
// tasks that do not fit, are best-effort work: their longest block is what tasks may have to wait for. Worst
// times are taken as they are.
std::vector<Placed> place(const TaskSet&);

}  // namespace einet
