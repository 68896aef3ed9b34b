// The policies' rules once more, written to be obviously right and without a line of the core's: which of two
// jobs a lane must prefer. Where the order hangs on what is not looked at here (shares of tenants, budgets,
// what a plan was worth when it was made), it says so.
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
  bool open = false;  // its tenant's budget, or its used up laxity, may lift it over best-effort work
};

// less: `lane` must prefer `a`; greater: `b`; unordered: either.
std::partial_ordering by_rules(Policy, LaneId lane, const Candidate& a, const Candidate& b);

}  // namespace einet
