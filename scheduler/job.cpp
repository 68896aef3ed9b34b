#include "scheduler/job.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace einet {

Duration ModelTimes::move_time(DeviceId from, DeviceId to, int block) const {
  const auto b = static_cast<std::size_t>(block);
  return moves[from.value][b].out + moves[to.value][b].in;
}

Duration ModelTimes::whole_time(DeviceId device) const {
  Duration sum{};
  for (const BlockTime& time : on_device[device.value]) sum += time.trunk + time.exit;
  return sum;
}

int ModelTimes::largest_batch(DeviceId device) const {
  const bool batches = device.value < batch.size() && !batch[device.value].empty();
  return batches ? static_cast<int>(batch[device.value].size()) : 1;
}

Duration ModelTimes::in_batch(Duration alone, DeviceId device, int jobs) const {
  if (jobs == 1) return alone;
  const double times = batch[device.value][static_cast<std::size_t>(jobs) - 1];
  return Duration{static_cast<std::int64_t>(std::ceil(static_cast<double>(alone.count()) * times))};
}

int ModelTimes::blocks_in_flight(DeviceId device) const {
  return device.value < in_flight.size() ? std::max(1, in_flight[device.value]) : 1;
}

Duration ModelTimes::longest_stretch(DeviceId device) const {
  Duration longest{};
  if (device.value >= on_device.size()) return longest;
  const int most = largest_batch(device);
  const std::vector<BlockTime>& blocks = on_device[device.value];
  for (auto first = blocks.begin(); first != blocks.end(); ++first) {
    const auto last = first + std::min<std::ptrdiff_t>(blocks_in_flight(device), blocks.end() - first);
    Duration stretch{};
    for (auto b = first; b != last; ++b) {
      stretch += in_batch(b->worst_trunk, device, most) + in_batch(b->worst_exit, device, most);
    }
    longest = std::max(longest, stretch);
  }
  return longest;
}

int ModelTimes::blocks() const {
  for (const std::vector<BlockTime>& blocks : on_device) {
    if (!blocks.empty()) return static_cast<int>(blocks.size());
  }
  return 0;
}

bool is_legal(JobState from, JobState to) {
  switch (from) {
    case JobState::waiting:
      return to == JobState::ready || to == JobState::ended;
    case JobState::ready:
      return to == JobState::granted || to == JobState::ended;
    case JobState::granted:
      return to == JobState::running || to == JobState::ready || to == JobState::ended;
    case JobState::running:
      return to == JobState::ready || to == JobState::ended;
    case JobState::ended:
      return to == JobState::gone;
    case JobState::gone:
      return false;
  }
  return false;
}

std::string_view name(JobState state) {
  static constexpr std::string_view kNames[] = {"waiting", "ready", "granted", "running", "ended", "gone"};
  return kNames[static_cast<std::size_t>(state)];
}

std::span<const std::string_view> plan_words() {
  static constexpr std::array<std::string_view, 3> kWords{"exact", "all", "last"};
  return kWords;
}

std::string_view name(PlanMode plan) {
  return plan_words()[static_cast<std::size_t>(plan)];
}

std::span<const std::string_view> outcome_words() {
  static constexpr std::array<std::string_view, 6> kWords{"completed", "deadline", "missed",
                                                          "cancelled", "rejected", "failed"};
  return kWords;
}

std::string_view name(Outcome outcome) {
  return outcome_words()[static_cast<std::size_t>(outcome)];
}

std::string_view name(Reason reason) {
  static constexpr std::string_view kNames[] = {
      "none",           "most_urgent",     "more_urgent_work", "plan_finished",
      "target_reached", "deadline_passed", "cannot_deliver",   "by_request",
      "lane_lost",      "no_lane",         "lane_failed",      "out_of_device_memory",
      "better_lane",    "done_sooner",     "in_batch",         "cannot_wait",
      "replanned",      "queue_full",      "deadline_in_past", "deadline_before_release",
      "no_such_task",   "shutting_down"};
  return kNames[static_cast<std::size_t>(reason)];
}

}  // namespace einet
