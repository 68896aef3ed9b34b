// Time: durations and instants in whole nanoseconds, their text form ("1.5ms"), and the clock that is
// injected wherever time is read. Only what is here reads the machine's clocks.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"

namespace einet {

using Duration = std::chrono::nanoseconds;
// An instant on the steady clock (CLOCK_MONOTONIC), or on a simulation's clock that starts at 0.
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

// "No deadline": later than every real instant, and far enough from overflow to add a duration to.
inline constexpr TimePoint kNever{Duration{std::int64_t{1} << 62}};

// `[0-9]+(\.[0-9]+)?(ns|us|ms|s)`, converted exactly. Error: other text, not a whole number of nanoseconds,
// or >= 2^62 ns.
Result<Duration> parse_duration(std::string_view text);

// A duration per line. Error: a line that is none, FILE:LINE in front. No line: no durations.
Result<std::vector<Duration>> parse_durations(std::string_view text, const std::string& file);

// The shortest exact text that parse_duration reads back: "1.5ms", "0ns".
std::string format_duration(Duration d);

// Three significant digits for people: "1.53ms", "12.0s".
std::string format_duration_short(Duration d);

constexpr double to_us(Duration d) {
  return static_cast<double>(d.count()) / 1e3;
}

class Clock {
 public:
  virtual ~Clock() = default;
  // Never goes back. Safe from any thread.
  virtual TimePoint now() const = 0;
};

class SystemClock final : public Clock {
 public:
  TimePoint now() const override;
};

// Processor time that the calling thread has used so far; a system call. Stands still while others have its
// core.
Duration thread_cpu_time();

// Time that moves only when told to. One thread.
class VirtualClock final : public Clock {
 public:
  explicit VirtualClock(TimePoint start = TimePoint{}) : now_(start) {}
  TimePoint now() const override { return now_; }
  // Precondition: `to` is not before now().
  void advance_to(TimePoint to);

 private:
  TimePoint now_;
};

}  // namespace einet
