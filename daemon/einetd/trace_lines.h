// The lines of a trace: what is known of each event, and its text (docs/trace.md). A trace holds all that
// went into the decision core and all that lanes truly did, so that a run can be simulated again
// (`einet simulate --replay`). No files and no threads here.
#pragma once

#include <string>
#include <vector>

#include "config/ids.h"
#include "config/time.h"
#include "scheduler/core.h"

namespace einet {

// What happens often, as a plain record: made on the scheduler's thread, turned into text on another.
struct TraceEvent {
  enum class Kind : std::uint8_t {
    submit,
    reject,
    cancel,
    grant,
    stop,
    withdraw,
    block,
    preempt,
    suspend,
    throttle,
    overrun,
    outcome,
    lane_up,
    lane_lost
  };

  Kind kind{};
  Outcome outcome{};
  Reason reason{};
  TimePoint at{};
  JobId job{};
  TenantId tenant{};
  ModelId model{};
  int priority = 0;
  LaneId lane{};
  GrantNumber grant{};
  GrantNumber with{};   // grant: that it rides with
  ExitMask exits = 0;   // grant
  int block = -1;       // grant: the first
  ExitAnswer answer{};  // block: of its exit, if that was executed; outcome: the best
  TaskId task{};        // throttle, overrun; submit and reject, like the next six
  int mandatory_exit = -1;
  double target_confidence = 2;
  PlanMode plan{};
  ExitMask only = kEveryExit;
  TimePoint release{};
  TimePoint deadline = kNever;
  TimePoint start{};  // block
  TimePoint end{};
  TimePoint granted{};                           // block: when its grant was posted
  Duration used{};                               // block: lane time; overrun: of its blocks so far
  TimePoint until{};                             // throttle: the release that counts
  JobId by{};                                    // preempt, suspend
  int preemptions = 0;                           // outcome
  LaneId base{};                                 // lane_up of an urgent lane: whose
  Preemption preemption = Preemption::boundary;  // boundary: of a base lane
  LaneLoss loss{};                               // lane_lost
};

// The names that ids stand for. Grows, never changes.
struct TraceNames {
  std::vector<std::string> tenants;  // by TenantId
  std::vector<std::string> models;   // by ModelId
  std::vector<std::string> devices;  // by LaneId
};

// Each of these is one JSON object, without the newline. Fields that an event does not have are left out.
// Names are [A-Za-z0-9_.:-]+: nothing in them needs escaping.
std::string format_trace(const TraceEvent&, const TraceNames&);

// The first line of a trace: what holds for all of it.
struct TraceHeader {
  TimePoint at{};
  std::string version;  // of einetd
  std::string policy;
  std::size_t max_jobs = 0;
  Duration promote_at_laxity{};
  struct Device {
    std::string name;
    int lanes = 0;  // base lanes
  };
  std::vector<Device> devices;
};
std::string format_header(const TraceHeader&);

// What happens rarely. A model is described for each device when its lanes come up, and again when it
// changes.
std::string format_model(TimePoint, const std::string& model, const std::string& device, DeviceId,
                         const ModelTimes&);
std::string format_reserve(TimePoint, TaskId, const std::string& task, const std::string& tenant,
                           const std::string& model, const Reservation&);
std::string format_unreserve(TimePoint, TaskId);
std::string format_share(TimePoint, const std::string& tenant, const Share&);
std::string format_residence(TimePoint, const std::string& model, const std::string& device, Residence);

}  // namespace einet
