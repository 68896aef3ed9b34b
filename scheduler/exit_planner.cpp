#include "scheduler/exit_planner.h"

#include <algorithm>
#include <utility>

#include "scheduler/lives.h"

namespace einet {
namespace {

// The curve of such jobs' lives, and where the deadline's line begins and ends.
constexpr std::size_t kMostPoints = LifeTable::kAges + 4;

const std::vector<BlockTime>& times_on(const JobRecord& job, DeviceId device) {
  return job.spec.times->on_device[device.value];
}

// After a lost lane a job starts anew, with its answer kept: exits up to that one are of no use again.
int first_new_exit(const JobRecord& job) {
  return std::max(job.next_block, job.best.exit + 1);
}

// When the results of `exits` up to `last` would be ready.
TimePoint ready_at(const JobRecord& job, DeviceId device, TimePoint start, ExitMask exits, int last) {
  for (int block = job.next_block; block <= last; ++block) start += block_time(job, device, block, exits);
  return start;
}

// At least 1 ns.
Duration whole_time(const JobRecord& job, DeviceId device) {
  return std::max(Duration{1}, job.spec.times->whole_time(device));
}

// Of the exits that the job may have, the one still to come whose answer is expected to be the most accurate,
// if it beats the one that is held; of equals the first.
ExitMask most_accurate(const JobRecord& job) {
  int best = -1;
  double most = job.outlook.held();
  for (int exit = first_new_exit(job); exit < job.blocks(); ++exit) {
    if ((job.spec.exits & exit_bit(exit)) == 0 || job.outlook.after(exit) <= most) continue;
    most = job.outlook.after(exit);
    best = exit;
  }
  return best < 0 ? 0 : exit_bit(best);
}

}  // namespace

bool in_time(const JobRecord& job, TimePoint t) {
  return job.spec.on_miss == OnMiss::keep_on || t <= job.spec.deadline;
}

int hurried_exit(const JobRecord& job, DeviceId device, TimePoint start, int first) {
  if (!job.has_exits() || job.best.exit >= job.mandatory_exit()) return -1;
  int best = -1;
  double most = -1;
  TimePoint trunk = start;
  for (int exit = job.next_block; exit < job.blocks(); ++exit) {
    trunk += block_time(job, device, exit, 0);
    const TimePoint ready = trunk + times_on(job, device)[static_cast<std::size_t>(exit)].exit;
    if (!in_time(job, ready)) break;
    if (exit < std::max(first, job.mandatory_exit())) continue;
    const double pays =
        job.outlook.after(exit) / static_cast<double>(std::max(Duration{1}, ready - start).count());
    if (pays > most) {
      most = pays;
      best = exit;
    }
    if (job.spec.mandatory_exit >= 0) break;  // the first that suffices
  }
  return best;
}

Duration block_time(const JobRecord& job, DeviceId device, int block, ExitMask exits) {
  const BlockTime& time = times_on(job, device)[static_cast<std::size_t>(block)];
  return (exits & exit_bit(block)) != 0 ? time.trunk + time.exit : time.trunk;
}

Duration worst_block_time(const JobRecord& job, DeviceId device, int block) {
  const BlockTime& time = times_on(job, device)[static_cast<std::size_t>(block)];
  return std::max(time.trunk, time.worst_trunk) + std::max(time.exit, time.worst_exit);
}

Duration mandatory_time(const JobRecord& job, DeviceId device) {
  if (!job.has_exits()) return remaining_time(job, device);
  // All of its blocks may be done already: then it ends as soon as somebody looks at it.
  if (job.best.exit >= job.mandatory_exit() || job.next_block >= job.blocks()) return {};
  const int exit = std::max(job.next_block, job.mandatory_exit());
  return ready_at(job, device, TimePoint{}, exit_bit(exit), exit).time_since_epoch();
}

Duration worst_remaining_time(const JobRecord& job, DeviceId device) {
  Duration sum{};
  for (int block = job.next_block; block < job.blocks(); ++block) sum += worst_block_time(job, device, block);
  return sum;
}

Duration remaining_time(const JobRecord& job, DeviceId device) {
  const int last = job.blocks() - 1;
  return ready_at(job, device, TimePoint{}, exit_bit(last), last).time_since_epoch();
}

Duration move_time(const JobRecord& job, DeviceId to) {
  return !job.at || *job.at == to ? Duration{} : job.spec.times->move_time(*job.at, to, job.next_block);
}

Duration planned_time(const JobRecord& job, DeviceId device) {
  return ready_at(job, device, TimePoint{}, job.plan, deepest(job.plan)).time_since_epoch();
}

double age(const JobRecord& job, DeviceId device, Duration had) {
  return static_cast<double>(had.count()) / static_cast<double>(whole_time(job, device).count());
}

bool may_improve(const JobRecord& job) {
  return most_accurate(job) != 0;
}

bool can_deliver(const JobRecord& job, DeviceId device, TimePoint start) {
  if (job.plan == 0) return false;
  if (!job.has_exits()) return true;
  const int next_exit = std::countr_zero(job.plan);
  return in_time(job, ready_at(job, device, start, job.plan, next_exit));
}

TimePoint soonest_exit(const JobRecord& job, DeviceId device, TimePoint start) {
  const int last = job.blocks() - 1;
  const bool last_only = !job.has_exits() || job.spec.plan == PlanMode::last;
  const ExitMask wanted = last_only ? exit_bit(last) : job.spec.exits;
  TimePoint soonest = kNever;
  for (int exit = job.next_block; exit <= last && start < soonest; ++exit) {
    start += block_time(job, device, exit, 0);
    if ((wanted & exit_bit(exit)) == 0) continue;
    soonest = std::min(soonest, start + times_on(job, device)[static_cast<std::size_t>(exit)].exit);
  }
  return soonest;
}

ExitMask exits_in_time(const JobRecord& job, DeviceId device, TimePoint start, ExitMask exits, int last) {
  ExitMask ready = 0;
  for (int block = job.next_block; block <= last; ++block) {
    start += block_time(job, device, block, exits);
    if (!job.has_exits() || in_time(job, start)) ready |= exits & exit_bit(block);
  }
  return ready;
}

ExitPlanner::ExitPlanner(SurvivalParts parts) : parts_(parts), points_(kMostPoints) {}

ExitMask ExitPlanner::plan(const JobRecord& job, DeviceId device, TimePoint earliest, TimePoint start,
                           Duration ahead) {
  const int last = job.blocks() - 1;
  if (!job.has_exits()) return exit_bit(last);
  // `but_for`: no exit, or the first.
  const auto without_late = [&](ExitMask exits, ExitMask but_for) {
    while ((exits & ~but_for) != 0) {
      const int end = deepest(exits);
      if (in_time(job, ready_at(job, device, start, exits, end))) break;
      exits &= ~exit_bit(end);
    }
    return exits;
  };
  const int mandatory = std::max(job.next_block, job.mandatory_exit());
  if (job.reservation != nullptr && job.best.exit < job.mandatory_exit() && mandatory <= last) {
    const ExitMask counted = exit_bit(mandatory);
    if (in_time(job, ready_at(job, device, earliest, counted, mandatory))) {
      const ExitMask refines = by_mode(job, device, start, ahead) & from_block(mandatory + 1);
      return without_late(refines | counted, counted);
    }
  }
  // The common case of a late job needs no search.
  if (!in_time(job, soonest_exit(job, device, start))) return 0;

  ExitMask exits = by_mode(job, device, start, ahead);
  if (job.hurried && job.spec.plan == PlanMode::exact) {
    const int first = hurried_exit(job, device, start, job.next_block);
    if (first >= 0) exits |= exit_bit(first);
  }
  return without_late(exits, 0);  // what would be late is not worth starting
}

ExitMask ExitPlanner::by_mode(const JobRecord& job, DeviceId device, TimePoint start, Duration ahead) {
  const int last = job.blocks() - 1;
  switch (job.spec.plan) {
    case PlanMode::exact:
      return exact(job, device, start, ahead);
    case PlanMode::all:
      return job.spec.exits & from_block(std::max(job.next_block, job.best.exit + 1)) & ~from_block(last + 1);
    case PlanMode::last:
      break;
  }
  return exit_bit(last);
}

bool ExitPlanner::ends_at_deadline(const JobRecord& job) const {
  return parts_.deadline && job.spec.deadline < kNever && job.spec.on_miss == OnMiss::stop;
}

std::optional<Survival> ExitPlanner::survival(const JobRecord& job, DeviceId device, TimePoint start,
                                              Duration ahead) {
  const bool lived = job.lives != nullptr && job.lives->says_something();
  // The deadline's part: 1 until `from`, 0 from `to` on.
  double from = 0;
  double to = 0;
  if (ends_at_deadline(job)) {
    double median = 0;
    double worst = 0;
    for (int block = job.next_block; block < job.blocks(); ++block) {
      median += static_cast<double>(block_time(job, device, block, exit_bit(block)).count());
      worst += static_cast<double>(worst_block_time(job, device, block).count());
    }
    to = static_cast<double>((job.spec.deadline - start).count());
    const double known = parts_.demand ? static_cast<double>(ahead.count()) : 0;
    const double undisturbed = std::max(0.0, to - known);
    from = worst > 0 ? undisturbed * (median / worst) : undisturbed;
    if (!lived) {
      const Result<Survival> uniform = Survival::uniform(from, to);
      EINET_CHECK(uniform.has_value(), "0 <= from <= to");
      return *uniform;
    }
  } else if (!lived) {
    return std::nullopt;
  }

  const LifeTable::Curve curve = job.lives->curve();
  const double now = age(job, device, job.used);
  const double alive = LifeTable::at(curve, now);
  const auto whole = static_cast<double>(whole_time(job, device).count());
  std::array<double, kMostPoints> t;
  std::array<double, kMostPoints> s;
  std::size_t count = 0;
  t[count++] = 0;
  for (int group = 1; group <= LifeTable::kAges; ++group) {
    const double edge = static_cast<double>(group) / LifeTable::kAges;
    if (edge > now) t[count++] = (edge - now) * whole;
  }
  if (ends_at_deadline(job)) {
    t[count++] = from;
    t[count++] = to;
    t[count++] = to + 1;
  }
  std::sort(t.begin(), t.begin() + count);
  count = static_cast<std::size_t>(std::unique(t.begin(), t.begin() + count) - t.begin());
  for (std::size_t i = 0; i < count; ++i) {
    s[i] = LifeTable::at(curve, now + t[i] / whole) / alive;
    if (!ends_at_deadline(job)) continue;
    s[i] *= t[i] <= from ? 1 : t[i] <= to ? (to - t[i]) / (to - from) : 0;
  }
  // Rounding must not make it rise.
  for (std::size_t i = 1; i < count; ++i) s[i] = std::min(s[i], s[i - 1]);
  const Result<Survival> points = points_.set({t.data(), count}, {s.data(), count});
  EINET_CHECK(points.has_value(), "the points rise in time and fall in probability");
  return *points;
}

PlanProblem ExitPlanner::problem(const JobRecord& job, DeviceId device) {
  const std::vector<BlockTime>& times = times_on(job, device);
  for (std::size_t block = 0; block < times.size(); ++block) {
    trunk_ns_[block] = static_cast<double>(times[block].trunk.count());
    exit_ns_[block] = static_cast<double>(times[block].exit.count());
    const int exit = static_cast<int>(block);
    accuracy_[block] = exit < first_new_exit(job) ? 0 : job.outlook.after(exit);
  }
  return {.trunk_ns = {trunk_ns_.data(), times.size()},
          .exit_ns = {exit_ns_.data(), times.size()},
          .accuracy = {accuracy_.data(), times.size()},
          .held = job.outlook.held(),
          .first_block = job.next_block};
}

PlanBasis ExitPlanner::explain(const JobRecord& job, DeviceId device, TimePoint start, Duration ahead) {
  PlanBasis basis{.held = job.outlook.held(), .expected = job.outlook.held(), .exits = {}};
  if (job.lives != nullptr) basis.lives = job.lives->lives();
  if (ends_at_deadline(job)) {
    basis.to_deadline = job.spec.deadline - start;
    basis.ahead = parts_.demand ? ahead : Duration{};
    if (basis.to_deadline <= Duration{}) return basis;
  }
  const std::optional<Survival> alive = survival(job, device, start, ahead);
  const auto lives_to = [&](Duration t) { return alive ? (*alive)(static_cast<double>(t.count())) : 1.0; };
  TimePoint reached = start;
  double held = basis.held;
  for (int exit = job.next_block; exit < job.blocks(); ++exit) {
    const bool planned = (job.plan & exit_bit(exit)) != 0;
    const Duration ready = reached + block_time(job, device, exit, exit_bit(exit)) - start;
    reached += block_time(job, device, exit, job.plan);
    if (exit < first_new_exit(job)) continue;
    const double accuracy = job.outlook.after(exit);
    basis.exits.push_back({exit, ready, accuracy, lives_to(ready), planned});
    if (planned) basis.expected += (accuracy - std::exchange(held, accuracy)) * lives_to(ready);
  }
  return basis;
}

ExitMask ExitPlanner::exact(const JobRecord& job, DeviceId device, TimePoint start, Duration ahead) {
  // Where a lane has passed it, the next one will do. -1: it is not needed any more, or none is left.
  const int next = std::max(job.next_block, job.spec.mandatory_exit);
  const int mandatory = job.best.exit < job.spec.mandatory_exit && next < job.blocks() ? next : -1;
  const auto suffices = [&](ExitMask exits) { return deepest(exits) >= mandatory; };
  if (ends_at_deadline(job) && start >= job.spec.deadline) return 0;
  const std::optional<Survival> alive = survival(job, device, start, ahead);
  if (!alive) {
    const ExitMask exits = most_accurate(job);
    return suffices(exits) ? exits : exits | exit_bit(mandatory);
  }

  const ExitMask exits = search_.exact(problem(job, device), *alive).exits;

  if (suffices(exits)) return exits;
  for (const ExitMask with : {exits | exit_bit(mandatory), exit_bit(mandatory)}) {
    if (in_time(job, ready_at(job, device, start, with, mandatory))) return with;
  }
  return exits;
}

}  // namespace einet
