#include "scheduler/exit_planner.h"

#include <algorithm>

namespace einet {
namespace {

const std::vector<BlockTime>& times_on(const JobRecord& job, DeviceId device) {
  return job.spec.times->on_device[device.value];
}

ExitMask from_block(int block) {
  return block >= kMaxBlocks ? 0 : ~ExitMask{0} << block;
}

// When the results of `exits` up to `last` would be ready.
TimePoint ready_at(const JobRecord& job, DeviceId device, TimePoint start, ExitMask exits, int last) {
  for (int block = job.next_block; block <= last; ++block) start += block_time(job, device, block, exits);
  return start;
}

bool in_time(const JobRecord& job, TimePoint t) {
  return job.spec.on_miss == OnMiss::keep_on || t <= job.spec.deadline;
}

// The exit from `first` on whose answer is the most accurate, if it beats `held`; of equals the first.
ExitMask most_accurate(std::span<const double> accuracy, int first, double held) {
  const auto best = std::max_element(accuracy.begin() + first, accuracy.end());
  return best == accuracy.end() || *best <= held ? 0 : exit_bit(static_cast<int>(best - accuracy.begin()));
}

}  // namespace

int hurried_exit(const JobRecord& job, DeviceId device, TimePoint start, int first) {
  if (!job.has_exits() || job.best.exit >= job.mandatory_exit()) return -1;
  const std::vector<double>& accuracy = job.spec.times->accuracy;
  int best = -1;
  double most = -1;
  TimePoint trunk = start;
  for (int exit = job.next_block; exit < job.blocks(); ++exit) {
    trunk += block_time(job, device, exit, 0);
    const TimePoint ready = trunk + times_on(job, device)[static_cast<std::size_t>(exit)].exit;
    if (!in_time(job, ready)) break;
    if (exit < std::max(first, job.mandatory_exit())) continue;
    const double pays = accuracy[static_cast<std::size_t>(exit)] /
                        static_cast<double>(std::max(Duration{1}, ready - start).count());
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

bool can_deliver(const JobRecord& job, DeviceId device, TimePoint start) {
  if (job.plan == 0) return false;
  if (!job.has_exits()) return true;
  const int next_exit = std::countr_zero(job.plan);
  return in_time(job, ready_at(job, device, start, job.plan, next_exit));
}

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
  bool any_in_time = false;
  TimePoint trunk = start;
  for (int exit = job.next_block; exit <= last && !any_in_time; ++exit) {
    trunk += block_time(job, device, exit, 0);
    any_in_time = in_time(job, trunk + times_on(job, device)[static_cast<std::size_t>(exit)].exit);
  }
  if (!any_in_time) return 0;

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

ExitMask ExitPlanner::exact(const JobRecord& job, DeviceId device, TimePoint start, Duration ahead) {
  // After a lost lane the job starts anew, with its answer kept: exits up to that one are of no use again.
  const std::size_t blocks = job.spec.times->accuracy.size();
  std::copy_n(job.spec.times->accuracy.begin(), blocks, accuracy_.begin());
  const double held = job.best.exit < 0 ? 0 : accuracy_[static_cast<std::size_t>(job.best.exit)];
  std::fill_n(accuracy_.begin(), job.best.exit + 1, 0.0);
  const std::span<const double> accuracy(accuracy_.data(), blocks);
  const int mandatory = job.best.exit < job.spec.mandatory_exit ? job.spec.mandatory_exit : -1;
  if (job.spec.deadline >= kNever || job.spec.on_miss == OnMiss::keep_on) {
    const ExitMask exits = most_accurate(accuracy, job.next_block, held);
    const bool covered = mandatory < job.next_block || deepest(exits) >= mandatory;
    return covered ? exits : exits | exit_bit(mandatory);
  }
  if (start >= job.spec.deadline) return 0;

  const std::vector<BlockTime>& times = times_on(job, device);
  double median = 0;
  double worst = 0;
  for (std::size_t block = 0; block < times.size(); ++block) {
    const BlockTime& time = times[block];
    trunk_ns_[block] = static_cast<double>(time.trunk.count());
    exit_ns_[block] = static_cast<double>(time.exit.count());
    if (static_cast<int>(block) < job.next_block) continue;
    median += trunk_ns_[block] + exit_ns_[block];
    worst += static_cast<double>(std::max(time.trunk, time.worst_trunk).count() +
                                 std::max(time.exit, time.worst_exit).count());
  }
  const double slack = static_cast<double>((job.spec.deadline - start).count());
  const double undisturbed = std::max(0.0, slack - static_cast<double>(ahead.count()));
  const Result<Survival> survival =
      Survival::uniform(worst > 0 ? undisturbed * (median / worst) : undisturbed, slack);
  EINET_CHECK(survival.has_value(), "0 <= undisturbed <= slack");
  const PlanProblem problem{.trunk_ns = {trunk_ns_.data(), times.size()},
                            .exit_ns = {exit_ns_.data(), times.size()},
                            .accuracy = accuracy,
                            .held = held,
                            .first_block = job.next_block};
  const ExitMask exits = search_.exact(problem, *survival).exits;

  if (mandatory < job.next_block || deepest(exits) >= mandatory) return exits;
  for (const ExitMask with : {exits | exit_bit(mandatory), exit_bit(mandatory)}) {
    if (in_time(job, ready_at(job, device, start, with, mandatory))) return with;
  }
  return exits;
}

}  // namespace einet
