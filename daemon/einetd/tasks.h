// The tasks that tenants have reserved: checks what is asked for, asks admission (scheduler/admission/), and
// keeps the core in step with what was promised, as tasks come and go and models change. It promises nothing
// itself, and schedules nothing.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/daemon_config.h"
#include "config/result.h"
#include "daemon/einetd/catalog.h"
#include "daemon/einetd/log.h"
#include "daemon/einetd/session_id.h"
#include "daemon/einetd/task_statistics.h"
#include "ipc/client/protocol.pb.h"
#include "scheduler/admission/admission.h"

namespace einet {

struct Task {
  TaskId id;
  TenantId tenant;
  std::string name;
  ModelId model;
  Duration period{};
  Duration deadline{};
  int priority = 0;
  int mandatory_exit = 0;
  std::string suspended{};  // why nothing is promised any more; empty: it is
};

// Where promises are kept: the core, behind the driver.
class Reservations {
 public:
  virtual ~Reservations() = default;
  virtual void reserve(const Task&, const Reservation&) = 0;
  virtual void unreserve(TaskId) = 0;
  virtual void set_share(TenantId, const Share&) = 0;
};

// One thread.
class Tasks {
 public:
  struct Parts {
    const DaemonConfig& config;
    const Catalog& catalog;
    Reservations& reservations;
    TaskStatistics& statistics;
    Log& log;
    std::function<void()> use_changed{[] {}};  // what `need` says may have changed
  };
  // All parts must outlive it.
  explicit Tasks(Parts);

  // --- What there is to promise from. ---

  // A base lane is up, with an urgent lane that may preempt so (boundary: without one). Only its first time
  // counts; budgets that did not fit before may fit then.
  void lane_up(LaneId, DeviceId, Preemption);
  // Once, when every device has been tried: tenants get their weights, and the budgets that fit.
  void open();

  // --- Tenants' requests. ---

  using Reply = std::variant<wire::TaskAdded, wire::TaskRefused>;
  using Answer = std::function<void(const Reply&)>;
  // Answers at once, unless the model is evicted from a device: then once it is back, cannot come back, or
  // the device is down.
  void add(const wire::AddTask&, TenantId, SessionId, Answer);
  // The session has ended: what it still waits for is not added.
  void forget(SessionId);
  // Of this tenant; without one: of any, if only one has such a task. One that still waits for its model is
  // answered REMOVED. Error: words for the client.
  Result<void> remove(std::string_view name, std::optional<TenantId>);
  const Task* find(std::string_view name, TenantId) const;
  // Of this tenant, or of all; by id.
  wire::TaskList list(std::optional<TenantId>) const;
  int count(TenantId) const;
  // Whether something is promised with this model, or waits for it.
  bool need(ModelId) const;

  // --- Models. ---

  // A device's worker has loaded the model; it would have these times then, instead of those that the catalog
  // has. Its own tasks that no longer fit are suspended; those that were suspended are tried again. Error:
  // what was promised with other models could not be kept; nothing has changed, and the model must be
  // refused.
  Result<void> model_loads(ModelId, DeviceId, const std::shared_ptr<const ModelTimes>& times);
  // The model cannot run on the device any more; the catalog says so already. `before`: its times until then.
  // Its tasks there are suspended.
  void model_lost(ModelId, DeviceId, const std::shared_ptr<const ModelTimes>& before, const std::string& why);

  // A device has the model again, or is not going to; the catalog says so already.
  void residence_changed(ModelId);
  // It cannot be brought back to the device, for models of tasks fill that: tasks that wait for it are
  // refused, those that were promised something there are suspended. Call the driver's pump() after.
  void no_room(ModelId, DeviceId);

  // --- Looking. ---

  // Worst-case share of a lane that is promised, in [0, 1].
  double promised(LaneId lane) const { return admission_.utilisation(lane); }
  // What was configured and cannot be had. Sentences.
  std::vector<std::string> warnings() const;

 private:
  struct Entry {
    Task task;
    std::optional<Reservation> kept{};  // as the core knows it
  };

  // Asked for, but its model is evicted.
  struct Waiting {
    wire::AddTask asked;
    TenantId tenant;
    SessionId session;
    Answer answer;
    ModelId model;
  };

  std::optional<Budget> add_budget(TenantId);
  std::optional<wire::TaskRefused> check(const wire::AddTask&, TenantId, Task&) const;
  Reply promise(Task);
  std::vector<Waiting> take_waiting(const std::function<bool(const Waiting&)>&);
  std::vector<Waiting> take_waiting(ModelId);
  TaskRequest request(const Task&, const std::shared_ptr<const ModelTimes>&) const;
  std::optional<wire::TaskBound> bound(TaskId) const;
  boost::system::result<void, Refusal> set_longest_stretch(DeviceId, ModelId instead, const ModelTimes*);
  boost::system::result<void, Refusal> take_times(ModelId, DeviceId,
                                                  const std::shared_ptr<const ModelTimes>&);
  void readmit(ModelId, const std::shared_ptr<const ModelTimes>&);
  void suspend(Entry&, const std::string& why);
  void keep_in_step();
  const std::string& tenant_name(TenantId tenant) const { return parts_.config.tenants[tenant.value].name; }

  Parts parts_;
  Admission admission_;
  std::map<LaneId, DeviceId> lanes_;  // those that admission knows
  std::map<TaskId, Entry> tasks_;
  std::vector<Waiting> waiting_;
  TaskId newest_;
  std::map<TenantId, std::string> refused_budgets_;  // and why
};

}  // namespace einet
