// Runs a scenario: drives the core as the daemon does, with simulated lanes, and lets `Invariants` watch.
// Virtual time only; the same scenario gives the same run to the last command.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "scheduler/simulation/scenario.h"

namespace einet {

enum class Checks : std::uint8_t { on, off };

// Breaks the driver on purpose, to show that the checks see it.
enum class DriverFault : std::uint8_t {
  none,
  ignores_stop,     // stop words never reach a lane
  withdraw_lies,    // says that a grant was taken back although the lane has begun it
  forgets_release,  // every job's release is swallowed
  sleeps_late,      // wake-ups are ignored: only other events advance the core
  runs_both,        // a base lane goes on while its urgent lane runs
  promises_all,     // reservations are given out without an analysis
  drops_last_exit,  // a lane leaves out the last exit, too, if exits that it is told while it runs say so
};

// A broken guarantee.
struct Violation {
  std::string invariant;  // one word: which (invariants.h)
  std::string what;       // when, who, and what was expected
};

struct ScenarioResult {
  std::vector<Violation> violations;  // empty: all invariants hold
  std::string dump;                   // of the core, at the first violation
  std::uint64_t events = 0;           // calls into the core, and commands out of it
  std::uint64_t trace_hash = 0;       // of all commands, in order
  // How often what the checks are about took place.
  struct Counts {
    std::uint64_t jobs = 0, blocks = 0, preemptions = 0, withdrawals = 0, late_withdrawals = 0,
                  lost_lanes = 0, batched = 0, enqueued = 0, moved = 0, failed_moves = 0, evictions = 0;
    std::uint64_t rejected_full = 0, replans = 0, suspended = 0, throttled = 0, overran = 0;
    std::uint64_t accepted_tasks = 0, refused_tasks = 0;
    std::uint64_t guaranteed = 0;  // jobs whose deadline had to be met
    std::uint64_t paid = 0;        // blocks that began while a budget carried their job
    std::uint64_t outlived = 0;    // of these, still running when it carried the job no longer
    std::uint64_t compared = 0;    // starts of blocks that the oracle looked at
    std::map<Outcome, std::uint64_t> outcomes;
    void add(const Counts&);
  } counts;
};

// Runs until every job has left, or until the first instant with a violation is over.
ScenarioResult run_scenario(const Scenario&, Checks, DriverFault = DriverFault::none);

}  // namespace einet
