// From a Submit message to a job that may be admitted: everything in it comes from outside and is checked
// here against the model, the task, the tenant's ceiling and quota, and the time; then the input is copied
// into the arena and checked too. After that nothing refers to the client's memory. What was rejected is
// counted.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "config/time.h"
#include "daemon/einetd/arena.h"
#include "daemon/einetd/catalog.h"
#include "daemon/einetd/regions.h"
#include "daemon/einetd/tasks.h"
#include "daemon/einetd/tenants.h"
#include "ipc/client/protocol.pb.h"
#include "ipc/lane/grant.h"
#include "scheduler/job.h"

namespace einet {

// A checked submission, with all that it holds until the job is released.
struct Submission {
  JobSpec spec;  // id not chosen yet
  ArenaBlock input;
  lane::InputType input_type{};
  Tenants::Charge charge;
};

struct Rejection {
  wire::Rejected::Reason reason{};
  std::string words;  // what was found, what is allowed
};

[[noreturn]] inline void throw_exception_from_error(const Rejection& r, const boost::source_location&) {
  check_failed(__FILE__, __LINE__, "has_value()", r.words.c_str());
}

// One thread. What it is made of must outlive it.
class Intake {
 public:
  Intake(const Catalog& catalog, const Tasks& tasks, Tenants& tenants, Arena& arena)
      : catalog_(catalog), tasks_(tasks), tenants_(tenants), arena_(arena), rejected_(tenants.size()) {}

  // `received`: now. A release in the past means now; a deadline after a release counts from the one asked
  // for. A job of a task has its model, deadline, priority and mandatory exit from it.
  boost::system::result<Submission, Rejection> check(const wire::Submit&, TenantId, const Regions&,
                                                     TimePoint received);

  // A job was rejected, by check() or by who took it from there.
  void count_rejected(TenantId tenant, wire::Rejected::Reason reason) { ++rejected_[tenant.value][reason]; }
  // Jobs, by reason.
  using RejectedJobs = std::map<wire::Rejected::Reason, std::uint64_t>;
  const RejectedJobs& rejected(TenantId tenant) const { return rejected_[tenant.value]; }

 private:
  boost::system::result<const Task*, Rejection> task_of(const wire::Submit&, TenantId) const;

  const Catalog& catalog_;
  const Tasks& tasks_;
  Tenants& tenants_;
  Arena& arena_;
  std::vector<RejectedJobs> rejected_;  // by TenantId
};

}  // namespace einet
