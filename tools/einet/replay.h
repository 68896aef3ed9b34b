// `einet simulate --replay`: runs a recording of einetd through the decision core again, and shows what was
// predicted beside what happened. Reading is in recording.h, running in scheduler/simulation/replay.h; here
// is the comparison and its words.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <optional>

#include "scheduler/policy.h"

namespace einet {

struct ReplayArguments {
  std::filesystem::path recording;
  std::filesystem::path csv;     // OUT.csv (csv.h); empty: not written
  std::optional<Policy> policy;  // instead of the recorded one
  enum class Output { table, json } output = Output::table;
};

// Returns the exit code: 0, whatever the comparison shows; 2 for a recording that cannot be read or is wrong,
// or a file that cannot be written: then one line is written to `words` that names the place.
int run_replay(const ReplayArguments&, std::ostream& out, std::ostream& words);

}  // namespace einet
