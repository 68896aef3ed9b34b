// On which device a job that could run on several should go on: where it is expected to have its answer
// first. That may be a device whose lanes are busy: then the job waits for it, beside a slower one that is
// idle. It may also be another than the one that it has begun on: then its state is moved there at a block
// boundary.
#include <algorithm>
#include <bit>
#include <utility>

#include "scheduler/core_impl.h"

namespace einet {
namespace {

constexpr int kLook = 32;  // of more urgent jobs, how many are looked at

DeviceId first_of(DeviceSet devices) {
  return DeviceId{static_cast<std::uint32_t>(std::countr_zero(devices))};
}

// From that block on until the job has what it is wanted for: its mandatory answer if it has a deadline, else
// all that is left.
Duration useful_time(const JobRecord& job, DeviceId device, int next_block) {
  const bool wanted_soon =
      job.has_exits() && job.spec.deadline < kNever && !mandatory_done(job, standing(job));
  const int last = wanted_soon ? std::max(next_block, job.mandatory_exit()) : job.blocks() - 1;
  Duration sum{};
  for (int b = next_block; b <= last; ++b) sum += block_time(job, device, b, exit_bit(last));
  return sum;
}
Duration useful_time(const JobRecord& job, DeviceId device) {
  return useful_time(job, device, job.next_block);
}

}  // namespace

DeviceId Core::Impl::fastest(const JobRecord& job, DeviceSet devices) {
  const auto time = [&](DeviceId d) { return move_time(job, d) + useful_time(job, d); };
  DeviceId best = first_of(devices);
  for (DeviceSet rest = devices & (devices - 1); rest != 0; rest &= rest - 1) {
    if (time(first_of(rest)) < time(best)) best = first_of(rest);
  }
  return best;
}

// Reserved work stays: its move is in nobody's analysis. So does what a budget may lift to that rank.
bool Core::Impl::can_move(const JobRecord& job, DeviceId from, DeviceId to) const {
  const auto& moves = job.spec.times->moves;
  const std::size_t devices = moves.size();
  if (from.value >= devices || to.value >= devices || moves[from.value].empty() || moves[to.value].empty()) {
    return false;
  }
  if (job.stays || options_.policy == Policy::fifo || (where_to_begin(job) & device_bit(to)) == 0)
    return false;
  const bool reserved = job.reservation != nullptr && !mandatory_done(job, standing(job));
  return !reserved && shares_.server(job.spec.tenant) == nullptr;
}

bool Core::Impl::lives(DeviceSet able, ModelId model) const {
  return (able & ~missing(model).for_good & ~dead_devices_) != 0;
}

DeviceSet Core::Impl::where_to_begin(const JobRecord& job) const {
  return job.able & ~missing(job.spec.model).now;
}

DeviceSet Core::Impl::usable(const JobRecord& job) const {
  DeviceSet up = 0;
  for (const Lane& lane : lanes_) {
    if (lane.status == Lane::Status::up) up |= device_bit(lane.device);
  }
  const DeviceSet now = where_to_begin(job) & up;
  return now != 0 ? now : job.able;
}

// Where the job, which has run a block, can go on.
DeviceSet Core::Impl::where_to_go_on(const JobRecord& job) const {
  DeviceSet devices = device_bit(*job.at);
  if (job.spec.times->moves.empty() || job.next_block >= job.blocks()) return devices;
  for (std::uint32_t d = 0; d < job.spec.times->moves.size(); ++d) {
    if (can_move(job, *job.at, DeviceId{d})) devices |= device_bit(DeviceId{d});
  }
  return devices;
}

// When it could go on at a lane's boundary, or later, when its state is there: which may be on its way
// already.
TimePoint Core::Impl::could_begin(const JobRecord& job, DeviceId device, TimePoint boundary) const {
  if (!job.at || *job.at == device) return boundary;
  const bool on_its_way = job.lane && lanes_[job.lane->value].device == device;
  return std::max(boundary, on_its_way ? job.arrives : clock_ + move_time(job, device));
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
  JobRecord* next =
      ready_.peek(devices, [this](LaneId home) { return lanes_[home.value].status == Lane::Status::up; });
  for (const Waiting& w : waiting_) {
    if (w.aside || (w.job->devices & ~w.not_on & devices) == 0) continue;
    if (next == nullptr || w.job->urgency < next->urgency) next = w.job;
  }
  return next;
}

bool Core::Impl::set_aside(JobRecord& job) {
  if (Waiting* waiting = find_waiting(job)) {
    waiting->aside = true;
    return true;
  }
  if (waiting_.size() == kMostWaiting) return false;
  ready_.pass(job);
  waiting_.push_back({.job = &job, .not_on = 0, .aside = true});
  return true;
}

// Whether a job that could begin at `start` on one of the devices `free` is expected to be done sooner on
// another; then it is passed, and waits. Not reserved work: it belongs to its home.
bool Core::Impl::waits_for_better(JobRecord& job, DeviceSet free, TimePoint start) {
  if ((job.devices & ~free) == 0) return false;
  DeviceSet others = open_to(job) & ~free & ~dead_devices_;
  if (others == 0 || options_.policy == Policy::fifo || job.urgency.tier == Tier::reserved) return false;
  if (waiting_.size() == kMostWaiting || projections_ > kSettled) return false;
  const DeviceId here = fastest(job, open_to(job) & free);
  const TimePoint finish = could_begin(job, here, start) + useful_time(job, here);
  for (; others != 0; others &= others - 1) {
    const DeviceId other = first_of(others);
    if (expected_finish(job, other, start) >= finish) continue;
    job.awaits = other;
    if (Waiting* waiting = find_waiting(job)) {
      waiting->not_on |= free;
    } else {
      ready_.pass(job);
      waiting_.push_back({.job = &job, .not_on = free});
    }
    return true;
  }
  return false;
}

// Whether a job that is not worth running on this device, from some boundary on, could have an answer in time
// on a faster one, if a lane there was free for it now; then it waits for such a one. Not reserved work: it
// belongs to its home.
bool Core::Impl::waits_for_faster(JobRecord& job, DeviceId device) {
  if (job.urgency.tier == Tier::reserved || !may_improve(job)) return false;
  const auto soonest = [&](DeviceId d) { return soonest_exit(job, d, could_begin(job, d, clock_)); };
  const TimePoint here = soonest(device);
  for (DeviceSet rest = job.devices & ~dead_devices_; rest != 0; rest &= rest - 1) {
    const TimePoint there = soonest(first_of(rest));
    if (there >= here || !in_time(job, there)) continue;
    too_slow_.push_back({&job, device});
    return true;
  }
  return false;
}

// A device that is too slow for a job is none of its devices any more: nobody looks at it for the job again.
// Returns whether there was any.
bool Core::Impl::keep_off_too_slow() {
  const bool any = !too_slow_.empty();
  for (const Choice& c : too_slow_) rank(*c.job, [&] { c.job->devices &= ~device_bit(c.device); });
  too_slow_.clear();
  return any;
}

// When a job that no lane has taken would be done on a device none of whose lanes is free for it at `start`.
// kNever: that cannot be said, as no lane is up, or its urgent lanes decide.
//
// It looks only at what does not hang on the order in which lanes choose: else one projection would make a
// job wait, and the next would have it make others room.
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
  return could_begin(job, device, soonest + ahead / lanes) + useful_time(job, device);
}

// A lane that has nothing to do calls the job to it, from a lane of another device, that it helps most: one
// that would be done sooner here, by more than the move takes. At its boundary that job makes room, and is
// free to choose.
void Core::Impl::call_over() {
  const auto is_called = [](const Lane* lane) {
    return lane->front && lane->front.stop_told && !lane->back && !lane->front.job->is_over();
  };
  auto called = std::count_if(order_.begin(), order_.end(), is_called);
  for (const Lane* idle : order_) {
    if (idle->front || idle->next != nullptr || idle->closed || idle->is_urgent() || idle->homed > 0)
      continue;
    if (called-- > 0) continue;  // it comes here
    Lane* from = nullptr;
    Duration most{};
    for (Lane* lane : order_) {
      if (lane->device == idle->device || !lane->front || lane->next != nullptr || lane->yields) continue;
      if (lane->closed || lane->is_urgent() || lane->front.stop_told || lane->front.job->is_over()) continue;
      if (!lane->front.certain && lane->front.block_start >= clock_) continue;  // it was sent there just now
      const JobRecord& job = *lane->front.job;
      const int next = lane->front.stops_after() + 1;
      if (next >= job.blocks() || ends_there(lane->front, lane->boundary)) continue;
      if (!can_move(job, lane->device, idle->device)) continue;
      const Duration move = job.spec.times->move_time(lane->device, idle->device, next);
      const Duration gain =
          useful_time(job, lane->device, next) - useful_time(job, idle->device, next) - move;
      if (gain <= move || gain <= most) continue;
      most = gain;
      from = lane;
    }
    if (from != nullptr) from->yields = true;
  }
}

}  // namespace einet
