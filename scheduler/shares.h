// Who may have how much of the lanes: what tasks were promised, how tenants' best-effort work shares the
// rest, and the budgets that let some of it count as reserved. Book-keeping only; what follows from it is the
// core's to decide.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include <boost/intrusive/list.hpp>

#include "scheduler/job_table.h"

namespace einet {

struct TaskState {
  Reservation reservation;
  TimePoint next_release{};  // no job of it is released before
  bool in_force = false;     // its jobs may use it
  // What `patience` will be, once no job is under way that had counted on the other.
  std::optional<Duration> coming_patience{};
  // Its jobs before their release, in that order.
  boost::intrusive::list<
      JobRecord, boost::intrusive::member_hook<JobRecord, decltype(JobRecord::by_task), &JobRecord::by_task>,
      boost::intrusive::constant_time_size<false>>
      coming{};
};

// A tenant's budget at work: a deferrable server. It carries one job at a time; within a window it may use
// what is left at any moment, and a new window begins only when the one before has ended. It pays for every
// block that a lane began of a job that it carried, though the job may have ended or been put down meanwhile;
// until that is over it carries no other.
struct Server {
  Budget budget;
  TimePoint window_end{};
  Duration left{};
  JobRecord* carried = nullptr;
  // A lane may still run blocks of this job that are to be paid for: those that began before it was put down,
  // and those that were in flight then.
  JobRecord* put_down = nullptr;
  TimePoint put_down_at{};
  int in_flight = 0;  // the last of these
  // The tenant's other jobs that are ready, longest waiting first: those that were looked at and cannot be
  // carried with what is left, if that is no more than `passed_with`; and those that came after them.
  using Jobs = boost::intrusive::list<
      JobRecord,
      boost::intrusive::member_hook<JobRecord, decltype(JobRecord::by_server), &JobRecord::by_server>,
      boost::intrusive::constant_time_size<false>>;
  Jobs passed{}, waiting{};
  Duration passed_with{};

  bool has_waiting() const { return !passed.empty() || !waiting.empty(); }
  void look_again() { waiting.splice(waiting.begin(), passed); }
};

// Start-time fair queueing of best-effort jobs (Goyal, Vin, Cheng 1996), in lane time divided by weight. A
// tenant that had less than its share is served by its jobs' own deadlines; one that had more has them put
// off by as much as serving the others their share takes.
class Shares {
 public:
  Server* server(TenantId) const;  // nullptr: no budget
  // The budget that pays for the job's blocks; nullptr: none.
  Server* payer(const JobRecord&) const;
  // Keeps the tenant's history. Precondition if it takes the budget away: nothing is carried and nothing
  // waits.
  void set(TenantId, const Share&);
  // Budgets, for a walk over all.
  const std::vector<Server*>& servers() const { return servers_; }

  double weight(TenantId) const;
  // Sets weight, tag and due of a best-effort job that comes in. `cost`: the lane time that it is expected to
  // need; `lanes` > 0.
  void join(JobRecord&, Duration cost, std::size_t lanes);
  // It begins.
  void begin(const JobRecord&);
  // It has ended, and what it used is known: that in excess of its cost counts for the tenant's next jobs.
  void leave(const JobRecord&);

 private:
  struct Tenant {
    double weight = 1;
    double finish = 0;  // virtual time at which all of its jobs so far have had their share
    int jobs = 0;       // that have not left
    std::unique_ptr<Server> server{};
  };
  Tenant& tenant(TenantId);

  std::vector<Tenant> tenants_;
  std::vector<Server*> servers_;
  double active_weight_ = 0;  // of the tenants with jobs
  double now_ = 0;            // virtual time: the tag of the newest job begun
};

}  // namespace einet
