// Instant preemption: which work goes to the urgent lane of a core, and when. While an urgent lane runs, the
// base lane's block in progress stands still; nothing is posted to the base lane then.
#include <algorithm>

#include "scheduler/core_impl.h"

namespace einet {
namespace {

// Whether a job is so much more urgent than the one below that it may take the core from its block. That it
// came first, that its tenant had less, or that nothing but refinement is done below is no reason: the
// boundary is soon enough for that.
bool outranks(const JobRecord& job, const Urgency& key, const JobRecord& below) {
  if (below.is_over()) return true;
  if (!(key < below.urgency)) return false;
  if (key.tier != Tier::best_effort) return true;
  if (below.urgency.tier != key.tier) return job.spec.priority > below.spec.priority;
  // First comes what the policy looks at first: priority, or the deadline.
  return key.first < below.urgency.first || job.spec.deadline < below.spec.deadline;
}

}  // namespace

bool Core::Impl::outranks_all(const JobRecord& job, const Urgency& key, const Lane& base) {
  return outranks(job, key, *base.front.job) &&
         std::all_of(base.riders.begin(), base.riders.end(), [&](const HeldGrant& rider) {
           return !rides(rider, base.front) || outranks(job, key, *rider.job);
         });
}

// Where tasks have their home, only what the analysis has counted there may take the core.
bool Core::Impl::serves_reserved_only(const Lane& base) const {
  return base.homed > 0;
}

bool Core::Impl::may_take_core(const JobRecord& job, const Urgency& key, const Lane& urgent) const {
  if ((job.devices & device_bit(urgent.device)) == 0) return false;
  if (job.at && *job.at != urgent.device) return false;
  if (!serves_reserved_only(lanes_[urgent.base.value])) return key.tier != Tier::optional;
  if (key.tier != Tier::reserved || job.reservation == nullptr || job.home() != urgent.base) return false;
  return takes_core(*job.reservation);
}

// Whether a waiting job should take the core now. `away`: what the home has elsewhere and would prefer to
// less urgent work.
bool Core::Impl::takes_now(const JobRecord& job, const Lane& urgent, const JobRecord* away, TimePoint now) {
  const Lane& base = lanes_[urgent.base.value];
  return (away == nullptr || job.urgency < away->urgency) && outranks_all(job, job.urgency, base) &&
         may_take_core(job, job.urgency, urgent) && !can_wait(job, urgent, now) && !is_placed(job);
}

// How long what is in flight may still take.
Duration Core::Impl::worst_remaining(const Lane& base, TimePoint now) const {
  const HeldGrant& grant = base.front;
  if (!grant || grant.block >= grant.job->blocks()) return {};
  const ModelTimes& times = *grant.job->spec.times;
  Duration longest{};
  for (int block = grant.block; block <= grant.stops_after(); ++block) {
    const int jobs = batch_size(base, grant, block);
    longest += times.in_batch(longest_block(*grant.job, base.device, block), base.device, jobs);
  }
  return std::max(Duration{}, longest - (now - grant.block_start));
}

bool Core::Impl::can_wait(const JobRecord& job, const Lane& urgent, TimePoint now) const {
  if (urgent.preemption == Preemption::instant) return false;
  const Duration blocking = worst_remaining(lanes_[urgent.base.value], now);
  if (job.reservation != nullptr) return blocking < job.reservation->patience;
  if (job.spec.deadline >= kNever) return true;
  return now + worst_remaining_time(job, urgent.device) + blocking <= job.spec.deadline;
}

// The next job of an urgent lane that runs one: itself, a more urgent one that may take the core, or none, if
// the base lane has more urgent work.
void Core::Impl::choose_on_urgent_lane(Lane& lane, TimePoint boundary, TimePoint now) {
  const Lane& base = lanes_[lane.base.value];
  // Reserved work may take the core of a lane other than its home only while that is down.
  const bool may_stay = !lane.helps && may_take_core(*lane.front.job, lane.key, lane);
  const bool goes_on = !ends_there(lane.front, boundary);
  JobRecord* const other = next_for(device_bit(lane.device));
  const JobRecord* const away = away_from(base, Away::runs);
  if (!base.front) {
    const JobRecord* const home = ready_.find_homed(base.id, [](JobRecord&) { return true; });
    // The base lane is free: whatever is more urgent than this job runs there.
    const bool more_urgent = (home != nullptr && home->urgency < lane.key) ||
                             (other != nullptr && other->urgency < lane.key) ||
                             (away != nullptr && away->urgency < lane.key);
    lane.yields = !may_stay || more_urgent;
    lane.next = goes_on && !lane.yields ? lane.front.job : nullptr;
    return;
  }
  JobRecord* next = nullptr;
  lane.yields = !may_stay || !outranks_all(*lane.front.job, lane.key, base) ||
                (away != nullptr && away->urgency < lane.key);
  if (goes_on && !lane.yields) next = lane.front.job;
  const auto takes = [&](const JobRecord& job) {
    return (next == nullptr || job.urgency < lane.key) && takes_now(job, lane, away, now);
  };
  const auto is_ready = [&](JobRecord& job) {
    return takes(job) && prepare(job, lane.device, boundary, now);
  };
  if (serves_reserved_only(base)) {
    if (JobRecord* job = ready_.find_homed(base.id, is_ready)) next = job;
  } else if (other != nullptr && takes(*other)) {
    pass(*other);
    if (prepare(*other, lane.device, boundary, now)) next = other;
  }
  lane.next = next;
}

// Cores whose block in progress is less urgent than work that cannot wait for its end. What is less urgent
// than work of this home that is away waits here as on the base lane.
void Core::Impl::take_cores(TimePoint now) {
  if (options_.policy == Policy::fifo) return;
  const auto open = [&](const Lane& base) {
    if (base.status != Lane::Status::up || !base.urgent || !base.front || base.between_reports ||
        base.closed) {
      return false;
    }
    if (base.boundary == now && !base.overdue) return false;  // it has chosen already
    const Lane& urgent = lanes_[base.urgent->value];
    return urgent.status == Lane::Status::up && !urgent.front && urgent.next == nullptr;
  };
  const auto take = [&](Lane& base, JobRecord& job) {
    Lane& urgent = lanes_[base.urgent->value];
    urgent.next = &job;
    urgent.boundary = now;
    order_.push_back(&urgent);
    base.next = base.front.job;
    base.closed = base.suspended = true;
    // If its block ends at this very instant, another must not begin.
    base.front.ends_here |= base.boundary == now;
  };
  DeviceSet devices = 0;
  for (Lane& base : lanes_) {
    if (!open(base)) continue;
    if (!serves_reserved_only(base)) {
      devices |= device_bit(base.device);
      continue;
    }
    const Lane& urgent = lanes_[base.urgent->value];
    const JobRecord* const away = away_from(base, Away::runs);
    JobRecord* job = ready_.find_homed(base.id, [&](JobRecord& ready) {
      return takes_now(ready, urgent, away, now) && prepare(ready, urgent.device, now, now);
    });
    if (job != nullptr) take(base, *job);
  }
  // On each device the most urgent takes the core of the least urgent, as long as one cannot wait.
  while (JobRecord* job = devices != 0 ? next_for(devices) : nullptr) {
    // A core is not taken to wait for a state, nor from where the job waits for another device.
    const DeviceSet its = open_to(*job) & (job->at ? device_bit(*job->at) : job->devices);
    if ((its & devices) == 0 && set_aside(*job)) continue;
    Lane* victim = nullptr;
    for (Lane& base : lanes_) {
      const bool may_run = (its & devices & device_bit(base.device)) != 0;
      if (!may_run || !open(base) || serves_reserved_only(base)) continue;
      if (!outranks_all(*job, job->urgency, base)) continue;
      const bool least =
          victim == nullptr ||
          (!victim->front.job->is_over() &&
           (base.front.job->is_over() || victim->front.job->urgency < base.front.job->urgency));
      if (least) victim = &base;
    }
    const bool takes = victim != nullptr &&
                       may_take_core(*job, job->urgency, lanes_[victim->urgent->value]) &&
                       !can_wait(*job, lanes_[victim->urgent->value], now);
    if (!takes) {
      // Less urgent work cannot either, but for work of other devices.
      devices &= (its & devices) != 0 ? ~its : ~job->devices;
      continue;
    }
    if (waits_for_better(*job, device_bit(victim->device), now)) continue;
    pass(*job);
    if (prepare(*job, victim->device, now, now)) take(*victim, *job);
  }
  for (Waiting& w : waiting_) w.aside = false;
}

// A block has run on an urgent lane: the base lane's block in progress ends later by that.
void Core::Impl::stand_still(const BlockReport& report) {
  HeldGrant& below = lanes_[lanes_[report.lane.value].base.value].front;
  if (!below || !below.begun) return;
  const TimePoint from = std::max(report.start, below.block_start);
  if (report.end > from) below.block_start += report.end - from;
}

}  // namespace einet
