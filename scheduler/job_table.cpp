#include "scheduler/job_table.h"

#include <bit>

#include "scheduler/shares.h"

namespace einet {

DeviceSet devices_of(const ModelTimes& times) {
  DeviceSet devices = 0;
  for (std::size_t d = 0; d < times.on_device.size(); ++d) {
    if (!times.on_device[d].empty()) devices |= DeviceSet{1} << d;
  }
  return devices;
}

LaneId JobRecord::home() const {
  return server != nullptr ? server->budget.home : reservation->home;
}

JobTable::JobTable(std::size_t max_jobs)
    : records_(max_jobs),
      buckets_(std::bit_ceil(max_jobs + 1)),
      by_id_(ById::bucket_traits(buckets_.data(), buckets_.size())) {
  free_.reserve(max_jobs);
  for (auto record = records_.rbegin(); record != records_.rend(); ++record) free_.push_back(&*record);
}

JobTable::~JobTable() {
  by_id_.clear();
}

JobRecord& JobTable::add(const JobSpec& spec) {
  EINET_CHECK(!full(), "a job is added only where there is room");
  JobRecord& job = *free_.back();
  job.spec = spec;
  job.outlook = Outlook(*spec.times);
  EINET_CHECK(by_id_.insert(job).second, "job ids are never reused");
  free_.pop_back();
  return job;
}

void JobTable::remove(JobRecord& job) {
  by_id_.erase(by_id_.iterator_to(job));
  job.~JobRecord();  // the hooks assert that no order holds it any more
  free_.push_back(new (&job) JobRecord());
}

JobRecord* JobTable::find(JobId id) {
  const auto found = by_id_.find(id.value);
  return found == by_id_.end() ? nullptr : &*found;
}

void Timers::set(JobRecord& job, TimePoint when) {
  clear(job);
  if (when >= kNever) return;
  job.timer = when;
  timers_.insert(job);
}

void Timers::clear(JobRecord& job) {
  if (job.by_timer.is_linked()) timers_.erase(timers_.iterator_to(job));
}

JobRecord* Timers::first() {
  return timers_.empty() ? nullptr : &*timers_.begin();
}

ReadyQueues::~ReadyQueues() {
  for (Queue& queue : queues_) queue.jobs.clear();
}

ReadyQueues::Queue& ReadyQueues::queue_of(const JobRecord& job) {
  const bool reserved = job.urgency.tier == Tier::reserved;
  const std::optional<LaneId> home = reserved ? std::optional(job.home()) : std::nullopt;
  for (Queue& queue : queues_) {
    if (queue.devices == job.devices && queue.home == home) return queue;
  }
  queues_.emplace_back();
  queues_.back().devices = job.devices;
  queues_.back().home = home;
  for (Queue& queue : queues_) queue.cursor = queue.jobs.begin();
  return queues_.back();
}

void ReadyQueues::insert(JobRecord& job) {
  queue_of(job).jobs.insert(job);
  mandatory_ += job.urgency.tier != Tier::optional;
}

void ReadyQueues::erase(JobRecord& job) {
  Queue& queue = queue_of(job);
  const auto at = queue.jobs.iterator_to(job);
  if (queue.cursor == at) ++queue.cursor;
  queue.jobs.erase(at);
  mandatory_ -= job.urgency.tier != Tier::optional;
}

void ReadyQueues::rewind() {
  for (Queue& queue : queues_) queue.cursor = queue.jobs.begin();
}

JobRecord* ReadyQueues::peek_home(LaneId home, DeviceSet devices) {
  return peek_in([&](const Queue& queue) { return queue.home == home && (queue.devices & devices) != 0; });
}

JobRecord* ReadyQueues::peek_reserved(DeviceSet devices) {
  return peek_in([&](const Queue& queue) { return queue.home && (queue.devices & devices) != 0; });
}

void ReadyQueues::pass(JobRecord& job) {
  Queue& queue = queue_of(job);
  EINET_CHECK(queue.cursor != queue.jobs.end() && &*queue.cursor == &job, "only the peeked job is passed");
  ++queue.cursor;
}

}  // namespace einet
