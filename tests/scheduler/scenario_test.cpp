// Scenarios: their text form, what it refuses, the checks' negative controls, and the shrinker.
#include "scheduler/simulation/scenario.h"

#include <chrono>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scheduler/simulation/guarded_run.h"
#include "scheduler/simulation/random_scenario.h"
#include "scheduler/simulation/shrink.h"

namespace einet {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr std::string_view kScenario = R"(scenario = 1
seed = -7
policy = "edf"
times = "spread"
[[model]]
accuracy = [0.5, 0.75]
[[model.on]]
device = 0
trunk = ["2ns", "3ns"]
exit = ["1ns", "0ns"]
worst_trunk = ["4ns", "3ns"]
worst_exit = ["1ns", "0ns"]
[[lane]]
preemption = "instant"
[[tenant]]
weight = 2.5
budget = "5ns"
window = "30ns"
[[task]]
period = "40ns"
deadline = "30ns"
mandatory_exit = 1
until = "90ns"
[[job]]
submit = "3ns"
task = 0
[[job]]
submit = "5ns"
deadline = "60ns"
cancel = "50ns"
plan = "last"
on_miss = "continue"
target_confidence = 0.5
overrun = "2ns"
[[loss]]
lane = 0
at = "70ns"
back = "80ns"
told = "comes-back"
[[reload]]
at = "60ns"
longer = "1ns"
)";

Scenario read(std::string_view text) {
  const Result<Scenario> scenario = parse_scenario(text, "s.toml");
  EXPECT_TRUE(scenario.has_value()) << scenario.error().message;
  return *scenario;
}

TEST(Scenario, HasATextThatReadsBackAsTheSame) {
  EXPECT_EQ(to_toml(read(kScenario)), to_toml(read(to_toml(read(kScenario)))));
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const Scenario scenario = random_scenario(seed);
    const Scenario again = read(to_toml(scenario));
    ASSERT_EQ(to_toml(again), to_toml(scenario)) << "seed " << seed;
    ASSERT_EQ(run_scenario(again, Checks::off).trace_hash, run_scenario(scenario, Checks::off).trace_hash)
        << "seed " << seed;
  }
}

TEST(Scenario, IsToldFromATaskSetByItsFirstKey) {
  EXPECT_TRUE(is_scenario(kScenario));
  EXPECT_FALSE(is_scenario("policy = \"edf\""));
  EXPECT_FALSE(is_scenario("[[scenario"));
}

TEST(Scenario, DiffersFromSeedToSeed) {
  EXPECT_NE(run_scenario(random_scenario(1), Checks::off).trace_hash,
            run_scenario(random_scenario(2), Checks::off).trace_hash);
}

TEST(Scenario, RunsTheSameWithAndWithoutChecks) {
  const Scenario scenario = read(kScenario);
  const ScenarioResult checked = run_scenario(scenario, Checks::on);
  EXPECT_EQ(checked.violations.size(), 0u);
  EXPECT_EQ(checked.trace_hash, run_scenario(scenario, Checks::off).trace_hash);
}

TEST(Scenario, RefusesBadTextAndNamesThePlace) {
  const struct {
    std::string_view from, to, says;
  } changes[] = {
      {"scenario = 1", "scenario = 2", "s.toml:1:12: scenario: found 2"},
      {"\"edf\"", "\"efd\"", "policy: found \"efd\""},
      {"seed = -7", "sead = 7", "sead: unknown key; did you mean \"seed\"?"},
      {"\"spread\"", "\"random\"", "times: found \"random\"; expected expected, spread or worst"},
      {"times = \"spread\"", "max_jobs = 0", "max_jobs: found 0"},
      {"times = \"spread\"", "late_reports = 101", "late_reports: found 101"},
      {"[0.5, 0.75]", "[0.5]", "model[0].accuracy: a model has no exits, or one per block"},
      {"[0.5, 0.75]", "[0.5, 1.5]", "model[0].accuracy[1]: found 1.5"},
      {"device = 0", "device = 64", "device: found 64"},
      {"device = 0", "device = 1", "lane: a model runs on device 1, which has no lane"},
      {"[\"2ns\", \"3ns\"]", "[]", "trunk: a list of at least one duration"},
      {"[\"2ns\", \"3ns\"]", "[\"0ns\", \"3ns\"]", "trunk[0]: found \"0ns\""},
      {"[\"2ns\", \"3ns\"]", "[\"5ns\", \"3ns\"]",
       "worst_trunk: the worst time is at least the expected one"},
      {"exit = [\"1ns\", \"0ns\"]", "exit = [\"1ns\"]", "exit: one duration per block is needed"},
      {"\"instant\"", "\"now\"", "lane[0].preemption: found \"now\""},
      {"weight = 2.5", "weight = 0", "tenant[0].weight: found 0"},
      {"window = \"30ns\"", "window = \"4ns\"", "tenant[0].window: found \"4ns\""},
      {"period = \"40ns\"", "period = \"0ns\"", "task[0].period: found \"0ns\""},
      {"period = \"40ns\"", "period = \"1000000s\"", "task[0].period: at most"},
      {"mandatory_exit = 1", "mandatory_exit = 2", "task[0].mandatory_exit: found 2"},
      {"until = \"90ns\"", "until = \"0ns\"", "task[0].until: it comes after"},
      {"task = 0", "task = 1", "job[0].task: found 1"},
      {"cancel = \"50ns\"", "cancel = 50", "job[1].cancel: found 50"},
      {"\"last\"", "\"first\"", "job[1].plan: found \"first\""},
      {"lane = 0", "lane = 1", "loss[0].lane: found 1"},
      {"back = \"80ns\"", "back = \"70ns\"", "loss[0].back: it comes after"},
      {"back = \"80ns\"\n", "", "loss[0].told: a lane that comes back"},
      {"[[lane]]\npreemption = \"instant\"\n", "", "loss[0].lane: the scenario has none of these"},
      {"[[reload]]", "[[reload", "not TOML"},
  };
  for (const auto& change : changes) {
    std::string text(kScenario);
    const std::size_t place = text.find(change.from);
    ASSERT_NE(place, std::string::npos) << change.from;
    text.replace(place, change.from.size(), change.to);
    const Result<Scenario> scenario = parse_scenario(text, "s.toml");
    ASSERT_FALSE(scenario.has_value()) << change.to;
    EXPECT_THAT(scenario.error().message, StartsWith("s.toml:")) << change.to;
    EXPECT_THAT(scenario.error().message, HasSubstr(change.says));
  }
}

// --- Negative controls: a broken driver is seen ---

class BrokenDriver : public testing::TestWithParam<DriverFault> {};

TEST_P(BrokenDriver, IsSeenByTheChecks) {
  int seen = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    seen += run_guarded(random_scenario, seed, 1, 60, Checks::on, ChildErrors::hidden, GetParam())
                .finding.has_value();
  }
  EXPECT_GT(seen, 5);
}

INSTANTIATE_TEST_SUITE_P(Faults, BrokenDriver,
                         testing::Values(DriverFault::ignores_stop, DriverFault::withdraw_lies,
                                         DriverFault::forgets_release, DriverFault::sleeps_late,
                                         DriverFault::runs_both, DriverFault::promises_all));

// A rare one: exits are cut to end before the last block while that is in progress, of which the core has not
// heard yet.
TEST(ADriverThatDropsLastExits, LeavesAJobWithoutItsAnswer) {
  const Scenario scenario = random_scenario(257161);
  EXPECT_TRUE(run_scenario(scenario, Checks::on).violations.empty());
  const ScenarioResult broken = run_scenario(scenario, Checks::on, DriverFault::drops_last_exit);
  ASSERT_FALSE(broken.violations.empty());
  EXPECT_EQ(broken.violations.front().invariant, "outcome");
  EXPECT_THAT(broken.violations.front().what, HasSubstr("missed (cannot_deliver) without a deadline"));
}

// --- Shrinking ---

TEST(Shrink, LeavesASmallScenarioThatStillFails) {
  const auto finding = [](const Scenario& scenario) {
    return run_guarded([&](std::uint64_t) { return scenario; }, 0, 1, 60, Checks::on, ChildErrors::hidden,
                       DriverFault::forgets_release)
        .finding;
  };
  int shrunk = 0;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    const Scenario large = random_scenario(seed);
    const auto found = finding(large);
    if (!found) continue;
    ++shrunk;
    const auto fails = [&](const Scenario& scenario) {
      const auto again = finding(scenario);
      return again && again->invariant == found->invariant;
    };
    const Scenario small = shrink(large, fails, 500);
    EXPECT_TRUE(fails(small));
    // Any job at all shows this fault.
    EXPECT_EQ(small.jobs.size(), 1u);
    EXPECT_EQ(small.lanes.size(), 1u);
    EXPECT_EQ(small.models.size(), 1u);
    EXPECT_TRUE(small.tasks.empty() && small.losses.empty() && small.reloads.empty());
    EXPECT_TRUE(fails(read(to_toml(small))));
  }
  EXPECT_GT(shrunk, 0);
}

TEST(Shrink, TriesNoMoreOftenThanItMay) {
  int tries = 0;
  (void)shrink(
      random_scenario(3),
      [&](const Scenario&) {
        ++tries;
        return true;
      },
      5);
  EXPECT_EQ(tries, 5);
}

// --- Runs in a child process ---

TEST(GuardedRun, SaysWhichWorldCrashed) {
  const auto make = [](std::uint64_t seed) {
    EINET_CHECK(seed != 5, "this one is broken");
    return random_scenario(0);
  };
  const GuardedRuns runs = run_guarded(make, 3, 10, 60, Checks::off, ChildErrors::hidden);
  ASSERT_TRUE(runs.finding.has_value());
  EXPECT_EQ(runs.finding->invariant, "crash");
  EXPECT_EQ(runs.finding->seed, 5u);
  EXPECT_EQ(runs.worlds, 2u);
}

// However late it comes to run.
TEST(GuardedRun, RunsOneWorldAtLeast) {
  const GuardedRuns runs = run_guarded(random_scenario, 0, 10, 0, Checks::off, ChildErrors::hidden);
  EXPECT_FALSE(runs.finding.has_value());
  EXPECT_EQ(runs.worlds, 1u);
}

TEST(GuardedRun, CallsNoWorldHungThatHadNoProcessor) {
  const auto make = [](std::uint64_t seed) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3200));
    return random_scenario(seed);
  };
  const GuardedRuns runs = run_guarded(make, 0, 1, 60, Checks::off, ChildErrors::hidden);
  EXPECT_FALSE(runs.finding.has_value());
}

TEST(GuardedRun, CallsAWorldHungThatDoesNotEnd) {
  const auto make = [](std::uint64_t seed) {
    for (volatile bool ends = false; !ends;) {
    }
    return random_scenario(seed);
  };
  const GuardedRuns runs = run_guarded(make, 7, 1, 60, Checks::off, ChildErrors::hidden);
  ASSERT_TRUE(runs.finding.has_value());
  EXPECT_EQ(runs.finding->invariant, "hang");
  EXPECT_EQ(runs.finding->seed, 7u);
}

TEST(GuardedRun, EndsWhenTheTimeIsOver) {
  const GuardedRuns runs = run_guarded([](std::uint64_t) { return random_scenario(0); }, 0, 1'000'000'000,
                                       0.05, Checks::off, ChildErrors::hidden);
  EXPECT_FALSE(runs.finding.has_value());
  EXPECT_GT(runs.worlds, 0u);
}

}  // namespace
}  // namespace einet
