#include "scheduler/core.h"

#include <algorithm>
#include <array>
#include <utility>

#include "scheduler/core_impl.h"

namespace einet {

std::span<const std::string_view> residence_words() {
  static constexpr std::array<std::string_view, 4> kWords{"in", "out", "lost", "no-room"};
  return kWords;
}

std::string_view name(Residence residence) {
  return residence_words()[static_cast<std::size_t>(residence)];
}

std::span<const std::string_view> loss_words() {
  static constexpr std::array<std::string_view, 2> kWords{"comes-back", "for-good"};
  return kWords;
}

std::string_view name(LaneLoss loss) {
  return loss_words()[static_cast<std::size_t>(loss)];
}

int HeldGrant::last_block() const {
  return deepest(exits);
}

Core::Core(const CoreOptions& options, Commands& commands, Observer& observer)
    : impl_(std::make_unique<Impl>(options, commands, observer)) {}
Core::~Core() = default;

boost::system::result<Accepted, Reason> Core::submit(const JobSpec& spec, TimePoint now) {
  return impl_->submit(spec, now);
}
bool Core::cancel(JobId id, TimePoint now, Reason why) {
  return impl_->cancel(id, now, why);
}
void Core::lane_up(LaneId lane, DeviceId device, TimePoint now) {
  impl_->lane_up(lane, device, now);
}
void Core::urgent_lane_up(LaneId lane, LaneId base, Preemption preemption, TimePoint now) {
  impl_->urgent_lane_up(lane, base, preemption, now);
}
void Core::reserve(TaskId task, const Reservation& reservation, TimePoint now) {
  impl_->reserve(task, reservation, now);
}
void Core::unreserve(TaskId task, TimePoint now) {
  impl_->unreserve(task, now);
}
void Core::set_share(TenantId tenant, const Share& share, TimePoint now) {
  impl_->set_share(tenant, share, now);
}
void Core::lane_lost(LaneId lane, LaneLoss loss, TimePoint now) {
  impl_->lane_lost(lane, loss, now);
}
void Core::set_residence(ModelId model, DeviceId device, Residence residence, TimePoint now) {
  impl_->set_residence(model, device, residence, now);
}
bool Core::block_done(const BlockReport& report, TimePoint now) {
  return impl_->block_done(report, now);
}
bool Core::grant_ended(LaneId lane, GrantNumber number, GrantEnd how, TimePoint now) {
  return impl_->grant_ended(lane, number, how, now);
}
void Core::advance(TimePoint now) {
  impl_->advance(now);
}
void Core::decide(TimePoint now) {
  impl_->decide(now);
}
TimePoint Core::next_wakeup() const {
  return impl_->next_wakeup();
}
std::optional<Core::JobView> Core::job(JobId id) const {
  return impl_->job(id);
}
std::optional<PlanBasis> Core::explain(JobId id) const {
  return impl_->explain(id);
}
std::size_t Core::job_count() const {
  return impl_->job_count();
}
std::string Core::dump() const {
  return impl_->dump();
}

Core::Impl::Impl(const CoreOptions& options, Commands& commands, Observer& observer)
    : options_(options),
      commands_(commands),
      observer_(observer),
      jobs_(options.max_jobs),
      planner_(options.survival),
      lives_(options.survival.lived ? Lives::kMaxClasses : 0) {
  waiting_.reserve(kMostWaiting);
  too_slow_.reserve(options.max_jobs);
}

Core::Impl::~Impl() {
  departing_.clear();
  to_review_.clear();
}

// --- Jobs ---

boost::system::result<Accepted, Reason> Core::Impl::submit(const JobSpec& spec, TimePoint now) {
  move_clock(now);
  const int blocks = spec.times->blocks();
  EINET_CHECK(blocks > 0 && blocks <= kMaxBlocks, "a model has 1 to kMaxBlocks blocks");
  EINET_CHECK(spec.times->accuracy.empty() || spec.times->accuracy.size() == static_cast<std::size_t>(blocks),
              "a model has no exits, or one per block");
  EINET_CHECK(spec.mandatory_exit < blocks, "the mandatory exit exists");
  EINET_CHECK(spec.times->on_device.size() <= kMaxDevices, "there are at most kMaxDevices devices");

  TimePoint release = spec.release;
  TimePoint deadline = spec.deadline;
  TaskState* task = nullptr;
  if (spec.task != TaskId{}) {
    const auto found = tasks_.find(spec.task);
    if (found == tasks_.end()) return Reason::no_such_task;
    task = &found->second;
    EINET_CHECK(task->reservation.mandatory_exit < blocks, "the mandatory exit exists");
    release = std::max(release, task->next_release);
    deadline = std::min(kNever, release + task->reservation.deadline);
  }
  if (deadline <= release) return Reason::deadline_before_release;
  if (spec.on_miss == OnMiss::stop && deadline <= now) return Reason::deadline_in_past;
  const DeviceSet able = devices_of(*spec.times);
  if (!lives(able, spec.model)) return Reason::no_lane;
  if (jobs_.full()) return Reason::queue_full;

  JobRecord& job = jobs_.add(spec);
  job.able = able;
  job.devices = where_to_begin(job);
  if (job.has_exits()) job.lives = lives_.of(spec);
  job.spec.release = release;
  job.spec.deadline = deadline;
  if (task != nullptr) {
    job.spec.priority = task->reservation.priority;
    job.spec.mandatory_exit = task->reservation.mandatory_exit;
    const bool has_home = lanes_[task->reservation.home.value].status != Lane::Status::gone;
    if (task->in_force && has_home) job.reservation = &task->reservation;
    job.weight = shares_.weight(spec.tenant);
    const TimePoint next_release = release + task->reservation.period;
    job.puts_off = next_release - std::exchange(task->next_release, next_release);
    task->coming.push_back(job);
    if (release > spec.release) observer_.throttled(spec.id, spec.task, release, now);
  } else if (options_.policy == Policy::imprecise) {
    const DeviceSet on = usable(job);
    const std::size_t lanes = std::max<std::size_t>(1, base_lanes(on));
    shares_.join(job, mandatory_time(job, fastest(job, on)), lanes);
  }
  timers_.set(job, release);
  if (release <= now) advance(now);
  return Accepted{release, deadline};
}

bool Core::Impl::cancel(JobId id, TimePoint now, Reason why) {
  move_clock(now);
  JobRecord* job = jobs_.find(id);
  if (job == nullptr || job->state == JobState::ended) return false;
  end(*job, Outcome::cancelled, why, now);
  return true;
}

void Core::Impl::advance(TimePoint now) {
  move_clock(now);
  for (JobRecord* job = timers_.first(); job != nullptr && job->timer <= now; job = timers_.first()) {
    if (job->state == JobState::waiting) {
      job->by_task.unlink();
      set_timer(*job, now);
      make_ready(*job, now);
    } else if (job->timer < job->spec.deadline) {
      rank(*job, [&] { job->promoted = true; });
      set_timer(*job, now);
    } else {
      deadline_reached(*job, now);
    }
  }
}

// The deadline; before it, the instant at which the laxity is used up.
void Core::Impl::set_timer(JobRecord& job, TimePoint now) {
  if (job.spec.on_miss != OnMiss::stop) return timers_.clear(job);
  const bool promotable = options_.policy == Policy::imprecise && options_.promote_at_laxity > Duration{} &&
                          job.reservation == nullptr && !job.promoted && job.spec.deadline < kNever;
  if (!promotable) return timers_.set(job, job.spec.deadline);
  const TimePoint promotion =
      job.spec.deadline - mandatory_time(job, fastest(job, usable(job))) - options_.promote_at_laxity;
  if (promotion > now) return timers_.set(job, promotion);
  job.promoted = true;
  timers_.set(job, job.spec.deadline);
}

// A block that ends exactly at the deadline is in time, and its lane may be about to say so: a job on a lane
// gets until the end of this instant.
void Core::Impl::deadline_reached(JobRecord& job, TimePoint now) {
  if (job.spec.deadline < now || !job.lane) return end_with_best(job, Reason::deadline_passed, now);
  job.leaving = Reason::deadline_passed;
  if (ReadyQueues::contains(job)) ready_.erase(job);
  timers_.set(job, job.spec.deadline + Duration{1});
}

void Core::Impl::set_state(JobRecord& job, JobState to, TimePoint now) {
  EINET_CHECK(is_legal(job.state, to), "a job goes only where its life allows");
  const JobState from = std::exchange(job.state, to);
  observer_.job_state(job.spec.id, from, to, now);
}

void Core::Impl::make_ready(JobRecord& job, TimePoint now) {
  set_state(job, JobState::ready, now);
  rank(job);
  if (!ReadyQueues::contains(job)) ready_.insert(job);
  Server* const budget = job.spec.task == TaskId{} ? shares_.server(job.spec.tenant) : nullptr;
  if (budget != nullptr && job.server == nullptr && !job.by_server.is_linked())
    budget->waiting.push_back(job);
}

void Core::Impl::rank(JobRecord& job) {
  rank(job, [] {});
}

void Core::Impl::end(JobRecord& job, Outcome outcome, Reason why, TimePoint now) {
  if (ReadyQueues::contains(job)) ready_.erase(job);
  std::erase_if(waiting_, [&](const Waiting& w) { return w.job == &job; });
  timers_.clear(job);
  if (job.server != nullptr) put_down(job);
  job.by_server.unlink();
  if (job.by_task.is_linked()) give_back(job);
  if (!job.lane) leave(job);
  if (job.lives != nullptr) note_life(job, why, now);
  set_state(job, JobState::ended, now);
  job.outcome = outcome;
  job.why = why;
  departing_.push_back(job);
}

void Core::Impl::note_life(JobRecord& job, Reason why, TimePoint now) {
  if (!job.lane && !job.last_lane) return;  // it never had a lane
  const Lane& lane = lanes_[job.lane ? job.lane->value : job.last_lane->value];
  switch (why) {
    case Reason::plan_finished:
    case Reason::target_reached:
      return job.lives->finished(age(job, lane.device, job.used));
    case Reason::cannot_deliver:  // it would have gone on, had there been an exit near enough
      return job.lives->stopped(
          age(job, lane.device, job.used + std::max(Duration{}, job.spec.deadline - job.planned_from)));
    case Reason::deadline_passed:
    case Reason::by_request:
      break;
    default:
      return;  // its lane's fault
  }
  // The block in progress counts up to then; a block that ended after it does not count from there on.
  const HeldGrant* const grant = running_grant(job);
  const Duration since =
      grant != nullptr ? std::min(now, job.spec.deadline) - grant->block_start : Duration{};
  job.lives->stopped(age(job, lane.device, std::max(Duration{}, job.used + since)));
}

void Core::Impl::end_with_best(JobRecord& job, Reason why, TimePoint now) {
  const bool suffices = job.best.exit >= std::max(0, job.spec.mandatory_exit);
  end(job, suffices ? Outcome::deadline : Outcome::missed, why, now);
}

// Either the deadline is too near for any answer better than the held one, or there is no better one.
void Core::Impl::end_without_plan(JobRecord& job, TimePoint now) {
  const bool suffices = job.best.exit >= std::max(0, job.spec.mandatory_exit);
  if (suffices && !may_improve(job)) return end(job, Outcome::completed, Reason::plan_finished, now);
  end_with_best(job, Reason::cannot_deliver, now);
}

void Core::Impl::forget_state(JobRecord& job) {
  rank(job, [&] {
    job.next_block = 0;
    job.plan = 0;
    job.used = {};
    job.last_lane.reset();
    job.at.reset();
    job.stranded = job.stays = false;
    job.devices = where_to_begin(job);
  });
  if (job.by_server.is_linked()) shares_.server(job.spec.tenant)->look_again();
}

// --- Lanes ---

Lane* Core::Impl::up_lane(LaneId id) {
  if (id.value >= lanes_.size() || lanes_[id.value].status != Lane::Status::up) return nullptr;
  return &lanes_[id.value];
}

void Core::Impl::lane_up(LaneId id, DeviceId device, TimePoint now) {
  move_clock(now);
  EINET_CHECK(device.value < kMaxDevices, "there are at most kMaxDevices devices");
  if (id.value >= lanes_.size()) {
    lanes_.resize(id.value + 1);
    order_.reserve(lanes_.size());
    holders_.reserve(lanes_.size());
    chosen_.reserve(lanes_.size());
  }
  Lane& lane = lanes_[id.value];
  lane.riders.reserve(2 * kMaxBatch);
  EINET_CHECK(lane.status != Lane::Status::up, "a lane comes up once");
  EINET_CHECK(lane.status == Lane::Status::unknown || lane.device == device, "a lane stays on its device");
  lane.id = lane.base = id;
  lane.device = device;
  lane.status = Lane::Status::up;
  dead_devices_ &= ~device_bit(device);
}

void Core::Impl::lane_lost(LaneId id, LaneLoss loss, TimePoint now) {
  move_clock(now);
  Lane* lane = up_lane(id);
  EINET_CHECK(lane != nullptr, "only a lane that is up can be lost");
  lane->status = loss == LaneLoss::comes_back ? Lane::Status::comes_back : Lane::Status::gone;
  lane->between_reports = false;
  std::vector<HeldGrant> lost = std::exchange(lane->riders, {});
  lost.insert(lost.begin(), {std::exchange(lane->front, {}), std::exchange(lane->back, {})});
  for (const HeldGrant& grant : lost) {
    if (!grant) continue;
    JobRecord& job = *grant.job;
    const bool ran = grant.begun;
    if (ran && ++job.lost_lanes > 1 && job.state != JobState::ended) {
      end(job, Outcome::failed, Reason::lane_lost, now);
    }
    if (job.state != JobState::ended) forget_state(job);
    let_go(job, now);
  }
  jobs_.for_each([&](JobRecord& job) {
    if (job.last_lane != id || job.state == JobState::ended) return;
    if (!job.lane) {
      forget_state(job);
    } else if (lanes_[job.lane->value].device != lane->device) {
      job.stranded = true;  // unless its state has left already: its new lane will say
    }
  });

  if (loss == LaneLoss::for_good) abandon_home(id);

  const bool device_lives = std::any_of(lanes_.begin(), lanes_.end(), [&](const Lane& other) {
    return other.device == lane->device &&
           (other.status == Lane::Status::up || other.status == Lane::Status::comes_back);
  });
  if (device_lives) return;
  dead_devices_ |= device_bit(lane->device);
  jobs_.for_each([&](JobRecord& job) {
    if (job.state == JobState::ended) return;
    if (!lives(job.able, job.spec.model)) {
      end(job, Outcome::failed, Reason::no_lane, now);
    } else if (job.at == lane->device && !job.lane) {
      forget_state(job);  // it was posted to another lane there when its own was lost
    }
  });
}

void Core::Impl::set_residence(ModelId model, DeviceId device, Residence residence, TimePoint now) {
  move_clock(now);
  if (missing_.size() <= model.value) missing_.resize(model.value + 1);
  const auto put = [&](DeviceSet& set, bool in) {
    set = in ? set | device_bit(device) : set & ~device_bit(device);
  };
  put(missing_[model.value].now, residence != Residence::in);
  const bool no_room = residence == Residence::no_room;
  put(missing_[model.value].for_good, residence == Residence::lost || no_room);
  const Reason why = no_room ? Reason::out_of_device_memory : Reason::no_lane;
  jobs_.for_each([&](JobRecord& job) {
    if (job.spec.model != model || job.state == JobState::ended) return;
    if (!lives(job.able, model)) return end(job, Outcome::failed, why, now);
    rank(job, [&] { job.devices = job.at ? where_to_go_on(job) : where_to_begin(job); });
    if (job.by_server.is_linked()) shares_.server(job.spec.tenant)->look_again();
  });
}

void Core::Impl::urgent_lane_up(LaneId id, LaneId base, Preemption preemption, TimePoint now) {
  EINET_CHECK(up_lane(base) != nullptr && preemption != Preemption::boundary,
              "an urgent lane comes up beside its base lane, to preempt");
  lane_up(id, lanes_[base.value].device, now);
  Lane& under = lanes_[base.value];
  EINET_CHECK(!under.urgent || under.urgent == id, "a core has one urgent lane");
  under.urgent = id;
  lanes_[id.value].base = base;
  lanes_[id.value].preemption = preemption;
  count_homes();
}

std::size_t Core::Impl::base_lanes(DeviceSet devices) const {
  const auto up = std::count_if(lanes_.begin(), lanes_.end(), [&](const Lane& lane) {
    return lane.status == Lane::Status::up && !lane.is_urgent() && (devices & device_bit(lane.device)) != 0;
  });
  return static_cast<std::size_t>(up);
}

HeldGrant* Core::Impl::find_grant(Lane& lane, GrantNumber number) {
  if (lane.front && lane.front.number == number) return &lane.front;
  const auto rider = std::find_if(lane.riders.begin(), lane.riders.end(),
                                  [&](const HeldGrant& r) { return r.number == number; });
  return rider == lane.riders.end() ? nullptr : &*rider;
}

const HeldGrant* Core::Impl::running_grant(const JobRecord& job) const {
  if (!job.lane) return nullptr;
  const Lane& lane = lanes_[job.lane->value];
  if (lane.front.job == &job) return lane.front.begun ? &lane.front : nullptr;
  const auto rider = std::find_if(lane.riders.begin(), lane.riders.end(),
                                  [&](const HeldGrant& r) { return r.job == &job && r.begun; });
  return rider == lane.riders.end() ? nullptr : &*rider;
}

bool Core::Impl::block_done(const BlockReport& report, TimePoint now) {
  move_clock(now);
  Lane* lane = up_lane(report.lane);
  HeldGrant* const held = lane == nullptr ? nullptr : find_grant(*lane, report.grant);
  if (held == nullptr || (held != &lane->front && held->with != lane->front.number)) return false;
  HeldGrant& grant = *held;
  JobRecord& job = *grant.job;
  if (report.block != grant.block || report.block >= job.blocks() || report.end < report.start) return false;
  if (report.answer && (report.answer->exit != report.block || !job.has_exits())) return false;
  if (report.used < Duration{}) return false;

  grant.certain = true;
  grant.block = report.block + 1;
  grant.block_start = std::min(report.end, now);
  if (held == &lane->front) commit(*lane, grant);  // those that ride have told before
  job.next_block = report.block + 1;
  job.plan &= ~exit_bit(report.block);
  job.last_lane = lane->id;
  job.at = lane->device;
  job.stranded = false;
  observer_.block_done(lane->id, job.spec.id, report.block, report.start, report.end);
  if (lane->is_urgent()) stand_still(report);
  const bool reserved = job.reservation != nullptr && !mandatory_done(job, standing(job));
  charge(grant, report, now);
  if (job.state != JobState::ended) after_block(job, report, now);
  if (report.block <= job.overran_to) put_off(job, report.used);
  if (reserved && job.used > job.reservation->budget) overran(job, now);
  if (job.state == JobState::ended) return true;
  job.devices = where_to_go_on(job);
  rank(job);
  return true;
}

// What a block's result means for its job. Whether it was in time is told by the lane's clock, not by when
// the report is read.
void Core::Impl::after_block(JobRecord& job, const BlockReport& report, TimePoint now) {
  const bool late = report.end > job.spec.deadline;
  const bool last = report.block == job.blocks() - 1;
  if (!job.has_exits()) {
    if (last && late) return end(job, Outcome::missed, Reason::deadline_passed, now);
    if (last) return end(job, Outcome::completed, Reason::plan_finished, now);
    return;
  }
  if (late && job.spec.on_miss == OnMiss::stop) return end_with_best(job, Reason::deadline_passed, now);
  // After a lost lane, early exits may come again: they add nothing.
  if (report.answer && report.answer->exit >= job.best.exit) {
    if (report.answer->exit > job.best.exit) job.outlook.take(*report.answer, *job.spec.times);
    job.best = *report.answer;
    if (job.best.confidence >= job.spec.target_confidence) {
      return end(job, Outcome::completed, Reason::target_reached, now);
    }
  }
  if (last && late) return end_with_best(job, Reason::deadline_passed, now);
  if (last && report.answer) return end(job, Outcome::completed, Reason::plan_finished, now);
  job.answered |= report.answer.has_value();
  if (!job.to_review.is_linked()) to_review_.push_back(job);
}

bool Core::Impl::grant_ended(LaneId id, GrantNumber number, GrantEnd how, TimePoint now) {
  move_clock(now);
  Lane* lane = up_lane(id);
  HeldGrant* const held = lane == nullptr ? nullptr : find_grant(*lane, number);
  if (held == nullptr) return false;
  const HeldGrant grant = *held;
  const bool rides = held != &lane->front;
  const bool given_up = grant.withdrawn_late && grant.block == grant.first_block;
  if (how == GrantEnd::stopped && !grant.stop_told && !given_up && !rides) return false;
  if (how == GrantEnd::done && grant.block == grant.first_block) return false;
  if (how == GrantEnd::not_begun && grant.block != grant.first_block) return false;
  if (how == GrantEnd::not_moved && (!grant.moves || grant.block != grant.first_block)) return false;

  JobRecord& job = *grant.job;
  if (rides) {
    lane->riders.erase(lane->riders.begin() + (held - lane->riders.data()));
  } else {
    drop_front(*lane, grant.block > grant.first_block ? grant.block_start : now, now);
  }
  const bool failed = how == GrantEnd::failed || how == GrantEnd::out_of_memory;
  if (failed && job.state != JobState::ended) {
    const bool memory = how == GrantEnd::out_of_memory;
    end(job, Outcome::failed, memory ? Reason::out_of_device_memory : Reason::lane_failed, now);
  }
  if (how == GrantEnd::not_moved) {
    job.stays = true;
    job.devices = where_to_go_on(job);
  }
  // By a stop; or because its exits were cut (tell).
  const bool made_room = how == GrantEnd::stopped || (how == GrantEnd::done && job.plan != 0);
  const bool interrupted = made_room && !given_up && !rides && job.state != JobState::ended;
  let_go(job, now);
  if (interrupted && job.state == JobState::ready && lane->front) {
    ++job.preemptions;
    observer_.preempted(id, job.spec.id, lane->front.job->spec.id, now);
  }
  return true;
}

// --- Grants ---

void Core::Impl::begin(Lane& lane, HeldGrant& grant, TimePoint start, TimePoint now) {
  if (grant.begun) return;
  begin(grant, start, now);
  for (HeldGrant& rider : lane.riders) {
    if (rider.with == grant.number) begin(rider, start, now);
  }
  commit(lane, grant);
}

void Core::Impl::begin(HeldGrant& grant, TimePoint start, TimePoint now) {
  if (grant.begun) return;
  grant.begun = true;
  JobRecord& job = *grant.job;
  grant.block_start = grant.moves ? std::max(start, job.arrives) : start;
  if (ReadyQueues::contains(job)) ready_.erase(job);
  job.by_server.unlink();
  if (options_.policy == Policy::imprecise && job.next_block == 0) shares_.begin(job);
  if (job.state == JobState::granted) set_state(job, JobState::running, now);
}

// At a boundary: the lane goes on with the block of a grant that leads, and enqueues what it may have in
// flight behind it.
void Core::Impl::commit(Lane& lane, HeldGrant& leader) {
  const bool one_by_one = lane.is_urgent() || leader.block < leader.reserved_blocks;
  const int in_flight = one_by_one ? 1 : leader.job->spec.times->blocks_in_flight(lane.device);
  const auto commit = [&](HeldGrant& grant, int most) {
    const int newest =
        std::min({grant.block + (grant.stop_told ? 0 : in_flight - 1), grant.last_block(), most});
    const int before = std::exchange(grant.committed, std::max(grant.committed, newest));
    grant.committed_exits |= grant.exits & from_block(before + 1) & ~from_block(grant.committed + 1);
    grant.runs_ahead = in_flight > 1;
  };
  commit(leader, kMaxBlocks);
  for (HeldGrant& rider : lane.riders) {
    if (rides(rider, leader)) commit(rider, leader.committed);
  }
}

// Of a grant that is told other exits before it begins: at the very decision that posted it, or while its
// job's state is on its way.
void Core::Impl::commit_anew(Lane& lane, HeldGrant& leader) {
  const auto forget = [](HeldGrant& grant) {
    grant.committed = grant.first_block - 1;
    grant.committed_exits = 0;
  };
  forget(leader);
  for (HeldGrant& rider : lane.riders) {
    if (rides(rider, leader)) forget(rider);
  }
  commit(lane, leader);
}

void Core::Impl::drop_front(Lane& lane, TimePoint end, TimePoint now) {
  lane.front = std::exchange(lane.back, {});
  lane.between_reports = false;
  if (lane.front) begin(lane, lane.front, end, now);
}

void Core::Impl::let_go(JobRecord& job, TimePoint now) {
  job.lane.reset();
  job.overran_to = -1;
  settle(job);
  if (job.stranded && job.state != JobState::ended) forget_state(job);
  if (job.state == JobState::ended) {
    leave(job);
    if (!job.departing.is_linked()) departing_.push_back(job);
  } else if (job.leaving != Reason::none || job.stops_at(now)) {
    end_with_best(job, Reason::deadline_passed, now);
  } else {
    make_ready(job, now);
  }
}

void Core::Impl::replan(JobRecord& job, DeviceId device, TimePoint start) {
  job.answered = false;
  job.planned_from = start;
  const HeldGrant* const runs = running_grant(job);
  if (runs != nullptr && runs->runs_ahead) return replan_behind(job, *runs, device, start);
  job.plan = plan(job, device, start);
}

ExitMask Core::Impl::plan(const JobRecord& job, DeviceId device, TimePoint start) {
  const bool searches = job.has_exits() && job.spec.plan == PlanMode::exact && job.spec.deadline < kNever;
  return planner_.plan(job, device, std::min(clock_, start), start,
                       searches ? time_ahead(job, device, start) : Duration{});
}

// What is in flight is decided, and its answer counted on; what follows it is planned.
void Core::Impl::replan_behind(JobRecord& job, const HeldGrant& runs, DeviceId device, TimePoint start) {
  const int next = job.next_block;
  const Outlook outlook = job.outlook;
  const int best = job.best.exit;
  job.plan = exits_in_time(job, device, start, runs.committed_exits, runs.committed);
  if (job.has_exits() && deepest(job.plan) > best) {
    job.best.exit = deepest(job.plan);
    job.outlook.count_on(job.best.exit);
  }
  for (int block = next; block <= runs.committed; ++block) {
    start += block_time(job, device, block, runs.committed_exits);
  }
  job.next_block = runs.committed + 1;
  if (job.next_block < job.blocks()) job.plan |= plan(job, device, start);
  job.next_block = next;
  job.outlook = outlook;
  job.best.exit = best;
}

Duration Core::Impl::time_before_others(const JobRecord& job, DeviceId device) const {
  return options_.policy == Policy::imprecise ? mandatory_time(job, device) : remaining_time(job, device);
}

// What the queue says is more urgent than `job` takes the device's lanes first. A look at the most urgent few
// is enough: what matters is whether they fill the time until the deadline.
Duration Core::Impl::time_ahead(const JobRecord& job, DeviceId device, TimePoint start) const {
  constexpr int kLook = 16;
  const Duration slack = job.spec.deadline - start;
  const auto lanes = std::max<std::int64_t>(1, static_cast<std::int64_t>(base_lanes(device_bit(device))));
  Duration ahead{};
  int looked = 0;
  ready_.for_each(device_bit(device), [&](const JobRecord& other) {
    if (!(other.urgency < job.urgency) || ahead / lanes >= slack || ++looked > kLook) return false;
    ahead += time_before_others(other, device);
    return true;
  });
  return std::min(slack, ahead / lanes);
}

void Core::Impl::move_clock(TimePoint now) {
  EINET_CHECK(now >= clock_, "time never goes back");
  clock_ = now;
}

// --- Introspection ---

TimePoint Core::Impl::next_wakeup() {
  const JobRecord* job = timers_.first();
  TimePoint next = job == nullptr ? look_again_ : std::min(look_again_, job->timer);
  for (const Server* server : shares_.servers()) {
    const bool waits = server->carried == nullptr && server->has_waiting() && server->window_end > clock_;
    if (waits) next = std::min(next, server->window_end);
  }
  return next;
}

std::optional<Core::JobView> Core::Impl::job(JobId id) {
  const JobRecord* job = jobs_.find(id);
  if (job == nullptr) return std::nullopt;
  return JobView{.spec = job->spec,
                 .state = job->state,
                 .next_block = job->next_block,
                 .plan = job->plan,
                 .best = job->best,
                 .lane = job->lane,
                 .awaits = job->lane ? std::nullopt : job->awaits,
                 .preemptions = job->preemptions};
}

std::optional<PlanBasis> Core::Impl::explain(JobId id) {
  const JobRecord* job = jobs_.find(id);
  if (job == nullptr || job->is_over() || !job->has_exits()) return std::nullopt;
  const Lane* lane = job->lane ? &lanes_[job->lane->value] : nullptr;
  const DeviceId device = lane != nullptr ? lane->device : job->usual_device();
  const HeldGrant* const grant = running_grant(*job);
  const TimePoint start = grant != nullptr ? grant->block_start : std::max(clock_, job->spec.release);
  return planner_.explain(*job, device, start, time_ahead(*job, device, start));
}

std::string Core::Impl::dump() {
  constexpr std::size_t kShown = 20;
  const auto describe = [](const HeldGrant& grant) {
    return "job " + std::to_string(grant.job->spec.id.value) + " block " + std::to_string(grant.block) +
           " to " + std::to_string(grant.last_block()) + " (grant " + std::to_string(grant.number.value) +
           (grant.begun ? ", begun" : "") + (grant.stop_told ? ", told to stop" : "") + ")";
  };
  std::string out =
      "time " + format_duration(clock_.time_since_epoch()) + ", " + std::to_string(jobs_.size()) + " jobs\n";
  for (const Lane& lane : lanes_) {
    if (lane.status == Lane::Status::unknown) continue;
    out += "lane " + std::to_string(lane.id.value) + " on device " + std::to_string(lane.device.value) + ": ";
    if (lane.status != Lane::Status::up) {
      out += lane.status == Lane::Status::gone ? "gone" : "lost, comes back";
    } else {
      out += lane.front ? describe(lane.front) : "idle";
      if (lane.back) out += ", then " + describe(lane.back);
      for (const HeldGrant& rider : lane.riders) {
        out += ", with grant " + std::to_string(rider.with.value) + " " + describe(rider);
      }
    }
    out += '\n';
  }
  std::size_t shown = 0;
  ready_.for_each(~DeviceSet{0}, [&](const JobRecord& job) {
    if (shown == kShown) {
      out += "more are ready\n";
      return false;
    }
    ++shown;
    out +=
        "ready: job " + std::to_string(job.spec.id.value) + " from block " + std::to_string(job.next_block);
    if (job.lane) out += ", posted to lane " + std::to_string(job.lane->value);
    out += '\n';
    return true;
  });
  return out;
}

}  // namespace einet
