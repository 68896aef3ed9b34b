// How long jobs lived: the estimate, whose lives are counted, and what plans make of them.
#include "scheduler/lives.h"

#include <random>

#include <gtest/gtest.h>

#include "scheduler/exit_planner.h"
#include "script.h"

namespace einet {
namespace {

TEST(LifeTable, SaysNothingOfFewLives) {
  LifeTable table;
  for (int i = 0; i < 15; ++i) table.stopped(0.5);
  EXPECT_FALSE(table.says_something());
  table.stopped(0.5);
  table.stopped(0.5);
  EXPECT_TRUE(table.says_something());
}

TEST(LifeTable, EstimatesTheShareThatLivesLonger) {
  LifeTable table;
  std::mt19937 random(1);
  std::uniform_real_distribution<double> lives(0, 2);  // half of them longer than the network takes
  for (int i = 0; i < 2000; ++i) {
    const double life = lives(random);
    life > 1 ? table.finished(1) : table.stopped(life);
  }
  const LifeTable::Curve curve = table.curve();
  EXPECT_EQ(curve[0], 1);
  for (const double age : {0.25, 0.5, 0.75, 1.0}) {
    EXPECT_NEAR(LifeTable::at(curve, age), 1 - age / 2, 0.06) << age;
  }
}

// Jobs that end by themselves, as those with short plans do, say nothing of how long they would have lived.
// The control: taken for deaths, they bring the estimate down.
TEST(LifeTable, DoesNotTakeTheEndOfAPlanForADeath) {
  std::mt19937 random(1);
  std::uniform_real_distribution<double> lives(0, 2);
  LifeTable table, naive;
  for (int i = 0; i < 2000; ++i) {
    const double life = lives(random);
    const bool ends = i % 2 == 0 && life > 0.4;  // half of the plans are that short
    const bool stopped = !ends && life < 1;
    stopped ? table.stopped(life) : table.finished(ends ? 0.4 : 1);
    naive.stopped(ends ? 0.4 : std::min(life, 1.0));
  }
  EXPECT_NEAR(LifeTable::at(table.curve(), 0.9), 0.55, 0.08);
  EXPECT_LT(LifeTable::at(naive.curve(), 0.9), 0.45);
}

TEST(LifeTable, NeverFallsToZeroAndForgets) {
  LifeTable table;
  for (int i = 0; i < 300; ++i) table.stopped(0.25);
  EXPECT_LT(LifeTable::at(table.curve(), 0.5), 0.01);
  EXPECT_GT(LifeTable::at(table.curve(), 1), 0);
  for (int i = 0; i < 3000; ++i) table.finished(1);
  EXPECT_GT(LifeTable::at(table.curve(), 0.9), 0.99);
}

TEST(LifeTable, TakesAnyAge) {
  LifeTable table;
  for (const double age : {-1.0, 0.0, 1.0, 1.5, 1e300}) {
    table.stopped(age);
    table.finished(age);
    EXPECT_EQ(LifeTable::at(table.curve(), age), LifeTable::at(table.curve(), std::clamp(age, 0.0, 1.0)));
  }
}

TEST(Lives, AreOfOneTenantModelAndTask) {
  Lives lives(3);
  JobSpec spec;
  LifeTable* const first = lives.of(spec);
  EXPECT_EQ(lives.of(spec), first);
  spec.tenant = TenantId{1};
  LifeTable* const second = lives.of(spec);
  EXPECT_NE(second, first);
  spec.model = ModelId{1};
  LifeTable* const third = lives.of(spec);
  EXPECT_NE(third, second);
  spec.task = TaskId{1};
  EXPECT_EQ(lives.of(spec), third) << "no room left";
  EXPECT_EQ(Lives(0).of(spec), nullptr);
}

constexpr SurvivalParts kLived{.deadline = true, .demand = true, .lived = true};

// Three blocks of 10 with an exit of 1 each: 33 in all.
JobRecord job(LifeTable* lives, TimePoint deadline) {
  JobRecord job;
  job.spec = Script::spec(1, model(3, 10, {0.5, 0.7, 0.9}, 1), deadline);
  job.outlook = Outlook(*job.spec.times);
  job.lives = lives;
  return job;
}

TEST(Survival, IsTheProductOfTheDeadlineAndTheLivesBefore) {
  LifeTable table;
  for (int i = 0; i < 400; ++i) i % 2 == 0 ? table.stopped(0.5) : table.finished(1);
  ExitPlanner planner(kLived);
  JobRecord j = job(&table, at(100));
  Survival s = *planner.survival(j, DeviceId{0}, at(0), Duration{0});
  EXPECT_NEAR(s(10), 1, 1e-6);
  EXPECT_NEAR(s(30), 0.5, 0.02);
  EXPECT_NEAR(s(100), 0.5, 0.02);
  EXPECT_EQ(s(101), 0);
  // Half of the deadline's time is for others.
  s = *planner.survival(j, DeviceId{0}, at(0), Duration{50});
  EXPECT_NEAR(s(75), 0.25, 0.02);
  // It has lived through what stops half of them.
  j.used = Duration{22};
  s = *planner.survival(j, DeviceId{0}, at(0), Duration{0});
  EXPECT_NEAR(s(30), 1, 1e-6);
}

TEST(Survival, IsMadeOfThePartsThatAreAskedFor) {
  LifeTable table;
  for (int i = 0; i < 400; ++i) table.stopped(0.5);
  const JobRecord j = job(&table, at(100));
  const auto at_60 = [&](SurvivalParts parts) {
    ExitPlanner planner(parts);
    const auto s = planner.survival(j, DeviceId{0}, at(0), Duration{50});
    return s ? (*s)(60) : 1;
  };
  const JobRecord unborn = job(nullptr, at(100));
  ExitPlanner planner({.deadline = true, .demand = true, .lived = false});
  EXPECT_DOUBLE_EQ((*planner.survival(unborn, DeviceId{0}, at(0), Duration{50}))(60), 0.8);
  ExitPlanner alone({.deadline = true, .demand = false, .lived = false});
  EXPECT_DOUBLE_EQ((*alone.survival(unborn, DeviceId{0}, at(0), Duration{50}))(60), 1);
  EXPECT_LT(at_60({.deadline = false, .demand = false, .lived = true}), 0.02);
  ExitPlanner none({.deadline = false, .demand = false, .lived = false});
  EXPECT_FALSE(none.survival(unborn, DeviceId{0}, at(0), Duration{50}));
}

TEST(ExitPlanner, TakesAnEarlyAnswerWhereSuchJobsDidNotLiveLong) {
  LifeTable table;
  ExitPlanner planner(kLived);
  EXPECT_EQ(planner.plan(job(&table, at(31)), DeviceId{0}, at(0), at(0), {}) & 1, 0u);
  for (int i = 0; i < 100; ++i) table.stopped(0.5);
  EXPECT_EQ(planner.plan(job(&table, at(31)), DeviceId{0}, at(0), at(0), {}) & 1, 1u);
}

// Through the core: jobs that are cancelled while they run make later ones answer early. The control: where
// lives are not asked for, they do not.
TEST(Core, LearnsFromJobsThatWereStopped) {
  for (const bool lived : {true, false}) {
    Script s({.policy = Policy::edf,
              .max_jobs = 10,
              .survival = {.deadline = true, .demand = true, .lived = lived}});
    const auto times = model(3, 10, {0.5, 0.7, 0.9}, 1);
    int now = 0;
    std::uint64_t grants = 0;
    ExitMask first_plan = 0;
    for (std::uint64_t id = 1; id <= 60; ++id, now += 100) {
      ASSERT_TRUE(s.core.submit(Script::spec(id, times, at(now + 31), at(now)), at(now)));
      s.decide(at(now));
      if (id == 1) first_plan = s.exits;
      ++grants;
      // An answer, if the plan has one there.
      const bool answers = (s.exits & 1) != 0;
      std::optional<ExitAnswer> answer;
      if (answers) answer = ExitAnswer{.exit = 0};
      ASSERT_TRUE(s.core.block_done(
          {Script::lane(0), GrantNumber{grants}, 0, at(now), at(now + 10), answer, Duration{10}},
          at(now + 10)));
      if (s.exits == 1) {  // nothing more is planned
        ASSERT_TRUE(s.ended(0, grants, GrantEnd::done, at(now + 10)));
        s.decide(at(now + 10));
        continue;
      }
      ASSERT_TRUE(s.core.cancel(JobId{id}, at(now + 15)));
      s.decide(at(now + 15));
      ASSERT_TRUE(s.core.block_done(
          {Script::lane(0), GrantNumber{grants}, 1, at(now + 10), at(now + 20), {}, Duration{10}},
          at(now + 20)));
      const GrantEnd how = s.exits < 0b100 ? GrantEnd::done : GrantEnd::stopped;
      ASSERT_TRUE(s.ended(0, grants, how, at(now + 20)));
      s.decide(at(now + 20));
    }
    EXPECT_EQ(first_plan & 1, 0u);
    EXPECT_EQ(s.exits & 1, lived ? 1u : 0u);
  }
}

// Jobs whose plans end by themselves say nothing of how long jobs live: after many that ended with their
// first answer, which is what was asked of them, a plan goes as far as before.
TEST(Core, LearnsNothingFromJobsThatEndByThemselves) {
  Script s(
      {.policy = Policy::edf, .max_jobs = 10, .survival = {.deadline = true, .demand = true, .lived = true}});
  const auto times = model(3, 10, {0.5, 0.7, 0.9}, 1);
  int now = 0;
  for (std::uint64_t id = 1; id <= 60; ++id, now += 100) {
    JobSpec job = Script::spec(id, times, at(now + 99), at(now));
    job.target_confidence = 0.25;
    ASSERT_TRUE(s.core.submit(job, at(now)));
    s.decide(at(now));
    ASSERT_EQ(s.exits & 1, 1u);
    ASSERT_TRUE(s.core.block_done({Script::lane(0), GrantNumber{id}, 0, at(now), at(now + 11),
                                   ExitAnswer{.exit = 0, .confidence = 0.5F}, Duration{11}},
                                  at(now + 11)));
    s.decide(at(now + 11));
    ASSERT_TRUE(s.ended(0, id, GrantEnd::stopped, at(now + 12)));
    s.decide(at(now + 12));
  }
  ASSERT_TRUE(s.core.submit(Script::spec(61, times, at(now + 31), at(now)), at(now)));
  s.decide(at(now));
  EXPECT_EQ(s.exits, 0b100u);
  const auto basis = s.core.explain(JobId{61});
  ASSERT_TRUE(basis);
  EXPECT_GT(basis->lives, 50);
  EXPECT_EQ(basis->exits.back().alive, 1);
}

}  // namespace
}  // namespace einet
