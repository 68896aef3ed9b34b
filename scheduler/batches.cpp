// Batches: jobs that ride with the job that a lane is given, from block to block at the same time, as one
// batch. The others choose their lanes as if there were none; a job rides only where no lane has chosen it,
// and where what it costs those that it rides with, and those that wait, is known to do no harm. Where the
// job that leads ends or makes room, all part, and are ready again.
#include <algorithm>
#include <limits>

#include "scheduler/core_impl.h"

namespace einet {
namespace {

constexpr int kMostSeen = 64;  // of the ready jobs, how many are looked at

// Whether the job would have done all that it plans by its deadline, with as many in its batch.
bool is_in_time(const JobRecord& job, DeviceId device, TimePoint start, int jobs) {
  if (job.spec.on_miss == OnMiss::keep_on || job.spec.deadline >= kNever) return true;
  return start + job.spec.times->in_batch(planned_time(job, device), device, jobs) <= job.spec.deadline;
}

}  // namespace

// One that comes too late for the grant that leads does not ride: it stays before its first block while that
// goes on.
bool Core::Impl::rides(const HeldGrant& rider, const HeldGrant& leader) {
  return rider.with == leader.number && rider.block >= leader.block;
}

// Of what is in flight it is known who takes part; of later blocks it is assumed that all do.
bool Core::Impl::rides(const HeldGrant& rider, const HeldGrant& leader, int block) {
  return rides(rider, leader) && (block <= rider.stops_after() || block > leader.stops_after());
}

int Core::Impl::batch_size(const Lane& lane, const HeldGrant& leader, int block) {
  return 1 + static_cast<int>(std::count_if(lane.riders.begin(), lane.riders.end(),
                                            [&](const HeldGrant& r) { return rides(r, leader, block); }));
}

Duration Core::Impl::batch_time(const Lane& lane, const HeldGrant& leader, int block, ExitMask exits) const {
  const int jobs = batch_size(lane, leader, block);
  if (jobs == 1) return block_time(*leader.job, lane.device, block, exits);
  for (const HeldGrant& rider : lane.riders) {
    if (!rides(rider, leader, block)) continue;
    exits |= block <= rider.stops_after() ? rider.exits_in_flight() : rider.exits;
  }
  const ModelTimes& times = *leader.job->spec.times;
  const BlockTime& time = times.on_device[lane.device.value][static_cast<std::size_t>(block)];
  const Duration trunk = times.in_batch(time.trunk, lane.device, jobs);
  return (exits & exit_bit(block)) != 0 ? trunk + times.in_batch(time.exit, lane.device, jobs) : trunk;
}

// Best-effort work of tenants that have no budget, which could make it reserved.
bool Core::Impl::may_ride(const JobRecord& job) const {
  return job.urgency.tier != Tier::reserved && job.reservation == nullptr &&
         shares_.server(job.spec.tenant) == nullptr;
}

bool Core::Impl::may_ride_with(const JobRecord& job, const JobRecord& leader, DeviceId device) const {
  return may_ride(job) && job.spec.times == leader.spec.times && job.spec.model == leader.spec.model &&
         job.next_block == leader.next_block && (job.devices & device_bit(device)) != 0 &&
         (!job.at || *job.at == device);
}

// Whether the projection has it lead somewhere.
bool Core::Impl::leads(const JobRecord& job) const {
  return std::any_of(order_.begin(), order_.end(),
                     [&](const Lane* lane) { return lane->next == &job || lane->successor == &job; });
}

// Into riders_, most urgent first: what can join `leader`, which is to run when the lane gets free next, and
// whose grant has this number; 0: it has none yet. Not past a job that waits, cannot join, and would suffer:
// for it has a deadline, or the priority.
void Core::Impl::choose_riders(const Lane& lane, const JobRecord& leader, GrantNumber number) {
  riders_.clear();
  const TimePoint start = lane.front && lane.next == lane.front.job ? lane.end : lane.boundary;
  const auto most = static_cast<std::size_t>(leader.spec.times->largest_batch(lane.device));
  if (most == 1 || lane.is_urgent() || !may_ride(leader)) return;
  std::size_t jobs = 1;
  for (const HeldGrant& rider : lane.riders) jobs += rider.with == number;
  if (jobs >= most || lane.riders.size() + most > 2 * kMaxBatch) return;

  candidates_.clear();
  int seen = 0;
  ready_.for_each(device_bit(lane.device), [&](const JobRecord& job) {
    if (++seen > kMostSeen) return false;
    if (job.state != JobState::ready || job.urgency.tier == Tier::reserved) return true;
    const Waiting* const waiting = find_waiting(job);
    const bool elsewhere = waiting != nullptr && (waiting->not_on & device_bit(lane.device)) != 0;
    if (!leads(job) && !elsewhere) candidates_.push_back(jobs_.find(job.spec.id));
    return true;
  });
  std::sort(candidates_.begin(), candidates_.end(),
            [](const JobRecord* a, const JobRecord* b) { return a->urgency < b->urgency; });
  const auto all_in_time = [&](const JobRecord& joins) {
    const int size = static_cast<int>(jobs) + 1;
    const auto in_time = [&](const JobRecord& job) { return is_in_time(job, lane.device, start, size); };
    return in_time(joins) && in_time(leader) &&
           std::all_of(riders_.begin(), riders_.end(), [&](const JobRecord* r) { return in_time(*r); }) &&
           std::all_of(lane.riders.begin(), lane.riders.end(),
                       [&](const HeldGrant& r) { return r.with != number || in_time(*r.job); });
  };
  int outranks = std::numeric_limits<int>::min();  // the priority of a job that was passed
  for (JobRecord* job : candidates_) {
    if (jobs >= most) return;
    if (!may_ride_with(*job, leader, lane.device) || job->spec.priority < outranks) {
      if (job->spec.deadline < kNever) return;
      outranks = std::max(outranks, job->spec.priority);
      continue;
    }
    replan(*job, lane.device, start);
    if (job->plan == 0) continue;
    if (!all_in_time(*job)) return;  // its own deadline; or that of one which rides, and no more can
    riders_.push_back(job);
    ++jobs;
  }
}

// Those in riders_.
void Core::Impl::post_riders(Lane& lane, GrantNumber leader, TimePoint now) {
  for (JobRecord* job : riders_) {
    lane.riders.push_back({.job = job,
                           .number = GrantNumber{++lane.grants},
                           .first_block = job->next_block,
                           .block = job->next_block,
                           .exits = job->plan,
                           .committed = job->next_block - 1,
                           .with = leader});
    job->lane = lane.id;
    job->awaits.reset();
    set_state(*job, JobState::granted, now);
    commands_.grant({.lane = lane.id,
                     .number = lane.riders.back().number,
                     .job = job->spec.id,
                     .first_block = job->next_block,
                     .exits = job->plan,
                     .with = leader},
                    Reason::in_batch);
  }
}

// What has come since a grant was posted behind another can still join it.
void Core::Impl::fill_batches(TimePoint now) {
  for (Lane* lane : order_) {
    if (!lane->back || lane->back.begun || lane->back.moves || lane->back.job->is_over()) continue;
    choose_riders(*lane, *lane->back.job, lane->back.number);
    post_riders(*lane, lane->back.number, now);
  }
}

void Core::Impl::withdraw_rider(Lane& lane, std::size_t index, TimePoint now) {
  HeldGrant& rider = lane.riders[index];
  if (!commands_.withdraw(lane.id, rider.number, why_withdrawn(lane, *rider.job))) {
    begin(rider, now, now);
    rider.certain = rider.withdrawn_late = true;
    return;
  }
  JobRecord& job = *rider.job;
  lane.riders.erase(lane.riders.begin() + static_cast<std::ptrdiff_t>(index));
  let_go(job, now);
}

void Core::Impl::withdraw_riders(Lane& lane, GrantNumber leader, TimePoint now) {
  for (std::size_t i = lane.riders.size(); i-- > 0;) {
    if (lane.riders[i].with == leader && !lane.riders[i].certain) withdraw_rider(lane, i, now);
  }
}

// Those that wait to ride and that a lane has chosen, or that have ended. True: there were some, which are
// ready again, or which their lane has begun unseen.
bool Core::Impl::withdraw_misplaced_riders(Lane& lane, TimePoint now) {
  if (!lane.back || lane.back.begun) return false;
  bool changed = false;
  for (std::size_t i = lane.riders.size(); i-- > 0;) {
    const HeldGrant& rider = lane.riders[i];
    if (rider.with != lane.back.number || rider.certain) continue;
    if (!leads(*rider.job) && !rider.job->is_over()) continue;
    withdraw_rider(lane, i, now);
    changed = true;
  }
  return changed;
}

// New exits for those that ride, and stops for those that have ended. When all part, their lane knows.
void Core::Impl::tell_riders(Lane& lane) {
  for (HeldGrant& rider : lane.riders) {
    const bool ended = lane.between_reports && rider.with == lane.front.number;
    if (ended || rider.stop_told || rider.ends_by_itself()) continue;
    const JobRecord& job = *rider.job;
    if (job.is_over()) {
      rider.stop_told = true;
      commands_.stop(lane.id, rider.number, job.why_over());
    } else if ((rider.exits ^ job.plan) >> rider.block != 0) {
      EINET_CHECK(job.plan >> rider.block != 0, "a job that goes on has an exit to reach");
      rider.exits = job.plan;
      commands_.set_exits(lane.id, rider.number, job.plan, Reason::replanned);
    }
  }
}

}  // namespace einet
