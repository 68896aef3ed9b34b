// Jobs with exits: which exits are planned, when a plan changes, and how such jobs end.
#include <gtest/gtest.h>

#include "scheduler/exit_planner.h"
#include "script.h"

namespace einet {
namespace {

const std::vector<double> kRising = {0.5, 0.7, 0.9};

ExitAnswer answer(int exit, float confidence = 0.5F) {
  return {.exit = exit, .top_class = 3, .confidence = confidence};
}

JobRecord record(std::shared_ptr<const ModelTimes> times, TimePoint deadline) {
  JobRecord job;
  job.spec = Script::spec(1, std::move(times), deadline);
  job.outlook = Outlook(*job.spec.times);
  return job;
}

TEST(ExitPlanner, RunsToTheMostAccurateExitWhenThereIsNoDeadline) {
  ExitPlanner planner;
  EXPECT_EQ(planner.plan(record(model(3, 10, kRising, 1), kNever), DeviceId{0}, at(0), at(0), {}), 0b100u);
  EXPECT_EQ(planner.plan(record(model(3, 10, {0.5, 0.8, 0.8}, 1), kNever), DeviceId{0}, at(0), at(0), {}),
            0b010u);
}

TEST(ExitPlanner, RunsToTheDeepestExitThatIsSureToBeInTime) {
  ExitPlanner planner;
  const auto deepest_before = [&](int deadline) {
    return deepest(
        planner.plan(record(model(3, 10, kRising, 1), at(deadline)), DeviceId{0}, at(0), at(0), {}));
  };
  EXPECT_EQ(deepest_before(31), 2);
  EXPECT_EQ(deepest_before(30), 1);
  EXPECT_EQ(deepest_before(11), 0);
  EXPECT_EQ(deepest_before(10), -1);
}

TEST(ExitPlanner, TakesAnEarlyAnswerWhenMoreUrgentWorkMayTakeTheLane) {
  ExitPlanner planner;
  EXPECT_EQ(
      planner.plan(record(model(3, 10, kRising, 1), at(40)), DeviceId{0}, at(0), at(0), Duration{40}) & 1,
      1u);
}

TEST(ExitPlanner, TrustsLateExitsLessWhenWorstTimesAreLong) {
  auto times = std::make_shared<ModelTimes>(*model(3, 10, kRising, 1));
  ExitPlanner planner;
  EXPECT_EQ(planner.plan(record(times, at(31)), DeviceId{0}, at(0), at(0), {}), 0b100u);
  for (BlockTime& time : times->on_device[0]) time.worst_trunk = Duration{30};
  EXPECT_EQ(planner.plan(record(times, at(31)), DeviceId{0}, at(0), at(0), {}), 0b011u);
}

TEST(ExitPlanner, ReachesTheMandatoryExitIfItCan) {
  ExitPlanner planner;
  // The first exit is worth the most, but an answer of the last one is demanded.
  JobRecord job = record(model(3, 10, {0.9, 0.7, 0.8}, 1), at(32));
  job.spec.mandatory_exit = 2;
  EXPECT_EQ(planner.plan(job, DeviceId{0}, at(0), at(0), {}), 0b101u);
  job.spec.deadline = at(31);
  EXPECT_EQ(planner.plan(job, DeviceId{0}, at(0), at(0), {}), 0b100u);
  job.spec.deadline = at(30);
  EXPECT_EQ(planner.plan(job, DeviceId{0}, at(0), at(0), {}), 0b001u)
      << "out of reach: the best that can be had";
  job.spec.deadline = kNever;
  EXPECT_EQ(planner.plan(job, DeviceId{0}, at(0), at(0), {}), 0b101u);
}

TEST(ExitPlanner, ExplainsWhatAPlanRestsOn) {
  ExitPlanner planner;
  JobRecord job = record(model(3, 10, kRising, 1), at(60));
  job.plan = planner.plan(job, DeviceId{0}, at(10), at(10), Duration{40});
  const PlanBasis basis = planner.explain(job, DeviceId{0}, at(10), Duration{40});
  EXPECT_EQ(basis.to_deadline, Duration{50});
  EXPECT_EQ(basis.ahead, Duration{40});
  EXPECT_EQ(basis.lives, 0);
  EXPECT_EQ(basis.held, 0);
  ASSERT_EQ(basis.exits.size(), 3u);
  double expected = 0;
  double held = 0;
  ExitMask planned = 0;
  for (const PlanBasis::Exit& exit : basis.exits) {
    EXPECT_FLOAT_EQ(static_cast<float>(exit.accuracy),
                    static_cast<float>(kRising[static_cast<std::size_t>(exit.exit)]));
    // 1 until 10, falling to 0 at 50.
    EXPECT_NEAR(exit.alive, (50 - static_cast<double>(exit.ready.count())) / 40, 1e-9);
    if (!exit.planned) continue;
    planned |= exit_bit(exit.exit);
    expected += (exit.accuracy - held) * exit.alive;
    held = exit.accuracy;
  }
  EXPECT_EQ(planned, job.plan);
  EXPECT_NE(planned, 0u);
  EXPECT_NEAR(basis.expected, expected, 1e-9);
  EXPECT_TRUE(planner.explain(job, DeviceId{0}, at(60), {}).exits.empty()) << "too late for any";
}

TEST(ExitPlanner, ExpectsNoMandatoryTimeOfAJobWhoseBlocksAreDone) {
  JobRecord job = record(model(3, 10, kRising, 1), at(100));
  EXPECT_EQ(mandatory_time(job, DeviceId{0}), Duration{11});
  job.next_block = 3;  // without an answer: its last exit was given up
  EXPECT_EQ(mandatory_time(job, DeviceId{0}), Duration{0});
}

// The lane is busy until 20 as far as is known, and perhaps free before.
TEST(ExitPlanner, KeepsTheMandatoryExitOfReservedWorkWhileItMayStillBeInTime) {
  ExitPlanner planner;
  JobRecord job = record(model(3, 10, kRising, 1), at(35));
  job.spec.mandatory_exit = 1;
  EXPECT_EQ(planner.plan(job, DeviceId{0}, at(0), at(20), {}), 0b001u) << "not reserved";
  const Reservation reservation;
  job.reservation = &reservation;
  EXPECT_EQ(planner.plan(job, DeviceId{0}, at(0), at(20), {}), 0b010u);
  EXPECT_EQ(planner.plan(job, DeviceId{0}, at(20), at(20), {}), 0b001u) << "out of reach";
}

TEST(ExitPlanner, CutsTheBaselinesAtTheDeadline) {
  ExitPlanner planner;
  JobRecord job = record(model(3, 10, kRising, 1), at(22));
  job.spec.plan = PlanMode::all;
  EXPECT_EQ(planner.plan(job, DeviceId{0}, at(0), at(0), {}), 0b011u);
  job.spec.plan = PlanMode::last;
  EXPECT_EQ(planner.plan(job, DeviceId{0}, at(0), at(0), {}), 0u);
}

TEST(ExitPlanner, ExecutesTheExitsOfAStaticPlanOnly) {
  ExitPlanner planner;
  JobRecord job = record(model(4, 10, {0.5, 0.6, 0.7, 0.8}, 1), at(100));
  job.spec.plan = PlanMode::all;
  job.spec.exits = 0b0110;
  EXPECT_EQ(planner.plan(job, DeviceId{0}, at(0), at(0), {}), 0b0110u);
  EXPECT_EQ(planner.plan(job, DeviceId{0}, at(0), at(75), {}), 0b0010u) << "the later one would be late";
  EXPECT_EQ(planner.plan(job, DeviceId{0}, at(0), at(85), {}), 0u);
  job.next_block = 2;
  job.best.exit = 1;
  EXPECT_EQ(planner.plan(job, DeviceId{0}, at(0), at(22), {}), 0b0100u);
}

TEST(ExitPlanner, TheFirstExitOfAStaticPlanThatSufficesEndsTheMandatoryPart) {
  JobRecord job = record(model(4, 10, {0.5, 0.6, 0.7, 0.8}, 1), at(100));
  job.spec.plan = PlanMode::all;
  EXPECT_EQ(job.mandatory_exit(), 0);
  job.spec.exits = 0b1010;
  EXPECT_EQ(job.mandatory_exit(), 1);
  EXPECT_EQ(mandatory_time(job, DeviceId{0}), Duration{21});
  job.spec.mandatory_exit = 2;
  EXPECT_EQ(job.mandatory_exit(), 3);
}

TEST(ExitPlanner, DoesNotRepeatExitsWhoseAnswerIsHeld) {
  ExitPlanner planner;
  JobRecord job = record(model(3, 10, {0.9, 0.5, 0.6}, 1), at(100));
  job.best.exit = 1;  // from before its lane was lost
  EXPECT_EQ(planner.plan(job, DeviceId{0}, at(0), at(0), {}), 0b100u);
  job.spec.plan = PlanMode::all;
  EXPECT_EQ(planner.plan(job, DeviceId{0}, at(0), at(0), {}), 0b100u);
}

TEST(CoreWithExits, CompletesWithTheLastExit) {
  Script s(Policy::edf);
  JobSpec spec = s.spec(1, model(3, 10, kRising), at(100));
  spec.plan = PlanMode::last;
  ASSERT_TRUE(s.core.submit(spec, at(0)));
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 1 from 0");
  EXPECT_EQ(s.exits, 0b100u);
  ASSERT_TRUE(s.block(0, 1, 0, at(10)));
  ASSERT_TRUE(s.block(0, 1, 1, at(20)));
  ASSERT_TRUE(s.block(0, 1, 2, at(30), answer(2)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::done, at(30)));
  EXPECT_EQ(s.decide(at(30)), "finish 1 completed (plan_finished); release 1");
}

TEST(CoreWithExits, ReplansWhenTheLaneFallsBehind) {
  Script s(Policy::edf);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(3, 10, kRising, 1), at(31)), at(0)));
  s.decide(at(0));
  EXPECT_EQ(s.exits, 0b100u);
  ASSERT_TRUE(s.block(0, 1, 0, at(15)));
  EXPECT_EQ(s.decide(at(15)), "exits 0/1");
  EXPECT_EQ(s.exits, 0b010u);
  ASSERT_TRUE(s.block(0, 1, 1, at(26), answer(1)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::done, at(26)));
  EXPECT_EQ(s.decide(at(26)), "finish 1 deadline (cannot_deliver); release 1");
}

TEST(CoreWithExits, WaitsForTheRestOfALateBatchBeforeItGivesUp) {
  Script s(Policy::edf);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(3, 10, kRising, 1), at(31)), at(0)));
  s.decide(at(0));
  EXPECT_EQ(s.exits, 0b100u);
  // Read at once: block 1 was so slow that the last exit looked lost, but it was quick.
  const auto report = [&](int block, int end, std::optional<ExitAnswer> a) {
    return s.core.block_done({s.lane(0), GrantNumber{1}, block, at(end), at(end), a}, at(31));
  };
  ASSERT_TRUE(report(0, 10, {}));
  ASSERT_TRUE(report(1, 25, {}));
  ASSERT_TRUE(report(2, 30, answer(2)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::done, at(31)));
  EXPECT_EQ(s.decide(at(31)), "finish 1 completed (plan_finished); release 1");
}

TEST(CoreWithExits, GoesOnAfterItsLastPlannedExitIfTimeWasSaved) {
  Script s(Policy::edf);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(3, 10, kRising), at(29)), at(0)));
  s.decide(at(0));
  EXPECT_EQ(deepest(s.exits), 1);
  ASSERT_TRUE(s.block(0, 1, 0, at(8), answer(0)));
  ASSERT_TRUE(s.block(0, 1, 1, at(16), answer(1)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::done, at(16)));
  EXPECT_EQ(s.decide(at(16)), "grant 0/2: job 1 from 2");
}

TEST(CoreWithExits, EndsAJobThatCanDeliverNothingMore) {
  Script s(Policy::edf);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(3, 10, kRising), at(9)), at(0)));
  EXPECT_EQ(s.decide(at(0)), "finish 1 missed (cannot_deliver); release 1") << "nothing is started in vain";

  JobSpec all = s.spec(2, model(4, 10, {0.5, 0.6, 0.7, 0.8}), at(35));
  all.plan = PlanMode::all;
  ASSERT_TRUE(s.core.submit(all, at(0)));
  s.decide(at(0));
  ASSERT_TRUE(s.block(0, 1, 0, at(26), answer(0)));
  EXPECT_EQ(s.decide(at(26)), "stop 0/1 (cannot_deliver); finish 2 deadline (cannot_deliver)")
      << "the outcome does not wait for the block";
  ASSERT_TRUE(s.block(0, 1, 1, at(36), answer(1)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::stopped, at(36)));
  EXPECT_EQ(s.decide(at(36)), "release 2");
}

TEST(CoreWithExits, EndsAtTheTargetConfidence) {
  Script s(Policy::edf);
  JobSpec spec = s.spec(1, model(3, 10, kRising), kNever);
  spec.plan = PlanMode::all;
  spec.target_confidence = 0.8;
  ASSERT_TRUE(s.core.submit(spec, at(0)));
  s.decide(at(0));
  ASSERT_TRUE(s.block(0, 1, 0, at(10), answer(0, 0.7F)));
  EXPECT_EQ(s.decide(at(10)), "");
  ASSERT_TRUE(s.block(0, 1, 1, at(20), answer(1, 0.9F)));
  ASSERT_TRUE(s.core.submit(s.spec(2, model(3, 10), at(1000)), at(20)));
  // Only the last exit is left; the lane ends there by itself.
  EXPECT_EQ(s.decide(at(20)), "grant 0/2: job 2 from 0; finish 1 completed (target_reached)");
  EXPECT_EQ(s.core.job(JobId{1})->best.exit, 1);
}

TEST(CoreWithExits, MissesWithoutItsMandatoryAnswer) {
  Script s(Policy::edf);
  for (const int mandatory : {0, 1}) {
    const auto id = static_cast<std::uint64_t>(mandatory) + 1;
    const int start = 100 * mandatory;
    JobSpec spec = s.spec(id, model(3, 10, kRising), at(start + 15), at(start));
    spec.mandatory_exit = mandatory;
    spec.plan = PlanMode::all;
    ASSERT_TRUE(s.core.submit(spec, at(start)));
    s.decide(at(start));
    ASSERT_TRUE(s.block(0, id, 0, at(start + 10), answer(0)));
    ASSERT_TRUE(s.ended(0, id, GrantEnd::done, at(start + 10)));
    EXPECT_EQ(s.decide(at(start + 10)), "finish " + std::to_string(id) +
                                            (mandatory == 0 ? " deadline" : " missed") +
                                            " (cannot_deliver); release " + std::to_string(id));
  }
}

TEST(CoreWithExits, IgnoresAnAnswerThatComesAfterTheDeadline) {
  Script s(Policy::edf);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(1, 10, {0.9}), at(12)), at(0)));
  s.decide(at(0));
  const BlockReport late{s.lane(0), GrantNumber{1}, 0, at(0), at(13), answer(0)};
  ASSERT_TRUE(s.core.block_done(late, at(13)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::done, at(13)));
  EXPECT_EQ(s.decide(at(13)), "finish 1 missed (deadline_passed); release 1");
}

TEST(CoreWithExits, KeepsItsDeepestAnswerWhenItStartsAnewAfterALostLane) {
  Script s(Policy::edf);
  JobSpec spec = s.spec(1, model(3, 10, kRising), kNever);
  spec.plan = PlanMode::all;
  ASSERT_TRUE(s.core.submit(spec, at(0)));
  s.decide(at(0));
  ASSERT_TRUE(s.block(0, 1, 0, at(10), answer(0)));
  ASSERT_TRUE(s.block(0, 1, 1, at(20), answer(1)));
  s.core.lane_lost(s.lane(0), LaneLoss::comes_back, at(21));
  s.core.lane_up(s.lane(0), DeviceId{0}, at(22));
  EXPECT_EQ(s.decide(at(22)), "grant 0/2: job 1 from 0");
  EXPECT_EQ(s.exits, 0b100u);
  ASSERT_TRUE(s.block(0, 2, 0, at(32), answer(0))) << "nobody asked for it";
  EXPECT_EQ(s.core.job(JobId{1})->best.exit, 1);
}

TEST(CoreWithExits, PlansAgainWhenAJobResumes) {
  Script s(Policy::edf);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(4, 10, {0.5, 0.6, 0.7, 0.8}), at(45)), at(0)));
  s.decide(at(0));
  EXPECT_EQ(deepest(s.exits), 3);
  ASSERT_TRUE(s.block(0, 1, 0, at(10), answer(0)));
  ASSERT_TRUE(s.core.submit(s.spec(2, model(1, 10), at(30)), at(10)));
  EXPECT_EQ(s.decide(at(10)), "grant 0/2: job 2 from 0; stop 0/1 (more_urgent_work)");
  ASSERT_TRUE(s.block(0, 1, 1, at(20), answer(1)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::stopped, at(20)));
  EXPECT_EQ(s.decide(at(20)), "grant 0/3: job 1 from 2");
  EXPECT_EQ(deepest(s.exits), 2) << "job 2 takes the time of the last block";
}

}  // namespace
}  // namespace einet
