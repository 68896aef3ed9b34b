// The policies' rules once more, written to be obviously right and without a line of the core's: which of two
// jobs a lane must prefer. Where the rules leave the order open, or it hangs on history that is not looked at
// here (shares of tenants, budgets), it says so.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>

#include "scheduler/job.h"
#include "scheduler/policy.h"

namespace einet {

// A job at a boundary, as far as the rules look at it.
struct Candidate {
  std::uint64_t number = 0;
  enum class Work : std::uint8_t { reserved, best_effort, optional } work = Work::best_effort;
  std::optional<LaneId> home{};  // of reserved work; none: any
  TimePoint release{};
  TimePoint deadline{};
  int priority = 0;
  double worth = 0;     // of optional work: expected accuracy gained per second of lane time, times weight
  bool open = false;    // its tenant's budget may lift it over all best-effort work
  bool shared = false;  // its tenant's share, or its laxity, may change its place in best-effort work
};

// less: `lane` must prefer `a`; greater: `b`; unordered: either.
std::partial_ordering by_rules(Policy, LaneId lane, const Candidate& a, const Candidate& b);

// What the rest of a job's plan is worth: the most expected accuracy per second that a part of it gains.
// `held`: the accuracy of its answer so far.
double worth_of(const ModelTimes&, DeviceId, int next_block, ExitMask plan, double held);

}  // namespace einet
