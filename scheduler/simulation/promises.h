// What a simulated daemon promises: asks admission, and hands every reservation that comes new, changes or
// goes to the core. Shared by scenarios and task sets.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "scheduler/admission/admission.h"
#include "scheduler/core.h"

namespace einet {

class Promises {
 public:
  // Hears what the core is told.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void reserved(TaskId, const Reservation&) = 0;
    virtual void unreserved(TaskId) = 0;
  };

  Promises(const AdmissionOptions&, Core&, Listener&);

  void add_lane(LaneId, DeviceId, Preemption);
  // False: refused, and nothing has changed.
  bool add(const TaskRequest&, TimePoint now);
  bool holds(TaskId task) const { return promised_.contains(task); }
  void remove(TaskId, TimePoint now);
  // The tenant's budget, if it fits.
  std::optional<Budget> add_budget(TenantId, Duration amount, Duration window, TimePoint now);
  // The models have these times now, in the same order as before. False: a task would no longer fit, and
  // nothing has changed.
  bool load(const std::vector<std::shared_ptr<const ModelTimes>>& models, TimePoint now);

 private:
  void tell(TimePoint now);
  bool set_longest_stretches(const std::vector<std::shared_ptr<const ModelTimes>>& models);

  Admission admission_;
  Core& core_;
  Listener& listener_;
  std::vector<DeviceId> devices_;
  std::vector<std::shared_ptr<const ModelTimes>> models_;
  std::map<TaskId, Reservation> promised_;
};

}  // namespace einet
