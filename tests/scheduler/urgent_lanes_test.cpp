// Instant preemption: when work takes the core from a block in progress, and when it waits for the boundary.
#include <gtest/gtest.h>

#include "script.h"

namespace einet {
namespace {

// One core: lane 0 is its base lane, lane 1 its urgent lane.
struct Core1 final : Script {
  Core1(Policy policy, Preemption preemption) : Script(policy) {
    core.urgent_lane_up(lane(1), lane(0), preemption, at(0));
  }
  bool submit(std::uint64_t id, int priority, int blocks, TimePoint deadline, TimePoint now) {
    JobSpec job = spec(id, model(blocks, 10), deadline, now);
    job.priority = priority;
    return core.submit(job, now).has_value();
  }
  void suspended(LaneId, JobId victim, JobId by, TimePoint) override {
    heard.push_back({victim.value, by.value});
  }
  std::vector<std::pair<std::uint64_t, std::uint64_t>> heard;
};

TEST(UrgentLane, TakesTheCoreAtOnceForMoreUrgentWork) {
  Core1 s(Policy::fixed_priority, Preemption::instant);
  ASSERT_TRUE(s.submit(1, 0, 3, kNever, at(0)));
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 1 from 0");
  ASSERT_TRUE(s.submit(2, 5, 1, kNever, at(3)));
  EXPECT_EQ(s.decide(at(3)), "grant 1/1: job 2 from 0");
  EXPECT_EQ(s.heard, (std::vector<std::pair<std::uint64_t, std::uint64_t>>{{1, 2}}));
}

TEST(UrgentLane, IsNotUsedWhileTheCoreIsIdleOrByLessUrgentWork) {
  Core1 s(Policy::fixed_priority, Preemption::instant);
  ASSERT_TRUE(s.submit(1, 5, 3, kNever, at(0)));
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 1 from 0");
  ASSERT_TRUE(s.submit(2, 0, 1, kNever, at(3)));
  EXPECT_EQ(s.decide(at(3)), "grant 0/2: job 2 from 0") << "it follows on the base lane";
}

TEST(UrgentLane, IsNotUsedByWorkThatOnlyCameFirst) {
  for (const Policy policy : {Policy::edf, Policy::fixed_priority, Policy::imprecise}) {
    for (const TimePoint deadline : {kNever, at(900)}) {
      Core1 s(policy, Preemption::instant);
      ASSERT_TRUE(s.submit(2, 0, 3, at(900), at(1)));
      EXPECT_EQ(s.decide(at(1)), "grant 0/1: job 2 from 0");
      JobSpec first = Script::spec(1, model(1, 10), deadline, at(0));
      ASSERT_TRUE(s.core.submit(first, at(3)));
      s.decide(at(3));
      EXPECT_TRUE(s.heard.empty());
      ASSERT_TRUE(s.submit(3, 0, 1, at(800), at(4)));
      s.decide(at(4));
      EXPECT_EQ(s.heard.size(), 1u) << "an earlier deadline is a reason";
    }
  }
}

TEST(UrgentLane, LeavesTheCoreWhenNothingMoreUrgentIsLeft) {
  Core1 s(Policy::fixed_priority, Preemption::instant);
  ASSERT_TRUE(s.submit(1, 0, 3, kNever, at(0)));
  s.decide(at(0));
  ASSERT_TRUE(s.submit(2, 5, 1, kNever, at(3)));
  s.decide(at(3));
  ASSERT_TRUE(s.block(1, 1, 0, at(13)));
  ASSERT_TRUE(s.ended(1, 1, GrantEnd::done, at(13)));
  EXPECT_EQ(s.decide(at(13)), "finish 2 completed (plan_finished); release 2");
  // Job 1 has stood still for 10: its first boundary is expected at 20, which an arrival waits for.
  ASSERT_TRUE(s.submit(3, 0, 1, kNever, at(14)));
  EXPECT_EQ(s.decide(at(14)), "grant 0/2: job 3 from 0");
}

TEST(UrgentLane, GoesOnWithTheMostUrgentAtItsOwnBoundaries) {
  Core1 s(Policy::fixed_priority, Preemption::instant);
  ASSERT_TRUE(s.submit(1, 0, 3, kNever, at(0)));
  s.decide(at(0));
  ASSERT_TRUE(s.submit(2, 5, 2, kNever, at(3)));
  s.decide(at(3));
  ASSERT_TRUE(s.submit(3, 9, 1, kNever, at(5)));
  s.can_withdraw = false;
  EXPECT_EQ(s.decide(at(5)),
            "withdraw 1/1 (more_urgent_work); grant 1/2: job 3 from 0; stop 1/1 (more_urgent_work)");
}

TEST(UrgentLane, WaitsForTheBoundaryAsLongAsTheSlackCoversIt) {
  Core1 s(Policy::edf, Preemption::as_needed);
  ASSERT_TRUE(s.submit(1, 0, 3, at(1000), at(0)));
  s.decide(at(0));
  ASSERT_TRUE(s.submit(2, 0, 1, at(23), at(3)));
  s.can_withdraw = false;
  EXPECT_EQ(s.decide(at(3)),
            "withdraw 0/1 (more_urgent_work); grant 0/2: job 2 from 0; stop 0/1 (more_urgent_work)")
      << "3 + 7 + 10 <= 23";
  s.can_withdraw = true;
  ASSERT_TRUE(s.submit(3, 0, 1, at(19), at(3)));
  EXPECT_EQ(s.decide(at(3)), "withdraw 0/2 (more_urgent_work); grant 1/1: job 3 from 0") << "3 + 7 + 10 > 19";
}

TEST(UrgentLane, ServesOnlyReservedWorkWhereTasksHaveTheirHome) {
  Core1 s(Policy::fixed_priority, Preemption::instant);
  Reservation r{.period = Duration{100},
                .deadline = Duration{80},
                .priority = 0,
                .mandatory_exit = -1,
                .budget = Duration{20},
                .home = Script::lane(0),
                .patience = Duration{}};
  s.core.reserve(TaskId{1}, r, at(0));
  ASSERT_TRUE(s.submit(1, 0, 3, kNever, at(0)));
  s.decide(at(0));
  ASSERT_TRUE(s.submit(2, 5, 1, kNever, at(3)));
  s.can_withdraw = false;
  EXPECT_EQ(s.decide(at(3)),
            "withdraw 0/1 (more_urgent_work); grant 0/2: job 2 from 0; stop 0/1 (more_urgent_work)");
  s.can_withdraw = true;
  JobSpec task = Script::spec(3, model(1, 10), kNever, at(4));
  task.task = TaskId{1};
  ASSERT_TRUE(s.core.submit(task, at(4)));
  EXPECT_EQ(s.decide(at(4)).substr(0, 33), "withdraw 0/2 (more_urgent_work); ");
  EXPECT_EQ(s.heard.size(), 1u);
}

TEST(UrgentLane, ServesAllWorkAgainOnceTheLastBudgetThereIsTakenAway) {
  for (const bool taken_away : {false, true}) {
    Core1 s(Policy::fixed_priority, Preemption::instant);
    s.core.set_share(TenantId{1}, {.budget = Budget{Duration{20}, Duration{100}, Script::lane(0)}}, at(0));
    if (taken_away) s.core.set_share(TenantId{1}, {}, at(0));
    ASSERT_TRUE(s.submit(1, 0, 3, kNever, at(0)));
    s.decide(at(0));
    ASSERT_TRUE(s.submit(2, 5, 1, kNever, at(3)));
    s.decide(at(3));
    EXPECT_EQ(s.heard.size(), taken_away ? 1u : 0u);
  }
}

TEST(UrgentLane, LetsAPatientTaskWaitAndAnImpatientOneNot) {
  for (const int patience : {7, 8}) {
    Core1 s(Policy::fixed_priority, Preemption::as_needed);
    s.core.reserve(TaskId{1},
                   {.period = Duration{100},
                    .deadline = Duration{80},
                    .priority = 0,
                    .mandatory_exit = -1,
                    .budget = Duration{20},
                    .home = Script::lane(0),
                    .patience = Duration{patience}},
                   at(0));
    ASSERT_TRUE(s.submit(1, 0, 3, kNever, at(0)));
    s.decide(at(0));
    JobSpec task = Script::spec(3, model(1, 10), kNever, at(3));
    task.task = TaskId{1};
    ASSERT_TRUE(s.core.submit(task, at(3)));
    s.decide(at(3));
    EXPECT_EQ(s.heard.size(), patience <= 7 ? 1u : 0u) << "7 are left of the block";
  }
}

}  // namespace
}  // namespace einet
