// Drives the decision core with real time and real lanes: hands its commands to the lane channels, feeds
// reports and timers back, and keeps the jobs' records. It decides nothing, and knows neither sockets nor
// processes; what it has to tell, it tells the Reporter.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "config/daemon_config.h"
#include "daemon/einetd/job_slots.h"
#include "daemon/einetd/reporter.h"
#include "daemon/einetd/state_moves.h"
#include "daemon/einetd/tasks.h"
#include "ipc/lane/daemon_end.h"
#include "scheduler/core.h"

namespace einet {

// A lane as status shows it.
struct LaneView {
  DeviceId device;
  int index = 0;  // within its device, whose lanes come first, then their urgent lanes in the same order
  bool up = false;
  JobId job;  // 0: none
  ModelId model;
  Duration busy{};
  std::uint64_t blocks = 0;
};

struct DriverCounters {
  std::uint64_t accepted = 0, refused = 0;  // by the core
  std::array<std::uint64_t, 6> outcomes{};  // by Outcome
  std::uint64_t blocks = 0, grants = 0, stops = 0, withdrawals = 0, preemptions = 0, suspensions = 0,
                exits = 0;
  std::uint64_t moves = 0, failed_moves = 0;  // of jobs' states between devices
  std::uint64_t fallbacks = 0;                // grants to a device whose better one is out
  std::uint64_t batched_blocks = 0;           // run together with one of a more urgent job
  std::uint64_t throttled = 0, overran = 0;   // jobs of tasks
};

// One thread: the io_context's.
class Driver final : public Reservations, private Commands, private Observer {
 public:
  struct Parts {
    boost::asio::io_context& io;
    const Clock& clock;
    const DaemonConfig& config;
    const Catalog& catalog;
    JobSink& sink;
    TaskStatistics& statistics;
    Log& log;
    Trace* trace;  // may be null
  };
  // What it asks of who keeps the workers, who must not call back into the driver from there.
  struct Calls {
    // A worker broke the rules of its channel and was detached; it must be killed.
    std::function<void(DeviceId, const std::string& why)> broken;
    // The first job of a model has come, or its last one has gone.
    std::function<void()> use_changed;
    // The device had no memory left for a job that it was granted then. True: there is more now, or will be
    // soon; the job is tried again.
    std::function<bool(DeviceId, TimePoint granted)> make_room;
  };
  // All parts must outlive it.
  Driver(Parts, Calls);
  ~Driver() override;

  // The core's word on an admitted submission. The record lives until the core releases it. Call pump() when
  // the reply is queued.
  boost::system::result<JobId, Rejection> submit(Submission, JobOrigin, TimePoint received);
  // False: no such job of this tenant (empty: of anybody), or it has ended. Call pump() after.
  bool cancel(JobId, std::optional<TenantId>);
  void cancel_all();

  // Reservations. Call pump() after.
  void reserve(const Task&, const Reservation&) override;
  void unreserve(TaskId) override;
  void set_share(TenantId, const Share&) override;

  // Whether urgent lanes that a device is configured with may be used.
  enum class UrgentLanes : std::uint8_t { leave, use };
  // A worker's lanes are ready, or its channel is lost (what it reported before counts). Call pump() after.
  // The channel, `raise` and `send` must live until it is detached. Precondition of `use`: it has them.
  // `raise`: reserved work waits for the block that this lane of the worker runs; it must hold its core.
  // `send`: to the worker's control socket.
  using Raise = std::function<void(int lane)>;
  void attach(DeviceId, lane::DaemonEnd&, Raise, StateMoves::Send, UrgentLanes);
  void detach(DeviceId, LaneLoss);
  // As Core's. Call pump() after.
  void set_residence(ModelId, DeviceId, Residence);

  // A worker's answer about the state of a job. Error: it was not asked; it must be killed. Call pump()
  // after.
  Result<void> state_moved(DeviceId, const lane::StateMoved&);
  // Since when a worker owes such an answer.
  std::optional<TimePoint> state_asked_since(DeviceId device) const { return moves_.waits_since(device); }

  // Takes what the lanes have reported, lets time pass, decides, and sets the timer. To be called after
  // anything that changes something, and when a doorbell rings.
  void pump();

  std::size_t jobs() const { return jobs_.size(); }
  // Of a model.
  struct Use {
    std::size_t jobs = 0;
    TimePoint since{};  // when it got its first, or lost its last
  };
  const Use& use(ModelId model) const { return uses_[model.value]; }
  std::vector<LaneView> lanes() const;
  // Of a device, whether they are up or not; without urgent lanes.
  std::vector<LaneId> base_lanes(DeviceId) const;
  const DriverCounters& counters() const { return counters_; }
  // The device where the job's model is the fastest, if it is another and out: its worker is down, or has
  // evicted the model.
  std::optional<DeviceId> instead_of(const JobSpec&, DeviceId runs_on) const;
  // Of one tenant, or of all; by id.
  std::vector<Core::JobView> views(std::optional<TenantId>) const;
  std::optional<PlanBasis> explain(JobId job) const { return core_.explain(job); }

 private:
  struct Posted {
    GrantNumber number;
    JobId job;
    TimePoint at;
    bool rides = false;  // with another of these
  };
  // A grant that its lane cannot see yet: the job's state is on its way, or one before it waits for such.
  struct Unposted {
    lane::GrantMessage message;
    bool moves = false;           // its job's state
    std::optional<GrantEnd> end;  // it will never be posted
  };
  struct Lane {
    DeviceId device;
    int index = 0;                   // within its worker
    lane::DaemonEnd* end = nullptr;  // null: down
    std::vector<Posted> posted;      // granted and not ended, oldest first
    std::deque<Unposted> unposted;   // the newest of these
    std::deque<Unposted>::iterator find_unposted(GrantNumber);
    Duration busy{};
    std::uint64_t blocks = 0;
    const Posted* find(GrantNumber) const;
  };
  struct Worker {
    lane::DaemonEnd* end = nullptr;  // null: not attached
    Raise raise;
    bool missed = false;  // not attached, and the log says that others run its jobs
  };

  // Commands.
  void grant(const Grant&, Reason) override;
  void stop(LaneId, GrantNumber, Reason) override;
  bool withdraw(LaneId, GrantNumber, Reason) override;
  void set_exits(LaneId, GrantNumber, ExitMask, Reason) override;
  void finish(JobId, Outcome, Reason) override;
  void release(JobId) override;
  // Observer.
  void job_state(JobId, JobState from, JobState to, TimePoint) override;
  void preempted(LaneId, JobId victim, JobId by, TimePoint) override;
  void suspended(LaneId, JobId victim, JobId by, TimePoint) override;
  void throttled(JobId, TaskId, TimePoint until, TimePoint) override;
  void overran(JobId, TaskId, Duration used, TimePoint) override;

  LaneId lane_id(DeviceId, int index) const;
  enum class More : std::uint8_t { no, yes };
  void collect();
  void collect(DeviceId);
  void drop(DeviceId, LaneLoss);
  bool cancel(const HeldJob&, Reason why);
  bool take(LaneId, const lane::Report&);
  GrantEnd grant_end(const Lane&, const lane::Report&);
  void note_use(ModelId, std::ptrdiff_t jobs);
  void take_answer(HeldJob&, const ExitAnswer& held, LaneId, const lane::Report&);
  More rearm();
  // Posts what can be posted by now.
  void post_arrived(Lane&);
  // Tells the core of grants that ended unposted. True: there were some.
  bool end_unposted();
  void free_slots();
  void set_timer();
  HeldJob& record(JobId);
  const HeldJob* job_of(const Lane&, GrantNumber);

  Parts parts_;
  Reporter report_;
  Calls calls_;
  std::vector<Lane> lanes_;         // by LaneId
  std::vector<LaneId> first_lane_;  // by DeviceId
  std::vector<Worker> workers_;     // by DeviceId
  std::unordered_map<JobId, HeldJob> jobs_;
  std::vector<Use> uses_;  // by ModelId
  JobSlots slots_;
  std::vector<std::uint32_t> leaving_slots_;  // of jobs that are gone; a worker may still look at them
  StateMoves moves_;
  JobId newest_;
  // What the core says of a job that it is about to accept: told after that.
  struct Arriving {
    JobId id;
    bool released = false;
    std::optional<TimePoint> throttled_until{};
  } arriving_;
  DriverCounters counters_;
  Core core_;
  boost::asio::steady_timer timer_;
  TimePoint timer_at_ = kNever;
};

}  // namespace einet
