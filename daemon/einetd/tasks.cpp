#include "daemon/einetd/tasks.h"

#include <algorithm>
#include <set>
#include <utility>

#include "config/text.h"
#include "scheduler/policy.h"

namespace einet {
namespace {

using wire::TaskRefused;

constexpr std::size_t kMaxName = 64;
// Beyond it (some 36 years) instants could not be added up.
constexpr Duration kMostTime = kForever / 4;

TaskRefused refuse(TaskRefused::Reason reason, std::string words) {
  TaskRefused out;
  out.set_reason(reason);
  out.set_words(std::move(words));
  return out;
}

TaskRefused refuse(const Refusal& refusal) {
  TaskRefused out = refuse(TaskRefused::NOT_SCHEDULABLE, refusal.words);
  out.set_misses(refusal.task);
  out.set_lateness_ns(refusal.lateness.count());
  if (refusal.largest_mandatory_exit) {
    out.set_largest_mandatory_exit(static_cast<std::uint32_t>(*refusal.largest_mandatory_exit));
  }
  if (refusal.smallest_period) out.set_smallest_period_ns(refusal.smallest_period->count());
  return out;
}

bool is_duration(std::int64_t ns) {
  return ns > 0 && Duration{ns} <= kMostTime;
}

std::string out_of_range(std::string_view what, std::int64_t ns) {
  return std::string(what) + " is " + (ns < 0 ? "negative" : format_duration(Duration{ns})) +
         "; allowed: above 0ns and at most " + format_duration(kMostTime);
}

}  // namespace

Tasks::Tasks(Parts parts)
    : parts_(parts),
      admission_({.policy = policy_named(parts.config.policy),
                  .margin = parts.config.admission.margin,
                  .overhead = parts.config.admission.overhead}) {}

// ---- what there is to promise from ----

void Tasks::lane_up(LaneId lane, DeviceId device, Preemption preemption) {
  if (!lanes_.emplace(lane, device).second) return;
  admission_.add_lane(lane, device, preemption);
  for (const auto& [tenant, why] : std::exchange(refused_budgets_, {})) {
    const std::optional<Budget> budget = add_budget(tenant);
    if (!budget) continue;
    parts_.log.info("budget accepted", {{"tenant", tenant_name(tenant)}, {"lane", budget->home}});
    parts_.reservations.set_share(tenant, {parts_.config.tenants[tenant.value].weight, budget});
  }
  keep_in_step();
}

void Tasks::open() {
  for (std::uint32_t i = 0; i < parts_.config.tenants.size(); ++i) {
    const TenantConfig& tenant = parts_.config.tenants[i];
    const auto budget = tenant.budget ? add_budget(TenantId{i}) : std::nullopt;
    if (tenant.budget && !budget) {
      parts_.log.warn("budget refused",
                      {{"tenant", tenant.name}, {"reason", refused_budgets_.at(TenantId{i})}});
    }
    parts_.reservations.set_share(TenantId{i}, {tenant.weight, budget});
  }
}

// None: it does not fit, and is tried again when there are more lanes.
std::optional<Budget> Tasks::add_budget(TenantId id) {
  const TenantConfig& tenant = parts_.config.tenants[id.value];
  const auto budget =
      admission_.add_budget(id, "the budget of " + tenant.name, tenant.budget->amount, tenant.budget->period);
  if (budget) return *budget;
  refused_budgets_.insert_or_assign(id, budget.error().words);
  return std::nullopt;
}

std::vector<std::string> Tasks::warnings() const {
  std::vector<std::string> out;
  for (const auto& [tenant, why] : refused_budgets_) {
    out.push_back("tenant " + tenant_name(tenant) + " has no budget: " + why);
  }
  return out;
}

// ---- tenants' requests ----

void Tasks::add(const wire::AddTask& asked, TenantId tenant, SessionId session, Answer answer) {
  Task task;
  if (std::optional<TaskRefused> refused = check(asked, tenant, task)) return answer(*std::move(refused));
  const std::vector<bool>& evicted = parts_.catalog.model(task.model).evicted;
  if (std::find(evicted.begin(), evicted.end(), true) == evicted.end())
    return answer(promise(std::move(task)));
  parts_.log.info("task waits for its model", {{"task", task.name},
                                               {"tenant", tenant_name(tenant)},
                                               {"model", parts_.catalog.model(task.model).name}});
  waiting_.push_back({asked, tenant, session, std::move(answer), task.model});
  parts_.use_changed();
}

void Tasks::forget(SessionId session) {
  if (std::erase_if(waiting_, [&](const Waiting& w) { return w.session == session; }) > 0) {
    parts_.use_changed();
  }
}

std::vector<Tasks::Waiting> Tasks::take_waiting(const std::function<bool(const Waiting&)>& taken) {
  const auto others = std::stable_partition(waiting_.begin(), waiting_.end(), std::not_fn(taken));
  std::vector<Waiting> out(std::make_move_iterator(others), std::make_move_iterator(waiting_.end()));
  waiting_.erase(others, waiting_.end());
  return out;
}

std::vector<Tasks::Waiting> Tasks::take_waiting(ModelId model) {
  return take_waiting([&](const Waiting& w) { return w.model == model; });
}

void Tasks::residence_changed(ModelId model) {
  for (Waiting& w : take_waiting(model)) add(w.asked, w.tenant, w.session, std::move(w.answer));
  parts_.use_changed();
}

void Tasks::no_room(ModelId model, DeviceId device) {
  const std::vector<Waiting> refused = take_waiting(model);
  const auto lives_there = [&](const Entry& entry) {
    return entry.task.model == model && entry.kept && lanes_.at(entry.kept->home) == device;
  };
  const bool promised =
      std::any_of(tasks_.begin(), tasks_.end(), [&](const auto& t) { return lives_there(t.second); });
  if (refused.empty() && !promised) return;
  std::string needed;
  for (std::uint32_t m = 0; m < parts_.catalog.size(); ++m) {
    const CatalogModel& other = parts_.catalog.model(ModelId{m});
    if (!need(ModelId{m}) || !other.runs_on(device) || other.evicted[device.value]) continue;
    needed += (needed.empty() ? "" : ", ") + other.name;
  }
  const std::string words = "model " + parts_.catalog.model(model).name +
                            " does not fit into the memory of device " +
                            parts_.config.devices[device.value].name + " beside the models of tasks there (" +
                            needed + "); remove such a task, or give the device more `memory`";
  for (const Waiting& w : refused) w.answer(refuse(TaskRefused::MODEL_REFUSED, words));
  // Accepted while the device was down.
  for (auto& [id, entry] : tasks_) {
    if (lives_there(entry)) suspend(entry, words);
  }
  keep_in_step();
  parts_.use_changed();
}

Tasks::Reply Tasks::promise(Task task) {
  task.id = TaskId{newest_.value + 1};
  const auto accepted = admission_.add(request(task, parts_.catalog.model(task.model).times));
  if (!accepted) {
    parts_.log.info(
        "task refused",
        {{"task", task.name}, {"tenant", tenant_name(task.tenant)}, {"reason", accepted.error().words}});
    return refuse(accepted.error());
  }
  newest_ = task.id;
  parts_.statistics.add(task.id);
  const TaskId id = tasks_.emplace(task.id, Entry{std::move(task)}).first->first;
  keep_in_step();
  wire::TaskAdded added;
  added.set_task(id.value);
  *added.mutable_bound() = *bound(id);
  const Task& kept = tasks_.at(id).task;
  const std::string& doubt = parts_.catalog.model(kept.model).doubt;
  if (!doubt.empty()) added.add_warnings(printable(doubt));
  parts_.log.info("task accepted", {{"task", kept.name},
                                    {"id", id},
                                    {"tenant", tenant_name(kept.tenant)},
                                    {"model", parts_.catalog.model(kept.model).name},
                                    {"period", kept.period},
                                    {"deadline", kept.deadline},
                                    {"response", Duration{added.bound().response_ns()}},
                                    {"lane", added.bound().lane()}});
  return added;
}

std::optional<TaskRefused> Tasks::check(const wire::AddTask& asked, TenantId tenant, Task& task) const {
  const TenantConfig& limits = parts_.config.tenants[tenant.value];
  if (policy_named(parts_.config.policy) == Policy::fifo) {
    return refuse(TaskRefused::NO_PROMISES, "the policy \"fifo\" promises nothing: choose another policy");
  }
  if (!is_plain_name(asked.name())) {
    return refuse(TaskRefused::BAD_ARGUMENT, "the name \"" + escape(asked.name(), kMaxName) +
                                                 "\" is not allowed: 1 to 64 letters, digits or _-.");
  }
  if (find(asked.name(), tenant) != nullptr) {
    return refuse(TaskRefused::NAME_TAKEN, "tenant " + limits.name + " has a task \"" + asked.name() +
                                               "\" already; remove it first, or choose another name");
  }
  const auto waiting =
      std::count_if(waiting_.begin(), waiting_.end(), [&](const Waiting& w) { return w.tenant == tenant; });
  const int tasks = count(tenant) + static_cast<int>(waiting);
  if (tasks >= limits.max_tasks) {
    return refuse(TaskRefused::QUOTA_TASKS, "tenant " + limits.name + " has " + std::to_string(tasks) +
                                                " tasks, as many as it may (max_tasks); remove one first");
  }
  const Result<ModelId> id = parts_.catalog.find(asked.model());
  if (!id) return refuse(TaskRefused::UNKNOWN_MODEL, id.error().message);
  const CatalogModel& model = parts_.catalog.model(*id);
  if (!model.loaded()) {
    return refuse(TaskRefused::MODEL_REFUSED,
                  "model " + model.name + " is not loaded: " + printable(model.reason, 500));
  }
  if (!is_duration(asked.period_ns())) {
    return refuse(TaskRefused::BAD_ARGUMENT, out_of_range("the period", asked.period_ns()));
  }
  if (asked.has_deadline_ns() && !is_duration(asked.deadline_ns())) {
    return refuse(TaskRefused::BAD_ARGUMENT, out_of_range("the deadline", asked.deadline_ns()));
  }
  if (asked.priority() > limits.max_priority || asked.priority() < -kMaxPriority) {
    return refuse(TaskRefused::PRIORITY_CEILING,
                  "priority " + std::to_string(asked.priority()) + "; tenant " + limits.name + " may use " +
                      std::to_string(-kMaxPriority) + " to " + std::to_string(limits.max_priority));
  }
  const std::size_t exits = model.times->accuracy.size();
  if (asked.mandatory_exit() >= exits) {
    return refuse(TaskRefused::BAD_ARGUMENT, "mandatory_exit is " + std::to_string(asked.mandatory_exit()) +
                                                 "; model " + model.name + " has exits 0 to " +
                                                 std::to_string(exits - 1));
  }
  task.tenant = tenant;
  task.name = asked.name();
  task.model = *id;
  task.period = Duration{asked.period_ns()};
  task.deadline = asked.has_deadline_ns() ? Duration{asked.deadline_ns()} : task.period;
  task.priority = asked.priority();
  task.mandatory_exit = static_cast<int>(asked.mandatory_exit());  // absent: 0
  return std::nullopt;
}

Result<void> Tasks::remove(std::string_view name, std::optional<TenantId> tenant) {
  std::set<TenantId> whose;
  std::vector<std::string_view> names;
  const auto look_at = [&](TenantId its_tenant, const std::string& its_name) {
    if (tenant && its_tenant != *tenant) return;
    names.push_back(its_name);
    if (its_name == name) whose.insert(its_tenant);
  };
  for (const auto& [id, entry] : tasks_) look_at(entry.task.tenant, entry.task.name);
  for (const Waiting& w : waiting_) look_at(w.tenant, w.asked.name());
  if (whose.empty()) {
    std::string words = "there is no task \"" + escape(name, kMaxName) + "\"";
    if (tenant) words += " of tenant " + tenant_name(*tenant);
    const std::string_view near = nearest(name, names);
    return error(near.empty() ? words : words + "; did you mean \"" + std::string(near) + "\"?");
  }
  if (whose.size() > 1) {
    return error(std::to_string(whose.size()) + " tenants have a task \"" + escape(name, kMaxName) +
                 "\"; say whose you mean by acting as that tenant");
  }
  const TenantId owner = *whose.begin();
  if (const Task* task = find(name, owner)) {
    const TaskId id = task->id;
    parts_.log.info("task removed", {{"task", name}, {"id", id}, {"tenant", tenant_name(owner)}});
    if (tasks_.at(id).kept) parts_.reservations.unreserve(id);
    admission_.remove(id);
    parts_.statistics.remove(id);
    tasks_.erase(id);
    keep_in_step();
  }
  const TaskRefused removed =
      refuse(TaskRefused::REMOVED, "the task was removed while it waited for its model");
  for (const Waiting& w :
       take_waiting([&](const Waiting& w) { return w.tenant == owner && w.asked.name() == name; })) {
    parts_.log.info("task that waited for its model removed",
                    {{"task", name}, {"tenant", tenant_name(owner)}});
    w.answer(removed);
  }
  parts_.use_changed();
  return {};
}

const Task* Tasks::find(std::string_view name, TenantId tenant) const {
  for (const auto& [id, entry] : tasks_) {
    if (entry.task.tenant == tenant && entry.task.name == name) return &entry.task;
  }
  return nullptr;
}

int Tasks::count(TenantId tenant) const {
  return static_cast<int>(std::count_if(tasks_.begin(), tasks_.end(),
                                        [&](const auto& t) { return t.second.task.tenant == tenant; }));
}

bool Tasks::need(ModelId model) const {
  return std::any_of(tasks_.begin(), tasks_.end(),
                     [&](const auto& t) {
                       return t.second.task.model == model && t.second.task.suspended.empty();
                     }) ||
         std::any_of(waiting_.begin(), waiting_.end(), [&](const Waiting& w) { return w.model == model; });
}

std::optional<wire::TaskBound> Tasks::bound(TaskId id) const {
  const std::optional<TaskBound> found = admission_.bound(id);
  if (!found) return std::nullopt;
  wire::TaskBound out;
  out.set_device(parts_.config.devices[lanes_.at(found->home).value].name);
  out.set_lane(found->home.value);
  out.set_response_ns(found->response.count());
  out.set_blocking_ns(found->blocking.count());
  out.set_slack_ns(found->slack.count());
  out.set_limit(found->limit);
  return out;
}

wire::TaskList Tasks::list(std::optional<TenantId> tenant) const {
  wire::TaskList out;
  for (const auto& [id, entry] : tasks_) {
    const Task& task = entry.task;
    if (tenant && task.tenant != *tenant) continue;
    wire::TaskInfo& info = *out.add_tasks();
    info.set_task(id.value);
    info.set_tenant(tenant_name(task.tenant));
    info.set_name(task.name);
    info.set_model(parts_.catalog.model(task.model).name);
    info.set_period_ns(task.period.count());
    info.set_deadline_ns(task.deadline.count());
    info.set_priority(task.priority);
    info.set_mandatory_exit(static_cast<std::uint32_t>(task.mandatory_exit));
    if (std::optional<wire::TaskBound> promised = bound(id)) *info.mutable_bound() = *std::move(promised);
    info.set_suspended(task.suspended);
    const TaskCounts& counts = *parts_.statistics.find(id);
    info.set_jobs(counts.jobs);
    info.set_met(counts.met);
    info.set_missed(counts.missed);
    info.set_throttled(counts.throttled);
    info.set_overran(counts.overran);
    if (counts.worst_response) info.set_worst_response_ns(counts.worst_response->count());
  }
  return out;
}

// ---- models ----

TaskRequest Tasks::request(const Task& task, const std::shared_ptr<const ModelTimes>& times) const {
  return {.id = task.id,
          .name = task.name,
          .times = times,
          .period = task.period,
          .deadline = task.deadline,
          .priority = task.priority,
          .mandatory_exit = task.mandatory_exit};
}

// By all models on the device; `instead` with these times (null: with none).
boost::system::result<void, Refusal> Tasks::set_longest_stretch(DeviceId device, ModelId instead,
                                                                const ModelTimes* times) {
  Duration longest{};
  for (std::uint32_t m = 0; m < parts_.catalog.size(); ++m) {
    const ModelTimes* of = ModelId{m} == instead ? times : parts_.catalog.model(ModelId{m}).times.get();
    if (of != nullptr) longest = std::max(longest, of->longest_stretch(device));
  }
  return admission_.set_longest_stretch(device, longest, parts_.config.devices[device.value].in_flight);
}

boost::system::result<void, Refusal> Tasks::take_times(ModelId model, DeviceId device,
                                                       const std::shared_ptr<const ModelTimes>& times) {
  const std::shared_ptr<const ModelTimes>& before = parts_.catalog.model(model).times;
  const auto longest = set_longest_stretch(device, model, times.get());
  if (!longest || before == nullptr) return longest;
  auto kept = admission_.replace_times(before, times);
  // What fitted before fits again.
  if (!kept) (void)set_longest_stretch(device, model, before.get());
  return kept;
}

Result<void> Tasks::model_loads(ModelId model, DeviceId device,
                                const std::shared_ptr<const ModelTimes>& times) {
  if (!take_times(model, device, times)) {
    // Its own tasks are no reason to refuse it.
    for (const auto& [id, entry] : tasks_) {
      if (entry.task.model == model) admission_.remove(id);
    }
    if (const auto others = take_times(model, device, times); !others) {
      if (const auto& before = parts_.catalog.model(model).times) readmit(model, before);
      keep_in_step();
      return error("its blocks take too long for what is promised: " + others.error().words);
    }
  }
  readmit(model, times);
  keep_in_step();
  return {};
}

void Tasks::model_lost(ModelId model, DeviceId device, const std::shared_ptr<const ModelTimes>& before,
                       const std::string& why) {
  const std::string words =
      "model " + parts_.catalog.model(model).name + " was loaded again and refused: " + why;
  const std::shared_ptr<const ModelTimes>& after = parts_.catalog.model(model).times;
  for (auto& [id, entry] : tasks_) {
    if (entry.task.model == model && entry.kept && lanes_.at(entry.kept->home) == device)
      suspend(entry, words);
  }
  // Fewer tasks, and no block is longer than before: what is left fits. If the analysis could not say so with
  // the effort that it may spend, the longer blocks that it knows of are on the safe side.
  (void)set_longest_stretch(device, model, after.get());
  if (before != nullptr && after != nullptr && !admission_.replace_times(before, after)) {
    for (auto& [id, entry] : tasks_) {
      if (entry.task.model == model && entry.kept) suspend(entry, words);
    }
  }
  keep_in_step();
}

// Those of the model's tasks that fit and for which nothing is promised.
void Tasks::readmit(ModelId model, const std::shared_ptr<const ModelTimes>& times) {
  for (auto& [id, entry] : tasks_) {
    if (entry.task.model != model || admission_.bound(id)) continue;
    const auto accepted = admission_.add(request(entry.task, times));
    if (!accepted) {
      suspend(entry, "the blocks of model " + parts_.catalog.model(model).name +
                         " take too long now: " + accepted.error().words);
    } else if (!entry.task.suspended.empty()) {
      entry.task.suspended.clear();
      parts_.log.info("task accepted again",
                      {{"task", entry.task.name}, {"id", id}, {"tenant", tenant_name(entry.task.tenant)}});
    }
  }
}

void Tasks::suspend(Entry& entry, const std::string& why) {
  admission_.remove(entry.task.id);
  if (entry.kept) parts_.reservations.unreserve(entry.task.id);
  entry.kept.reset();
  parts_.use_changed();
  entry.task.suspended = why;
  parts_.log.warn("task suspended", {{"task", entry.task.name},
                                     {"id", entry.task.id},
                                     {"tenant", tenant_name(entry.task.tenant)},
                                     {"reason", entry.task.suspended}});
}

// After any change of what is promised, any reservation may be another.
void Tasks::keep_in_step() {
  std::vector<TaskId> promised = admission_.tasks();
  std::stable_partition(promised.begin(), promised.end(),
                        [&](TaskId id) { return tasks_.at(id).kept.has_value(); });
  for (const TaskId id : promised) {
    Entry& entry = tasks_.at(id);
    const Reservation now = *admission_.reservation(id);
    if (entry.kept == now) continue;
    entry.kept = now;
    parts_.reservations.reserve(entry.task, now);
  }
}

}  // namespace einet
