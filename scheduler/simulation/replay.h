// Runs a recorded load through the decision core again, on simulated lanes: the same arrivals, cancels, tasks
// and lanes, with blocks that take their profiled median times and exits that answer as recorded. Says what
// the core would have done; reading recordings and comparing is not done here (tools/einet/recording.h).
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "scheduler/core.h"

namespace einet {

struct JobEnd {
  Outcome outcome{};
  Reason reason{};
  ExitAnswer best{};
  TimePoint at{};
};

struct RecordedJob {
  JobId id;      // as recorded
  JobSpec spec;  // its id does not count
  // What exits are known to answer, one each; any other answers -1, as confident as it is accurate.
  std::vector<ExitAnswer> answers{};
  std::optional<JobEnd> end{};  // what truly happened; absent: the recording ends before
};

// A block as a lane truly ran it.
struct RecordedBlock {
  std::size_t job = 0;  // index into Recording::jobs
  DeviceId device;
  int block = 0;
  bool with_exit = false;
  Duration used{};
};

// What went into the core.
namespace input {
struct Submit {
  std::size_t job = 0;  // index into Recording::jobs, like that of Cancel
};
struct Cancel {
  std::size_t job = 0;
};
struct LaneUp {
  LaneId lane;
  DeviceId device;
};
struct UrgentLaneUp {
  LaneId lane;
  LaneId base;
  Preemption preemption{};
};
struct LaneLost {
  LaneId lane;
  LaneLoss loss{};
};
struct Reserve {
  TaskId task;
  Reservation reservation;
};
struct Unreserve {
  TaskId task;
};
struct SetShare {
  TenantId tenant;
  Share share;
};
struct SetResidence {
  ModelId model;
  DeviceId device;
  Residence residence{};
};
}  // namespace input

struct Input {
  TimePoint at;  // not before that of the input before it
  std::variant<input::Submit, input::Cancel, input::LaneUp, input::UrgentLaneUp, input::LaneLost,
               input::Reserve, input::Unreserve, input::SetShare, input::SetResidence>
      what;
};

// The preconditions of the core (core.h) hold for `inputs`, but for what SetResidence asks of grants, and
// instants and sums of times stay below 2^62 ns.
struct Recording {
  CoreOptions options;
  std::vector<std::string> devices;  // names, by id; the same for the next two
  std::vector<std::string> tenants;
  std::vector<std::string> models;
  std::vector<Input> inputs;
  std::vector<RecordedJob> jobs;
  std::vector<RecordedBlock> blocks;  // what truly ran
};

struct ReplayedBlock {
  std::size_t job = 0;
  int block = 0;
  LaneId lane;
  TimePoint start{};
  TimePoint finish{};
};

struct ReplayedRecording {
  std::vector<ReplayedBlock> blocks;  // by start, then lane
  std::vector<std::optional<JobEnd>>
      jobs;  // as Recording::jobs; absent: it waits for a lane that never comes
};

ReplayedRecording replay(const Recording&);

}  // namespace einet
