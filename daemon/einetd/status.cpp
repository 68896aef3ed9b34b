#include "daemon/einetd/status.h"

#include <unistd.h>

#include "config/text.h"
#include "daemon/einetd/version.h"

namespace einet {
namespace {

// "3", "2-3", "0,2"; empty when not pinned.
std::string cores_of_lane(const DeviceConfig& device, int lane) {
  std::string out;
  if (device.cores.empty()) return out;
  const auto first = device.cores.begin() + lane * device.threads;
  for (auto core = first; core != first + device.threads; ++core) {
    auto last = core;
    while (last + 1 != first + device.threads && *(last + 1) == *last + 1) ++last;
    out += (out.empty() ? "" : ",") + std::to_string(*core);
    if (last != core) out += "-" + std::to_string(*last);
    core = last;
  }
  return out;
}

void fill(wire::PlanBasis& to, const PlanBasis& from) {
  if (from.to_deadline < kForever) to.set_to_deadline_ns(from.to_deadline.count());
  to.set_ahead_ns(from.ahead.count());
  to.set_lives(from.lives);
  to.set_held(from.held);
  to.set_expected(from.expected);
  for (const PlanBasis::Exit& e : from.exits) {
    wire::PlanExit& exit = *to.add_exits();
    exit.set_exit(static_cast<std::uint32_t>(e.exit));
    exit.set_ready_ns(e.ready.count());
    exit.set_accuracy(e.accuracy);
    exit.set_alive(e.alive);
    exit.set_planned(e.planned);
  }
}

}  // namespace

std::string StatusView::version() const {
  return "einetd " + std::string(kVersion);
}

wire::JobList StatusView::jobs(std::optional<TenantId> of, Plans plans) const {
  wire::JobList list;
  const std::vector<LaneView> lanes = parts_.driver.lanes();
  for (const Core::JobView& job : parts_.driver.views(of)) {
    wire::JobInfo& info = *list.add_jobs();
    info.set_job(job.spec.id.value);
    info.set_tenant(parts_.tenants.config(job.spec.tenant).name);
    info.set_model(parts_.catalog.model(job.spec.model).name);
    info.set_state(std::string(name(job.state)));
    info.set_priority(job.spec.priority);
    info.set_release_ns(wire_ns(job.spec.release));
    info.set_deadline_ns(wire_ns(job.spec.deadline));
    info.set_next_block(static_cast<std::uint32_t>(job.next_block));
    info.set_blocks(static_cast<std::uint32_t>(job.spec.times->blocks()));
    if (job.best.exit >= 0) {
      info.set_best_exit(static_cast<std::uint32_t>(job.best.exit));
      info.set_confidence(job.best.confidence);
    }
    if (job.lane) {
      info.set_lane(job.lane->value);
      const DeviceId device = lanes[job.lane->value].device;
      info.set_device(parts_.config.devices[device.value].name);
      if (const auto better = parts_.driver.instead_of(job.spec, device)) {
        info.set_instead_of(parts_.config.devices[better->value].name);
      }
    }
    info.set_preemptions(static_cast<std::uint32_t>(job.preemptions));
    info.set_task(job.spec.task.value);
    if (job.awaits) info.set_awaits(parts_.config.devices[job.awaits->value].name);
    if (const auto device = awaits_memory(job)) {
      info.set_awaits(parts_.config.devices[device->value].name);
      info.set_awaits_memory(true);
    }
    if (plans == Plans::leave) continue;
    if (const auto basis = parts_.driver.explain(job.spec.id)) fill(*info.mutable_plan(), *basis);
  }
  return list;
}

// The first device whose memory its model must come to before the job can go on anywhere.
std::optional<DeviceId> StatusView::awaits_memory(const Core::JobView& job) const {
  if (job.state != JobState::ready) return std::nullopt;
  const CatalogModel& model = parts_.catalog.model(job.spec.model);
  std::optional<DeviceId> first;
  for (std::uint32_t d = 0; d < model.evicted.size(); ++d) {
    if (!model.runs_on(DeviceId{d})) continue;
    if (!model.evicted[d]) return std::nullopt;
    if (!first) first = DeviceId{d};
  }
  return first;
}

wire::ModelList StatusView::models() const {
  wire::ModelList list;
  for (std::uint32_t m = 0; m < parts_.catalog.size(); ++m) {
    const CatalogModel& model = parts_.catalog.model(ModelId{m});
    wire::ModelInfo& info = *list.add_models();
    info.set_name(model.name);
    info.set_loaded(model.loaded());
    if (!model.loaded()) {
      info.set_reason(printable(model.reason, 500));
      continue;
    }
    info.set_version(escape(model.description.version));
    for (const int extent : model.description.input) info.add_shape(static_cast<std::uint32_t>(extent));
    info.set_classes(static_cast<std::uint32_t>(model.description.classes));
    for (const double accuracy : model.description.accuracy) info.add_accuracy(accuracy);
    info.set_weight_bytes(model.description.weights.value);
    for (std::size_t d = 0; d < model.times->on_device.size(); ++d) {
      if (model.times->on_device[d].empty()) continue;
      wire::ModelOnDevice& device = *info.add_devices();
      device.set_evicted(model.evicted[d]);
      device.set_device(parts_.config.devices[d].name);
      for (const BlockTime& t : model.times->on_device[d]) {
        wire::BlockTimes& block = *device.add_blocks();
        block.set_trunk_ns(t.trunk.count());
        block.set_exit_ns(t.exit.count());
        block.set_worst_trunk_ns(t.worst_trunk.count());
        block.set_worst_exit_ns(t.worst_exit.count());
      }
    }
  }
  return list;
}

wire::Status StatusView::status(std::optional<TenantId> of) const {
  wire::Status s;
  s.set_version(std::string(kVersion));
  const TimePoint now = parts_.clock.now();
  s.set_now_ns(wire_ns(now));
  s.set_uptime_ns((now - started_).count());
  s.set_pid(static_cast<std::uint32_t>(::getpid()));
  s.set_policy(parts_.config.policy);
  add_lanes(s);
  add_tenants(s, of);
  add_counters(s);
  add_warnings(s);
  return s;
}

void StatusView::add_lanes(wire::Status& s) const {
  const std::vector<LaneView> lanes = parts_.driver.lanes();
  for (std::uint32_t i = 0; i < lanes.size(); ++i) {
    const LaneView& lane = lanes[i];
    const DeviceConfig& device = parts_.config.devices[lane.device.value];
    const WorkerView worker = parts_.supervisor.view(lane.device);
    wire::LaneInfo& info = *s.add_lanes();
    info.set_lane(i);
    info.set_device(device.name);
    info.set_urgent(lane.index >= device.lanes);
    info.set_cores(cores_of_lane(device, lane.index % device.lanes));
    info.set_rank(info.urgent() ? worker.urgent_rank : worker.rank);
    info.set_state(!lane.up ? "down" : lane.job == JobId{} ? "idle" : "busy");
    info.set_job(lane.job.value);
    if (lane.job != JobId{}) info.set_model(parts_.catalog.model(lane.model).name);
    info.set_busy_ns(lane.busy.count());
    info.set_blocks(lane.blocks);
    info.set_worker_pid(static_cast<std::uint32_t>(worker.pid));
    info.set_restarts(static_cast<std::uint32_t>(worker.restarts));
    info.set_promised(parts_.tasks.promised(LaneId{i}));
  }
}

void StatusView::add_tenants(wire::Status& s, std::optional<TenantId> of) const {
  for (std::uint32_t i = 0; i < parts_.tenants.size(); ++i) {
    const TenantId id{i};
    if (of && id != *of) continue;
    const TenantConfig& config = parts_.tenants.config(id);
    const Tenants::Use& use = parts_.tenants.use(id);
    wire::TenantInfo& info = *s.add_tenants();
    info.set_name(config.name);
    info.set_connections(static_cast<std::uint32_t>(use.connections));
    info.set_max_connections(static_cast<std::uint32_t>(config.max_connections));
    info.set_jobs(static_cast<std::uint32_t>(use.jobs));
    info.set_max_jobs(static_cast<std::uint32_t>(config.max_jobs));
    info.set_bytes(use.bytes.value);
    info.set_max_bytes(config.max_bytes.value);
    info.set_max_priority(config.max_priority);
    info.set_tasks(static_cast<std::uint32_t>(parts_.tasks.count(id)));
    info.set_max_tasks(static_cast<std::uint32_t>(config.max_tasks));
    for (const auto& [reason, jobs] : parts_.intake.rejected(id)) {
      wire::RejectedJobs& rejected = *info.add_rejected();
      rejected.set_reason(reason);
      rejected.set_jobs(jobs);
    }
  }
}

void StatusView::add_counters(wire::Status& s) const {
  const auto add = [&](std::string name, std::uint64_t value) {
    wire::Counter& counter = *s.add_counters();
    counter.set_name(std::move(name));
    counter.set_value(value);
  };
  const DriverCounters& c = parts_.driver.counters();
  add("jobs_accepted", c.accepted);
  for (const Outcome o :
       {Outcome::completed, Outcome::deadline, Outcome::missed, Outcome::cancelled, Outcome::failed}) {
    add("jobs_" + std::string(name(o)), c.outcomes[static_cast<std::size_t>(o)]);
  }
  add("connections", parts_.connections());
  add("jobs_held", parts_.driver.jobs());
  add("arena_bytes", parts_.arena.used().value);
  add("blocks", c.blocks);
  add("exits", c.exits);
  add("grants", c.grants);
  add("stops", c.stops);
  add("withdrawals", c.withdrawals);
  add("preemptions", c.preemptions);
  add("suspensions", c.suspensions);
  add("moves", c.moves);
  add("failed_moves", c.failed_moves);
  add("fallbacks", c.fallbacks);
  add("batched_blocks", c.batched_blocks);
  add("evictions", parts_.supervisor.evictions());
  add("throttled", c.throttled);
  add("overran", c.overran);
}

void StatusView::add_warnings(wire::Status& s) const {
  if (!parts_.rank.warning.empty()) s.add_warnings(parts_.rank.warning);
  for (const std::string& words : parts_.config.warnings) s.add_warnings(words);
  for (std::uint32_t d = 0; d < parts_.config.devices.size(); ++d) {
    for (const std::string& words : parts_.supervisor.view(DeviceId{d}).warnings) s.add_warnings(words);
  }
  const std::vector<LaneView> lanes = parts_.driver.lanes();
  for (std::uint32_t i = 0; i < lanes.size(); ++i) {
    if (lanes[i].up || parts_.tasks.promised(LaneId{i}) == 0) continue;
    s.add_warnings(
        "lane " + parts_.config.devices[lanes[i].device.value].name + "/" + std::to_string(i) +
        " is down until its worker has started again; jobs of tasks and budgets there may miss meanwhile");
  }
  for (const std::string& words : parts_.tasks.warnings()) s.add_warnings(words);
  for (std::uint32_t m = 0; m < parts_.catalog.size(); ++m) {
    const CatalogModel& model = parts_.catalog.model(ModelId{m});
    if (!model.loaded())
      s.add_warnings("model " + model.name + " is not loaded: " + printable(model.reason, 500));
    else if (!model.doubt.empty())
      s.add_warnings(printable(model.doubt));
  }
}

}  // namespace einet
