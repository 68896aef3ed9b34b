// Planners to compare the exact search with, and running any planner by its name. Simple and slow where the
// published ones are.
#pragma once

#include <string>
#include <string_view>

#include "planner/planner.h"

namespace einet {

// A planner and its parameter.
struct Planner {
  enum class Kind : std::uint8_t {
    exact,     // the best plan (PlanSearch)
    all,       // every exit
    fraction,  // "static:P": P percent of the network's exits, rounded up, evenly from the first to the last
    single,    // the last exit only: a classic network
    hybrid,    // "hybrid:m": the best subset of the next m exits, then greedily (published with EINet)
    greedy,    // add the exit that helps most, until none helps
    random,    // "random:N": the best of N plans drawn at random; the same ones on every call
  };
  Kind kind = Kind::exact;
  int parameter = 0;  // percent, m or N
};

inline constexpr int kMaxHybrid = 16;
inline constexpr int kMaxRandom = 1'000'000;

// "exact", "all", "static:25", "static:50", "static:100", "single", "hybrid" (m = 4), "hybrid:m" (m from 0 to
// kMaxHybrid), "greedy", "random" (N = 100), "random:N" (N from 1 to kMaxRandom). Error: anything else.
Result<Planner> parse_planner(std::string_view name);

// The name that parse_planner reads back.
std::string name(const Planner&);

// Precondition: check(problem) holds. `search` lends its memory to `exact`.
Plan make_plan(const Planner&, const PlanProblem&, const Survival&, PlanSearch& search);

}  // namespace einet
