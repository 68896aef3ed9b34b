#include "daemon/einetd/driver.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>

namespace einet {
namespace {

// Lanes do not ring for a block without an answer; while somebody watches, such blocks are shown at least
// this often.
constexpr auto kShowEvery = std::chrono::milliseconds(20);

// Rounds of "take reports, decide" before other handlers get their turn.
constexpr int kRounds = 4;

}  // namespace

Driver::Driver(Parts parts, Calls calls)
    : parts_(parts),
      report_({parts.clock, parts.config, parts.catalog, parts.sink, parts.log, parts.trace}),
      calls_(std::move(calls)),
      workers_(parts.config.devices.size()),
      uses_(parts.catalog.size()),
      moves_(parts.clock, parts.config.devices.size()),
      core_({.policy = policy_named(parts.config.policy),
             .max_jobs = static_cast<std::size_t>(parts.config.limits.jobs),
             .promote_at_laxity = parts.config.promote_at_laxity,
             .margin = parts.config.admission.margin,
             .overhead = parts.config.admission.overhead,
             .survival = survival_parts(parts.config.planner.survival)},
            *this, *this),
      timer_(parts.io) {
  for (std::uint32_t d = 0; d < parts.config.devices.size(); ++d) {
    first_lane_.push_back(LaneId{static_cast<std::uint32_t>(lanes_.size())});
    for (int i = 0; i < parts.config.devices[d].all_lanes(); ++i) {
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

const Driver::Posted* Driver::Lane::find(GrantNumber number) const {
  for (const Posted& p : posted) {
    if (p.number == number) return &p;
  }
  return nullptr;
}

std::deque<Driver::Unposted>::iterator Driver::Lane::find_unposted(GrantNumber number) {
  return std::find_if(unposted.begin(), unposted.end(),
                      [&](const Unposted& u) { return u.message.number == number; });
}

const HeldJob* Driver::job_of(const Lane& lane, GrantNumber number) {
  const Posted* posted = lane.find(number);
  return posted == nullptr ? nullptr : &record(posted->job);
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
  job.answer = JobAnswer(parts_.catalog.model(job.spec().model).predictor);
  const JobSpec spec = job.spec();
  // Before the core hears of it: its observer calls find the record.
  const auto [place, inserted] = jobs_.emplace(id, std::move(job));
  EINET_CHECK(inserted, "job ids are never reused");
  newest_ = id;
  const TimePoint now = parts_.clock.now();
  arriving_ = {.id = id};
  const auto accepted = core_.submit(spec, now);
  const Arriving said = std::exchange(arriving_, {});
  if (!accepted) {
    ++counters_.refused;
    const Rejection why = report_.rejected(place->second, accepted.error());
    jobs_.erase(place);
    return why;
  }
  ++counters_.accepted;
  TaskCounts* const counts = parts_.statistics.find(spec.task);
  if (counts != nullptr) ++counts->jobs;
  note_use(spec.model, 1);
  report_.accepted(place->second);
  if (said.throttled_until) {
    ++counters_.throttled;
    if (counts != nullptr) {
      report_.throttled(place->second, *said.throttled_until, ++counts->throttled, now);
    }
  }
  if (said.released) report_.released(place->second, now);
  place->second.submission.spec.release = accepted->release;
  place->second.submission.spec.deadline = accepted->deadline;
  return id;
}

void Driver::note_use(ModelId model, std::ptrdiff_t jobs) {
  Use& use = uses_[model.value];
  const bool before = use.jobs > 0;
  use.jobs += static_cast<std::size_t>(jobs);
  if ((use.jobs > 0) == before) return;
  use.since = parts_.clock.now();
  calls_.use_changed();
}

bool Driver::cancel(JobId id, std::optional<TenantId> tenant) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end() || (tenant && found->second.spec().tenant != *tenant)) return false;
  return cancel(found->second, Reason::by_request);
}

bool Driver::cancel(const HeldJob& job, Reason why) {
  const TimePoint now = parts_.clock.now();
  if (!core_.cancel(job.spec().id, now, why)) return false;
  report_.cancelled(job, now);
  return true;
}

void Driver::cancel_all() {
  for (const auto& [id, job] : jobs_) {
    if (!job.ended) cancel(job, Reason::shutting_down);
  }
}

// ---- from admission ----

void Driver::reserve(const Task& task, const Reservation& reservation) {
  const TimePoint now = parts_.clock.now();
  core_.reserve(task.id, reservation, now);
  report_.reserved(task, reservation, now);
}

void Driver::unreserve(TaskId task) {
  const TimePoint now = parts_.clock.now();
  core_.unreserve(task, now);
  report_.unreserved(task, now);
}

void Driver::set_share(TenantId tenant, const Share& share) {
  const TimePoint now = parts_.clock.now();
  core_.set_share(tenant, share, now);
  report_.shared(tenant, share, now);
}

// ---- from lanes ----

LaneId Driver::lane_id(DeviceId device, int index) const {
  return LaneId{first_lane_[device.value].value + static_cast<std::uint32_t>(index)};
}

void Driver::attach(DeviceId device, lane::DaemonEnd& end, Raise raise, StateMoves::Send send,
                    UrgentLanes urgent_lanes) {
  EINET_CHECK(workers_[device.value].end == nullptr, "a device has one worker at a time");
  workers_[device.value] = {.end = &end, .raise = std::move(raise)};
  moves_.attach(device, std::move(send));
  report_.device_up(device);
  const DeviceConfig& config = parts_.config.devices[device.value];
  for (int i = 0; i < config.lanes; ++i) {
    const LaneId id = lane_id(device, i);
    lanes_[id.value].end = &end;
    core_.lane_up(id, device, parts_.clock.now());
    report_.lane_up(id);
  }
  if (urgent_lanes == UrgentLanes::leave) return;
  for (int i = 0; i < config.lanes; ++i) {
    const LaneId id = lane_id(device, config.lanes + i);
    lanes_[id.value].end = &end;
    const Preemption preemption = preemption_named(config.preemption);
    core_.urgent_lane_up(id, lane_id(device, i), preemption, parts_.clock.now());
    report_.urgent_lane_up(id, lane_id(device, i), preemption);
  }
}

std::optional<DeviceId> Driver::instead_of(const JobSpec& job, DeviceId runs_on) const {
  const std::vector<bool>& evicted = parts_.catalog.model(job.model).evicted;
  const auto is_out = [&](std::size_t device) { return workers_[device].end == nullptr || evicted[device]; };
  const auto runs = [&](std::size_t device) { return !job.times->on_device[device].empty(); };
  const std::size_t devices = job.times->on_device.size();
  bool any_out = false;  // usually none is, and every grant asks
  for (std::size_t d = 0; d < devices; ++d) any_out |= d != runs_on.value && runs(d) && is_out(d);
  if (!any_out) return std::nullopt;
  DeviceId fastest = runs_on;
  for (std::uint32_t d = 0; d < devices; ++d) {
    const DeviceId other{d};
    if (runs(d) && job.times->whole_time(other) < job.times->whole_time(fastest)) fastest = other;
  }
  if (fastest == runs_on || !is_out(fastest.value)) return std::nullopt;
  return fastest;
}

void Driver::detach(DeviceId device, LaneLoss loss) {
  collect(device);  // whole records that it left are as good as any
  drop(device, loss);
}

void Driver::set_residence(ModelId model, DeviceId device, Residence residence) {
  const TimePoint now = parts_.clock.now();
  core_.set_residence(model, device, residence, now);
  report_.resides(model, device, residence, now);
}

void Driver::drop(DeviceId device, LaneLoss loss) {
  if (std::exchange(workers_[device.value], {}).end == nullptr) return;
  moves_.detach(device);
  for (int i = parts_.config.devices[device.value].all_lanes(); i-- > 0;) {
    const LaneId id = lane_id(device, i);
    if (std::exchange(lanes_[id.value].end, nullptr) == nullptr) continue;
    lanes_[id.value].posted.clear();
    for (const Unposted& u : std::exchange(lanes_[id.value].unposted, {})) moves_.forget(u.message.job);
    core_.lane_lost(id, loss, parts_.clock.now());
    report_.lane_lost(id, loss);
  }
}

void Driver::pump() {
  for (int round = 0; round < kRounds; ++round) {
    collect();
    // Reports first: an answer that was ready before a deadline counts, even if it is read after.
    end_unposted();
    const TimePoint now = parts_.clock.now();
    core_.advance(now);
    core_.decide(now);
    if (!end_unposted() && rearm() == More::no) {
      set_timer();
      return;
    }
  }
  boost::asio::post(parts_.io, [this] { pump(); });
}

Result<void> Driver::state_moved(DeviceId device, const lane::StateMoved& answer) {
  auto problem = moves_.answered(device, answer);
  if (!problem) return problem.error();
  if (!problem->empty()) {
    parts_.log.warn("state not moved", {{"job", answer.job.value},
                                        {"device", parts_.config.devices[device.value].name},
                                        {"reason", *problem}});
  }
  free_slots();
  for (Lane& lane : lanes_) post_arrived(lane);
  return {};
}

void Driver::post_arrived(Lane& lane) {
  while (!lane.unposted.empty()) {
    const Unposted& next = lane.unposted.front();
    const lane::GrantMessage& message = next.message;
    if (next.end || moves_.is_busy(lane.device, message.job_slot)) return;
    if (next.moves && moves_.progress(message.job) != StateMoves::Progress::arrived) return;
    if (next.moves) moves_.forget(message.job);
    lane.end->post(lane.index, message);
    lane.unposted.pop_front();
  }
}

bool Driver::end_unposted() {
  bool ended = false;
  for (std::uint32_t id = 0; id < lanes_.size(); ++id) {
    Lane& lane = lanes_[id];
    while (!lane.unposted.empty()) {
      Unposted& next = lane.unposted.front();
      const JobId job = next.message.job;
      const GrantNumber number = next.message.number;
      const StateMoves::Progress moved = next.moves ? moves_.progress(job) : StateMoves::Progress::none;
      const bool no_memory = moved == StateMoves::Progress::no_memory;
      if ((no_memory || moved == StateMoves::Progress::failed) && !next.end) {
        const bool again = no_memory && calls_.make_room(lane.device, lane.find(number)->at);
        next.end = again ? GrantEnd::not_begun : GrantEnd::not_moved;
        ++counters_.failed_moves;
      }
      // In the order of the lane's grants.
      if (!next.end || lane.posted.front().number != number) break;
      const bool known = core_.grant_ended(LaneId{id}, number, *next.end, parts_.clock.now());
      EINET_CHECK(known, "the core knows the grants that it made");
      if (next.moves) moves_.forget(job);
      lane.posted.erase(lane.posted.begin());
      lane.unposted.pop_front();
      post_arrived(lane);
      ended = true;
    }
  }
  return ended;
}

// Slots that no worker looks at any more go to other jobs.
void Driver::free_slots() {
  std::erase_if(leaving_slots_, [&](std::uint32_t slot) {
    if (moves_.is_busy(slot)) return false;
    slots_.give_back(slot);
    return true;
  });
}

void Driver::collect() {
  for (std::uint32_t d = 0; d < workers_.size(); ++d) collect(DeviceId{d});
}

void Driver::collect(DeviceId device) {
  if (workers_[device.value].end == nullptr) return;
  lane::DaemonEnd& end = *workers_[device.value].end;
  end.disarm();
  const char* nonsense = nullptr;
  const auto drained = end.drain(parts_.clock, [&](const lane::Report& report) {
    const LaneId id{first_lane_[device.value].value + static_cast<std::uint32_t>(report.lane)};
    if (nonsense == nullptr && !take(id, report)) nonsense = "a report that fits nothing the lane was told";
  });
  if (drained && nonsense == nullptr) return;
  // Nothing more is believed of this worker.
  drop(device, LaneLoss::comes_back);
  calls_.broken(device, drained ? nonsense : drained.error().message);
}

Driver::More Driver::rearm() {
  More more = More::no;
  for (const Worker& worker : workers_) {
    if (worker.end != nullptr && worker.end->arm() == lane::Arm::reports_waiting) more = More::yes;
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
                      .used = report.used};
    if (report.answer) {
      block.answer = job.answer.add(report.block, report.scores);
    }
    if (!core_.block_done(block, parts_.clock.now())) return false;
    ++lane.blocks;
    ++counters_.blocks;
    lane.busy += report.used;
    job.lane_time += report.used;
    const Place place{id, lane.device};
    if (!job.first_block) {
      job.first_block = report.start;
      report_.started(job, place, report.start);
    }
    const Posted* posted = lane.find(report.grant);
    if (posted != nullptr && posted->rides) ++counters_.batched_blocks;
    report_.block_done(job, place, block, posted != nullptr ? posted->at : TimePoint{});
    if (report.answer) take_answer(job, *block.answer, id, report);
  }
  if (report.finished != lane::End::none) {
    const GrantEnd how = grant_end(lane, report);
    if (!core_.grant_ended(id, report.grant, how, parts_.clock.now())) return false;
    std::erase_if(lane.posted, [&](const Posted& p) { return p.number == report.grant; });
  }
  return true;
}

GrantEnd Driver::grant_end(const Lane& lane, const lane::Report& report) {
  switch (report.finished) {
    case lane::End::done:
      return GrantEnd::done;
    case lane::End::stopped:
      return GrantEnd::stopped;
    case lane::End::out_of_memory: {
      const Posted* posted = lane.find(report.grant);
      const bool again = posted != nullptr && report.block < 0 && calls_.make_room(lane.device, posted->at);
      return again ? GrantEnd::not_begun : GrantEnd::out_of_memory;
    }
    default:
      return GrantEnd::failed;
  }
}

void Driver::take_answer(HeldJob& job, const ExitAnswer& held, LaneId id, const lane::Report& report) {
  // Whether the answer still counts is the core's to say: the job may have ended meanwhile.
  const std::optional<Core::JobView> view = core_.job(job.spec().id);
  if (job.ended || !view || view->best.exit != report.block) return;
  ++counters_.exits;
  job.executed_exits |= exit_bit(report.block);
  wire::Answer answer;
  answer.set_exit(static_cast<std::uint32_t>(report.block));
  answer.set_top_class(static_cast<std::uint32_t>(held.top_class));
  answer.set_confidence(held.confidence);
  answer.mutable_scores()->Add(job.answer.scores().begin(), job.answer.scores().end());
  answer.set_ready_ns(wire_ns(report.end));
  job.best = std::move(answer);
  if (!job.sufficient && report.block >= job.spec().mandatory_exit) {
    job.sufficient = true;
    if (TaskCounts* counts = parts_.statistics.find(job.spec().task)) {
      counts->responded(report.end - job.spec().release);
    }
  }
  report_.answered(job, {id, lanes_[id.value].device}, report.end);
}

// ---- commands of the core ----

void Driver::grant(const Grant& g, Reason reason) {
  HeldJob& job = record(g.job);
  Lane& lane = lanes_[g.lane.value];
  EINET_CHECK(lane.end != nullptr, "the core grants only to lanes that are up");
  if (!job.slot) job.slot = slots_.take();
  const lane::ModelDescription& model = parts_.catalog.model(job.spec().model).description;
  if (g.from) {
    moves_.begin({.job = g.job,
                  .slot = *job.slot,
                  .model = job.spec().model,
                  .next_block = g.first_block,
                  .from = *g.from,
                  .to = lane.device});
    ++counters_.moves;
  }
  lane.unposted.push_back({.message = {.number = g.number,
                                       .job = g.job,
                                       .job_slot = *job.slot,
                                       .model = job.spec().model,
                                       .blocks = model.blocks,
                                       .classes = model.classes,
                                       .first_block = g.first_block,
                                       .exits = g.exits,
                                       .reserved_blocks = g.reserved_blocks,
                                       .input_offset = job.submission.input.offset(),
                                       .input_bytes = job.submission.input.size(),
                                       .input_type = job.submission.input_type,
                                       .with = g.with.value_or(GrantNumber{})},
                           .moves = g.from.has_value(),
                           .end = {}});
  post_arrived(lane);
  const bool reserved_waits = !lane.posted.empty() && g.first_block < g.reserved_blocks;
  if (reserved_waits) workers_[lane.device.value].raise(lane.index);
  lane.posted.push_back({g.number, g.job, parts_.clock.now(), g.with.has_value()});
  ++counters_.grants;
  if (const auto better = instead_of(job.spec(), lane.device)) {
    ++counters_.fallbacks;
    Worker& out = workers_[better->value];
    if (out.end == nullptr && !std::exchange(out.missed, true)) {
      parts_.log.warn("jobs run on another device while theirs is down",
                      {{"device", parts_.config.devices[better->value].name},
                       {"instead", parts_.config.devices[lane.device.value].name}});
    }
  }
  report_.granted(job, g, reason, lane.posted.back().at);
}

void Driver::stop(LaneId id, GrantNumber number, Reason reason) {
  Lane& lane = lanes_[id.value];
  if (const auto unposted = lane.find_unposted(number); unposted != lane.unposted.end()) {
    unposted->end = GrantEnd::stopped;
  } else {
    lane.end->stop(lane.index, number);
  }
  ++counters_.stops;
  report_.stopped(id, number, job_of(lane, number), reason);
}

bool Driver::withdraw(LaneId id, GrantNumber number, Reason reason) {
  Lane& lane = lanes_[id.value];
  if (const auto unposted = lane.find_unposted(number); unposted != lane.unposted.end()) {
    if (unposted->moves) moves_.forget(unposted->message.job);
    lane.unposted.erase(unposted);
    post_arrived(lane);
  } else if (lane.end->withdraw(lane.index, number) == lane::Withdrawal::taken) {
    return false;
  }
  ++counters_.withdrawals;
  report_.withdrawn(id, number, job_of(lane, number), reason);
  std::erase_if(lane.posted, [&](const Posted& p) { return p.number == number; });
  return true;
}

void Driver::set_exits(LaneId id, GrantNumber number, ExitMask exits, Reason) {
  Lane& lane = lanes_[id.value];
  if (const auto unposted = lane.find_unposted(number); unposted != lane.unposted.end()) {
    unposted->message.exits = exits;
  } else {
    lane.end->set_exits(lane.index, number, exits);
  }
}

void Driver::finish(JobId id, Outcome outcome, Reason reason) {
  HeldJob& job = record(id);
  EINET_CHECK(!job.ended, "a job has one outcome");
  job.ended = true;
  ++counters_.outcomes[static_cast<std::size_t>(outcome)];
  if (TaskCounts* counts = parts_.statistics.find(job.spec().task)) {
    if (outcome == Outcome::completed || outcome == Outcome::deadline) ++counts->met;
    if (outcome == Outcome::missed) {
      ++counts->missed;
      counts->responded(parts_.clock.now() - job.spec().release);
    }
  }
  report_.ended(job, outcome, reason);
}

void Driver::release(JobId id) {
  const HeldJob& job = record(id);
  EINET_CHECK(job.ended, "a job ends before it is released");
  if (job.slot) leaving_slots_.push_back(*job.slot);
  free_slots();
  const ModelId model = job.spec().model;
  jobs_.erase(id);
  note_use(model, -1);
}

// ---- observer of the core ----

void Driver::job_state(JobId id, JobState from, JobState to, TimePoint at) {
  if (from != JobState::waiting || to != JobState::ready) return;
  if (id == arriving_.id) {
    arriving_.released = true;
  } else {
    report_.released(record(id), at);
  }
}

void Driver::preempted(LaneId id, JobId victim, JobId by, TimePoint at) {
  HeldJob& job = record(victim);
  ++job.preemptions;
  ++counters_.preemptions;
  report_.preempted(job, {id, lanes_[id.value].device}, by, at);
}

void Driver::suspended(LaneId id, JobId victim, JobId by, TimePoint at) {
  ++counters_.suspensions;
  report_.suspended(record(victim), {id, lanes_[id.value].device}, by, at);
}

void Driver::throttled(JobId, TaskId, TimePoint until, TimePoint) {
  arriving_.throttled_until = until;
}

void Driver::overran(JobId id, TaskId task, Duration used, TimePoint at) {
  ++counters_.overran;
  TaskCounts* counts = parts_.statistics.find(task);
  if (counts != nullptr) report_.overran(record(id), used, ++counts->overran, at);
}

// ---- time ----

void Driver::set_timer() {
  TimePoint due = core_.next_wakeup();
  const auto busy = [](const Lane& lane) { return !lane.posted.empty(); };
  if (report_.watched() && std::any_of(lanes_.begin(), lanes_.end(), busy)) {
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
                  .index = lane.index,
                  .up = lane.end != nullptr,
                  .job = {},
                  .model = {},
                  .busy = lane.busy,
                  .blocks = lane.blocks};
    const auto leads =
        std::find_if(lane.posted.begin(), lane.posted.end(), [](const Posted& p) { return !p.rides; });
    if (leads != lane.posted.end()) {
      view.job = leads->job;
      if (const auto job = jobs_.find(view.job); job != jobs_.end()) view.model = job->second.spec().model;
    }
    out.push_back(view);
  }
  return out;
}

std::vector<LaneId> Driver::base_lanes(DeviceId device) const {
  std::vector<LaneId> out;
  for (int i = 0; i < parts_.config.devices[device.value].lanes; ++i) {
    out.push_back(lane_id(device, i));
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

}  // namespace einet
