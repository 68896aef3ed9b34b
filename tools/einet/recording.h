// Reads a recording (a trace of einetd, docs/trace.md) into what can be replayed. A recording is foreign
// data: every line is checked, memory is bounded, and what is accepted keeps the preconditions of the
// decision core.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include "config/result.h"
#include "scheduler/simulation/replay.h"

namespace einet {

struct RecordingLimits {
  static constexpr std::size_t kLine = 1u << 20;  // bytes
  static constexpr std::size_t kJobs = 1'000'000;
  static constexpr std::size_t kBlocks = 10'000'000;
  static constexpr std::size_t kDevices = 64;
  static constexpr std::uint32_t kLanes = 1024;
};

struct ReadRecording {
  Recording recording;
  std::string policy;        // under which it was recorded
  std::uint64_t lost = 0;    // events that the daemon could not buffer, and what refers to them
  bool cut_off = false;      // the last line is not whole and was left out: the daemon was killed
  TimePoint start{}, end{};  // of what was recorded
};

// Error: "FILE:LINE: what was found, what is allowed", on one line. `file` is only used in messages.
Result<ReadRecording> read_recording(std::istream&, const std::string& file);

}  // namespace einet
