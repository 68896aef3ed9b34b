// A decision: project which job every lane should run from its coming boundary on, take back what is posted
// otherwise, post the rest, tell the running grants, announce what has ended.
#include <algorithm>
#include <bit>
#include <tuple>
#include <utility>

#include "scheduler/core_impl.h"

namespace einet {
namespace {

// The order in which lanes choose: by boundary, then by number.
bool gets_there_first(const Lane* a, const Lane* b) {
  return a->chooses() != b->chooses() ? a->chooses() < b->chooses() : a->id < b->id;
}

// Blocks before this one are what a task has reserved.
int reserved_blocks(const JobRecord& job) {
  if (job.urgency.tier != Tier::reserved || job.reservation == nullptr) return 0;
  return job.has_exits() ? job.mandatory_exit() + 1 : job.blocks();
}

}  // namespace

void Core::Impl::decide(TimePoint now) {
  ++decisions_;
  advance(now);
  review(now);
  if (std::any_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) { return lane.changing; })) {
    put_in_force(now);
  }
  carry(now);
  hurry(now);
  // An idle lane begins what it is given at once; then its coming boundary is known, and what follows there
  // is posted too.
  projections_ = 0;
  do {
    // A withdrawal that came too late, or that freed a lane or a budget, changes what the projection started
    // from, and so does a device that is too slow for a job. Each can happen once, per grant and per device.
    project(now);
    while (keep_off_too_slow() || withdraw_misplaced(now)) {
      carry(now);
      project(now);
    }
  } while (post_all(now));
  for (Lane& lane : lanes_) tell(lane);
  announce(now);
}

// A new plan for every job that has executed an exit or fallen behind; the end for one that has nothing left.
// Not done report by report: the next one may be the answer that is still in time.
void Core::Impl::review(TimePoint now) {
  while (!to_review_.empty()) {
    JobRecord& job = to_review_.front();
    to_review_.pop_front();
    if (job.is_over() || !job.last_lane) continue;  // over, or starting anew after a lost lane
    const Lane& lane = lanes_[job.last_lane->value];
    const HeldGrant* const grant = running_grant(job);
    const TimePoint start = grant != nullptr ? grant->block_start : now;
    if (job.answered || !can_deliver(job, lane.device, start)) replan(job, lane.device, start);
    if (job.plan == 0) {
      end_without_plan(job, now);
    } else {
      rank(job);
    }
  }
}

// Whether the most urgent job that no lane has taken yet is a mandatory part for which this one would make
// room.
bool Core::Impl::is_awaited(const JobRecord& job) {
  const JobRecord* rival = next_for(job.devices);
  return rival != nullptr && rival->urgency.tier != Tier::optional;
}

// While mandatory work waits, a job that has no answer yet gets one as soon as it pays, so that it can make
// room.
void Core::Impl::hurry(TimePoint now) {
  const auto idle = std::count_if(lanes_.begin(), lanes_.end(), [](const Lane& lane) {
    return lane.status == Lane::Status::up && !lane.front && !lane.is_urgent();
  });
  contended_ = options_.policy == Policy::imprecise && ready_.mandatory() > static_cast<std::size_t>(idle);
  if (!contended_) return;
  rewind();
  for (Lane& lane : lanes_) {
    if (!lane.front || lane.front.is_through()) continue;
    JobRecord& job = *lane.front.job;
    if (job.hurried || job.is_over() || !job.has_exits() || job.spec.plan != PlanMode::exact) continue;
    if (mandatory_done(job, standing(job)) || !is_awaited(job)) continue;
    job.hurried = true;
    if (job.plan == 0) continue;
    // The exit of the block in progress can still be had while its trunk runs.
    const HeldGrant& grant = lane.front;
    const bool open =
        !grant.runs_ahead && now < grant.block_start + block_time(job, lane.device, grant.block, 0);
    const int first = open ? grant.block : grant.stops_after() + 1;
    const int exit = hurried_exit(job, lane.device, grant.block_start, first);
    if (exit >= 0 && exit < std::countr_zero(job.plan)) job.plan |= exit_bit(exit);
  }
}

// --- Projection ---

// When what the lane has in flight is expected to end.
TimePoint Core::Impl::committed_until(const Lane& lane) const {
  const HeldGrant& grant = lane.front;
  TimePoint end = grant.block_start;
  for (int block = grant.block; block <= grant.stops_after(); ++block) {
    end += batch_time(lane, grant, block, grant.exits_in_flight());
  }
  return end;
}

TimePoint Core::Impl::boundary_of(const Lane& lane, TimePoint now, bool& overdue) const {
  const HeldGrant& grant = lane.front;
  if (!grant || grant.is_through()) return now;
  const TimePoint expected = committed_until(lane);
  overdue = expected < now;
  return std::max(now, expected);
}

// Whether the job of a running grant goes no further than that boundary.
bool Core::Impl::ends_there(const HeldGrant& grant, TimePoint boundary) const {
  const JobRecord& job = *grant.job;
  return job.is_over() || job.stops_at(boundary) || !grant.plans_more();
}

void Core::Impl::expect_boundary(Lane& lane, TimePoint now) {
  lane.boundary = boundary_of(lane, now, lane.overdue);
  // Reserved work that cannot wait does not wait for a boundary that is only expected.
  if (lane.front && lane.urgent && lane.homed > 0 && lane.boundary == now) lane.overdue = true;
  if (!lane.front || lane.front.block >= lane.front.job->blocks()) return;
  const Standing after = standing_after(*lane.front.job, lane.front.stops_after(), lane.front.job->plan);
  lane.key = urgency(options_.policy, *lane.front.job, after, lane.device);
  for (const HeldGrant& rider : lane.riders) {
    const bool goes_on = rides(rider, lane.front) && !rider.job->is_over() && !rider.stop_told &&
                         rider.plans_more() && !rider.ends_by_itself();
    if (!goes_on) continue;
    const Standing then = standing_after(*rider.job, rider.stops_after(), rider.job->plan);
    lane.key = std::min(lane.key, urgency(options_.policy, *rider.job, then, lane.device));
  }
  lane.helps = lane.key.tier == Tier::reserved && lane.front.job->home() != lane.base &&
               up_lane(lane.front.job->home()) != nullptr;
}

// Fills in `next` for every lane that something can be posted to. Lanes choose in the order of their
// boundaries. A job that has to make room is a candidate for other lanes only once its lane has reported so:
// until then it cannot be granted.
void Core::Impl::project(TimePoint now) {
  ++projections_;
  order_.clear();
  for (Lane& lane : lanes_) {
    lane.next = lane.successor = nullptr;
    lane.closed = lane.yields = lane.overdue = lane.waiting = lane.suspended = lane.helps = false;
    lane.key = {};
    if (lane.status != Lane::Status::up || lane.between_reports) continue;
    if (lane.is_urgent() && !lane.front) continue;
    lane.waiting = lane.front && lane.front.awaits_state(now);
    if (lane.waiting) {
      lane.boundary = now;
      lane.key = lane.front.job->urgency;
    } else {
      expect_boundary(lane, now);
    }
    if (lane.urgent && lanes_[lane.urgent->value].front) {
      // Stands still: its boundary comes when the urgent lane has gone.
      lane.boundary = kNever;
      lane.next = lane.front.job;
      lane.closed = lane.suspended = true;
      lane.waiting = false;
    }
    order_.push_back(&lane);
  }
  std::sort(order_.begin(), order_.end(), gets_there_first);
  rewind();
  const bool reserving = !tasks_.empty() || !shares_.servers().empty();
  bool cores_taken = false;
  for (auto first = order_.begin(); first != order_.end();) {
    const auto when = (*first)->chooses();
    const TimePoint boundary = (*first)->boundary;
    const auto last = std::find_if(first, order_.end(), [&](Lane* lane) { return lane->chooses() != when; });
    // Idle lanes first: what they have room for takes no core from anybody.
    const bool busy = boundary > now || when.second;
    if (busy && !std::exchange(cores_taken, true)) {
      take_cores(now);
      call_over();
    }
    if (reserving) choose_reserved({first, last}, boundary, now);
    choose({first, last}, boundary, now);
    assign({first, last});
    if (reserving) {
      help({first, last}, now);
      keep_homes_free({first, last});
    }
    // A lane that goes on waiting for its job's state chooses again at the end of the block that comes then.
    first = std::stable_partition(first, last, [](const Lane* lane) {
      return !lane->waiting || lane->next == nullptr || lane->next != lane->front.job;
    });
    if (first == last) continue;
    std::for_each(first, last, [&](Lane* lane) {
      lane->waiting = false;
      lane->next = nullptr;
      expect_boundary(*lane, now);
    });
    std::sort(first, order_.end(), gets_there_first);
  }
  choose_successors();
  // A boundary that was expected now and does not come is overdue from the next instant on.
  const bool expected_now = std::any_of(order_.begin(), order_.end(), [&](const Lane* lane) {
    return lane->front && lane->urgent && !lane->overdue && lane->boundary == now && displaced(*lane);
  });
  look_again_ = expected_now ? now + Duration{1} : kNever;
}

// --- Reserved work ---

// Reserved work of `home` that another lane helps with: until it is known to have come back, its home
// takes nothing less urgent, so that for all reserved work there it is as if it had run at home.
const JobRecord* Core::Impl::away_from(const Lane& home, Away which) const {
  const JobRecord* away = nullptr;
  for (const Lane* lane : order_) {
    if (lane->base == home.id) continue;
    const bool next_counts = which == Away::runs_or_follows || !lane->front;
    for (const JobRecord* job : {lane->front.job, next_counts ? lane->next : nullptr}) {
      const bool reserved = job != nullptr && job->urgency.tier == Tier::reserved && job->server == nullptr;
      if (!reserved || job->is_over() || job->home() != home.id) continue;
      if ((job->devices & device_bit(home.device)) == 0) continue;  // it cannot come home
      if (away == nullptr || job->urgency < away->urgency) away = job;
    }
  }
  return away;
}

bool Core::Impl::is_placed(const JobRecord& job) const {
  return std::any_of(order_.begin(), order_.end(), [&](const Lane* lane) { return lane->next == &job; });
}

// Each lane's own reserved work comes before all else.
void Core::Impl::choose_reserved(std::span<Lane*> group, TimePoint boundary, TimePoint now) {
  for (Lane* lane : group) {
    if (lane->closed || lane->is_urgent()) continue;
    const bool holds =
        lane->front && !ends_there(lane->front, boundary) && at_home(*lane->front.job, lane->key, *lane);
    JobRecord* next = holds ? lane->front.job : nullptr;
    for (JobRecord* ready = ready_.peek_home(lane->id, device_bit(lane->device)); ready != nullptr;
         ready = ready_.peek_home(lane->id, device_bit(lane->device))) {
      if (holds && lane->key < ready->urgency) break;
      ready_.pass(*ready);
      if (!prepare(*ready, lane->device, boundary, now)) continue;
      next = ready;
      break;
    }
    lane->next = next;
  }
  keep_homes_free(group);
}

// Whether work of this urgency is reserved work of this lane.
bool Core::Impl::at_home(const JobRecord& job, const Urgency& key, const Lane& lane) {
  return key.tier == Tier::reserved && job.home() == lane.base;
}

// A home whose work is away takes nothing less urgent.
void Core::Impl::keep_homes_free(std::span<Lane*> group) {
  for (Lane* lane : group) {
    if (lane->closed || lane->is_urgent()) continue;
    const JobRecord* away = away_from(*lane, Away::runs_or_follows);
    if (away == nullptr) continue;
    const auto outranks = [&](const JobRecord& job, const Urgency& key) {
      return at_home(job, key, *lane) && key < away->urgency;
    };
    JobRecord* const front = lane->front.job;
    const bool goes_on = front != nullptr && outranks(*front, lane->key);
    if (lane->next != nullptr &&
        (lane->next == front ? goes_on : outranks(*lane->next, lane->next->urgency))) {
      continue;
    }
    lane->next = nullptr;
    lane->closed = true;
    lane->yields = front != nullptr && !goes_on;
  }
}

// Lanes that nothing else needs help with reserved work that waits at home. Not those whose core may be
// taken, now or soon: a block that stands still would be missing at its home.
void Core::Impl::help(std::span<Lane*> group, TimePoint now) {
  for (Lane* lane : group) {
    if (lane->next != nullptr || lane->closed || lane->yields || lane->is_urgent()) continue;
    while (JobRecord* ready = ready_.peek_reserved(device_bit(lane->device))) {
      // Where the job could run at home, too, its state must not end up elsewhere.
      const DeviceSet home = device_bit(lanes_[ready->home().value].device);
      const bool home_can = (ready->devices & home) != 0;
      if (home_can && (home != device_bit(lane->device) || lane->takers > 0 || lane->changing)) break;
      // A boundary that is only expected is no reason not to take the core at home.
      if (lane->front && lane->boundary == now && ready->reservation != nullptr &&
          takes_core(*ready->reservation))
        break;
      ready_.pass(*ready);
      if (is_placed(*ready) || !prepare(*ready, lane->device, lane->boundary, now)) continue;
      lane->next = ready;
      break;
    }
  }
}

// When a lane that goes on with its job at the coming boundary is expected to have finished it.
TimePoint Core::Impl::end_of(const Lane& lane) const {
  const HeldGrant& grant = lane.front;
  TimePoint end = lane.boundary;
  if (lane.waiting) end = committed_until(lane);
  for (int block = grant.stops_after() + 1; block <= deepest(grant.job->plan); ++block) {
    end = std::min(kNever, end + batch_time(lane, grant, block, grant.job->plan));
  }
  return end;
}

// What follows the jobs that go on, so that no lane waits for an answer from here when its job ends: the most
// urgent jobs that no boundary has taken, for the lanes in the order in which they are expected to get free.
void Core::Impl::choose_successors() {
  holders_.clear();
  for (Lane* lane : order_) {
    // A lane that was told to stop for a job that has gone since stops all the same, and decides anew.
    if (lane->next == nullptr || lane->next != lane->front.job || lane->front.stop_told) continue;
    if (lane->closed || lane->is_urgent()) continue;
    lane->end = end_of(*lane);
    holders_.push_back(lane);
  }
  std::sort(holders_.begin(), holders_.end(), [](const Lane* a, const Lane* b) {
    return std::tuple(a->end, a->overdue, a->id) < std::tuple(b->end, b->overdue, b->id);
  });
  for (Lane* lane : holders_) {
    const DeviceSet here = device_bit(lane->device);
    JobRecord* ready = ready_.peek_home(lane->id, here);
    if (ready == nullptr) ready = next_for(here);
    while (ready != nullptr && waits_for_better(*ready, here, lane->end)) ready = next_for(here);
    if (ready == nullptr || away_from(*lane, Away::runs_or_follows) != nullptr) continue;
    pass(*ready);
    const TimePoint start = could_begin(*ready, lane->device, lane->end);
    if (ready->stops_at(start)) continue;
    // Only a prediction: a job that would come too late there may still be in time elsewhere, and its lane
    // may have begun it unseen. So it keeps its plan.
    const ExitMask plan = ready->plan;
    if (ready->state == JobState::ready || !can_deliver(*ready, lane->device, start)) {
      replan(*ready, lane->device, start);
    }
    if (ready->plan != 0) {
      lane->successor = ready;
    } else {
      ready->plan = plan;
    }
  }
}

// The most urgent jobs for a group of lanes with one boundary, as many as have a place, into chosen_.
void Core::Impl::choose(std::span<Lane*> group, TimePoint boundary, TimePoint now) {
  chosen_.clear();
  holders_.clear();
  free_lanes_.fill(0);
  DeviceSet free_devices = 0;
  for (Lane* lane : group) {
    if (lane->closed || lane->next != nullptr) continue;
    if (lane->is_urgent()) {
      choose_on_urgent_lane(*lane, boundary, now);
      continue;
    }
    ++free_lanes_[lane->device.value];
    free_devices |= device_bit(lane->device);
    if (lane->front && !lane->yields && (lane->waiting || !ends_there(lane->front, boundary)))
      holders_.push_back(lane);
  }
  std::sort(holders_.begin(), holders_.end(), [](const Lane* a, const Lane* b) {
    return std::pair(a->helps, a->key) < std::pair(b->helps, b->key);
  });
  const auto take = [&](JobRecord& job, DeviceId device) {
    chosen_.push_back({&job, device});
    if (--free_lanes_[device.value] == 0) free_devices &= ~device_bit(device);
  };
  auto holder = holders_.begin();
  while (free_devices != 0) {
    JobRecord* ready = next_for(free_devices);
    if (holder != holders_.end()) {
      const Lane& lane = **holder;
      const bool first =
          ready == nullptr || options_.policy == Policy::fifo || (!lane.helps && lane.key < ready->urgency);
      if (first) {
        ++holder;
        if ((free_devices & device_bit(lane.device)) != 0) take(*lane.front.job, lane.device);
        continue;
      }
    }
    if (ready == nullptr) break;
    if (waits_for_better(*ready, free_devices, boundary)) continue;
    const DeviceId device = fastest(*ready, open_to(*ready) & free_devices);
    pass(*ready);
    if (prepare(*ready, device, boundary, now)) take(*ready, device);
  }
}

// Whether it makes sense to run the job from `start` on; if not, it has ended, or waits for another device. A
// job that is not posted yet gets its plan here. Precondition: reserved work, or passed.
bool Core::Impl::prepare(JobRecord& job, DeviceId device, TimePoint start, TimePoint now) {
  if (contended_ && !job.hurried) job.hurried = is_awaited(job);
  start = could_begin(job, device, start);
  const ExitMask plan = job.plan;
  if (job.state == JobState::ready || !can_deliver(job, device, start)) replan(job, device, start);
  if (job.plan != 0) return true;
  if (!waits_for_faster(job, device)) {
    end_without_plan(job, now);
  } else {
    job.plan = plan;  // the lane that it is posted to may have begun it unseen
  }
  return false;
}

// Gives each chosen job a lane of the group: its own, if it holds one or its last block ran there; else the
// lowest that is left, most urgent job first.
void Core::Impl::assign(std::span<Lane*> group) {
  const auto give = [&](auto&& may_take) {
    for (Choice& choice : chosen_) {
      if (choice.job == nullptr) continue;
      for (Lane* lane : group) {
        if (lane->next != nullptr || lane->closed || lane->is_urgent() || lane->device != choice.device ||
            !may_take(*lane, *choice.job))
          continue;
        lane->next = std::exchange(choice.job, nullptr);
        break;
      }
    }
  };
  give([](const Lane& lane, const JobRecord& job) { return lane.front.job == &job; });
  give([](const Lane& lane, const JobRecord& job) { return job.last_lane == lane.id; });
  give([](const Lane&, const JobRecord&) { return true; });
}

// --- Commands ---

Reason Core::Impl::why_withdrawn(const Lane& lane, const JobRecord& job) const {
  if (job.is_over()) return job.why_over();
  const bool elsewhere = std::any_of(order_.begin(), order_.end(), [&](const Lane* other) {
    return other != &lane && (other->next == &job || other->successor == &job);
  });
  return elsewhere ? Reason::better_lane : Reason::more_urgent_work;
}

// Takes back posted grants that the projection places otherwise. True: project again.
bool Core::Impl::withdraw_misplaced(TimePoint now) {
  bool changed = false;
  for (Lane* lane : order_) {
    changed |= withdraw_misplaced_riders(*lane, now);
    if (lane->back && lane->back.job != lane->behind()) {
      // It has to begin again, or its state does not come: then it was placed for what no longer holds.
      changed |= lane->back.job->stranded || lane->back.moves;
      changed |= lane->back.job->is_over() && shares_.payer(*lane->back.job) != nullptr;
      changed |= !withdraw(*lane, lane->back, now);
    }
    // A running job that has to make room may not have begun yet: then nothing needs to be waited for. One
    // that only has to make room once its block is done would be chosen again.
    HeldGrant& front = lane->front;
    if (!front || front.certain || front.stop_told) continue;
    const auto rank_here = [&](const JobRecord& job) {
      return std::pair(!at_home(job, job.urgency, *lane), job.urgency);
    };
    const bool outranked =
        displaced(*lane) && lane->next != nullptr && rank_here(*lane->next) < rank_here(*front.job);
    if (!outranked && !front.job->is_over()) continue;
    // What follows was chosen for later.
    if (front.moves && lane->back) withdraw(*lane, lane->back, now);
    withdraw(*lane, front, now);
    changed = true;
  }
  return changed;
}

// True: the grant is gone. False: the lane has begun it.
bool Core::Impl::withdraw(Lane& lane, HeldGrant& grant, TimePoint now) {
  JobRecord& job = *grant.job;
  withdraw_riders(lane, grant.number, now);
  const bool taken_back = commands_.withdraw(lane.id, grant.number, why_withdrawn(lane, job));
  if (!taken_back) {
    begin(lane, grant, now, now);
    lane.between_reports = &grant == &lane.back;
    grant.certain = lane.front.certain = true;
    grant.withdrawn_late = true;
    return false;
  }
  if (&grant == &lane.front) {
    drop_front(lane, now, now);
  } else {
    grant = {};
  }
  let_go(job, now);
  return true;
}

// Posts what the projection wants. True: idle lanes got work.
bool Core::Impl::post_all(TimePoint now) {
  bool filled = false;
  for (Lane* lane : order_) {
    JobRecord* job = lane->behind();
    if (job == nullptr || lane->back) continue;
    if (lane->front) {
      post(*lane, *job, lane->back, now);
    } else {
      post(*lane, *job, lane->front, now);
      begin(*lane, lane->front, now, now);
      filled = true;
    }
  }
  fill_batches(now);
  return filled;
}

void Core::Impl::post(Lane& lane, JobRecord& job, HeldGrant& place, TimePoint now) {
  const bool moves = job.at && *job.at != lane.device;
  if (!moves) {
    choose_riders(lane, job, GrantNumber{});
    // Before it, so that the lane finds them when it finds it.
    post_riders(lane, GrantNumber{lane.grants + riders_.size() + 1}, now);
  }
  place = {.job = &job,
           .number = GrantNumber{++lane.grants},
           .first_block = job.next_block,
           .block = job.next_block,
           .exits = job.plan,
           .reserved_blocks = reserved_blocks(job),
           .committed = job.next_block - 1,
           .moves = moves,
           .posted_in = decisions_};
  if (moves) job.arrives = now + move_time(job, lane.device);
  job.lane = lane.id;
  job.awaits.reset();
  set_state(job, JobState::granted, now);
  const Lane& base = lanes_[lane.base.value];
  const bool takes_core = lane.is_urgent() && base.front;
  commands_.grant({.lane = lane.id,
                   .number = place.number,
                   .job = job.spec.id,
                   .first_block = place.first_block,
                   .exits = place.exits,
                   .from = moves ? job.at : std::nullopt,
                   .reserved_blocks = place.reserved_blocks},
                  takes_core ? Reason::cannot_wait
                  : moves    ? Reason::done_sooner
                             : Reason::most_urgent);
  if (takes_core) observer_.suspended(base.id, base.front.job->spec.id, job.spec.id, now);
}

// Whether the running job has to make room at the coming boundary.
bool Core::Impl::displaced(const Lane& lane) const {
  if (!lane.front) return false;
  // A deadline that is expected to end it there does not count where it must not stay: perhaps its block ends
  // earlier.
  const bool last_block = lane.front.job->is_over() || !lane.front.plans_more();
  if (lane.waiting) return lane.yields || (lane.next != nullptr && lane.next != lane.front.job);
  if (lane.yields) return !last_block;
  if (lane.next == nullptr || lane.next == lane.front.job) return false;
  if (!ends_there(lane.front, lane.boundary)) return true;
  // What is enqueued before the deadline that ends the job would run after it.
  const bool has_begun = lane.front.certain || lane.front.block_start < clock_;
  return lane.front.runs_ahead && has_begun && !last_block;
}

// Stops and new exits for the grants of a lane.
void Core::Impl::tell(Lane& lane) {
  for (HeldGrant* grant : {&lane.front, &lane.back}) {
    const bool ended = lane.between_reports && grant == &lane.front;
    if (!*grant || ended || grant->stop_told || grant->is_through()) continue;
    const JobRecord& job = *grant->job;
    const bool makes_room = grant->ends_here || (grant == &lane.front && displaced(lane));
    if (!job.is_over() && !lane.between_reports && (!lane.suspended || grant->ends_here)) {
      // Perhaps the lane has not begun it: then a stop could come before the block, after which the job would
      // be as urgent as before. So where it makes room at an exit, the grant ends there.
      const ExitMask reached = job.plan & ~from_block(grant->stops_after() + 1);
      const bool ends = makes_room && !grant->certain && reached != 0;
      const ExitMask exits = ends ? reached : job.plan;
      if ((grant->exits ^ exits) >> grant->block != 0) {
        EINET_CHECK(exits >> grant->block != 0, "a job that goes on has an exit to reach");
        grant->exits = exits;
        const bool in_time = grant->posted_in == decisions_ || grant->awaits_state(clock_);
        if (grant->begun && in_time) commit_anew(lane, *grant);
        commands_.set_exits(lane.id, grant->number, exits,
                            ends ? Reason::more_urgent_work : Reason::replanned);
      }
    }
    if (!job.is_over() && !makes_room) continue;
    if (grant->ends_by_itself()) continue;
    // It makes room after the block that begins when its state arrives. Told before, it would not even begin.
    if (grant->awaits_state(clock_) && !lane.waiting && !job.is_over()) {
      look_again_ = std::min(look_again_, grant->block_start + Duration{1});
      continue;
    }
    grant->stop_told = true;
    commands_.stop(lane.id, grant->number, job.is_over() ? job.why_over() : Reason::more_urgent_work);
  }
  tell_riders(lane);
}

void Core::Impl::announce(TimePoint now) {
  while (!departing_.empty()) {
    JobRecord& job = departing_.front();
    departing_.pop_front();
    if (!job.announced) commands_.finish(job.spec.id, job.outcome, job.why);
    job.announced = true;
    if (job.lane) continue;
    set_state(job, JobState::gone, now);
    commands_.release(job.spec.id);
    jobs_.remove(job);
  }
}

}  // namespace einet
