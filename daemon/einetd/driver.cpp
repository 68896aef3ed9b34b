#include "daemon/einetd/driver.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>

namespace einet {
namespace {

using Kind = TraceEvent::Kind;

// Lanes do not ring for a block without an answer; while somebody watches, such blocks are shown at least
// this often.
constexpr auto kShowEvery = std::chrono::milliseconds(20);

// Rounds of "take reports, decide" before other handlers get their turn.
constexpr int kRounds = 4;

std::int64_t ns(TimePoint t) {
  return t == kNever ? 0 : std::int64_t{t.time_since_epoch().count()};
}

wire::OutcomeKind wire_outcome(Outcome outcome) {
  constexpr std::array kKinds{wire::COMPLETED, wire::DEADLINE, wire::MISSED,
                              wire::CANCELLED, wire::REJECTED, wire::FAILED};
  return kKinds[static_cast<std::size_t>(outcome)];
}

GrantEnd grant_end(lane::End end) {
  return end == lane::End::done      ? GrantEnd::done
         : end == lane::End::stopped ? GrantEnd::stopped
                                     : GrantEnd::failed;
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
    case Reason::cannot_deliver:
      return "no further exit could be ready before the deadline";
    default:
      return {};
  }
}

}  // namespace

Policy policy_of(const std::string& name) {
  if (name == "edf") return Policy::edf;
  return name == "fifo" ? Policy::fifo : Policy::fixed_priority;
}

Driver::Driver(Parts parts, std::function<void(DeviceId, const std::string&)> on_broken)
    : parts_(parts),
      on_broken_(std::move(on_broken)),
      workers_(parts.config.devices.size()),
      core_({.policy = policy_of(parts.config.policy),
             .max_jobs = static_cast<std::size_t>(parts.config.limits.jobs)},
            *this, *this),
      timer_(parts.io) {
  for (std::uint32_t d = 0; d < parts.config.devices.size(); ++d) {
    first_lane_.push_back(LaneId{static_cast<std::uint32_t>(lanes_.size())});
    for (int i = 0; i < parts.config.devices[d].lanes; ++i) {
      Lane lane;
      lane.device = DeviceId{d};
      lane.index = i;
      lanes_.push_back(std::move(lane));
    }
  }
}

Driver::~Driver() = default;

HeldJob& Driver::record(JobId id) {
  const auto found = jobs_.find(id);
  EINET_CHECK(found != jobs_.end(), "a job's record lives until the core releases it");
  return found->second;
}

// ---- from clients ----

boost::system::result<JobId, Rejection> Driver::submit(Submission submission, JobOrigin origin,
                                                       TimePoint received) {
  const JobId id{newest_.value + 1};
  submission.spec.id = id;
  HeldJob job;
  job.origin = origin;
  job.received = received;
  job.submission = std::move(submission);
  const JobSpec spec = job.spec();
  // Before the core hears of it: its observer calls find the record.
  const auto [place, inserted] = jobs_.emplace(id, std::move(job));
  EINET_CHECK(inserted, "job ids are never reused");
  newest_ = id;
  const TimePoint now = parts_.clock.now();
  if (const auto accepted = core_.submit(spec, now); !accepted) {
    ++counters_.refused;
    if (parts_.trace != nullptr) {
      TraceEvent e = trace_event(Kind::reject, place->second);
      e.reason = accepted.error();
      parts_.trace->add(e);
    }
    jobs_.erase(place);
    return rejection(accepted.error());
  }
  ++counters_.accepted;
  const HeldJob& accepted = place->second;
  if (parts_.trace != nullptr) {
    TraceEvent e = trace_event(Kind::submit, accepted);
    e.at = received;
    parts_.trace->add(e);
  }
  if (parts_.sink.watched()) {
    parts_.sink.event(spec.tenant, event(wire::Event::ACCEPTED, accepted, received));
  }
  return id;
}

bool Driver::cancel(JobId id, std::optional<TenantId> tenant) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end() || (tenant && found->second.spec().tenant != *tenant)) return false;
  return core_.cancel(id, parts_.clock.now());
}

void Driver::cancel_all() {
  for (const auto& [id, job] : jobs_) {
    if (!job.ended) core_.cancel(id, parts_.clock.now());
  }
}

// ---- from lanes ----

void Driver::attach(DeviceId device, lane::DaemonEnd& end) {
  EINET_CHECK(workers_[device.value] == nullptr, "a device has one worker at a time");
  workers_[device.value] = &end;
  for (int i = 0; i < end.lanes(); ++i) {
    const LaneId id{first_lane_[device.value].value + static_cast<std::uint32_t>(i)};
    lanes_[id.value].end = &end;
    core_.lane_up(id, device, parts_.clock.now());
    trace_lane(Kind::lane_up, id, {}, Reason::none);
  }
}

void Driver::detach(DeviceId device, LaneLoss loss) {
  collect(device);  // whole records that it left are as good as any
  drop(device, loss);
}

void Driver::drop(DeviceId device, LaneLoss loss) {
  const lane::DaemonEnd* worker = std::exchange(workers_[device.value], nullptr);
  if (worker == nullptr) return;
  const int lanes = worker->lanes();
  for (int i = 0; i < lanes; ++i) {
    const LaneId id{first_lane_[device.value].value + static_cast<std::uint32_t>(i)};
    lanes_[id.value].end = nullptr;
    lanes_[id.value].posted.clear();
    core_.lane_lost(id, loss, parts_.clock.now());
    trace_lane(Kind::lane_lost, id, {}, Reason::none);
  }
}

void Driver::pump() {
  for (int round = 0; round < kRounds; ++round) {
    collect();
    // Reports first: an answer that was ready before a deadline counts, even if it is read after.
    const TimePoint now = parts_.clock.now();
    core_.advance(now);
    core_.decide(now);
    if (rearm() == More::no) {
      set_timer();
      return;
    }
  }
  boost::asio::post(parts_.io, [this] { pump(); });
}

void Driver::collect() {
  for (std::uint32_t d = 0; d < workers_.size(); ++d) collect(DeviceId{d});
}

void Driver::collect(DeviceId device) {
  if (workers_[device.value] == nullptr) return;
  lane::DaemonEnd& end = *workers_[device.value];
  end.disarm();
  const char* nonsense = nullptr;
  const auto drained = end.drain(parts_.clock, [&](const lane::Report& report) {
    const LaneId id{first_lane_[device.value].value + static_cast<std::uint32_t>(report.lane)};
    if (nonsense == nullptr && !take(id, report)) nonsense = "a report that fits nothing the lane was told";
  });
  if (drained && nonsense == nullptr) return;
  // Nothing more is believed of this worker.
  drop(device, LaneLoss::comes_back);
  on_broken_(device, drained ? nonsense : drained.error().message);
}

Driver::More Driver::rearm() {
  More more = More::no;
  for (lane::DaemonEnd* end : workers_) {
    if (end != nullptr && end->arm() == lane::Arm::reports_waiting) more = More::yes;
  }
  return more;
}

bool Driver::take(LaneId id, const lane::Report& report) {
  Lane& lane = lanes_[id.value];
  HeldJob& job = record(report.job);
  if (report.block >= 0) {
    BlockReport block{.lane = id,
                      .grant = report.grant,
                      .block = report.block,
                      .start = report.start,
                      .end = report.end,
                      .answer = std::nullopt,
                      .used = report.end - report.start};
    if (report.answer) {
      block.answer = ExitAnswer{report.block, report.answer->top_class, report.answer->confidence};
    }
    if (!core_.block_done(block, parts_.clock.now())) return false;
    ++lane.blocks;
    ++counters_.blocks;
    lane.busy += report.end - report.start;
    job.lane_time += report.end - report.start;
    const bool watched = parts_.sink.watched();
    if (!job.first_block) {
      job.first_block = report.start;
      if (watched) {
        wire::Event e = event(wire::Event::STARTED, job, report.start);
        place(e, id);
        parts_.sink.event(job.spec().tenant, e);
      }
    }
    if (parts_.trace != nullptr) {
      TraceEvent e = trace_event(Kind::block, job);
      e.lane = id;
      e.grant = report.grant;
      e.block = report.block;
      e.start = report.start;
      e.end = report.end;
      for (const Posted& p : lane.posted) {
        if (p.number == report.grant) e.granted = p.at;
      }
      if (block.answer) e.answer = *block.answer;
      parts_.trace->add(e);
    }
    if (watched) {
      wire::Event e = event(wire::Event::BLOCK, job, report.end);
      place(e, id);
      e.set_block(static_cast<std::uint32_t>(report.block));
      if (report.answer) e.set_exit(static_cast<std::uint32_t>(report.block));
      e.set_start_ns(ns(report.start));
      e.set_end_ns(ns(report.end));
      parts_.sink.event(job.spec().tenant, e);
    }
    if (report.answer) take_answer(job, id, report);
  }
  if (report.finished != lane::End::none) {
    if (!core_.grant_ended(id, report.grant, grant_end(report.finished), parts_.clock.now())) return false;
    std::erase_if(lane.posted, [&](const Posted& p) { return p.number == report.grant; });
  }
  return true;
}

void Driver::take_answer(HeldJob& job, LaneId id, const lane::Report& report) {
  // Whether the answer still counts is the core's to say: the job may have ended meanwhile.
  const std::optional<Core::JobView> view = core_.job(job.spec().id);
  if (job.ended || !view || view->best.exit != report.block) return;
  ++counters_.exits;
  job.executed_exits |= exit_bit(report.block);
  wire::Answer answer;
  answer.set_exit(static_cast<std::uint32_t>(report.block));
  answer.set_top_class(static_cast<std::uint32_t>(report.answer->top_class));
  answer.set_confidence(report.answer->confidence);
  answer.mutable_scores()->Add(report.scores.begin(), report.scores.end());
  answer.set_ready_ns(ns(report.end));
  if (job.origin.stream == JobOrigin::Stream::every_exit) parts_.sink.exit_result(job, answer);
  if (parts_.sink.watched()) {
    wire::Event e = event(wire::Event::EXIT, job, report.end);
    place(e, id);
    e.set_exit(answer.exit());
    e.set_top_class(answer.top_class());
    e.set_confidence(answer.confidence());
    parts_.sink.event(job.spec().tenant, e);
  }
  job.best = std::move(answer);
}

// ---- commands of the core ----

void Driver::grant(const Grant& g, Reason reason) {
  HeldJob& job = record(g.job);
  Lane& lane = lanes_[g.lane.value];
  EINET_CHECK(lane.end != nullptr, "the core grants only to lanes that are up");
  if (!job.slot) job.slot = slots_.take();
  const lane::ModelDescription& model = parts_.catalog.model(job.spec().model).description;
  lane.end->post(lane.index, lane::GrantMessage{.number = g.number,
                                                .job = g.job,
                                                .job_slot = *job.slot,
                                                .model = job.spec().model,
                                                .blocks = model.blocks,
                                                .classes = model.classes,
                                                .first_block = g.first_block,
                                                .exits = g.exits,
                                                .input_offset = job.submission.input.offset(),
                                                .input_bytes = job.submission.input.size(),
                                                .input_type = job.submission.input_type});
  lane.posted.push_back({g.number, g.job, parts_.clock.now()});
  ++counters_.grants;
  if (parts_.trace != nullptr) {
    TraceEvent e = trace_event(Kind::grant, job);
    e.at = lane.posted.back().at;
    e.lane = g.lane;
    e.grant = g.number;
    e.block = g.first_block;
    e.exits = g.exits;
    e.reason = reason;
    parts_.trace->add(e);
  }
}

void Driver::stop(LaneId id, GrantNumber number, Reason reason) {
  Lane& lane = lanes_[id.value];
  lane.end->stop(lane.index, number);
  ++counters_.stops;
  trace_lane(Kind::stop, id, number, reason);
}

bool Driver::withdraw(LaneId id, GrantNumber number, Reason reason) {
  Lane& lane = lanes_[id.value];
  if (lane.end->withdraw(lane.index, number) == lane::Withdrawal::taken) return false;
  ++counters_.withdrawals;
  trace_lane(Kind::withdraw, id, number, reason);
  std::erase_if(lane.posted, [&](const Posted& p) { return p.number == number; });
  return true;
}

void Driver::set_exits(LaneId id, GrantNumber number, ExitMask exits, Reason) {
  Lane& lane = lanes_[id.value];
  lane.end->set_exits(lane.index, number, exits);
}

void Driver::finish(JobId id, Outcome outcome, Reason reason) {
  HeldJob& job = record(id);
  EINET_CHECK(!job.ended, "a job has one outcome");
  job.ended = true;
  ++counters_.outcomes[static_cast<std::size_t>(outcome)];
  const TimePoint now = parts_.clock.now();

  wire::Outcome message;
  message.set_job(id.value);
  message.set_kind(wire_outcome(outcome));
  message.set_reason(std::string(name(reason)));
  message.set_words(words_of(reason));
  if (job.best) *message.mutable_best() = *job.best;
  message.set_preemptions(static_cast<std::uint32_t>(job.preemptions));
  message.set_received_ns(ns(job.received));
  message.set_released_ns(ns(job.spec().release));
  message.set_first_block_ns(job.first_block ? ns(*job.first_block) : 0);
  message.set_finished_ns(ns(now));
  message.set_deadline_ns(ns(job.spec().deadline));
  message.set_lane_time_ns(job.lane_time.count());
  message.set_executed_exits(job.executed_exits);
  parts_.sink.outcome(job, message);

  if (parts_.sink.watched()) {
    wire::Event e = event(wire::Event::ENDED, job, now);
    e.set_outcome(message.kind());
    e.set_reason(message.reason());
    parts_.sink.event(job.spec().tenant, e);
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
    parts_.log.warn("job failed", {{"job", id},
                                   {"tenant", parts_.config.tenants[job.spec().tenant.value].name},
                                   {"model", parts_.catalog.model(job.spec().model).name},
                                   {"reason", name(reason)}});
  } else if (parts_.log.debugs()) {
    parts_.log.debug("job ended", {{"job", id},
                                   {"tenant", parts_.config.tenants[job.spec().tenant.value].name},
                                   {"outcome", name(outcome)},
                                   {"reason", name(reason)},
                                   {"response", now - job.spec().release}});
  }
}

void Driver::release(JobId id) {
  const HeldJob& job = record(id);
  EINET_CHECK(job.ended, "a job ends before it is released");
  if (job.slot) slots_.give_back(*job.slot);
  jobs_.erase(id);
}

// ---- observer of the core ----

void Driver::job_state(JobId id, JobState from, JobState to, TimePoint at) {
  if (from != JobState::waiting || to != JobState::ready || !parts_.sink.watched()) return;
  const HeldJob& job = record(id);
  parts_.sink.event(job.spec().tenant, event(wire::Event::RELEASED, job, at));
}

void Driver::preempted(LaneId id, JobId victim, JobId by, TimePoint at) {
  HeldJob& job = record(victim);
  ++job.preemptions;
  ++counters_.preemptions;
  if (parts_.trace != nullptr) {
    TraceEvent e = trace_event(Kind::preempt, job);
    e.at = at;
    e.lane = id;
    e.by = by;
    parts_.trace->add(e);
  }
  if (parts_.sink.watched()) {
    wire::Event e = event(wire::Event::PREEMPTED, job, at);
    place(e, id);
    e.set_by(by.value);
    parts_.sink.event(job.spec().tenant, e);
  }
}

// ---- time ----

void Driver::set_timer() {
  TimePoint due = core_.next_wakeup();
  const auto busy = [](const Lane& lane) { return !lane.posted.empty(); };
  if (parts_.sink.watched() && std::any_of(lanes_.begin(), lanes_.end(), busy)) {
    due = std::min(due, parts_.clock.now() + kShowEvery);
  }
  if (due == timer_at_) return;
  timer_at_ = due;
  if (due == kNever) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(due);
  timer_.async_wait([this](boost::system::error_code cancelled) {
    if (cancelled) return;
    timer_at_ = kNever;
    pump();
  });
}

// ---- views ----

std::vector<LaneView> Driver::lanes() const {
  std::vector<LaneView> out;
  for (const Lane& lane : lanes_) {
    LaneView view{.device = lane.device,
                  .up = lane.end != nullptr,
                  .job = {},
                  .model = {},
                  .busy = lane.busy,
                  .blocks = lane.blocks};
    if (!lane.posted.empty()) {
      view.job = lane.posted.front().job;
      if (const auto job = jobs_.find(view.job); job != jobs_.end()) view.model = job->second.spec().model;
    }
    out.push_back(view);
  }
  return out;
}

std::vector<Core::JobView> Driver::views(std::optional<TenantId> tenant) const {
  std::vector<Core::JobView> out;
  for (const auto& [id, job] : jobs_) {
    if (tenant && job.spec().tenant != *tenant) continue;
    if (std::optional<Core::JobView> view = core_.job(id)) out.push_back(std::move(*view));
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.spec.id < b.spec.id; });
  return out;
}

TraceEvent Driver::trace_event(Kind kind, const HeldJob& job) const {
  TraceEvent e;
  e.kind = kind;
  e.at = parts_.clock.now();
  e.job = job.spec().id;
  e.tenant = job.spec().tenant;
  e.model = job.spec().model;
  e.priority = job.spec().priority;
  e.release = job.spec().release;
  e.deadline = job.spec().deadline;
  return e;
}

void Driver::trace_lane(Kind kind, LaneId id, GrantNumber number, Reason reason) {
  if (parts_.trace == nullptr) return;
  TraceEvent e;
  for (const Posted& p : lanes_[id.value].posted) {
    if (p.number == number) e = trace_event(kind, record(p.job));
  }
  e.kind = kind;
  e.at = parts_.clock.now();
  e.lane = id;
  e.grant = number;
  e.reason = reason;
  parts_.trace->add(e);
}

wire::Event Driver::event(wire::Event::Kind kind, const HeldJob& job, TimePoint at) const {
  wire::Event e;
  e.set_kind(kind);
  e.set_at_ns(ns(at));
  e.set_job(job.spec().id.value);
  e.set_tenant(parts_.config.tenants[job.spec().tenant.value].name);
  e.set_model(parts_.catalog.model(job.spec().model).name);
  e.set_priority(job.spec().priority);
  e.set_deadline_ns(ns(job.spec().deadline));
  return e;
}

void Driver::place(wire::Event& e, LaneId id) const {
  e.set_device(parts_.config.devices[lanes_[id.value].device.value].name);
  e.set_lane(id.value);
}

}  // namespace einet
