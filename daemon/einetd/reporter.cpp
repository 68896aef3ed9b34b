#include "daemon/einetd/reporter.h"

#include <array>
#include <bit>

namespace einet {
namespace {

using Kind = TraceEvent::Kind;

wire::OutcomeKind wire_outcome(Outcome outcome) {
  constexpr std::array kKinds{wire::COMPLETED, wire::DEADLINE, wire::MISSED,
                              wire::CANCELLED, wire::REJECTED, wire::FAILED};
  return kKinds[static_cast<std::size_t>(outcome)];
}

Rejection rejection(Reason reason) {
  using wire::Rejected;
  switch (reason) {
    case Reason::deadline_in_past:
      return {Rejected::DEADLINE_IN_PAST, "the deadline has passed"};
    case Reason::deadline_before_release:
      return {Rejected::DEADLINE_BEFORE_RELEASE, "the deadline is not after the release"};
    case Reason::no_lane:
      return {Rejected::MODEL_REFUSED, "no lane is left that can run this model"};
    case Reason::no_such_task:
      return {Rejected::NO_SUCH_TASK, "the task has been removed"};
    default:
      return {Rejected::QUEUE_FULL, "the daemon has as many jobs as it may; try again later"};
  }
}

std::string words_of(Reason reason) {
  switch (reason) {
    case Reason::lane_lost:
      return "the worker died twice while it ran this job";
    case Reason::no_lane:
      return "no lane is left that can run this model";
    case Reason::lane_failed:
      return "the lane could not run this model; see the daemon's log";
    case Reason::out_of_device_memory:
      return "the device has no memory left for this job; try again later, or give it more `memory`";
    case Reason::cannot_deliver:
      return "no further exit could be ready before the deadline";
    default:
      return {};
  }
}

}  // namespace

std::int64_t wire_ns(TimePoint t) {
  return t == kNever ? 0 : std::int64_t{t.time_since_epoch().count()};
}

// ---- a job's life ----

Rejection Reporter::rejected(const HeldJob& job, Reason reason) {
  if (parts_.trace != nullptr) {
    TraceEvent e = trace_event(Kind::reject, job);
    e.reason = reason;
    parts_.trace->add(e);
  }
  return rejection(reason);
}

void Reporter::accepted(const HeldJob& job) {
  if (parts_.trace != nullptr) {
    TraceEvent e = trace_event(Kind::submit, job);
    e.at = job.received;
    parts_.trace->add(e);
  }
  if (watched()) tell(job, event(wire::Event::ACCEPTED, job, job.received));
}

void Reporter::released(const HeldJob& job, TimePoint at) {
  if (watched()) tell(job, event(wire::Event::RELEASED, job, at));
}

void Reporter::granted(const HeldJob& job, const Grant& g, Reason reason, TimePoint at) {
  if (parts_.trace == nullptr) return;
  TraceEvent e = trace_event(Kind::grant, job);
  e.at = at;
  e.lane = g.lane;
  e.grant = g.number;
  e.block = g.first_block;
  e.exits = g.exits;
  e.with = g.with.value_or(GrantNumber{});
  e.reason = reason;
  parts_.trace->add(e);
}

void Reporter::stopped(LaneId lane, GrantNumber number, const HeldJob* job, Reason reason) {
  trace_lane(Kind::stop, lane, number, job, reason);
}

void Reporter::withdrawn(LaneId lane, GrantNumber number, const HeldJob* job, Reason reason) {
  trace_lane(Kind::withdraw, lane, number, job, reason);
}

void Reporter::started(const HeldJob& job, Place place, TimePoint at) {
  if (watched()) tell(job, event(wire::Event::STARTED, job, place, at));
}

void Reporter::block_done(const HeldJob& job, Place place, const BlockReport& block, TimePoint granted) {
  if (parts_.trace != nullptr) {
    TraceEvent e = trace_event(Kind::block, job);
    e.lane = place.lane;
    e.grant = block.grant;
    e.block = block.block;
    e.start = block.start;
    e.end = block.end;
    e.used = block.used;
    e.granted = granted;
    if (block.answer) e.answer = *block.answer;
    parts_.trace->add(e);
  }
  if (watched()) {
    wire::Event e = event(wire::Event::BLOCK, job, place, block.end);
    e.set_block(static_cast<std::uint32_t>(block.block));
    if (block.answer) e.set_exit(static_cast<std::uint32_t>(block.block));
    e.set_start_ns(wire_ns(block.start));
    e.set_end_ns(wire_ns(block.end));
    tell(job, e);
  }
}

void Reporter::answered(const HeldJob& job, Place place, TimePoint ready) {
  const wire::Answer& answer = *job.best;
  if (job.origin.stream == JobOrigin::Stream::every_exit) parts_.sink.exit_result(job, answer);
  if (watched()) {
    wire::Event e = event(wire::Event::EXIT, job, place, ready);
    e.set_exit(answer.exit());
    e.set_top_class(answer.top_class());
    e.set_confidence(answer.confidence());
    tell(job, e);
  }
}

void Reporter::cancelled(const HeldJob& job, TimePoint at) {
  if (parts_.trace == nullptr) return;
  TraceEvent e = trace_event(Kind::cancel, job);
  e.at = at;
  parts_.trace->add(e);
}

void Reporter::preempted(const HeldJob& job, Place place, JobId by, TimePoint at) {
  lost_its_core(Kind::preempt, wire::Event::PREEMPTED, job, place, by, at);
}

void Reporter::suspended(const HeldJob& job, Place place, JobId by, TimePoint at) {
  lost_its_core(Kind::suspend, wire::Event::SUSPENDED, job, place, by, at);
}

void Reporter::lost_its_core(Kind kind, wire::Event::Kind shown, const HeldJob& job, Place place, JobId by,
                             TimePoint at) {
  if (parts_.trace != nullptr) {
    TraceEvent e = trace_event(kind, job);
    e.at = at;
    e.lane = place.lane;
    e.by = by;
    parts_.trace->add(e);
  }
  if (watched()) {
    wire::Event e = event(shown, job, place, at);
    e.set_by(by.value);
    tell(job, e);
  }
}

void Reporter::ended(const HeldJob& job, Outcome outcome, Reason reason) {
  const TimePoint now = parts_.clock.now();
  wire::Outcome message;
  message.set_job(job.spec().id.value);
  message.set_kind(wire_outcome(outcome));
  message.set_reason(std::string(name(reason)));
  message.set_words(words_of(reason));
  if (job.best) *message.mutable_best() = *job.best;
  message.set_preemptions(static_cast<std::uint32_t>(job.preemptions));
  message.set_received_ns(wire_ns(job.received));
  message.set_released_ns(wire_ns(job.spec().release));
  message.set_first_block_ns(job.first_block ? wire_ns(*job.first_block) : 0);
  message.set_finished_ns(wire_ns(now));
  message.set_deadline_ns(wire_ns(job.spec().deadline));
  message.set_lane_time_ns(job.lane_time.count());
  message.set_executed_exits(job.executed_exits);
  parts_.sink.outcome(job, message);

  if (watched()) {
    wire::Event e = event(wire::Event::ENDED, job, now);
    e.set_outcome(message.kind());
    e.set_reason(message.reason());
    tell(job, e);
  }
  if (parts_.trace != nullptr) {
    TraceEvent e = trace_event(Kind::outcome, job);
    e.at = now;
    e.outcome = outcome;
    e.reason = reason;
    e.preemptions = job.preemptions;
    if (job.best) {
      e.answer = {static_cast<int>(job.best->exit()), static_cast<int>(job.best->top_class()),
                  job.best->confidence()};
    }
    parts_.trace->add(e);
  }
  if (outcome == Outcome::failed) {
    parts_.log.warn("job failed", {{"job", job.spec().id},
                                   {"tenant", tenant_name(job)},
                                   {"model", parts_.catalog.model(job.spec().model).name},
                                   {"reason", name(reason)}});
  } else if (parts_.log.debugs()) {
    parts_.log.debug("job ended", {{"job", job.spec().id},
                                   {"tenant", tenant_name(job)},
                                   {"outcome", name(outcome)},
                                   {"reason", name(reason)},
                                   {"response", now - job.spec().release}});
  }
}

// ---- tasks ----

void Reporter::throttled(const HeldJob& job, TimePoint until, std::uint64_t times, TimePoint at) {
  if (parts_.trace != nullptr) {
    TraceEvent e = trace_event(Kind::throttle, job);
    e.at = at;
    e.until = until;
    parts_.trace->add(e);
  }
  if (watched()) {
    wire::Event e = event(wire::Event::THROTTLED, job, at);
    e.set_until_ns(wire_ns(until));
    tell(job, e);
  }
  if (std::has_single_bit(times)) {
    parts_.log.warn("job throttled: its task sends faster than it said",
                    {{"task", job.spec().task},
                     {"tenant", tenant_name(job)},
                     {"job", job.spec().id},
                     {"later_by", until - job.spec().release},
                     {"times", times}});
  }
}

void Reporter::overran(const HeldJob& job, Duration used, std::uint64_t times, TimePoint at) {
  if (parts_.trace != nullptr) {
    TraceEvent e = trace_event(Kind::overrun, job);
    e.at = at;
    e.used = used;
    parts_.trace->add(e);
  }
  if (watched()) {
    wire::Event e = event(wire::Event::OVERRAN, job, at);
    e.set_used_ns(used.count());
    tell(job, e);
  }
  if (std::has_single_bit(times)) {
    parts_.log.warn("job overran: its blocks took longer than its task reserved",
                    {{"task", job.spec().task},
                     {"tenant", tenant_name(job)},
                     {"job", job.spec().id},
                     {"used", used},
                     {"times", times}});
  }
}

void Reporter::reserved(const Task& task, const Reservation& reservation, TimePoint at) {
  if (parts_.trace == nullptr) return;
  parts_.trace->add_line(format_reserve(at, task.id, task.name, parts_.config.tenants[task.tenant.value].name,
                                        parts_.catalog.model(task.model).name, reservation));
}

void Reporter::unreserved(TaskId task, TimePoint at) {
  if (parts_.trace != nullptr) parts_.trace->add_line(format_unreserve(at, task));
}

void Reporter::shared(TenantId tenant, const Share& share, TimePoint at) {
  if (parts_.trace == nullptr) return;
  parts_.trace->add_line(format_share(at, parts_.config.tenants[tenant.value].name, share));
}

void Reporter::resides(ModelId model, DeviceId device, Residence residence, TimePoint at) {
  if (parts_.trace == nullptr) return;
  parts_.trace->add_line(format_residence(at, parts_.catalog.model(model).name,
                                          parts_.config.devices[device.value].name, residence));
}

// ---- lanes ----

void Reporter::device_up(DeviceId device) {
  if (parts_.trace == nullptr) return;
  for (std::uint32_t m = 0; m < parts_.catalog.size(); ++m) {
    const CatalogModel& model = parts_.catalog.model(ModelId{m});
    if (!model.loaded()) continue;
    parts_.trace->add_line(format_model(parts_.clock.now(), model.name,
                                        parts_.config.devices[device.value].name, device, *model.times));
  }
}

void Reporter::lane_up(LaneId lane) {
  trace_lane(Kind::lane_up, lane, {}, nullptr, Reason::none);
}

void Reporter::urgent_lane_up(LaneId lane, LaneId base, Preemption preemption) {
  if (parts_.trace == nullptr) return;
  TraceEvent e;
  e.kind = Kind::lane_up;
  e.at = parts_.clock.now();
  e.lane = lane;
  e.base = base;
  e.preemption = preemption;
  parts_.trace->add(e);
}

void Reporter::lane_lost(LaneId lane, LaneLoss loss) {
  if (parts_.trace == nullptr) return;
  TraceEvent e;
  e.kind = Kind::lane_lost;
  e.at = parts_.clock.now();
  e.lane = lane;
  e.loss = loss;
  parts_.trace->add(e);
}

// ---- making ----

TraceEvent Reporter::trace_event(Kind kind, const HeldJob& job) const {
  TraceEvent e;
  e.kind = kind;
  e.at = parts_.clock.now();
  e.job = job.spec().id;
  e.tenant = job.spec().tenant;
  e.model = job.spec().model;
  e.priority = job.spec().priority;
  e.task = job.spec().task;
  e.mandatory_exit = job.spec().mandatory_exit;
  e.target_confidence = job.spec().target_confidence;
  e.plan = job.spec().plan;
  e.only = job.spec().exits;
  e.release = job.spec().release;
  e.deadline = job.spec().deadline;
  return e;
}

void Reporter::trace_lane(Kind kind, LaneId lane, GrantNumber number, const HeldJob* job, Reason reason) {
  if (parts_.trace == nullptr) return;
  TraceEvent e;
  if (job != nullptr) e = trace_event(kind, *job);
  e.kind = kind;
  e.at = parts_.clock.now();
  e.lane = lane;
  e.grant = number;
  e.reason = reason;
  parts_.trace->add(e);
}

wire::Event Reporter::event(wire::Event::Kind kind, const HeldJob& job, TimePoint at) const {
  wire::Event e;
  e.set_kind(kind);
  e.set_at_ns(wire_ns(at));
  e.set_job(job.spec().id.value);
  e.set_tenant(tenant_name(job));
  e.set_model(parts_.catalog.model(job.spec().model).name);
  e.set_priority(job.spec().priority);
  e.set_deadline_ns(wire_ns(job.spec().deadline));
  e.set_task(job.spec().task.value);
  return e;
}

wire::Event Reporter::event(wire::Event::Kind kind, const HeldJob& job, Place place, TimePoint at) const {
  wire::Event e = event(kind, job, at);
  e.set_device(parts_.config.devices[place.device.value].name);
  e.set_lane(place.lane.value);
  return e;
}

void Reporter::tell(const HeldJob& job, const wire::Event& e) const {
  parts_.sink.event(job.spec().tenant, e);
}

const std::string& Reporter::tenant_name(const HeldJob& job) const {
  return parts_.config.tenants[job.spec().tenant.value].name;
}

}  // namespace einet
