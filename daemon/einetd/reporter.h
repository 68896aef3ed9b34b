// Says what happened to jobs: the messages to clients, the events to those that watch, the trace and the log.
// It only tells; the driver (driver.h) makes it happen and counts it.
#pragma once

#include <optional>

#include "config/daemon_config.h"
#include "daemon/einetd/held_job.h"
#include "daemon/einetd/log.h"
#include "daemon/einetd/tasks.h"
#include "daemon/einetd/trace.h"
#include "scheduler/core.h"

namespace einet {

// Hears what happens to jobs. Called from within the driver; must not call back into it.
class JobSink {
 public:
  virtual ~JobSink() = default;
  virtual void exit_result(const HeldJob&, const wire::Answer&) = 0;
  virtual void outcome(const HeldJob&, const wire::Outcome&) = 0;
  // Whether anybody watches; only then are events made. Names are filled in by the reporter.
  virtual bool watched() const = 0;
  virtual void event(TenantId, const wire::Event&) = 0;
};

// A lane, and the device that it is of.
struct Place {
  LaneId lane;
  DeviceId device;
};

// As messages carry an instant; 0: never.
std::int64_t wire_ns(TimePoint);

// One thread: the driver's.
class Reporter {
 public:
  struct Parts {
    const Clock& clock;
    const DaemonConfig& config;
    const Catalog& catalog;
    JobSink& sink;
    Log& log;
    Trace* trace;  // may be null
  };
  // All parts must outlive it.
  explicit Reporter(const Parts& parts) : parts_(parts) {}

  bool watched() const { return parts_.sink.watched(); }

  // --- A job's life, in order. ---
  // The core refused it. Gives the words for the client.
  Rejection rejected(const HeldJob&, Reason);
  void accepted(const HeldJob&);
  void released(const HeldJob&, TimePoint at);
  void granted(const HeldJob&, const Grant&, Reason, TimePoint at);
  // The grant's job; null: the grant has ended.
  void stopped(LaneId, GrantNumber, const HeldJob*, Reason);
  void withdrawn(LaneId, GrantNumber, const HeldJob*, Reason);
  // Its first block began.
  void started(const HeldJob&, Place, TimePoint at);
  // `granted`: when its grant was posted.
  void block_done(const HeldJob&, Place, const BlockReport&, TimePoint granted);
  // Its best answer is a new one, ready at that instant.
  void answered(const HeldJob&, Place, TimePoint ready);
  // It was asked to end.
  void cancelled(const HeldJob&, TimePoint at);
  // At a boundary it left its lane for a more urgent job; or that took the core from its block in progress.
  void preempted(const HeldJob&, Place, JobId by, TimePoint at);
  void suspended(const HeldJob&, Place, JobId by, TimePoint at);
  // Its one outcome.
  void ended(const HeldJob&, Outcome, Reason);

  // --- Tasks. `times`: how often it has happened to this task; the log has the first, second, fourth, … ---
  // Too early: its release and deadline move, so that the release is `until`.
  void throttled(const HeldJob&, TimePoint until, std::uint64_t times, TimePoint at);
  void overran(const HeldJob&, Duration used, std::uint64_t times, TimePoint at);
  void reserved(const Task&, const Reservation&, TimePoint at);
  void unreserved(TaskId, TimePoint at);
  void shared(TenantId, const Share&, TimePoint at);
  void resides(ModelId, DeviceId, Residence, TimePoint at);

  // --- Lanes. ---
  // The device's lanes come up next: what the models are on it.
  void device_up(DeviceId);
  void lane_up(LaneId);
  void urgent_lane_up(LaneId, LaneId base, Preemption);
  void lane_lost(LaneId, LaneLoss);

 private:
  void lost_its_core(TraceEvent::Kind, wire::Event::Kind, const HeldJob&, Place, JobId by, TimePoint at);
  TraceEvent trace_event(TraceEvent::Kind, const HeldJob&) const;
  void trace_lane(TraceEvent::Kind, LaneId, GrantNumber, const HeldJob*, Reason);
  wire::Event event(wire::Event::Kind, const HeldJob&, TimePoint) const;
  wire::Event event(wire::Event::Kind, const HeldJob&, Place, TimePoint) const;
  void tell(const HeldJob&, const wire::Event&) const;
  const std::string& tenant_name(const HeldJob&) const;

  Parts parts_;
};

}  // namespace einet
