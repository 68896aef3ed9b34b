// Lanes that have several blocks of a job in flight: what the core expects of them, and how long they cannot
// be stopped.
#include <gtest/gtest.h>

#include "script.h"

namespace einet {
namespace {

std::shared_ptr<const ModelTimes> in_flight(int blocks, int trunk_ns, int most,
                                            std::vector<double> accuracy = {}) {
  auto m = std::make_shared<ModelTimes>(*model(blocks, trunk_ns, std::move(accuracy)));
  m->in_flight = {most};
  return m;
}

// Two lanes with best-effort jobs, of blocks of 10 ns with `most` in flight, and of blocks of 20 ns one by
// one. Returns what a more urgent job does at 5 ns.
std::string urgent_beside(int most) {
  Script s(Policy::fixed_priority, 2);
  EXPECT_TRUE(s.core.submit(Script::spec(1, in_flight(6, 10, most), kNever), at(0)));
  EXPECT_TRUE(s.core.submit(Script::spec(2, model(6, 20), kNever), at(0)));
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 1 from 0; grant 1/1: job 2 from 0");
  JobSpec urgent = Script::spec(3, model(1, 10), kNever, at(5));
  urgent.priority = 5;
  EXPECT_TRUE(s.core.submit(urgent, at(5)));
  s.can_withdraw = false;
  return s.decide(at(5));
}

TEST(InFlight, AMoreUrgentJobGoesWhereWhatIsInFlightEndsFirst) {
  EXPECT_EQ(urgent_beside(3),
            "withdraw 1/1 (more_urgent_work); grant 1/2: job 3 from 0; stop 1/1 (more_urgent_work)")
      << "30 ns against 20";
}

TEST(InFlight, OneByOneTheBlockInProgressIsAllThatKeepsIt) {  // the negative control
  EXPECT_EQ(urgent_beside(1),
            "withdraw 0/1 (more_urgent_work); grant 0/2: job 3 from 0; stop 0/1 (more_urgent_work)");
}

TEST(InFlight, AJobGoesOnBehindWhatRanAfterTheStop) {
  Script s(Policy::fixed_priority);
  ASSERT_TRUE(s.core.submit(Script::spec(1, in_flight(6, 10, 3), kNever), at(0)));
  s.decide(at(0));
  ASSERT_TRUE(s.block(0, 1, 0, at(10)));
  JobSpec urgent = Script::spec(2, model(1, 10), kNever, at(15));
  urgent.priority = 5;
  ASSERT_TRUE(s.core.submit(urgent, at(15)));
  EXPECT_EQ(s.decide(at(15)), "grant 0/2: job 2 from 0; stop 0/1 (more_urgent_work)");
  for (int b = 1; b <= 3; ++b) ASSERT_TRUE(s.block(0, 1, b, at(10 * (b + 1)))) << "in flight at 10 ns";
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::stopped, at(40)));
  EXPECT_EQ(s.decide(at(40)), "grant 0/3: job 1 from 4");
}

// By 10 ns the lane has enqueued block 2 without its exit, and block 3 with it.
TEST(InFlight, WhatIsEnqueuedIsNotPlannedAnew) {
  Script s(Policy::fixed_priority);
  JobSpec job = Script::spec(1, in_flight(4, 10, 3, {0.2, 0.4, 0.6, 0.9}), at(60));
  job.plan = PlanMode::all;
  job.exits = 0b1001;
  ASSERT_TRUE(s.core.submit(job, at(0)));
  s.decide(at(0));
  EXPECT_EQ(s.exits, 0b1001u);
  ASSERT_TRUE(s.block(0, 1, 0, at(10), ExitAnswer{.exit = 0, .confidence = 0.5F}));
  s.decide(at(10));
  EXPECT_EQ(s.core.job(JobId{1})->plan, 0b1000u);
  ASSERT_TRUE(s.block(0, 1, 1, at(45)));
  s.decide(at(45));
  EXPECT_EQ(s.core.job(JobId{1})->plan, 0u)
      << "exit 3 would be late, and those of blocks 2 and 3 are decided";
}

TEST(InFlight, WhatFollowsIsPlannedBehindTheAnswerThatIsOnItsWay) {
  Script s(Policy::fixed_priority);
  auto times = std::make_shared<ModelTimes>(*in_flight(5, 10, 2, {0.3, 0.8, 0.79, 0.75, 0.9}));
  for (BlockTime& block : times->on_device[0]) block.worst_trunk = Duration{40};  // it may be stopped early
  ASSERT_TRUE(s.core.submit(Script::spec(1, times, at(60)), at(0)));
  s.decide(at(0));
  EXPECT_EQ(s.exits, 0b10011u);
  ASSERT_TRUE(s.block(0, 1, 0, at(10), ExitAnswer{.exit = 0, .confidence = 0.5F}));
  s.decide(at(10));
  EXPECT_EQ(s.core.job(JobId{1})->plan, 0b10010u) << "exit 3 beats exit 0, but not exit 1";
  EXPECT_EQ(s.core.job(JobId{1})->best.exit, 0);
}

TEST(InFlight, AdmissionCountsTheLongestStretch) {
  ModelTimes times = *model(4, 0);
  const int worst[] = {10, 30, 20, 5};
  for (int b = 0; b < 4; ++b)
    times.on_device[0][static_cast<std::size_t>(b)].worst_trunk = Duration{worst[b]};
  EXPECT_EQ(times.longest_stretch(DeviceId{0}), Duration{30});
  times.in_flight = {2};
  EXPECT_EQ(times.longest_stretch(DeviceId{0}), Duration{50});
  times.in_flight = {4};
  EXPECT_EQ(times.longest_stretch(DeviceId{0}), Duration{65});
  times.batch = {{1, 2}};
  EXPECT_EQ(times.longest_stretch(DeviceId{0}), Duration{130});
  EXPECT_EQ(times.longest_stretch(DeviceId{1}), Duration{}) << "it does not run there";
}

}  // namespace
}  // namespace einet
