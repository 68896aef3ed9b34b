// How `einet` ends. The numbers are part of its contract with scripts; --help prints the table.
#pragma once

#include <string_view>

namespace einet::cli {

enum ExitCode : int {
  kOk = 0,
  kUsage = 2,
  kUnreachable = 3,
  kRejected = 4,
  kMissed = 5,
  kCancelled = 6,
  kFailed = 7,
};

inline constexpr std::string_view kExitCodesHelp =
    R"(Exit codes:
  0  done; for submit: every job has an answer ("completed", or "deadline": the best
     answer at its deadline)
  1  analyze: a job could miss its deadline
  2  usage: wrong arguments, or an input that cannot be read
  3  the daemon is unreachable, or the connection was lost
  4  rejected: a job was not accepted
  5  deadline missed: a job reached its deadline without its mandatory answer
  6  cancelled
  7  failed: a lane or model error, the daemon refuses the request, or stdout cannot be
     written
  With several inputs: the code of the first, in their order, that is not 0.)";

}  // namespace einet::cli
