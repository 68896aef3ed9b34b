#include "scheduler/simulation/oracle.h"

#include <tuple>

namespace einet {
namespace {

// Reserved work of this lane, best-effort, optional, and what is only helped.
int place_on(LaneId lane, const Candidate& c) {
  if (c.work == Candidate::Work::optional) return 2;
  if (c.work == Candidate::Work::best_effort) return 1;
  return !c.home || *c.home == lane ? 0 : 3;
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
      if (place == 2) return std::partial_ordering::unordered;
      if (place == 1 && a.priority == b.priority) return std::partial_ordering::unordered;
      break;
  }
  if (a.priority != b.priority) return b.priority <=> a.priority;
  return std::tie(a.deadline, a.release, a.number) <=> std::tie(b.deadline, b.release, b.number);
}

}  // namespace einet
