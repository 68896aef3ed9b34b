// Reads a planning problem, or a survival function alone, from TOML (the format of `einet plan`:
// docs/files.md) into checked values. No planning here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/bytes.h"
#include "config/result.h"
#include "planner/planner.h"

namespace einet {

// A problem that owns its arrays, and its survival function.
struct ProblemFile {
  std::vector<double> trunk_ns;
  std::vector<double> exit_ns;
  std::vector<double> accuracy;
  double held = 0;
  int first_block = 0;
  Survival survival;

  // Valid while this object lives and is not changed; check(problem()) holds.
  PlanProblem problem() const { return {trunk_ns, exit_ns, accuracy, held, first_block}; }
};

// A problem's text is at most this long.
inline constexpr ByteCount kMaxProblemBytes{std::uint64_t{16} << 20};

// Error: "FILE:LINE:COLUMN: key: what was found, what is allowed". `file` is only used in messages.
Result<ProblemFile> parse_problem(std::string_view text, const std::string& file);

// A file that holds the [survival] table of a problem, and nothing else. Error: as parse_problem.
Result<Survival> parse_survival(std::string_view text, const std::string& file);

}  // namespace einet
