#include "scheduler/ranking.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "scheduler/exit_planner.h"

namespace einet {
namespace {

Tier tier(Policy policy, const JobRecord& job, const Standing& at) {
  if (job.server != nullptr) return Tier::reserved;
  const bool done = mandatory_done(job, at);
  if (job.reservation != nullptr && !done) return Tier::reserved;
  return done && policy == Policy::imprecise ? Tier::optional : Tier::best_effort;
}

// Expected accuracy gained per second of lane time, by the part of the plan that gains most per second.
double density(const JobRecord& job, const Standing& at, DeviceId device) {
  const double held = at.best_exit > job.best.exit ? job.outlook.after(at.best_exit) : job.outlook.held();
  Duration time{};
  double best = 0;
  for (int block = at.next_block; block <= deepest(at.plan); ++block) {
    time += block_time(job, device, block, at.plan);
    if ((at.plan & exit_bit(block)) == 0) continue;
    const double gain = job.outlook.after(block) - held;
    best = std::max(best, gain / std::max(1e-9, std::chrono::duration<double>(time).count()));
  }
  return best;
}

}  // namespace

Standing standing(const JobRecord& job) {
  return {.next_block = job.next_block, .best_exit = job.best.exit, .plan = job.plan};
}

Standing standing_after(const JobRecord& job, int block, ExitMask exits) {
  Standing after = standing(job);
  after.next_block = block + 1;
  after.plan = exits & from_block(block + 1);
  if (job.has_exits()) after.best_exit = std::max(after.best_exit, deepest(exits & ~after.plan));
  return after;
}

bool mandatory_done(const JobRecord& job, const Standing& at) {
  return job.has_exits() && at.best_exit >= job.mandatory_exit();
}

Urgency urgency(Policy policy, const JobRecord& job, const Standing& at, DeviceId device) {
  const JobSpec& spec = job.spec;
  const auto ns = [](TimePoint t) { return std::int64_t{t.time_since_epoch().count()}; };
  const std::int64_t release = ns(spec.release);
  const std::int64_t deadline = ns(spec.deadline);
  const std::int64_t by_priority = -std::int64_t{spec.priority};
  const Tier t = tier(policy, job, at);
  switch (policy) {
    case Policy::edf:
      return {t, deadline, release, 0, spec.id.value};
    case Policy::fixed_priority:
      return {t, by_priority, deadline, release, spec.id.value};
    case Policy::fifo:
      return {t, release, 0, 0, spec.id.value};
    case Policy::imprecise:
      break;
  }
  if (t == Tier::reserved) return {t, by_priority, deadline, release, spec.id.value};
  constexpr std::int64_t kBeforeAll = std::numeric_limits<std::int64_t>::min();
  if (t == Tier::best_effort) {
    return {t, job.promoted ? kBeforeAll : by_priority, ns(job.due), release, spec.id.value};
  }
  // Steps of a millionth of the accuracy per second.
  const double worth = std::min(4e18, density(job, at, device) * job.weight * 1e6);
  return {t, -static_cast<std::int64_t>(std::llround(worth)), deadline, 0, spec.id.value};
}

}  // namespace einet
