// `einet evaluate`: replays profiles of trained networks under kill distributions and compares planners, as a
// table, JSON and a plot. Needs no daemon and no neural-network library.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include "models/profiles.h"

namespace einet::cli {

struct EvaluateArguments {
  std::vector<std::filesystem::path> profiles;  // NAME.profiles (models/profiles.h), at least one
  std::vector<std::string> kills{"uniform"};    // evaluation/kill.h, sample:FILE, or a file SURVIVAL.toml
  std::vector<std::string> planners;            // evaluation/contender.h; none: the usual ones
  std::vector<std::filesystem::path> beside;    // other networks on the same data, run to their last exit
  std::string aggregation = "last";             // evaluation/held_answer.h
  std::string base = "best-static";             // evaluation/evaluation.h
  Split judge = Split::test;                    // or validation, by cross-validation
  std::string device;                           // whose times count; empty: the profiles' first
  std::filesystem::path times;                  // an et.profile in place of the profiles' own; empty: these
  std::string expect = "lookalikes";            // evaluation/forecast.h
  std::uint64_t seed = 1;                       // of the predictor's training and the bootstrap
  std::filesystem::path plot;                   // a PNG to write; empty: none
  enum class Output { table, json } output = Output::table;
};

// Returns the exit code: 0, or 2 with one line on `words` that names the place, nothing on `out` and no plot.
// With Output::json `out` gets one line; docs/evaluate.md is its format.
int run_evaluate(const EvaluateArguments&, std::ostream& out, std::ostream& words);

}  // namespace einet::cli
