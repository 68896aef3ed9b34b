// On which device a job that could run on several should go on: where it is expected to have its answer first. That
// may be a device whose lanes are busy: then the job waits for it, beside a slower one that is idle.
#include <algorithm>
#include <bit>

#include "scheduler/core_impl.h"

namespace einet {
namespace {

constexpr int kLook = 32;  // of more urgent jobs, how many are looked at

DeviceId first_of(DeviceSet devices) {
  return DeviceId{static_cast<std::uint32_t>(std::countr_zero(devices))};
}

// Until the job has what it is wanted for: its mandatory answer if it has a deadline, else all that is left.
Duration useful_time(const JobRecord& job, DeviceId device) {
  const bool wanted_soon = job.spec.deadline < kNever && !mandatory_done(job, standing(job));
  return wanted_soon ? mandatory_time(job, device) : remaining_time(job, device);
}

}  // namespace

DeviceId Core::Impl::fastest(const JobRecord& job, DeviceSet devices) {
  DeviceId best = first_of(devices);
  for (DeviceSet rest = devices & (devices - 1); rest != 0; rest &= rest - 1) {
    if (useful_time(job, first_of(rest)) < useful_time(job, best)) best = first_of(rest);
  }
  return best;
}

void Core::Impl::rewind() {
  ready_.rewind();
  waiting_.clear();
}

Core::Impl::Waiting* Core::Impl::find_waiting(const JobRecord& job) {
  const auto found =
      std::find_if(waiting_.begin(), waiting_.end(), [&](const Waiting& w) { return w.job == &job; });
  return found == waiting_.end() ? nullptr : &*found;
}

DeviceSet Core::Impl::open_to(const JobRecord& job) {
  const Waiting* waiting = find_waiting(job);
  return waiting == nullptr ? job.devices : job.devices & ~waiting->not_on;
}

void Core::Impl::pass(JobRecord& job) {
  if (const Waiting* waiting = find_waiting(job)) {
    waiting_.erase(waiting_.begin() + (waiting - waiting_.data()));
  } else {
    ready_.pass(job);
  }
}

// The most urgent job that no lane has taken yet and that may run on one of these devices, but for reserved
// work whose home is up.
JobRecord* Core::Impl::next_for(DeviceSet devices) {
  JobRecord* next = ready_.peek(
      devices, [this](LaneId home) { return lanes_[home.value].status == Lane::Status::up; });
  for (const Waiting& w : waiting_) {
    if ((w.job->devices & ~w.not_on & devices) == 0) continue;
    if (next == nullptr || w.job->urgency < next->urgency) next = w.job;
  }
  return next;
}

// Whether a job that could begin at `start` on one of the devices `free` is expected to be done sooner on
// another; then it is passed, and waits. Not reserved work: it belongs to its home.
bool Core::Impl::waits_for_better(JobRecord& job, DeviceSet free, TimePoint start) {
  if ((job.devices & ~free) == 0) return false;
  DeviceSet others = open_to(job) & ~free & ~dead_devices_;
  if (others == 0 || options_.policy == Policy::fifo || job.urgency.tier == Tier::reserved) return false;
  if (waiting_.size() == kMostWaiting || projections_ > kSettled) return false;
  const TimePoint finish = start + useful_time(job, fastest(job, open_to(job) & free));
  for (; others != 0; others &= others - 1) {
    const DeviceId other = first_of(others);
    if (expected_finish(job, other, start) >= finish) continue;
    job.awaits = other;
    if (Waiting* waiting = find_waiting(job)) {
      waiting->not_on |= free;
    } else {
      ready_.pass(job);
      waiting_.push_back({&job, free});
    }
    return true;
  }
  return false;
}

// When a job that no lane has taken would be done on a device none of whose lanes is free for it at `start`. kNever: that
// cannot be said, as no lane is up, or its urgent lanes decide.
//
// It looks only at what does not hang on the order in which lanes choose: else one projection would make a job
// wait, and the next would have it make others room.
TimePoint Core::Impl::expected_finish(const JobRecord& job, DeviceId device, TimePoint start) const {
  TimePoint soonest = kNever;
  int lanes = 0;
  for (const Lane* lane : order_) {
    if (lane->device != device) continue;
    if (lane->urgent) return kNever;
    ++lanes;
    if (lane->front) {
      soonest = std::min(soonest, lane->key < job.urgency ? end_of(*lane) : lane->boundary);
    } else if (lane->next != nullptr) {
      soonest = std::min(soonest, lane->boundary + planned_time(*lane->next, device));
    }
  }
  for (const Choice& choice : chosen_) {  // that have no lane yet
    if (choice.job == nullptr || choice.job->lane || choice.device != device) continue;
    soonest = std::min(soonest, start + planned_time(*choice.job, device));
  }
  if (lanes == 0 || soonest >= kNever) return kNever;

  const auto goes_elsewhere = [&](const JobRecord& other) {
    if (other.lane && lanes_[other.lane->value].device != device) return true;
    const auto begins = [&](const Lane* lane) { return !lane->front && lane->next == &other; };
    const auto chosen = [&](const Choice& choice) { return choice.job == &other && !other.lane; };
    return std::any_of(order_.begin(), order_.end(), begins) ||
           std::any_of(chosen_.begin(), chosen_.end(), chosen);
  };
  Duration ahead{};
  int looked = 0;
  ready_.for_each(device_bit(device), [&](const JobRecord& other) {
    if (!(other.urgency < job.urgency) || ++looked > kLook) return false;
    if (!goes_elsewhere(other)) ahead += time_before_others(other, device);
    return true;
  });
  return soonest + ahead / lanes + useful_time(job, device);
}

}  // namespace einet
