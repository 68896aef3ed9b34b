#include "scheduler/simulation/oracle.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace einet {
namespace {

// Reserved work of this lane, best-effort, optional, and what is only helped.
int place_on(LaneId lane, const Candidate& c) {
  if (c.work == Candidate::Work::optional) return 2;
  if (c.work == Candidate::Work::best_effort) return 1;
  return !c.home || *c.home == lane ? 0 : 3;
}

std::partial_ordering by_worth(const Candidate& a, const Candidate& b) {
  const double tolerance = 1e-4 * std::max({1e-3, std::abs(a.worth), std::abs(b.worth)});
  if (std::abs(a.worth - b.worth) <= tolerance) return std::partial_ordering::unordered;
  return b.worth <=> a.worth;
}

}  // namespace

std::partial_ordering by_rules(Policy policy, LaneId lane, const Candidate& a, const Candidate& b) {
  if (a.open || b.open) return std::partial_ordering::unordered;
  const int place = place_on(lane, a);
  if (place != place_on(lane, b)) return place <=> place_on(lane, b);
  if (place == 3) return std::partial_ordering::unordered;
  switch (policy) {
    case Policy::fifo:
      return std::tie(a.release, a.number) <=> std::tie(b.release, b.number);
    case Policy::edf:
      return std::tie(a.deadline, a.release, a.number) <=> std::tie(b.deadline, b.release, b.number);
    case Policy::fixed_priority:
      break;
    case Policy::imprecise:
      if (place == 2) return by_worth(a, b);
      if (place == 1 && (a.shared || b.shared)) return std::partial_ordering::unordered;
      break;
  }
  if (a.priority != b.priority) return b.priority <=> a.priority;
  return std::tie(a.deadline, a.release, a.number) <=> std::tie(b.deadline, b.release, b.number);
}

double worth_of(const ModelTimes& times, DeviceId device, int next_block, ExitMask plan, double held) {
  double most = 0;
  double seconds = 0;
  for (int block = next_block; block < times.blocks(); ++block) {
    const auto b = static_cast<std::size_t>(block);
    const bool executed = (plan & exit_bit(block)) != 0;
    seconds += 1e-9 * static_cast<double>(times.on_device[device.value][b].trunk.count());
    if (!executed) continue;
    seconds += 1e-9 * static_cast<double>(times.on_device[device.value][b].exit.count());
    most = std::max(most, (times.accuracy[b] - held) / seconds);
  }
  return most;
}

}  // namespace einet
