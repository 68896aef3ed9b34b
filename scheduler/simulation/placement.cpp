#include "scheduler/simulation/placement.h"

#include <algorithm>
#include <numeric>

namespace einet {
namespace {

double share(const JobSource& source) {
  double cost = 0;
  for (const BlockTime& block : source.times->on_device[0]) {
    cost += static_cast<double>(block.worst_trunk.count());
  }
  return source.period ? cost / static_cast<double>(source.period->count()) : 0;
}

TaskId task_of(std::size_t source) {
  return TaskId{static_cast<std::uint32_t>(source + 1)};
}

Duration longest_block(const JobSource& source) {
  Duration longest{};
  for (const BlockTime& block : source.times->on_device[0]) longest = std::max(longest, block.worst_trunk);
  return longest;
}

// Places all tasks but those that were refused before. True: none is refused now.
bool try_to_place(const TaskSet& set, const std::vector<std::size_t>& order, std::vector<Placed>& placed) {
  Admission admission({.policy = set.policy, .margin = 1, .overhead = {}});
  for (int i = 0; i < set.lanes; ++i) {
    admission.add_lane(LaneId{static_cast<std::uint32_t>(i)}, DeviceId{0}, set.preemption);
  }
  Duration longest{};
  for (std::size_t i = 0; i < placed.size(); ++i) {
    if (!set.sources[i].period || placed[i].refusal)
      longest = std::max(longest, longest_block(set.sources[i]));
  }
  const auto ok = admission.set_longest_stretch(DeviceId{0}, longest);
  EINET_CHECK(ok.has_value(), "without tasks every block fits");

  bool all = true;
  for (const std::size_t i : order) {
    const JobSource& source = set.sources[i];
    if (!source.period || placed[i].refusal) continue;
    const auto answer = admission.add({.id = task_of(i),
                                       .name = source.name,
                                       .times = source.times,
                                       .period = *source.period,
                                       .deadline = source.deadline,
                                       .priority = source.priority});
    if (answer) continue;
    placed[i].refusal = answer.error();
    all = false;
  }
  for (std::size_t i = 0; i < placed.size(); ++i) {
    placed[i].reservation = admission.reservation(task_of(i));
    placed[i].bound = admission.bound(task_of(i));
  }
  return all;
}

}  // namespace

std::vector<Placed> place(const TaskSet& set) {
  std::vector<std::size_t> order(set.sources.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return share(set.sources[a]) > share(set.sources[b]);
  });
  std::vector<Placed> placed(set.sources.size());
  // What is refused runs as best-effort work, and its blocks may be in the way of those that were placed.
  while (!try_to_place(set, order, placed)) {
  }
  return placed;
}

}  // namespace einet
