// Runs scenarios in a child process, so that a failed check of the core, a crash and a run without an end are
// findings like any other. For one thread; the caller has no other.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "scheduler/simulation/scenario_run.h"

namespace einet {

// A scenario in which something broke.
struct Finding {
  std::uint64_t seed = 0;  // as given to `make`
  std::string invariant;   // one word (invariants.h), or "crash", "hang"
  std::string words;       // what broke, and the core's dump; several lines
};

struct GuardedRuns {
  std::uint64_t worlds = 0;
  std::uint64_t events = 0;
  double seconds = 0;  // of running them
  std::optional<Finding> finding{};
};

enum class ChildErrors : std::uint8_t { shown, hidden };

// Runs the scenarios make(first), make(first + 1), … up to `count` of them or `seconds` of time, one at
// least, and ends with the first that breaks. One that runs for 3 s of processor time without an end is taken
// for hung.
GuardedRuns run_guarded(const std::function<Scenario(std::uint64_t)>& make, std::uint64_t first,
                        std::uint64_t count, double seconds, Checks, ChildErrors,
                        DriverFault = DriverFault::none);

}  // namespace einet
