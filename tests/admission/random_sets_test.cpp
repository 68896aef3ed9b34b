// The analyses against the decision core itself, over random sets: no execution of an accepted set
// misses or exceeds a bound (soundness), and few sets are refused that the exact answer accepts (tightness).
// The environment variable EINET_ADMISSION_SETS multiplies the number of sets.
#include <array>
#include <cstdlib>
#include <iostream>

#include <gtest/gtest.h>

#include "exact.h"
#include "random_load.h"
#include "sanitized.h"
#include "scheduler/admission/global_analysis.h"
#include "scheduler/simulation/placement.h"

namespace einet::admission_test {
namespace {

using Verdict = LaneBound::Verdict;

int sets(int count) {
  const char* factor = std::getenv("EINET_ADMISSION_SETS");
  return test::cases(count) * (factor == nullptr ? 1 : std::max(1, std::atoi(factor)));
}

bool accepted(const std::vector<LaneBound>& bounds) {
  return std::all_of(bounds.begin(), bounds.end(),
                     [](const LaneBound& b) { return b.verdict == Verdict::fits; });
}

std::vector<LaneBound> bounds_of(const LaneLoad& load) {
  Effort effort;
  return analyse(load, effort);
}

std::string describe(const LaneLoad& load, Preemption preemption) {
  std::string out = std::string(name(load.policy)) + ", " + std::string(name(preemption)) + "\n";
  for (const LaneTask& t : load.tasks) {
    out += t.name + ": period " + std::to_string(t.period.count()) + " deadline " +
           std::to_string(t.deadline.count()) + " priority " + std::to_string(t.priority) + " blocks";
    for (const Duration block : t.blocks) out += " " + std::to_string(block.count());
    out += "\n";
  }
  return out;
}

// The load of a plain set whose lane has an urgent lane with this preemption.
LaneLoad with(LaneLoad load, Preemption preemption) {
  if (load.policy == Policy::imprecise) load.same_priority = SamePriority::any_order;
  for (LaneTask& task : load.tasks) {
    task.access = preemption == Preemption::boundary  ? Access::waits
                  : preemption == Preemption::instant ? Access::takes
                                                      : Access::either;
  }
  return load;
}

// Executions that are as bad as can be thought of: for every task and every deadline after a busy time's
// beginning, up to a number, behind every other task's longest block.
template <class F>
bool any_worst_execution(const LaneLoad& load, Preemption preemption, std::size_t most, const F& holds) {
  for (std::size_t i = 0; i < load.tasks.size(); ++i) {
    std::vector<std::int64_t> lengths;
    for (const LaneTask& t : load.tasks) {
      std::int64_t length = t.deadline.count();
      for (std::size_t k = 0; k < most && length < (kForever / 2).count(); ++k) {
        if (length >= load.tasks[i].deadline.count()) lengths.push_back(length);
        if (t.period == kForever) break;
        length += t.period.count();
      }
    }
    std::sort(lengths.begin(), lengths.end());
    lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
    if (lengths.size() > most) lengths.resize(most);
    for (const std::int64_t length : lengths) {
      for (std::size_t blocker = 0; blocker <= load.tasks.size(); ++blocker) {
        if (blocker == i) continue;
        std::optional<std::size_t> first;
        if (blocker < load.tasks.size()) first = blocker;
        if (holds(worst_execution(load, i, length, first, preemption))) return true;
      }
    }
  }
  return false;
}

bool misses(const LaneLoad& load, const Execution& execution) {
  const std::vector<std::int64_t> responses = execution.responses();
  for (std::size_t i = 0; i < responses.size(); ++i) {
    if (responses[i] > load.tasks[i].deadline.count()) return true;
  }
  return false;
}

constexpr std::array kPolicies{Policy::edf, Policy::fixed_priority, Policy::fifo, Policy::imprecise};

LoadShape shape_for(Random& random) {
  LoadShape shape;
  shape.tasks = static_cast<int>(pick(random, 1, 5));
  shape.period = std::array{12, 100, 10'000}[static_cast<std::size_t>(pick(random, 0, 2))];
  shape.utilisation = 0.3 + 0.01 * static_cast<double>(pick(random, 0, 65));
  return shape;
}

struct Count {
  int sets = 0, accepted = 0, broken = 0;
  std::string first{};  // that is broken
};

// Random sets that `bounds` accepts, and how many of them have an execution that exceeds a bound.
template <class F>
Count soundness(int count, Policy policy, Preemption preemption, std::uint64_t seed, const F& bounds,
                int lanes = 1) {
  Count out;
  Random random(seed);
  for (int n = 0; n < count; ++n, ++out.sets) {
    LoadShape shape = shape_for(random);
    if (lanes > 1) shape.tasks += lanes;
    shape.utilisation *= lanes;
    const LaneLoad load = with(random_load(random, policy, shape), preemption);
    const std::vector<LaneBound> said = bounds(load);
    if (!accepted(said)) continue;
    ++out.accepted;
    const auto exceeds = [&](const Execution& execution) {
      const std::vector<std::int64_t> responses = execution.responses();
      for (std::size_t i = 0; i < responses.size(); ++i) {
        if (responses[i] > said[i].response.count()) return true;
      }
      return false;
    };
    bool broken = lanes == 1 && any_worst_execution(load, preemption, 3, exceeds);
    for (int k = 0; k < 4 && !broken; ++k) {
      broken = exceeds(random_execution(random, load, lanes, preemption, shape.period * 12)) ||
               exceeds(crowd(random, load, lanes, preemption, shape.period * 6));
    }
    if (broken && ++out.broken == 1) out.first = describe(load, preemption);
  }
  return out;
}

TEST(LaneSoundness, NoExecutionExceedsABound) {
  for (const Policy policy : kPolicies) {
    const Count c = soundness(sets(1000), policy, Preemption::boundary, 1, bounds_of);
    std::cout << name(policy) << ": " << c.accepted << " of " << c.sets << " sets accepted, " << c.broken
              << " broken\n";
    EXPECT_EQ(c.broken, 0) << c.first;
    EXPECT_GT(c.accepted, c.sets / 10);
  }
}

TEST(LaneSoundness, NoExecutionExceedsABoundWhereTheCoreIsTaken) {
  for (const Policy policy : {Policy::edf, Policy::fixed_priority, Policy::imprecise}) {
    for (const Preemption preemption : {Preemption::instant, Preemption::as_needed}) {
      const Count c = soundness(sets(500), policy, preemption, 2, bounds_of);
      std::cout << name(policy) << ", " << name(preemption) << ": " << c.accepted << " of " << c.sets
                << " sets accepted, " << c.broken << " broken\n";
      EXPECT_EQ(c.broken, 0) << c.first;
      EXPECT_GT(c.accepted, c.sets / 20);
    }
  }
}

// The negative control: an analysis that forgets a part of the truth is caught.
TEST(LaneSoundness, AnAnalysisWithoutBlockingOrWithTooShortBlocksIsCaught) {
  const auto without_blocking = [](const LaneLoad& load) {
    std::vector<LaneBound> bounds = bounds_of(load);
    for (std::size_t i = 0; i < bounds.size(); ++i) {
      bounds[i].response -= bounds[i].blocking;
      if (bounds[i].response <= load.tasks[i].deadline && bounds[i].verdict == Verdict::misses) {
        bounds[i].verdict = Verdict::fits;
      }
    }
    return bounds;
  };
  const auto too_short = [](const LaneLoad& load) {
    LaneLoad cut = load;
    for (LaneTask& task : cut.tasks) {
      for (Duration& block : task.blocks) block = std::max(block * 9 / 10, Duration{1});
    }
    return bounds_of(cut);
  };
  for (const Policy policy : {Policy::edf, Policy::fixed_priority}) {
    EXPECT_GT(soundness(200, policy, Preemption::boundary, 3, without_blocking).broken, 0);
    EXPECT_GT(soundness(200, policy, Preemption::boundary, 4, too_short).broken, 0);
  }
}

TEST(GlobalSoundness, NoExecutionOnSeveralLanesExceedsABound) {
  for (const Policy policy : kPolicies) {
    for (const int lanes : {2, 3, 4}) {
      const auto bounds = [&](const LaneLoad& load) {
        Effort effort;
        return analyse_global(load, lanes, effort);
      };
      const Count c = soundness(sets(400), policy, Preemption::boundary, 7, bounds, lanes);
      std::cout << name(policy) << ", " << lanes << " lanes: " << c.accepted << " of " << c.sets
                << " sets accepted, " << c.broken << " broken\n";
      EXPECT_EQ(c.broken, 0) << c.first;
      EXPECT_GT(c.accepted, c.sets / 20);
    }
  }
}

// The negative control.
TEST(GlobalSoundness, AnAnalysisWithTooShortBlocksIsCaught) {
  const auto bounds = [&](const LaneLoad& load) {
    LaneLoad cut = load;
    for (LaneTask& task : cut.tasks) {
      for (Duration& block : task.blocks) block = std::max(block * 2 / 3, Duration{1});
    }
    Effort effort;
    return analyse_global(cut, 2, effort);
  };
  EXPECT_GT(soundness(200, Policy::edf, Preemption::boundary, 8, bounds, 2).broken, 0);
}

// Tasks at home on lanes, as the daemon has them, beside best-effort jobs of any urgency with longer blocks.
TEST(AdmissionSoundness, NoReservedJobExceedsItsBoundBesideOtherWork) {
  Random random(9);
  std::array<std::array<int, 3>, 3> reserved{};  // jobs, by policy and preemption
  constexpr std::array kPromising{Policy::edf, Policy::fixed_priority, Policy::imprecise};
  for (int n = 0; n < sets(1500); ++n) {
    const auto policy = static_cast<std::size_t>(n % 3);
    const auto preemption = static_cast<std::size_t>(n / 3 % 3);
    const LoadShape shape = shape_for(random);
    const LaneLoad load = random_load(random, kPromising[policy], shape);
    TaskSet set{.policy = load.policy,
                .lanes = static_cast<int>(pick(random, 1, 3)),
                .preemption = static_cast<Preemption>(preemption),
                .placement = Placement::partitioned,
                .on_miss = OnMiss::stop,
                .sources = {},
                .jobs = {}};
    const auto add_source = [&](const LaneTask& task, std::optional<Duration> period) {
      auto times = std::make_shared<ModelTimes>();
      times->on_device.emplace_back();
      for (const Duration block : task.blocks) {
        times->on_device[0].push_back({.trunk = block, .worst_trunk = block});
      }
      set.sources.push_back({.name = task.name,
                             .deadline = task.deadline,
                             .priority = task.priority,
                             .period = period,
                             .times = times});
    };
    const auto add_job = [&](std::int64_t at) {
      set.jobs.push_back({.source = set.sources.size() - 1,
                          .release = TimePoint{Duration{at}},
                          .deadline = TimePoint{Duration{at} + set.sources.back().deadline}});
    };
    const std::int64_t horizon = shape.period * 20;
    for (const LaneTask& task : load.tasks) {
      add_source(task, std::min(task.period, Duration{horizon}));
      for (std::int64_t at = pick(random, 0, shape.period); at < horizon;
           at += set.sources.back().period->count()) {
        add_job(at);
        if (pick(random, 0, 3) == 0) at += pick(random, 0, shape.period);
      }
    }
    for (auto others = pick(random, 0, 8); others > 0; --others) {
      LaneTask other{.name = "other", .deadline = Duration{pick(random, 1, horizon)}, .blocks = {}};
      other.priority = static_cast<int>(pick(random, 0, 9));
      for (auto blocks = pick(random, 1, 4); blocks > 0; --blocks) {
        other.blocks.push_back(Duration{pick(random, 1, std::max<std::int64_t>(1, shape.period / 4))});
      }
      add_source(other, std::nullopt);
      add_job(pick(random, 0, horizon));
    }
    const std::vector<Placed> placed = place(set);
    const Result<SimulationResult> result = simulate(set);
    ASSERT_TRUE(result.has_value());
    for (std::size_t job = 0; job < set.jobs.size(); ++job) {
      const Placed& home = placed[set.jobs[job].source];
      if (!home.bound) continue;
      ++reserved[policy][preemption];
      ASSERT_LE(result->jobs[job].finish - set.jobs[job].release, home.bound->response)
          << set.lanes << " lanes, job " << job << ", " << set.sources[set.jobs[job].source].name << "\n"
          << describe(load, set.preemption);
    }
  }
  for (const auto& by_preemption : reserved) {
    for (const int jobs : by_preemption) EXPECT_GT(jobs, sets(1000));
  }
}

constexpr std::array kOrdered{Policy::edf, Policy::fixed_priority, Policy::fifo};

TEST(LaneTightness, AcceptsNearlyAllSmallSetsThatTheExactTestAccepts) {
  for (const Policy policy : kOrdered) {
    Random random(5);
    int exact = 0;
    int both = 0;
    for (int n = 0; n < sets(400); ++n) {
      LoadShape shape{.tasks = 3, .period = pick(random, 5, 8), .blocks = 3, .utilisation = 0};
      shape.utilisation = 0.5 + 0.01 * static_cast<double>(pick(random, 0, 60));
      const LaneLoad load = random_load(random, policy, shape);
      const std::optional<bool> truth = Exact(load).schedulable(20'000);
      if (!truth) continue;
      const bool said = accepted(bounds_of(load));
      EXPECT_TRUE(!said || *truth) << describe(load, Preemption::boundary);
      if (said && !*truth) return;
      exact += *truth ? 1 : 0;
      both += said ? 1 : 0;
    }
    std::cout << name(policy) << ": accepts " << both << " of " << exact
              << " sets that the exact test accepts\n";
    EXPECT_GT(exact, sets(40));
    EXPECT_GE(both, exact * 0.95) << name(policy);
  }
}

// Larger sets: a refusal is right if one of the worst executions misses. What is neither accepted nor shown
// to miss counts against the analysis.
TEST(LaneTightness, NearlyEveryRefusedSetHasAnExecutionThatMisses) {
  for (const Policy policy : kOrdered) {
    Random random(6);
    int fits = 0;
    int open = 0;
    int overload = 0;
    for (int n = 0; n < sets(300); ++n) {
      const LoadShape shape = shape_for(random);
      const LaneLoad load = random_load(random, policy, shape);
      if (asked_share(load) > 1) {
        ++overload;
        continue;
      }
      if (accepted(bounds_of(load))) {
        ++fits;
      } else {
        const auto shows = [&](const Execution& e) { return misses(load, e); };
        if (!any_worst_execution(load, Preemption::boundary, 30, shows)) ++open;
      }
    }
    std::cout << name(policy) << ": " << fits << " sets accepted, " << open
              << " refused without a miss found\n";
    EXPECT_GE(fits, (fits + open) * 0.95) << name(policy);
  }
}

}  // namespace
}  // namespace einet::admission_test
