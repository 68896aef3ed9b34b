// `einet simulate --random` and `einet simulate SCENARIO.toml`: runs worlds in which everything happens that
// may, with every invariant checked after every event (scheduler/simulation). Here are only files, words and
// time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <limits>
#include <string_view>

#include "scheduler/simulation/scenario_run.h"

namespace einet {

struct WorldsArguments {
  std::uint64_t count = std::numeric_limits<std::uint64_t>::max();
  double seconds = std::numeric_limits<double>::infinity();  // whichever comes first
  std::uint64_t seed = 1;  // of the first world; the next has the next number
  Checks checks = Checks::on;
  std::filesystem::path folder = ".";  // where the scenario of a failure is written
};

// Returns the exit code: 0 if all worlds hold; 1 if one does not: then `out` says which and why, and a small
// scenario that fails in the same way is in scenario-SEED.toml. `out` gets the figures at the end, also if
// SIGINT, which is held back meanwhile, ends it before.
int run_worlds(const WorldsArguments&, std::ostream& out, std::ostream& err);

// Runs the scenario of a file (its text) with all checks. 0: it holds; 1: it does not; 2: the file is wrong.
int replay_scenario(const std::filesystem::path&, std::string_view text, std::ostream& out,
                    std::ostream& err);

}  // namespace einet
