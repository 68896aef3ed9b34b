// What the daemon holds of an accepted job until the core releases it: where its answers go, its input and
// its quota, and what it has done so far. The core holds what decides.
#pragma once

#include <optional>

#include "daemon/einetd/intake.h"
#include "daemon/einetd/job_answer.h"
#include "daemon/einetd/session_id.h"

namespace einet {

struct JobOrigin {
  SessionId session;
  std::uint64_t request = 0;  // the Submit's, repeated by every message about the job
  enum class Stream : std::uint8_t { outcome_only, every_exit } stream{};
};

struct HeldJob {
  JobOrigin origin;
  Submission submission;              // input and quota come back when the record goes
  std::optional<std::uint32_t> slot;  // where the worker keeps its state; from the first grant on
  TimePoint received{};
  std::optional<TimePoint> first_block;
  Duration lane_time{};
  ExitMask executed_exits = 0;
  JobAnswer answer;
  int preemptions = 0;
  std::optional<wire::Answer> best;
  bool sufficient = false;  // that is of its mandatory exit, or of a later one
  bool ended = false;       // its outcome is out; a lane may still hold it

  const JobSpec& spec() const { return submission.spec; }
};

}  // namespace einet
