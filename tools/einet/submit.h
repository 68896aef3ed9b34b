// `einet submit`: one job per input file, all posted at once as far as the tenant's quota goes; answers as a
// table, or as JSON lines.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/einet/context.h"
#include "tools/einet/input.h"

namespace einet::cli {

struct SubmitArguments {
  std::string model;
  std::vector<std::string> inputs;
  std::string task;                  // "": the jobs are best-effort
  std::optional<Duration> deadline;  // after the release
  Duration release{};                // after the daemon's receipt
  int priority = 0;
  std::optional<int> mandatory_exit;
  std::optional<float> target_confidence;
  client::ExitChoice plan;
  Colours colours = Colours::as_they_are;
  enum class Follow { outcome_only, every_exit } follow = Follow::outcome_only;
};

// Returns the exit code (exit_code.h).
int run_submit(const Context&, const SubmitArguments&);

}  // namespace einet::cli
