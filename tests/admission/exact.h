// The exact answer for one lane and small whole numbers: every state that sporadic releases can lead to is
// visited, nanosecond by nanosecond. Blocks take their worst times. Slow, and on purpose so simple that it
// can be seen to be right.
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <unordered_set>

#include "scheduler/admission/lane_analysis.h"

namespace einet::admission_test {

class Exact {
 public:
  explicit Exact(const LaneLoad& load) : load_(load) {}

  // Whether no execution misses. Nothing: more than `most` states.
  std::optional<bool> schedulable(std::size_t most) {
    std::vector<State> open{State(load_.tasks.size())};
    std::unordered_set<std::string> seen{text(open.back())};
    while (!open.empty()) {
      if (seen.size() > most) return std::nullopt;
      const State state = std::move(open.back());
      open.pop_back();
      for (unsigned releases = 0; releases < 1u << load_.tasks.size(); ++releases) {
        State next = state;
        if (!release(next, releases)) continue;
        if (!tick(next)) return false;
        if (seen.insert(text(next)).second) open.push_back(std::move(next));
      }
    }
    return true;
  }

 private:
  struct Job {
    int age = 0;  // since its release
    int block = 0;
    int done = 0;  // of that block
  };
  struct Source {
    int wait = 0;           // until it may release again; -1: never
    std::vector<Job> jobs;  // oldest first
  };
  using State = std::vector<Source>;

  bool release(State& state, unsigned which) const {
    for (std::size_t i = 0; i < state.size(); ++i) {
      if ((which >> i & 1) == 0) continue;
      if (state[i].wait != 0) return false;
      state[i].jobs.push_back({});
      state[i].wait =
          load_.tasks[i].period == kForever ? -1 : static_cast<int>(load_.tasks[i].period.count());
    }
    return true;
  }

  // The lane runs for one nanosecond. False: a deadline is missed.
  bool tick(State& state) const {
    std::size_t chosen = state.size();
    Job* job = nullptr;
    for (std::size_t i = 0; i < state.size(); ++i) {
      for (Job& other : state[i].jobs) {
        if (job == nullptr || rank(i, other) < rank(chosen, *job)) {
          chosen = i;
          job = &other;
        }
      }
    }
    if (job != nullptr) {
      const std::vector<Duration>& blocks = load_.tasks[chosen].blocks;
      if (++job->done == blocks[static_cast<std::size_t>(job->block)].count()) {
        job->done = 0;
        if (++job->block == static_cast<int>(blocks.size())) {
          state[chosen].jobs.erase(state[chosen].jobs.begin() + (job - state[chosen].jobs.data()));
        }
      }
    }
    for (std::size_t i = 0; i < state.size(); ++i) {
      if (state[i].wait > 0) --state[i].wait;
      for (Job& other : state[i].jobs) {
        if (++other.age >= load_.tasks[i].deadline.count()) return false;
      }
    }
    return true;
  }

  // Smaller goes first; a block in progress, before all (with fifo: a job).
  std::tuple<bool, int, int, int, std::size_t> rank(std::size_t task, const Job& job) const {
    const int left = static_cast<int>(load_.tasks[task].deadline.count()) - job.age;
    const bool begun = job.done > 0 || (load_.policy == Policy::fifo && job.block > 0);
    switch (load_.policy) {
      case Policy::fifo:
        return {!begun, -job.age, 0, 0, task};
      case Policy::edf:
        return {!begun, left, -job.age, 0, task};
      default:
        return {!begun, -load_.tasks[task].priority, left, -job.age, task};
    }
  }

  static std::string text(const State& state) {
    std::string out;
    for (const Source& source : state) {
      out += static_cast<char>(source.wait);
      out += static_cast<char>(source.jobs.size());
      for (const Job& job : source.jobs) {
        for (const int n : {job.age, job.block, job.done}) out += static_cast<char>(n);
      }
    }
    return out;
  }

  const LaneLoad& load_;
};

}  // namespace einet::admission_test
