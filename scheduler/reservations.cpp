// What was promised: tasks and budgets come, go and change; what their jobs use is charged, and who uses too
// much loses the rank. Which lane runs what is decided elsewhere (decide.cpp).
#include <algorithm>
#include <utility>

#include "scheduler/core_impl.h"

namespace einet {

void Core::Impl::count_homes() {
  for (Lane& lane : lanes_) lane.homed = lane.takers = 0;
  for (const auto& [id, task] : tasks_) {
    if (!task.in_force) continue;
    Lane& home = lanes_[task.reservation.home.value];
    ++home.homed;
    if (takes_core(task.reservation)) ++home.takers;
  }
  for (const Server* server : shares_.servers()) ++lanes_[server->budget.home.value].homed;
}

bool Core::Impl::takes_core(const Reservation& reservation) const {
  const Lane& home = lanes_[reservation.home.value];
  const bool instant = home.urgent && lanes_[home.urgent->value].preemption == Preemption::instant;
  return instant || reservation.patience < kForever;
}

void Core::Impl::reserve(TaskId id, const Reservation& reservation, TimePoint now) {
  move_clock(now);
  EINET_CHECK(id != TaskId{} && reservation.home.value < lanes_.size(), "a task has a number and a home");
  EINET_CHECK(
      reservation.period > Duration{} && reservation.deadline > Duration{} && reservation.budget > Duration{},
      "a task's times are positive");
  put_in_force(now);
  TaskState& task = tasks_[id];
  Lane& home = lanes_[reservation.home.value];
  const bool changes = task.in_force && task.reservation.patience != reservation.patience;
  const bool first_taker = home.takers == 0 && takes_core(reservation);
  home.changing |= (changes || first_taker) && promises_under_way(home.id, now);
  // Jobs in the queues lie where the old reservation says.
  std::vector<JobRecord*> queued;
  jobs_.for_each([&](JobRecord& job) {
    if (job.reservation != &task.reservation || !ReadyQueues::contains(job)) return;
    ready_.erase(job);
    queued.push_back(&job);
  });
  const Duration patience = task.reservation.patience;
  task.reservation = reservation;
  if (task.in_force) task.reservation.patience = patience;
  task.coming_patience = reservation.patience;
  jobs_.for_each([&](JobRecord& job) {
    if (job.reservation == &task.reservation) rank(job);
  });
  for (JobRecord* job : queued) ready_.insert(*job);
  put_in_force(now);
}

// Whether what was promised to a job is not done: to one of this home that was released before this instant,
// or to one of another home that is helped here.
bool Core::Impl::promises_under_way(LaneId home, TimePoint now) {
  bool found = false;
  jobs_.for_each([&](const JobRecord& job) {
    if (job.state == JobState::waiting || job.is_over() || job.reservation == nullptr) return;
    if (job.urgency.tier != Tier::reserved) return;
    found |= job.reservation->home == home ? job.spec.release < now : job.lane == home;
  });
  return found;
}

void Core::Impl::put_in_force(TimePoint now) {
  for (Lane& lane : lanes_) lane.changing = lane.changing && promises_under_way(lane.id, now);
  for (auto& entry : tasks_) {
    TaskState& task = entry.second;
    if (!task.coming_patience || lanes_[task.reservation.home.value].changing) continue;
    task.reservation.patience = *std::exchange(task.coming_patience, std::nullopt);
    const bool has_home = lanes_[task.reservation.home.value].status != Lane::Status::gone;
    if (!std::exchange(task.in_force, true) && has_home) {
      jobs_.for_each([&](JobRecord& job) {
        if (job.spec.task == entry.first && job.state == JobState::waiting)
          job.reservation = &task.reservation;
      });
    }
    observer_.in_force(entry.first, now);
  }
  count_homes();
}

void Core::Impl::unreserve(TaskId id, TimePoint now) {
  move_clock(now);
  const auto task = tasks_.find(id);
  EINET_CHECK(task != tasks_.end(), "only a task that is there can go");
  jobs_.for_each([&](JobRecord& job) {
    if (job.reservation == &task->second.reservation) drop_reservation(job);
  });
  // The others' jobs under way have met this task's: they must not meet a new one's, too.
  Lane& home = lanes_[task->second.reservation.home.value];
  tasks_.erase(task);
  home.changing |= promises_under_way(home.id, now);
  count_homes();
}

void Core::Impl::set_share(TenantId tenant, const Share& share, TimePoint now) {
  move_clock(now);
  if (Server* old = shares_.server(tenant)) {
    if (old->carried != nullptr) put_down(*old->carried);
    old->passed.clear();
    old->waiting.clear();
  }
  shares_.set(tenant, share);
  if (Server* const budget = shares_.server(tenant)) {
    EINET_CHECK(budget->budget.home.value < lanes_.size(), "a budget has a home");
    jobs_.for_each([&](JobRecord& job) {
      if (job.spec.tenant != tenant || job.spec.task != TaskId{} || job.state != JobState::ready) return;
      budget->waiting.push_back(job);
    });
  }
  count_homes();
}

// A job that ends before its release puts off no other: what comes next may come as if it had not been. The
// next one that has been accepted keeps its release, and gives back both if it ends so, too.
void Core::Impl::give_back(JobRecord& job) {
  TaskState& task = tasks_.find(job.spec.task)->second;
  const auto next = std::next(task.coming.iterator_to(job));
  if (next == task.coming.end()) {
    task.next_release -= job.puts_off;
  } else {
    next->puts_off += job.puts_off;
  }
  job.by_task.unlink();
}

// From here on it is best-effort work, which may go where it is done soonest.
void Core::Impl::drop_reservation(JobRecord& job) {
  rank(job, [&] {
    job.reservation = nullptr;
    if (job.at) job.devices = where_to_go_on(job);
  });
}

Duration Core::Impl::longest_block(const JobRecord& job, DeviceId device, int block) const {
  const double worst = static_cast<double>(worst_block_time(job, device, block).count());
  return Duration{static_cast<std::int64_t>(worst * options_.margin)} + options_.overhead;
}

// A block has run: what its job may use shrinks by that.
void Core::Impl::charge(const HeldGrant& grant, const BlockReport& report, TimePoint now) {
  JobRecord& job = *grant.job;
  job.used += report.used;
  Server* const server = shares_.payer(job);
  if (server == nullptr) return;
  server->left -= report.used;
  if (server->put_down == &job) {
    const bool goes_on = job.state != JobState::ended && !grant.stop_told;
    const bool all_paid = report.end > server->put_down_at && report.block >= server->in_flight;
    if (goes_on && all_paid) settle(job);
  } else if (now >= server->window_end) {
    server->window_end = now + server->budget.period;
    server->left = server->budget.amount;
  }
}

// A task whose blocks take longer than it said pays with its own jobs: this one goes on without the
// reservation, and the next may come only when the task is within its rate again.
void Core::Impl::overran(JobRecord& job, TimePoint now) {
  put_off(job, job.used - job.reservation->budget);
  // Its lane has gone on meanwhile, with the rank that it had.
  if (const HeldGrant* const grant = running_grant(job)) job.overran_to = grant->stops_after();
  observer_.overran(job.spec.id, job.spec.task, job.used, now);
  drop_reservation(job);
}

// The next job of its task comes as much later as the task's rate has it for so much lane time.
void Core::Impl::put_off(const JobRecord& job, Duration excess) {
  const auto task = tasks_.find(job.spec.task);
  if (task == tasks_.end()) return;
  const Reservation& reservation = task->second.reservation;
  const double periods =
      static_cast<double>(excess.count()) / static_cast<double>(reservation.budget.count());
  constexpr double kLongest = 1e18;
  const double wait = std::min(kLongest, periods * static_cast<double>(reservation.period.count()));
  task->second.next_release =
      std::min(kNever, task->second.next_release + Duration{static_cast<std::int64_t>(wait)});
}

// Has the budgets carry what they have room for, and put down what they have none for.
void Core::Impl::carry(TimePoint now) {
  for (Server* server : shares_.servers()) {
    if (lanes_[server->budget.home.value].status == Lane::Status::gone) continue;
    const DeviceId device = lanes_[server->budget.home.value].device;
    // The lane runs on by itself: when a block is reported, the next ones are in flight. So one more must
    // fit.
    const auto needs = [&](const JobRecord& job) {
      const int last = std::min(job.next_block + job.spec.times->blocks_in_flight(device), job.blocks() - 1);
      Duration sum{};
      for (int block = job.next_block; block <= last; ++block) sum += longest_block(job, device, block);
      return sum;
    };
    if (JobRecord* job = server->carried) {
      const bool fits = job->next_block >= job->blocks() || server->left >= needs(*job);
      if (fits && (job->devices & device_bit(device)) != 0) continue;
      const bool ready = job->state == JobState::ready || job->state == JobState::granted;
      put_down(*job);
      if (ready) server->waiting.push_back(*job);
    }
    if (server->put_down != nullptr) continue;
    const bool fresh = now >= server->window_end;
    const Duration left = fresh ? server->budget.amount : server->left;
    if (left > server->passed_with) server->look_again();
    server->passed_with = left;
    while (!server->waiting.empty()) {
      JobRecord& job = server->waiting.front();
      if ((job.devices & device_bit(device)) == 0 || needs(job) > left) {
        server->passed.splice(server->passed.end(), server->waiting, server->waiting.begin());
        continue;
      }
      if (fresh) server->window_end = now + server->budget.period;
      server->left = left;
      server->carried = &job;
      job.by_server.unlink();
      rank(job, [&] { job.server = server; });
      observer_.carried(job.spec.id, now);
      break;
    }
  }
}

void Core::Impl::abandon_home(LaneId home) {
  jobs_.for_each([&](JobRecord& job) {
    if (job.reservation == nullptr || job.reservation->home != home) return;
    drop_reservation(job);
  });
  for (Server* server : shares_.servers()) {
    if (server->budget.home == home && server->carried != nullptr) put_down(*server->carried);
  }
}

void Core::Impl::put_down(JobRecord& job) {
  Server& server = *job.server;
  server.carried = nullptr;
  if (job.lane) {
    const Lane& lane = lanes_[job.lane->value];
    server.put_down = &job;
    server.put_down_at = clock_;
    server.in_flight = (lane.front.job == &job ? lane.front : lane.back).stops_after();
  }
  rank(job, [&] { job.server = nullptr; });
  observer_.put_down(job.spec.id, clock_);
}

void Core::Impl::settle(JobRecord& job) {
  Server* const server = shares_.payer(job);
  if (server != nullptr && server->put_down == &job) server->put_down = nullptr;
}

void Core::Impl::leave(JobRecord& job) {
  if (options_.policy == Policy::imprecise && job.spec.task == TaskId{}) shares_.leave(job);
}

}  // namespace einet
