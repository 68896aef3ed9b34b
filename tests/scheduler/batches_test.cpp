// Jobs that run as one batch: who rides with whom, who does not, and how they part.
#include <gtest/gtest.h>

#include "script.h"

namespace einet {
namespace {

// Blocks of 10 ns; for 2, 3 and 4 jobs at once of 12, 14 and 16.
std::shared_ptr<const ModelTimes> batching(int blocks, std::vector<double> accuracy = {}) {
  auto m = std::make_shared<ModelTimes>(*model(blocks, 10, std::move(accuracy)));
  m->batch = {{1, 1.2, 1.4, 1.6}};
  return m;
}

struct Batches : testing::Test {
  void submit(std::uint64_t id, const std::shared_ptr<const ModelTimes>& times, TimePoint deadline = kNever,
              int priority = 0, TimePoint now = at(0)) {
    JobSpec spec = Script::spec(id, times, deadline, now);
    spec.model = ModelId{times == other ? 1U : 0U};
    spec.priority = priority;
    ASSERT_TRUE(s.core.submit(spec, now));
  }
  // A block of every grant of a batch; the last one leads.
  void block(const std::vector<std::uint64_t>& grants, int index, TimePoint end) {
    for (const std::uint64_t g : grants) ASSERT_TRUE(s.block(0, g, index, end)) << g;
  }

  const std::shared_ptr<const ModelTimes> three = batching(3), other = batching(5);
  Script s{Policy::fixed_priority};
};

TEST_F(Batches, WhatIsReadyRidesWithTheMostUrgentJobAsFarAsThereIsRoom) {
  for (std::uint64_t id = 1; id <= 6; ++id) submit(id, three);
  EXPECT_EQ(
      s.decide(at(0)),
      "grant 0/1: job 2 from 0, with 0/4; grant 0/2: job 3 from 0, with 0/4; grant 0/3: job 4 from 0, with "
      "0/4; grant 0/4: job 1 from 0; grant 0/5: job 6 from 0, with 0/6; grant 0/6: job 5 from 0")
      << "four at once; the next batch is posted behind";
}

TEST_F(Batches, JobsOfAnotherModelOrAtAnotherBlockDoNotRide) {
  submit(1, three);
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 1 from 0");
  submit(2, three, kNever, 5, at(1));
  s.can_withdraw = false;
  EXPECT_EQ(s.decide(at(1)),
            "withdraw 0/1 (more_urgent_work); grant 0/2: job 2 from 0; stop 0/1 (more_urgent_work)");
  ASSERT_TRUE(s.block(0, 1, 0, at(10)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::stopped, at(10)));
  submit(3, other, kNever, 0, at(10));
  EXPECT_EQ(s.decide(at(10)), "grant 0/3: job 1 from 1") << "behind job 2, alone";
}

TEST_F(Batches, WhatComesLaterStillJoinsTheGrantThatIsPostedBehind) {
  submit(1, other);
  submit(2, three);
  s.decide(at(0));
  submit(3, three, kNever, 0, at(1));
  EXPECT_EQ(s.decide(at(1)), "grant 0/3: job 3 from 0, with 0/2");
}

TEST_F(Batches, OneThatCameTooLateIsReadyAgain) {
  submit(1, other);
  submit(2, three);
  s.decide(at(0));
  submit(3, three, kNever, 0, at(1));
  s.decide(at(1));
  for (int b = 0; b < 5; ++b) ASSERT_TRUE(s.block(0, 1, b, at(10 * (b + 1))));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::done, at(50)));
  ASSERT_TRUE(s.block(0, 2, 0, at(60))) << "without it";
  ASSERT_TRUE(s.ended(0, 3, GrantEnd::stopped, at(60)));
  EXPECT_EQ(s.decide(at(60)), "grant 0/4: job 3 from 0; finish 1 completed (plan_finished); release 1");
}

TEST_F(Batches, TheyEndOneByOneAndAllPartWhereTheOneThatLeadsEnds) {
  submit(1, three);
  submit(2, three);
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 2 from 0, with 0/2; grant 0/2: job 1 from 0");
  block({1, 2}, 0, at(12));
  submit(3, other, kNever, 9, at(13));
  EXPECT_EQ(s.decide(at(13)), "grant 0/3: job 3 from 0; stop 0/2 (more_urgent_work)")
      << "one stop is enough for all";
  block({1, 2}, 1, at(24));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::stopped, at(24)));
  ASSERT_TRUE(s.ended(0, 2, GrantEnd::stopped, at(24)));
  EXPECT_EQ(s.decide(at(24)), "grant 0/4: job 2 from 2, with 0/5; grant 0/5: job 1 from 2")
      << "they stand at the same block again";
}

TEST_F(Batches, ACancelledOneIsStoppedAndTheOthersGoOn) {
  for (std::uint64_t id = 1; id <= 3; ++id) submit(id, three);
  s.decide(at(0));
  ASSERT_TRUE(s.core.cancel(JobId{2}, at(5)));
  EXPECT_EQ(s.decide(at(5)), "stop 0/1 (by_request); finish 2 cancelled (by_request)");
  block({1, 2, 3}, 0, at(14));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::stopped, at(14)));
  EXPECT_EQ(s.decide(at(14)), "release 2");
}

TEST_F(Batches, NobodyRidesWhereADeadlineWouldSuffer) {
  submit(1, three, at(33));  // alone it takes 30
  submit(2, three);
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 1 from 0; grant 0/2: job 2 from 0") << "36 with it";
  Script relaxed{Policy::fixed_priority};
  ASSERT_TRUE(relaxed.core.submit(Script::spec(1, three, at(36)), at(0)));
  ASSERT_TRUE(relaxed.core.submit(Script::spec(2, three, kNever), at(0)));
  EXPECT_EQ(relaxed.decide(at(0)), "grant 0/1: job 2 from 0, with 0/2; grant 0/2: job 1 from 0");
}

TEST_F(Batches, OneThatCannotRideForItsDeadlineIsNotPassedByOthersOfItsKind) {
  submit(1, three, kNever, 5);
  submit(2, three, at(35), 1);  // two at once take 36
  submit(3, three, kNever, 0);
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 1 from 0; grant 0/2: job 2 from 0");
}

TEST_F(Batches, NobodyOvertakesAJobThatHasADeadlineOrThePriority) {
  submit(1, three, kNever, 2);
  submit(2, other, at(1000), 1);  // would wait longer for what is less urgent
  submit(3, three, kNever, 0);
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 1 from 0; grant 0/2: job 2 from 0");
  Script same{Policy::fixed_priority};
  JobSpec foreign = Script::spec(2, other, kNever);
  foreign.model = ModelId{1};
  ASSERT_TRUE(same.core.submit(Script::spec(1, three, kNever), at(0)));
  ASSERT_TRUE(same.core.submit(foreign, at(0)));
  ASSERT_TRUE(same.core.submit(Script::spec(3, three, kNever), at(0)));
  EXPECT_EQ(same.decide(at(0)),
            "grant 0/1: job 3 from 0, with 0/2; grant 0/2: job 1 from 0; grant 0/3: job 2 from 0")
      << "of equals without deadlines the order may change";
}

// The one that leads has its answer then, the one that rides has not: it is more urgent than job 3, that is
// not.
TEST_F(Batches, ABatchGoesOnAsLongAsOneOfItsJobsIsMoreUrgentThanWhatWaits) {
  for (const bool rides : {true, false}) {
    Script exits{Policy::imprecise};
    const auto times = batching(3, {0.5, 0.7, 0.9});
    for (const std::uint64_t id : {1U, 2U}) {
      if (id == 2 && !rides) continue;
      JobSpec spec = Script::spec(id, times, kNever);
      spec.priority = id == 1 ? 2 : 1;
      spec.plan = id == 1 ? PlanMode::all : PlanMode::last;
      ASSERT_TRUE(exits.core.submit(spec, at(0)));
    }
    EXPECT_EQ(exits.decide(at(0)), rides ? "grant 0/1: job 2 from 0, with 0/2; grant 0/2: job 1 from 0"
                                         : "grant 0/1: job 1 from 0");
    JobSpec waits = Script::spec(3, other, kNever, at(1));
    waits.model = ModelId{1};
    ASSERT_TRUE(exits.core.submit(waits, at(1)));
    exits.can_withdraw = false;
    EXPECT_EQ(exits.decide(at(1)), rides ? "grant 0/3: job 3 from 0" : "grant 0/2: job 3 from 0; exits 0/1")
        << "alone it makes room with its first answer";
  }
}

TEST_F(Batches, ReservedWorkRunsAlone) {
  s.core.reserve(TaskId{1},
                 {.period = Duration{1000},
                  .deadline = Duration{1000},
                  .priority = 5,
                  .mandatory_exit = -1,
                  .budget = Duration{30},
                  .home = LaneId{0},
                  .patience = kForever},
                 at(0));
  JobSpec spec = Script::spec(1, three, kNever);
  spec.task = TaskId{1};
  ASSERT_TRUE(s.core.submit(spec, at(0)));
  submit(2, three);
  submit(3, three);
  EXPECT_EQ(s.decide(at(0)),
            "grant 0/1: job 1 from 0; grant 0/2: job 3 from 0, with 0/3; grant 0/3: job 2 from 0");
}

TEST_F(Batches, ALostLaneLosesThemAll) {
  submit(1, three);
  submit(2, three);
  s.decide(at(0));
  block({1, 2}, 0, at(12));
  s.core.lane_lost(LaneId{0}, LaneLoss::comes_back, at(13));
  s.core.lane_up(LaneId{0}, DeviceId{0}, at(20));
  EXPECT_EQ(s.decide(at(20)), "grant 0/3: job 2 from 0, with 0/4; grant 0/4: job 1 from 0");
}

TEST_F(Batches, TheCoreKnowsWhenABatchIsExpectedToEnd) {
  // The boundary of two is at 12, so one that has until 23 can still run 10 after it; of four, at 16, not.
  for (const int riders : {1, 3}) {
    Script two{Policy::edf, 1};
    for (std::uint64_t id = 1; id <= 1 + static_cast<std::uint64_t>(riders); ++id) {
      ASSERT_TRUE(two.core.submit(Script::spec(id, three, kNever), at(0)));
    }
    two.decide(at(0));
    ASSERT_TRUE(two.core.submit(Script::spec(9, model(1, 10, {0.9}), at(23), at(1)), at(1)));
    const std::string commands = two.decide(at(1));
    EXPECT_EQ(commands.find("finish 9") != std::string::npos, riders == 3) << commands;
  }
}

}  // namespace
}  // namespace einet
