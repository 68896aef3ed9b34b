// The core's own record of every job, and the orders in which it needs them: by id, by urgency, by next
// timer. All memory is allocated at construction; the orders are intrusive. No decisions here.
#pragma once

#include <algorithm>
#include <bit>
#include <compare>
#include <cstdint>
#include <optional>
#include <vector>

#include <boost/intrusive/avl_set.hpp>
#include <boost/intrusive/list.hpp>
#include <boost/intrusive/unordered_set.hpp>

#include "scheduler/core.h"
#include "scheduler/outlook.h"

namespace einet {

// A set of devices: bit d is DeviceId{d}.
using DeviceSet = std::uint64_t;
inline constexpr std::size_t kMaxDevices = 64;

constexpr DeviceSet device_bit(DeviceId device) {
  return DeviceSet{1} << device.value;
}

// The devices that can run the model.
DeviceSet devices_of(const ModelTimes&);

// What kind of work a job's next block is; reserved work comes before all other.
enum class Tier : std::uint8_t { reserved, best_effort, optional };

// Smaller is more urgent (ranking.h): by tier first. The last part, the job's number, makes it unique.
struct Urgency {
  Tier tier = Tier::best_effort;
  std::int64_t first = 0;
  std::int64_t second = 0;
  std::int64_t third = 0;
  std::uint64_t job = 0;
  friend constexpr auto operator<=>(const Urgency&, const Urgency&) = default;
};

struct Server;
class LifeTable;

struct JobRecord {
  JobSpec spec;
  Urgency urgency;
  DeviceSet able = 0;  // the devices that run its model
  // Where it can go on now: on the devices that hold its model, or of them those that its state can get to.
  DeviceSet devices = 0;
  JobState state = JobState::waiting;
  int next_block = 0;
  ExitMask plan = 0;  // exits still to execute; none before next_block
  ExitAnswer best;
  Outlook outlook;
  LifeTable* lives = nullptr;                // of such jobs, if plans ask for it
  bool answered = false;                     // since the plan was made
  TimePoint planned_from{};                  // when its next block was to start, by the plan
  bool hurried = false;                      // its plan begins with the exit that pays best: other work waits
  bool promoted = false;                     // its laxity is used up (CoreOptions::promote_at_laxity)
  const Reservation* reservation = nullptr;  // of its task, while the job may use it
  Server* server = nullptr;                  // the budget that carries it
  double weight = 1;                         // of its tenant
  double tag = 0;                            // fair start (shares.h)
  TimePoint due{};                           // its deadline, or what its tenant's share makes of it
  Duration cost{};                           // lane time that it was expected to use when it came
  Duration used{};                           // lane time of its blocks
  Duration puts_off{};                       // of a task, before its release: the task's next one, by so much
  int overran_to = -1;              // the last block of its grant that had its task's rank though it overran
  std::optional<LaneId> last_lane;  // ran its last block
  std::optional<DeviceId> at;       // holds its state: that lane's
  TimePoint arrives{};              // when its state is expected where it was granted, if it moves there
  bool stays = false;               // its state could not be moved
  bool stranded = false;            // its lane was lost while it was granted on another device
  std::optional<LaneId> lane;       // of its grant
  std::optional<DeviceId> awaits;   // since its last grant: it waits for this busy device, beside a free one
  int preemptions = 0;
  int lost_lanes = 0;  // lanes lost while it ran there
  // Set when the job must not start another block although its outcome is open: the deadline is this instant.
  Reason leaving = Reason::none;
  // Once ended.
  Outcome outcome = Outcome::failed;
  Reason why = Reason::none;
  bool announced = false;

  TimePoint timer{};
  boost::intrusive::unordered_set_member_hook<> by_id;
  boost::intrusive::avl_set_member_hook<> by_urgency;
  boost::intrusive::avl_set_member_hook<> by_timer;
  boost::intrusive::list_member_hook<> to_review;
  boost::intrusive::list_member_hook<> departing;
  // Of a task, before its release.
  boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> by_task;
  // Waits for its tenant's budget.
  boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> by_server;

  // Ends its mandatory part: the answer of this exit or a later one.
  int mandatory_exit() const {
    if (reservation != nullptr || spec.plan == PlanMode::exact) return std::max(0, spec.mandatory_exit);
    if (spec.plan == PlanMode::last) return std::max(blocks() - 1, spec.mandatory_exit);
    const int from = std::max(0, spec.mandatory_exit);
    const ExitMask suffice = spec.exits >> from;
    return suffice == 0 ? from : from + std::countr_zero(suffice);
  }
  // Whose times say what its work is worth as long as no lane has it: the one that it is on, or the first.
  DeviceId usual_device() const {
    return at ? *at : DeviceId{static_cast<std::uint32_t>(std::countr_zero(able))};
  }
  // The lane that its reserved work belongs to.
  LaneId home() const;
  bool has_exits() const { return !spec.times->accuracy.empty(); }
  int blocks() const { return spec.times->blocks(); }
  bool is_over() const { return state == JobState::ended || leaving != Reason::none; }
  Reason why_over() const { return state == JobState::ended ? why : leaving; }
  bool stops_at(TimePoint t) const { return spec.on_miss == OnMiss::stop && spec.deadline <= t; }
};

// Owns the records. A pointer to a record is valid until it is removed.
class JobTable {
 public:
  explicit JobTable(std::size_t max_jobs);
  ~JobTable();

  bool full() const { return free_.empty(); }
  std::size_t size() const { return records_.size() - free_.size(); }
  // Preconditions: not full; the id is new.
  JobRecord& add(const JobSpec&);
  void remove(JobRecord&);
  JobRecord* find(JobId);
  // Calls f(JobRecord&) for every job; f must not add or remove jobs.
  template <class F>
  void for_each(F&& f) {
    for (JobRecord& job : by_id_) f(job);
  }

 private:
  struct IdOf {
    using type = std::uint64_t;
    type operator()(const JobRecord& job) const { return job.spec.id.value; }
  };
  struct Hash {
    std::size_t operator()(std::uint64_t id) const { return id; }  // the daemon counts ids up
  };
  using ById = boost::intrusive::unordered_set<
      JobRecord, boost::intrusive::member_hook<JobRecord, decltype(JobRecord::by_id), &JobRecord::by_id>,
      boost::intrusive::key_of_value<IdOf>, boost::intrusive::hash<Hash>,
      boost::intrusive::power_2_buckets<true>>;

  std::vector<JobRecord> records_;
  std::vector<JobRecord*> free_;
  std::vector<ById::bucket_type> buckets_;
  ById by_id_;
};

// Jobs by their next timer: the release of a waiting job, the deadline of any other.
class Timers {
 public:
  ~Timers() { timers_.clear(); }
  // kNever or later: no timer.
  void set(JobRecord&, TimePoint);
  void clear(JobRecord&);
  // The job with the earliest timer; nullptr if there is none.
  JobRecord* first();

 private:
  struct Earlier {
    bool operator()(const JobRecord& a, const JobRecord& b) const {
      return a.timer != b.timer ? a.timer < b.timer : a.spec.id < b.spec.id;
    }
  };
  boost::intrusive::avl_set<
      JobRecord,
      boost::intrusive::member_hook<JobRecord, decltype(JobRecord::by_timer), &JobRecord::by_timer>,
      boost::intrusive::compare<Earlier>, boost::intrusive::constant_time_size<false>>
      timers_;
};

// The jobs that a lane could begin or resume, most urgent first: one queue for each lane's reserved work, and
// one for each set of devices that occurs (a few), so that the most urgent job for a lane is found without
// looking at jobs that cannot run there.
class ReadyQueues {
 public:
  ~ReadyQueues();
  // In the queue of its home lane if its tier is reserved, else of job.devices; none of these, nor its
  // urgency, may change while it is in.
  void insert(JobRecord&);
  void erase(JobRecord&);
  static bool contains(const JobRecord& job) { return job.by_urgency.is_linked(); }

  // A walk through all queues at once, most urgent first. insert() of jobs that the walk has passed and
  // erase() of any are allowed while it goes on.
  void rewind();
  // The most urgent job not passed yet that can run on one of `devices` and is not the reserved work of a
  // lane that `is_up(LaneId)`; nullptr: none.
  template <class IsUp>
  JobRecord* peek(DeviceSet devices, IsUp&& is_up) {
    return peek_in([&](const Queue& queue) {
      return (queue.devices & devices) != 0 && (!queue.home || !is_up(*queue.home));
    });
  }
  // The same of the reserved work of one lane, and of all lanes of these devices.
  JobRecord* peek_home(LaneId, DeviceSet);
  JobRecord* peek_reserved(DeviceSet devices);
  // How many are in that are not optional work.
  std::size_t mandatory() const { return mandatory_; }
  // Passes the job that peek returned.
  void pass(JobRecord&);

  // The most urgent reserved job of a lane of which f(JobRecord&) is true; nullptr: none. f must not change
  // the queues, other than by taking out the job that it was called with.
  template <class F>
  JobRecord* find_homed(LaneId home, F&& f) {
    JobRecord* best = nullptr;
    for (Queue& queue : queues_) {
      if (queue.home != home) continue;
      for (auto job = queue.jobs.begin(); job != queue.jobs.end();) {
        JobRecord& record = *job++;
        if (best != nullptr && best->urgency < record.urgency) break;
        if (!f(record)) continue;
        best = &record;
        break;
      }
    }
    return best;
  }

  // Calls f(const JobRecord&) for jobs that can run on `device`, each queue most urgent first, until f
  // returns false for the queue.
  template <class F>
  void for_each(DeviceSet devices, F&& f) const {
    for (const Queue& queue : queues_) {
      if ((queue.devices & devices) == 0) continue;
      for (const JobRecord& job : queue.jobs) {
        if (!f(job)) break;
      }
    }
  }

 private:
  struct MoreUrgent {
    bool operator()(const JobRecord& a, const JobRecord& b) const { return a.urgency < b.urgency; }
  };
  using Jobs = boost::intrusive::avl_set<
      JobRecord,
      boost::intrusive::member_hook<JobRecord, decltype(JobRecord::by_urgency), &JobRecord::by_urgency>,
      boost::intrusive::compare<MoreUrgent>, boost::intrusive::constant_time_size<false>>;
  struct Queue {
    DeviceSet devices = 0;
    std::optional<LaneId> home;  // reserved work of this lane
    Jobs jobs;
    Jobs::iterator cursor;
  };
  Queue& queue_of(const JobRecord&);
  template <class Wanted>
  JobRecord* peek_in(Wanted&& wanted) {
    JobRecord* best = nullptr;
    for (Queue& queue : queues_) {
      if (queue.cursor == queue.jobs.end() || !wanted(queue)) continue;
      if (best == nullptr || queue.cursor->urgency < best->urgency) best = &*queue.cursor;
    }
    return best;
  }

  std::vector<Queue> queues_;
  std::size_t mandatory_ = 0;
};

}  // namespace einet
