// What must hold when everything that happens at an instant has happened: the rules of the policy, homes,
// urgent lanes, sums.
#include <algorithm>

#include "scheduler/exit_planner.h"
#include "scheduler/simulation/invariants.h"

namespace einet {

void Invariants::instant_over(TimePoint now, bool all_told) {
  if (now < last_) violation("time", now, "time goes back");
  last_ = now;
  if (core_.job_count() != present_.size()) {
    violation("sums", now,
              "the core counts " + std::to_string(core_.job_count()) + " jobs; there are " +
                  std::to_string(present_.size()));
  }
  for (const std::size_t i : present_) {
    const Truth& j = jobs_[i];
    if (j.reservation && !j.finished && j.used > j.reservation->budget &&
        !mandatory_done(j, j.next_block, j.best_exit)) {
      violation("overrun", now, job_words(j.spec.id) + " has used more than its budget and keeps its rank");
    }
  }
  if (!all_told) return;
  check_promises(now);
  if (punctual_) {
    check_homes(now);
    check_urgent_lanes(now);
  }
  if (strict_) check_starts(now);
  check_riders(now);
  check_quiet(now);
}

// What was promised is in force one instant after its home is seen idle, at the latest.
void Invariants::check_promises(TimePoint now) {
  for (TaskTruth& task : tasks_) {
    const bool waits = task.reservation && task.patience != task.reservation->patience;
    const bool could_be = waits && counts_on(task.reservation->home, now) == nullptr;
    if (could_be && task.idle_at < now) {
      violation("protocol", now, "a promise is not in force though no job is under way");
    }
    task.idle_at = could_be ? now : kNever;
  }
}

// Reserved work that is away counts at home as if it ran there.
void Invariants::check_homes(TimePoint now) {
  for (const std::size_t i : present_) {
    const Truth& away = jobs_[i];
    if (!away.reservation || !away.running || away.finished || leaves(away, now)) continue;
    const std::size_t home = away.reservation->home.value;
    const LaneTruth& l = lanes_[home];
    const LaneTruth& there = lanes_[*away.running];
    if (away.running == home || away.running == l.urgent || there.begun == now) continue;
    if (there.device != l.device) continue;  // its state cannot come home
    if (mandatory_done(away, there.block, away.best_exit)) continue;
    for (const std::size_t at_home : {home, l.urgent.value_or(home)}) {
      const LaneTruth& h = lanes_[at_home];
      if (!h.has_chosen(now)) continue;
      const Truth& begun = truth(h.current);
      if (h.continued && begun.demoted_at == now) continue;
      if (prefers(home, candidate(away, there.block, away.best_exit), chosen_candidate(begun, h.choice))) {
        violation("home", now,
                  job_words(begun.spec.id) + " begins on " + lane_words(at_home) +
                      " at the home of the more urgent " + job_words(away.spec.id) + ", which is away");
      }
    }
  }
}

void Invariants::run_over(TimePoint now) {
  for (const Truth& j : jobs_) {
    const std::string what = job_words(j.spec.id);
    if (j.accepted && !j.finished) violation("drain", now, what + " has no outcome");
    if (j.accepted && !j.freed) violation("drain", now, what + " was never freed");
  }
  if (core_.job_count() != 0) violation("drain", now, "the core still holds jobs");
}

bool Invariants::mandatory_done(const Truth& j, int next_block, int best_exit) const {
  if (j.spec.times->accuracy.empty()) return next_block >= j.spec.times->blocks();
  // Only the last exit is planned: then it is the first answer.
  const bool last_only = j.spec.plan == PlanMode::last && !j.reservation;
  return best_exit >= std::max(last_only ? j.spec.times->blocks() - 1 : 0, j.spec.mandatory_exit);
}

Candidate Invariants::candidate(const Truth& j, int next_block, int best_exit) const {
  Candidate c{.number = j.spec.id.value,
              .release = j.spec.release,
              .deadline = j.spec.deadline,
              .priority = j.spec.priority};
  const bool done = mandatory_done(j, next_block, best_exit);
  const auto& accuracy = j.spec.times->accuracy;
  if (j.reservation && !done) {
    c.work = Candidate::Work::reserved;
    c.home = j.reservation->home;
    c.open = !lanes_[c.home->value].up;
  } else if (done && scenario_.policy == Policy::imprecise && !accuracy.empty()) {
    c.work = Candidate::Work::optional;
  }
  const bool may_be_promoted =
      scenario_.promote_at_laxity > Duration{} && c.work == Candidate::Work::best_effort;
  c.open |= may_be_promoted || (c.work != Candidate::Work::reserved && has_budget(j));
  return c;
}

bool Invariants::has_budget(const Truth& j) const {
  return j.job->tenant < scenario_.tenants.size() && scenario_.tenants[j.job->tenant].budget;
}

Candidate Invariants::waiting_candidate(const Truth& j) const {
  return candidate(j, j.next_block, j.best_exit);
}

Candidate Invariants::running_candidate(const Truth& j) const {
  return chosen_candidate(j, j.committed + 1);
}

ExitMask Invariants::exits_of(const Truth& j, int block) {
  return (j.decided & exit_bit(block)) != 0 ? j.executes : j.told_exits;
}

Candidate Invariants::chosen_candidate(const Truth& j, int block) const {
  int best = j.best_exit;
  for (int b = j.next_block; b < block && !j.spec.times->accuracy.empty(); ++b) {
    if ((exits_of(j, b) & exit_bit(b)) != 0) best = std::max(best, b);
  }
  return candidate(j, block, best);
}

bool Invariants::prefers(std::size_t lane, const Candidate& a, const Candidate& b) const {
  return by_rules(scenario_.policy, id_of(lane), a, b) == std::partial_ordering::less;
}

// Whether a job waits that the lane could take.
bool Invariants::may_run(const Truth& j, const LaneTruth& l) const {
  if (j.freed || j.finished || j.running) return false;
  const auto& on_device = j.spec.times->on_device;
  if (l.device.value >= on_device.size() || on_device[l.device.value].empty()) return false;
  if (is_evicted(j, l.device)) return false;
  return !is_away(j, l) || may_move(j, lanes_[*j.last_lane].device, l.device);
}

bool Invariants::is_evicted(const Truth& j, DeviceId device) const {
  return std::find(evicted_.begin(), evicted_.end(), std::pair(j.spec.model, device)) != evicted_.end();
}

bool Invariants::is_away(const Truth& j, const LaneTruth& l) const {
  return j.next_block > 0 && j.last_lane && lanes_[*j.last_lane].device != l.device;
}

// Not what is reserved or may become so.
bool Invariants::may_move(const Truth& j, DeviceId from, DeviceId to) const {
  const auto& moves = j.spec.times->moves;
  const auto has = [&](DeviceId d) { return d.value < moves.size() && !moves[d.value].empty(); };
  const bool reserved = j.reservation && !mandatory_done(j, j.next_block, j.best_exit);
  return has(from) && has(to) && !j.stays && !reserved && !has_budget(j) && scenario_.policy != Policy::fifo;
}

Duration Invariants::move_time(const Truth& j, const LaneTruth& to) const {
  if (!is_away(j, to) || (j.holder && lanes_[*j.holder].device == to.device)) return {};  // or on its way
  const auto b = static_cast<std::size_t>(j.next_block);
  return j.spec.times->moves[lanes_[*j.last_lane].device.value][b].out +
         j.spec.times->moves[to.device.value][b].in;
}

// When an exit that the job may have would be ready, if it went on there at `start`.
TimePoint Invariants::soonest_exit(const Truth& j, const LaneTruth& l, TimePoint start) const {
  const auto& blocks = j.spec.times->on_device[l.device.value];
  const bool last_only = j.spec.times->accuracy.empty() || j.spec.plan == PlanMode::last;
  TimePoint trunk = start + move_time(j, l);
  TimePoint soonest = kNever;
  for (std::size_t b = static_cast<std::size_t>(j.next_block); b < blocks.size(); ++b) {
    trunk += blocks[b].trunk;
    const bool wanted = last_only ? b + 1 == blocks.size() : (j.spec.exits >> b & 1) != 0;
    if (wanted) soonest = std::min(soonest, trunk + blocks[b].exit);
  }
  return soonest;
}

// Whether the job may leave the lane to others, idle even, as it may be done sooner on another device: a
// faster one if the lane could begin it now, any if it could only later. How soon it would be there is the
// core's guess.
bool Invariants::may_await_device(const Truth& j, const LaneTruth& l, Lane lane) const {
  const bool reserved = j.reservation && !mandatory_done(j, j.next_block, j.best_exit);
  if (reserved) return false;
  // It may be too late here, at a boundary that was expected, or for what is expected to be more urgent.
  const bool can_be_late =
      j.spec.deadline < kNever && j.spec.on_miss == OnMiss::stop && !j.spec.times->accuracy.empty();
  const TimePoint start = l.current == JobId{} ? last_ : std::max(last_, expected_end(l));
  if (can_be_late && soonest_exit(j, l, start) >= j.spec.deadline) return true;
  const bool faster_elsewhere = std::any_of(lanes_.begin(), lanes_.end(), [&](const LaneTruth& other) {
    if (other.gone || other.device == l.device || !may_run(j, other)) return false;
    return soonest_exit(j, other, last_) < std::min(soonest_exit(j, l, last_), j.spec.deadline);
  });
  if (can_be_late && faster_elsewhere) return true;
  if (scenario_.policy == Policy::fifo) return false;
  return std::any_of(lanes_.begin(), lanes_.end(), [&](const LaneTruth& other) {
    if (!other.up || other.base || other.urgent || other.device == l.device || !may_run(j, other))
      return false;
    if (lane == Lane::busy) return true;
    const auto& here = j.spec.times->on_device[l.device.value];
    const auto& there = j.spec.times->on_device[other.device.value];
    Duration gained = move_time(j, l) - move_time(j, other);
    for (std::size_t b = static_cast<std::size_t>(j.next_block); b < here.size(); ++b) {
      if (gained + here[b].trunk + here[b].exit > there[b].trunk + there[b].exit) return true;
      gained += here[b].trunk - there[b].trunk;
    }
    return false;
  });
}

bool Invariants::has_home_work(std::size_t lane) const {
  return std::any_of(budgets_.begin(), budgets_.end(),
                     [&](const BudgetTruth& b) { return b.budget && b.budget->home.value == lane; }) ||
         std::any_of(tasks_.begin(), tasks_.end(),
                     [&](const TaskTruth& t) { return t.patience && t.reservation->home.value == lane; });
}

// Best-effort work takes a core for its priority, or its deadline from other best-effort work.
bool Invariants::may_interrupt(const Candidate& above, const Candidate& below) const {
  if (above.work == Candidate::Work::reserved) return true;
  if (scenario_.policy != Policy::edf && above.priority > below.priority) return true;
  return below.work == Candidate::Work::best_effort && above.deadline < below.deadline;
}

bool Invariants::may_use_urgent(const Truth& j, std::size_t base) const {
  if (!has_home_work(base)) return true;
  if (!j.reservation || j.reservation->home.value != base) return false;
  if (mandatory_done(j, j.next_block, j.best_exit)) return false;
  const Preemption preemption = lanes_[*lanes_[base].urgent].preemption;
  return preemption == Preemption::instant || j.reservation->patience < kForever;
}

bool Invariants::leaves(const Truth& j, TimePoint now) {
  return j.spec.on_miss == OnMiss::stop && j.spec.deadline <= now;
}

bool Invariants::waits(const Truth& j, TimePoint now) {
  return (j.state == JobState::ready || j.state == JobState::granted) && !leaves(j, now);
}

// Nothing that waits is more urgent than what begins now.
void Invariants::check_starts(TimePoint now) {
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const LaneTruth& l = lanes_[i];
    if (!l.up || l.base || !l.has_chosen(now)) continue;
    if (scenario_.policy == Policy::fifo && l.continued) continue;
    if (l.urgent && lanes_[*l.urgent].current != JobId{}) continue;  // it stands still from its start
    const Truth& j = truth(l.current);
    if (l.continued && j.demoted_at == now) continue;
    const bool joins = l.choice > l.block;  // what is in flight
    ++counts_.compared;
    for (const std::size_t x : present_) {
      const Truth& other = jobs_[x];
      // What a lane has only just let go of could not be given to another in time.
      if (!waits(other, now) || !may_run(other, l) || other.let_go_at == now) continue;
      if (may_await_device(other, l, joins ? Lane::busy : Lane::free)) continue;
      // Nor what a lane of another device had to give back, for a job that was let go of there.
      const auto devices =
          std::count_if(other.spec.times->on_device.begin(), other.spec.times->on_device.end(),
                        [](const auto& blocks) { return !blocks.empty(); });
      if ((joins || devices > 1) && other.taken_back_at == now) continue;
      // Nor what goes elsewhere by the time that what is in flight here has ended.
      if (joins && other.holder && other.holder != i) {
        const LaneTruth& there = lanes_[*other.holder];
        const bool free = there.current == JobId{};
        if (free || expected_end(there) <= expected_end(l, l.choice - 1)) continue;
      }
      const bool outranks = all_running(l, [&](const Truth& its) {
        return its.committed < l.choice ||
               prefers(i, waiting_candidate(other), chosen_candidate(its, l.choice));
      });
      if (outranks) {
        violation("rule", now,
                  lane_words(i) + " begins " + job_words(j.spec.id) + " block " + std::to_string(l.choice) +
                      "; the more urgent " + job_words(other.spec.id) + " waits");
      }
    }
  }
}

// As the core must expect it: of what is in flight, or of a part of that.
TimePoint Invariants::expected_end(const LaneTruth& l) const {
  return l.current == JobId{} ? kNever : expected_end(l, jobs_[l.current.value - 1].committed);
}
TimePoint Invariants::expected_end(const LaneTruth& l, int last) const {
  const Truth& j = jobs_[l.current.value - 1];
  const ModelTimes& times = *j.spec.times;
  // That a state came sooner than expected is not known before its first block is reported.
  TimePoint end = (l.block == j.moved_before ? std::max(l.begun, j.arrives) : l.begun) + l.stood_still;
  for (int block = l.block; block <= last; ++block) {
    const BlockTime& time = times.on_device[l.device.value][static_cast<std::size_t>(block)];
    int jobs = 0;
    bool skipped = true;
    const auto takes_part = [&](JobId id) {
      const Truth& its = jobs_[id.value - 1];
      if (its.committed < block) return;
      ++jobs;
      skipped &= (exits_of(its, block) & exit_bit(block)) == 0;
    };
    takes_part(l.current);
    std::for_each(l.riders.begin(), l.riders.end(), takes_part);
    end += times.in_batch(time.trunk, l.device, jobs);
    if (!skipped) end += times.in_batch(time.exit, l.device, jobs);
  }
  return end;
}

bool Invariants::is_helped(const Truth& j, const LaneTruth& l) const {
  return j.reservation && id_of(*j.running) != j.reservation->home &&
         !mandatory_done(j, l.block, j.best_exit);
}

// Whether reserved work of this home runs elsewhere that the home would prefer.
bool Invariants::more_urgent_is_away(std::size_t home, const Candidate& c) const {
  return std::any_of(present_.begin(), present_.end(), [&](std::size_t i) {
    const Truth& away = jobs_[i];
    if (!away.reservation || away.reservation->home != id_of(home) || !away.holder) return false;
    if (*away.holder == home || away.holder == lanes_[home].urgent) return false;
    return prefers(home, candidate(away, away.next_block, away.best_exit), c);
  });
}

void Invariants::check_urgent_lanes(TimePoint now) {
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const LaneTruth& urgent = lanes_[i];
    if (!urgent.up || !urgent.base) continue;
    const LaneTruth& base = lanes_[*urgent.base];
    if (urgent.current != JobId{} && urgent.begun == now) {
      const Truth& j = truth(urgent.current);
      const std::string what = job_words(j.spec.id) + " begins on the urgent " + lane_words(i);
      if (urgent.continued && j.demoted_at == now) continue;
      // Granted before what is promised there changed.
      if (std::any_of(tasks_.begin(), tasks_.end(), [&](const TaskTruth& t) {
            return t.in_force_at == now && t.reservation && t.reservation->home == id_of(*urgent.base);
          })) {
        continue;
      }
      if (!may_use_urgent(j, *urgent.base)) violation("urgent", now, what + ", which it may not use");
      if (base.current == JobId{}) continue;
      const Truth& suspended = truth(base.current);
      if (is_helped(suspended, base)) continue;
      const auto in_progress = [&](const Truth& its) { return candidate(its, base.block, its.best_exit); };
      const Candidate above = candidate(j, urgent.block, j.best_exit);
      const bool over = suspended.finished || leaves(suspended, now);
      // The core may have meant the block before.
      const bool known = !over && base.begun < now;
      const bool interrupts = all_running(
          base, [&](const Truth& its) { return its.finished || may_interrupt(above, in_progress(its)); });
      if (known && !urgent.continued && !above.open && !interrupts) {
        violation("urgent", now, what + " for no priority nor deadline");
      }
      if (!over && prefers(*urgent.base, in_progress(suspended), above)) {
        violation("urgent", now, what + " over the more urgent " + job_words(suspended.spec.id));
      }
    }
    const bool instant = urgent.preemption == Preemption::instant && scenario_.policy != Policy::fifo;
    if (!instant || urgent.current != JobId{} || base.current == JobId{}) continue;
    const Truth& running = truth(base.current);
    // At its home it counts as if it ran there. And what is to end at this very instant is waited for.
    if (is_helped(running, base) || expected_end(base) == now) continue;
    for (const std::size_t x : present_) {
      const Truth& other = jobs_[x];
      // Posted to a lane that should be there at any moment, or that has no urgent lane: its device promises
      // no more than boundaries there.
      const LaneTruth* const posted = other.holder ? &lanes_[*other.holder] : nullptr;
      if (posted != nullptr && (!posted->urgent || expected_end(*posted) == now || posted->begun == now))
        continue;
      if (!waits(other, now) || !may_run(other, base) || is_away(other, base)) continue;
      if (!may_use_urgent(other, *urgent.base)) continue;
      if (may_await_device(other, base, Lane::free)) continue;
      const Candidate waiting = waiting_candidate(other);
      if (waiting.work == Candidate::Work::optional) continue;
      if (more_urgent_is_away(*urgent.base, waiting)) continue;
      const bool takes_core = all_running(base, [&](const Truth& its) {
        const Candidate in_progress = candidate(its, base.block, its.best_exit);
        return may_interrupt(waiting, in_progress) && prefers(*urgent.base, waiting, in_progress);
      });
      if (takes_core) {
        violation("urgent", now,
                  job_words(other.spec.id) + " waits for the block of the less urgent " +
                      job_words(running.spec.id) + " beside an idle urgent lane");
      }
    }
  }
}

// Once all reports are read, lanes hold what the scheduling-point rule says.
void Invariants::check_quiet(TimePoint now) {
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const LaneTruth& l = lanes_[i];
    if (!l.up || l.base) continue;
    const bool stands_still = l.urgent && lanes_[*l.urgent].current != JobId{};
    if (stands_still) continue;
    const Truth* const running = l.current == JobId{} ? nullptr : &truth(l.current);
    const bool goes_on = running != nullptr && this->goes_on(*running, now);
    // One that came too late for the batch that runs, which the core learns at the end of the block.
    const auto comes_late = [&](const Truth& j) {
      return running != nullptr && j.holder == i && j.running != i && j.with == running->grant;
    };
    // Of a batch the most urgent job that goes on counts.
    const auto outranks_running = [&](const Candidate& c) {
      const auto outranked = [&](const Truth& its) {
        return ends(its) || prefers_to_run(i, c, running_candidate(its));
      };
      return all_running(l, outranked) && std::all_of(present_.begin(), present_.end(), [&](std::size_t x) {
               return !comes_late(jobs_[x]) || outranked(jobs_[x]);
             });
    };
    const Truth* arriving = nullptr;  // its state is on its way here
    bool posted_behind = false;
    bool waits_for_home = false;
    for (const std::size_t x : present_) {
      const Truth& other = jobs_[x];
      const bool at_home = other.reservation ? other.reservation->home.value == i : has_budget(other);
      waits_for_home |= at_home && other.holder && other.holder != i;
      if (other.holder != i || other.running == i || comes_late(other)) continue;
      posted_behind = true;
      const bool first = arriving == nullptr || other.grant.value < arriving->grant.value;
      if (running == nullptr && is_away(other, l) && first) arriving = &other;
      if (goes_on && outranks_running(waiting_candidate(other))) {
        violation("preemption", now,
                  job_words(other.spec.id) + " waits behind the less urgent " + job_words(running->spec.id) +
                      ", which was not told to stop");
      }
    }
    for (const std::size_t x : present_) {
      const Truth& ready = jobs_[x];
      if (ready.state != JobState::ready || !may_run(ready, l)) continue;
      if (may_await_device(ready, l, running == nullptr ? Lane::free : Lane::busy)) continue;
      const std::string what = job_words(ready.spec.id) + " is ready, and " + lane_words(i);
      const bool only_helped =
          waiting_candidate(ready).open || (ready.reservation && ready.reservation->home.value != i);
      if (arriving != nullptr) {
        if (prefers_to_run(i, waiting_candidate(ready), waiting_candidate(*arriving))) {
          violation("preemption", now, what + " waits for the less urgent " + job_words(arriving->spec.id));
        }
      } else if (running == nullptr) {
        if (!only_helped && !waits_for_home) violation("conserving", now, what + " is idle");
      } else if (goes_on && outranks_running(waiting_candidate(ready))) {
        violation("preemption", now, what + " goes on with the less urgent " + job_words(running->spec.id));
      } else if (!posted_behind && !only_helped && !waits_for_home && ends_here(*running)) {
        violation("conserving", now, what + ", whose job ends, has no successor posted");
      }
    }
  }
}

// Who rides overtakes nobody who is more urgent, cannot ride, and has a deadline.
void Invariants::check_riders(TimePoint now) {
  for (const std::size_t x : present_) {
    const Truth& rider = jobs_[x];
    if (!rider.with || !rider.holder || rider.granted_at != now) continue;
    const LaneTruth& l = lanes_[*rider.holder];
    for (const std::size_t y : present_) {
      const Truth& other = jobs_[y];
      if (other.state != JobState::ready || !may_run(other, l) || other.let_go_at == now) continue;
      if (other.taken_back_at == now || leaves(other, now) || other.spec.deadline >= kNever) continue;
      // Of its kind there are those that nothing could help to be in time.
      const bool alike = other.spec.model == rider.spec.model && other.next_block == rider.next_block;
      if (alike || other.reservation || has_budget(other) || may_await_device(other, l, Lane::busy)) continue;
      if (prefers(*rider.holder, waiting_candidate(other), waiting_candidate(rider))) {
        violation("batch", now,
                  job_words(rider.spec.id) + " is to ride on " + lane_words(*rider.holder) +
                      "; the more urgent " + job_words(other.spec.id) + " has a deadline and waits");
      }
    }
  }
}

bool Invariants::ends_here(const Truth& running) const {
  // Told to end before the last block that it had enqueued, of which the core may not have heard.
  const bool cut_short = running.stop_told || running.told_exits >> running.committed == 0;
  if (running.decided != 0 && (cut_short || running.unclear_since < kNever)) return false;
  const auto view = core_.job(running.spec.id);
  return view && view->plan != 0 && (view->plan & from_block(running.committed + 1)) == 0;
}

// As `prefers`, but for a job that could make room for another: under fifo none does.
bool Invariants::prefers_to_run(std::size_t lane, const Candidate& a, const Candidate& b) const {
  return scenario_.policy != Policy::fifo && prefers(lane, a, b);
}

bool Invariants::ends(const Truth& j) {
  return j.finished || (j.told_exits & from_block(j.committed + 1)) == 0 || j.stop_told;
}

// Whether the lane will run another block of its job, as far as it was told, the deadline lets it and the
// core knows.
bool Invariants::goes_on(const Truth& j, TimePoint now) const {
  const Duration longest = longest_stretch_ + longest_overrun_ * kMaxInFlight;
  const bool expires = j.spec.on_miss == OnMiss::stop && j.spec.deadline <= now + longest;
  return !ends(j) && !expires && j.unclear_since == kNever;
}

}  // namespace einet
