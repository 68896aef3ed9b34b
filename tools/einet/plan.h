// `einet plan`: finds an exit plan for a problem in a file (docs/files.md) and prints it. Needs no
// daemon.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>

namespace einet {

struct PlanArguments {
  std::filesystem::path problem;  // PROBLEM.toml
  std::string planner = "exact";  // parse_planner (planner/baselines.h) says which names there are
  enum class Output { table, json } output = Output::table;
};

// Returns the exit code: 0, or 2 with one line on `words` that names the place, and nothing on `out`.
// With Output::json `out` gets one line:
// {"planner":"exact","exits":[0,1],"expected_accuracy":0.7123,"search_us":8.1}
int run_plan(const PlanArguments&, std::ostream& out, std::ostream& words);

}  // namespace einet
