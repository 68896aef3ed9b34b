// One tenant's load: jobs from labelled images, sent periodically or as a flood, and what became of each. It
// measures from the client's side and knows nothing of the daemon beyond the client library.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "config/time.h"
#include "ipc/client/client.h"
#include "models/data/images.h"

namespace einet::load {

inline constexpr Duration kForever = std::chrono::hours(24 * 365);

struct Load {
  std::filesystem::path socket{client::kDefaultSocket};
  std::string tenant;
  std::string model;  // with a task: may be empty, is its
  std::string task;   // whose jobs these are; deadline, priority and mandatory exit are then absent
  std::optional<Duration> every;  // a job at each multiple of this; absent: the task's period, or a flood
  // With `every`: at random instants instead, with exponential gaps of that mean, the same for the same seed.
  std::optional<std::uint64_t> seed;
  std::vector<Duration> due;  // instead: one job at each of these times after the start, which never fall
  std::optional<TimePoint> start;    // when the first job is due, for loads that keep step; absent: at once
  int in_flight = 4;                 // a flood keeps this many jobs with the daemon
  std::optional<Duration> deadline;  // after the job's nominal instant
  int priority = 0;
  std::optional<int> mandatory_exit;
  client::ExitChoice plan;
  Duration length = kForever;   // no job is sent after this …
  std::size_t jobs = SIZE_MAX;  // … nor after this many
};

// Load::due from a file's text, a time per line. Error: no line, one that is no duration, or a time before
// the last; the file and, for one line, its number are in front.
Result<std::vector<Duration>> parse_due(std::string_view text, const std::string& file);

// A job from the client's side. All times are CLOCK_MONOTONIC.
struct Sent {
  std::size_t image = 0;
  int label = 0;
  TimePoint nominal;    // when it was due; response times count from here
  TimePoint sent;       // when it was handed to the client library
  TimePoint answered;   // when its outcome reached the client
  client::Ended ended;  // without an outcome, if none came
};

// Connects as `load` says. Error: the daemon is unreachable, or refuses.
Result<client::Client> connect(const Load& load);

// What was sent, and why that is not all of it, if so: no job of this load will be accepted (any more), the
// connection is lost, or jobs had no outcome.
struct Ran {
  std::vector<Sent> jobs;
  Result<void> end;
};

// Sends jobs with the images in turn until `load.length` has passed or `load.jobs` are sent, then waits for
// the outcomes of all. One thread.
Ran run(client::Client& daemon, const Load& load, const Images& images, const Clock& clock);

// A header, then a row per job. Times in ns; empty fields where a job has no such value.
void write_csv(std::ostream& out, const std::vector<Sent>& jobs);

}  // namespace einet::load
