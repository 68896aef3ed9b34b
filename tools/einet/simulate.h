// `einet simulate`: runs a task set on simulated lanes with the daemon's own decision core, and writes what
// ran when as CSV (the formats: docs/files.md). The work is done in scheduler/simulation; here are only
// files and words.
#pragma once

#include <filesystem>
#include <iosfwd>

namespace einet {

struct SimulateArguments {
  std::filesystem::path set;  // SET.toml
  std::filesystem::path csv;  // OUT.csv (csv.h); empty for a scenario
};

// Returns the exit code: 0, also when jobs missed their deadlines; 2 for an invalid set or a file that cannot
// be read or written: then one line is written to `words` that names the place, and no output file. A file
// that holds a scenario is replayed (worlds.h).
int run_simulate(const SimulateArguments&, std::ostream& out, std::ostream& words);

}  // namespace einet
