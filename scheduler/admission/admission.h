// Admission: whether a task can be promised that its mandatory parts never miss their deadlines, on which
// lane, and if not, why not and what would fit. An analysis of worst cases (lane_analysis.h), never a counter
// or a guess; pure: no clock, no I/O. The core keeps what is promised here (scheduler/core.h, reserve).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/ids.h"
#include "config/result.h"
#include "config/time.h"
#include "scheduler/job.h"
#include "scheduler/policy.h"

namespace einet {

struct AdmissionOptions {
  Policy policy = Policy::imprecise;  // fifo: no task can be promised anything
  double margin = 1.2;                // >= 1; worst block times of profiles times this are the worst cases
  Duration overhead{};                // >= 0; added to every block: dispatch, hand-over, cache
};

struct TaskRequest {
  TaskId id;
  std::string name;  // for messages only
  std::shared_ptr<const ModelTimes> times;
  Duration period{};    // > 0
  Duration deadline{};  // > 0; may exceed the period
  int priority = 0;
  int mandatory_exit = -1;  // -1 only where the model has no exits
};

// What the analysis says of one task that has been accepted.
struct TaskBound {
  LaneId home;
  Duration response{};  // no mandatory part is ready later than this after its release
  Duration blocking{};  // of this: for less urgent blocks in progress
  Duration slack{};     // deadline - response
  std::string limit;    // what limits it, in a few words for people
};

// Why something was refused; every duration as it was found.
struct Refusal {
  std::string words;    // one sentence: which task would miss, by how much, and what would fit
  std::string task{};   // that would miss: the new one, or one that was accepted before; "" where none does
  Duration lateness{};  // by how much; zero where no bound was found
  std::optional<int> largest_mandatory_exit{};  // with which the new task would fit, all else equal
  // The same, to three digits; with the deadline kept, or equal to the period if it was.
  std::optional<Duration> smallest_period{};
};

// The set of accepted tasks and budgets. One thread. Whatever is refused changes nothing.
class Admission {
 public:
  explicit Admission(const AdmissionOptions&);
  ~Admission();
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

  // --- What there is to give. Lanes that urgent lanes sit on are named by their base lane only. ---

  // `preemption`: what its urgent lane allows; boundary where there is none. Once per lane.
  void add_lane(LaneId, DeviceId, Preemption);
  // The longest that work without a reservation may keep a lane of this device before a boundary (worst
  // time, without margin and overhead): of all loaded models, of the `blocks` that may be in flight. Error: a
  // task would no longer fit; nothing has changed.
  boost::system::result<void, Refusal> set_longest_stretch(DeviceId, Duration, int blocks = 1);

  // --- Tasks and budgets. ---

  // Accepted: the reservation for the core. First fit over the lanes in their order; tasks that were accepted
  // before keep their lanes. A known id: replaces that task, or leaves it as it is. Takes some 10 ms of
  // processor time at most.
  boost::system::result<Reservation, Refusal> add(const TaskRequest&);
  void remove(TaskId);
  // Replaces the tenant's budget, if it has one. `name`: what refusals call it.
  boost::system::result<Budget, Refusal> add_budget(TenantId, const std::string& name, Duration amount,
                                                    Duration period);
  void remove_budget(TenantId);
  // The model of these tasks has other times now (a reload). All are kept, on the same lanes, or nothing
  // changes.
  boost::system::result<void, Refusal> replace_times(const std::shared_ptr<const ModelTimes>& old_times,
                                                     const std::shared_ptr<const ModelTimes>& new_times);

  // --- Looking. After any change every accepted task has a new bound and perhaps a new reservation. ---
  std::optional<TaskBound> bound(TaskId) const;
  std::optional<Reservation> reservation(TaskId) const;
  std::vector<TaskId> tasks() const;
  // Worst-case utilisation of a lane by tasks and budgets, in [0, 1].
  double utilisation(LaneId) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

[[noreturn]] void throw_exception_from_error(const Refusal&, const boost::source_location&);

}  // namespace einet
