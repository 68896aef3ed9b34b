// Random loads of one lane or several, and legal executions of them as task sets of the simulator: releases
// at least a period apart, blocks at most as long as said. What is adversarial about them is said at each.
#pragma once

#include <algorithm>
#include <optional>
#include <random>

#include "scheduler/admission/lane_analysis.h"
#include "scheduler/simulation/simulate.h"

namespace einet::admission_test {

using Random = std::mt19937_64;

// In [low, high].
inline std::int64_t pick(Random& random, std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}

struct LoadShape {
  int tasks = 3;              // at most
  std::int64_t period = 100;  // about, in ns; spread over a factor of 10
  int blocks = 4;             // per task, at most
  double utilisation = 0.7;   // about; of all lanes together
};

// Deadlines from the cost to twice the period; some priorities are shared; sometimes one task has one job
// only.
inline LaneLoad random_load(Random& random, Policy policy, const LoadShape& shape) {
  LaneLoad load;
  load.policy = policy;
  const auto tasks = static_cast<int>(pick(random, 1, shape.tasks));
  std::vector<double> share;
  double sum = 0;
  for (int i = 0; i < tasks; ++i) {
    share.push_back(static_cast<double>(pick(random, 1, 100)));
    sum += share.back();
  }
  for (int i = 0; i < tasks; ++i) {
    LaneTask task;
    task.name = std::string(1, static_cast<char>('a' + i));
    const std::int64_t period =
        std::max<std::int64_t>(2, pick(random, shape.period / 4, shape.period * 5 / 2));
    const double wanted = shape.utilisation * share[static_cast<std::size_t>(i)] / sum;
    auto cost = std::max<std::int64_t>(1, static_cast<std::int64_t>(wanted * static_cast<double>(period)));
    const std::int64_t all = cost;
    for (auto blocks = pick(random, 1, shape.blocks); blocks > 1 && cost > 1; --blocks) {
      const std::int64_t block = pick(random, 1, cost - 1);
      task.blocks.push_back(Duration{block});
      cost -= block;
    }
    task.blocks.push_back(Duration{cost});
    task.period = pick(random, 0, 15) == 0 ? kForever : Duration{period};
    const std::int64_t kind = pick(random, 0, 2);
    task.deadline = Duration{kind == 0   ? std::max(period, all)
                             : kind == 1 ? pick(random, all, std::max(all, period))
                                         : pick(random, all, std::max(all, 2 * period))};
    task.priority = static_cast<int>(pick(random, 0, tasks));
    load.tasks.push_back(std::move(task));
  }
  return load;
}

// One execution: jobs with times of their own, run to their ends however late they are.
class Execution {
 public:
  Execution(const LaneLoad& load, int lanes, Preemption preemption) : load_(load) {
    set_.policy = load.policy;
    set_.lanes = lanes;
    set_.preemption = preemption;
    set_.on_miss = OnMiss::keep_on;
  }

  void release(std::size_t task, std::int64_t at, const std::vector<Duration>& blocks) {
    auto times = std::make_shared<ModelTimes>();
    times->on_device.emplace_back();
    for (std::size_t k = 0; k < blocks.size(); ++k) {
      times->on_device[0].push_back({.trunk = blocks[k], .worst_trunk = load_.tasks[task].blocks[k]});
    }
    const LaneTask& t = load_.tasks[task];
    set_.jobs.push_back({.source = set_.sources.size(),
                         .release = TimePoint{Duration{at}},
                         .deadline = TimePoint{Duration{at} + t.deadline}});
    set_.sources.push_back({.name = t.name, .deadline = t.deadline, .priority = t.priority, .times = times});
    tasks_.push_back(task);
  }

  // Longest time from release to end, by task; -1: it had no job.
  std::vector<std::int64_t> responses() const {
    std::vector<std::int64_t> longest(load_.tasks.size(), -1);
    const Result<SimulationResult> result = simulate(set_);
    EINET_CHECK(result.has_value(), "small sets end");
    for (std::size_t job = 0; job < tasks_.size(); ++job) {
      std::int64_t& most = longest[tasks_[job]];
      most = std::max<std::int64_t>(most, (result->jobs[job].finish - set_.jobs[job].release).count());
    }
    return longest;
  }

 private:
  const LaneLoad& load_;
  TaskSet set_;
  std::vector<std::size_t> tasks_;  // by job
};

inline std::vector<Duration> shorter(Random& random, const std::vector<Duration>& blocks) {
  std::vector<Duration> times;
  for (const Duration block : blocks) times.push_back(Duration{pick(random, 1, block.count())});
  return times;
}

// Releases and block times at random, half of them as hard as can be.
inline Execution random_execution(Random& random, const LaneLoad& load, int lanes, Preemption preemption,
                                  std::int64_t horizon) {
  Execution e(load, lanes, preemption);
  const bool tight = pick(random, 0, 1) == 0;
  const bool full = pick(random, 0, 1) == 0;
  for (std::size_t i = 0; i < load.tasks.size(); ++i) {
    const LaneTask& task = load.tasks[i];
    std::int64_t at = pick(random, 0, 2) == 0 ? 1 : pick(random, 0, horizon / 4);
    while (at < horizon) {
      e.release(i, at, full || pick(random, 0, 1) == 0 ? task.blocks : shorter(random, task.blocks));
      if (task.period == kForever) break;
      at += task.period.count();
      if (!tight) at += pick(random, 0, 2) == 0 ? pick(random, 0, task.period.count()) : 0;
    }
  }
  return e;
}

// What the analysis takes for the worst: the longest block of `blocker` (none: nobody's) begins 1 ns before
// all other tasks release a job, and release as often as they may; a job of `task` has its deadline at
// `length` after that.
inline Execution worst_execution(const LaneLoad& load, std::size_t task, std::int64_t length,
                                 std::optional<std::size_t> blocker, Preemption preemption) {
  Execution e(load, 1, preemption);
  std::int64_t start = 1;
  if (blocker) {
    const std::vector<Duration>& blocks = load.tasks[*blocker].blocks;
    std::vector<Duration> times = blocks;
    for (std::size_t k = 0; Duration{} < times[k]; ++k) {
      if (blocks[k] == *std::max_element(blocks.begin(), blocks.end())) break;
      times[k] = Duration{1};  // over as soon as can be
      ++start;
    }
    e.release(*blocker, 0, times);
  }
  for (std::size_t i = 0; i < load.tasks.size(); ++i) {
    const LaneTask& t = load.tasks[i];
    const std::int64_t last = length - load.tasks[task].deadline.count();  // release of the job looked at
    std::int64_t at = i == task && t.period != kForever ? last % t.period.count() : i == task ? last : 0;
    if (blocker == i) {
      if (t.period == kForever) continue;
      at = std::max<std::int64_t>(at, t.period.count() - start);
    }
    for (; at <= length; at += t.period.count()) {
      e.release(i, start + at, t.blocks);
      if (t.period == kForever) break;
    }
  }
  return e;
}

// A crowd around one instant: some tasks begin their longest block 1 ns before it, some release at it, some a
// little later; all release as often as they may from then on.
inline Execution crowd(Random& random, const LaneLoad& load, int lanes, Preemption preemption,
                       std::int64_t horizon) {
  Execution e(load, lanes, preemption);
  for (std::size_t i = 0; i < load.tasks.size(); ++i) {
    const LaneTask& t = load.tasks[i];
    std::int64_t at = 100 + (pick(random, 0, 1) == 0 ? 0 : pick(random, 0, t.blocks.back().count()));
    std::vector<Duration> times = t.blocks;
    if (pick(random, 0, 1) == 0) {
      const auto longest = std::max_element(t.blocks.begin(), t.blocks.end()) - t.blocks.begin();
      std::fill(times.begin(), times.begin() + longest, Duration{1});  // over as soon as can be
      at = 99 - longest;
    }
    e.release(i, at, times);
    if (t.period == kForever) continue;
    for (at += t.period.count(); at < horizon; at += t.period.count()) e.release(i, at, t.blocks);
  }
  return e;
}

}  // namespace einet::admission_test
