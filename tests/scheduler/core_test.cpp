// Single decisions, step by step: which commands come out, and in which order.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "script.h"

namespace einet {
namespace {

using testing::HasSubstr;

TEST(Core, PostsAnUrgentJobBeforeItStopsTheRunningOne) {
  Script s(Policy::edf);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(3, 10), at(1000)), at(0)));
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 1 from 0");
  ASSERT_TRUE(s.block(0, 1, 0, at(10)));
  EXPECT_EQ(s.decide(at(10)), "");
  ASSERT_TRUE(s.core.submit(s.spec(2, model(1, 10), at(500)), at(12)));
  EXPECT_EQ(s.decide(at(12)), "grant 0/2: job 2 from 0; stop 0/1 (more_urgent_work)");
  EXPECT_EQ(s.decide(at(12)), "") << "deciding again changes nothing";

  // The lane goes straight on; its victim follows the urgent job without another stop.
  ASSERT_TRUE(s.block(0, 1, 1, at(20)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::stopped, at(20)));
  EXPECT_EQ(s.preemptions, (std::vector<std::pair<std::uint64_t, std::uint64_t>>{{1, 2}}));
  EXPECT_EQ(s.decide(at(20)), "grant 0/3: job 1 from 2");
  ASSERT_TRUE(s.block(0, 2, 0, at(30)));
  ASSERT_TRUE(s.ended(0, 2, GrantEnd::done, at(30)));
  EXPECT_EQ(s.decide(at(30)), "finish 2 completed (plan_finished); release 2");
  ASSERT_TRUE(s.block(0, 3, 2, at(40)));
  ASSERT_TRUE(s.ended(0, 3, GrantEnd::done, at(40)));
  EXPECT_EQ(s.decide(at(40)), "finish 1 completed (plan_finished); release 1");
  EXPECT_EQ(s.core.job_count(), 0u);
}

TEST(Core, WithdrawsFromAnIdleLaneThatHasNotBegunYet) {
  Script s(Policy::edf);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(1, 10), at(1000)), at(0)));
  s.decide(at(0));
  ASSERT_TRUE(s.core.submit(s.spec(2, model(1, 10), at(500)), at(1)));
  // Job 1 would end at the boundary anyway: job 2 follows it.
  EXPECT_EQ(s.decide(at(1)), "grant 0/2: job 2 from 0");
  ASSERT_TRUE(s.core.cancel(JobId{1}, at(2)));
  EXPECT_EQ(s.decide(at(2)), "withdraw 0/1 (by_request); finish 1 cancelled (by_request); release 1");
}

TEST(Core, StopsAGrantThatWasWithdrawnTooLate) {
  Script s(Policy::edf);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(3, 10), at(1000)), at(0)));
  s.decide(at(0));
  s.can_withdraw = false;
  ASSERT_TRUE(s.core.cancel(JobId{1}, at(2)));
  EXPECT_EQ(s.decide(at(2)),
            "withdraw 0/1 (by_request); stop 0/1 (by_request); finish 1 cancelled (by_request)");
  EXPECT_FALSE(s.core.cancel(JobId{1}, at(3)));
  ASSERT_TRUE(s.block(0, 1, 0, at(10)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::stopped, at(10)));
  EXPECT_EQ(s.decide(at(10)), "release 1");
}

TEST(Core, WaitsForReportsOfALaneThatWentOnUnseen) {
  Script s(Policy::edf);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(1, 10), at(1000)), at(0)));
  ASSERT_TRUE(s.core.submit(s.spec(2, model(2, 10), at(2000)), at(0)));
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 1 from 0; grant 0/2: job 2 from 0");
  // Job 3 should have followed job 1, but the lane has begun job 2: no third grant until it reports.
  s.can_withdraw = false;
  ASSERT_TRUE(s.core.submit(s.spec(3, model(1, 10), at(500)), at(11)));
  EXPECT_EQ(s.decide(at(11)), "withdraw 0/2 (more_urgent_work)");
  EXPECT_EQ(s.core.job(JobId{2})->state, JobState::running);
  ASSERT_TRUE(s.core.block_done({s.lane(0), GrantNumber{1}, 0, at(0), at(10), {}}, at(12)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::done, at(12)));
  EXPECT_EQ(
      s.decide(at(12)),
      "grant 0/3: job 3 from 0; stop 0/2 (more_urgent_work); finish 1 completed (plan_finished); release 1");
}

TEST(Core, GivesTheUrgentJobToTheLaneThatGetsFreeFirst) {
  Script s(Policy::edf, 2);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(3, 50), at(1000)), at(0)));
  ASSERT_TRUE(s.core.submit(s.spec(2, model(3, 20), at(2000)), at(0)));
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 1 from 0; grant 1/1: job 2 from 0");
  s.can_withdraw = false;
  ASSERT_TRUE(s.core.submit(s.spec(3, model(1, 10), at(500)), at(5)));
  EXPECT_EQ(s.decide(at(5)),
            "withdraw 1/1 (more_urgent_work); grant 1/2: job 3 from 0; stop 1/1 (more_urgent_work)");
  // A lane that is free now is better still.
  s.can_withdraw = true;
  s.core.lane_up(s.lane(2), DeviceId{0}, at(6));
  EXPECT_EQ(s.decide(at(6)), "withdraw 1/2 (better_lane); grant 2/1: job 3 from 0");
  // Lane 1 stops for nothing; its job goes on there at once.
  ASSERT_TRUE(s.block(1, 1, 0, at(20)));
  ASSERT_TRUE(s.ended(1, 1, GrantEnd::stopped, at(20)));
  EXPECT_EQ(s.decide(at(20)), "grant 1/3: job 2 from 1");
  EXPECT_TRUE(s.preemptions.empty());
}

TEST(Core, NeverPreemptsUnderFifo) {
  Script s(Policy::fifo);
  JobSpec first = s.spec(1, model(3, 10), at(1000), at(5));
  ASSERT_TRUE(s.core.submit(first, at(5)));
  s.decide(at(5));
  JobSpec earlier = s.spec(2, model(1, 10), at(100), at(3));
  ASSERT_TRUE(s.core.submit(earlier, at(6)));
  EXPECT_EQ(s.decide(at(6)), "grant 0/2: job 2 from 0") << "posted behind, with no stop";
}

TEST(Core, PostsWhatFollowsAJobThatGoesOnAndTakesItBackForMoreUrgentWork) {
  Script s(Policy::edf);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(3, 10), at(500)), at(0)));
  ASSERT_TRUE(s.core.submit(s.spec(2, model(3, 10), at(900)), at(0)));
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 1 from 0; grant 0/2: job 2 from 0");
  ASSERT_TRUE(s.core.submit(s.spec(3, model(3, 10), at(700)), at(1)));
  EXPECT_EQ(s.decide(at(1)), "withdraw 0/2 (more_urgent_work); grant 0/3: job 3 from 0");
  ASSERT_TRUE(s.block(0, 1, 0, at(10)));
  ASSERT_TRUE(s.core.submit(s.spec(4, model(3, 10), at(300)), at(11)));
  EXPECT_EQ(s.decide(at(11)),
            "withdraw 0/3 (more_urgent_work); grant 0/4: job 4 from 0; stop 0/1 (more_urgent_work)");
}

TEST(Core, TakesBackAJobThatItsLaneGaveUpWhileItWasWithdrawn) {
  Script s(Policy::edf);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(1, 10), at(500)), at(0)));
  ASSERT_TRUE(s.core.submit(s.spec(2, model(3, 10), at(900)), at(0)));
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 1 from 0; grant 0/2: job 2 from 0");
  ASSERT_TRUE(s.core.submit(s.spec(3, model(3, 10), at(300)), at(10)));
  s.can_withdraw = false;
  const std::string tried = s.decide(at(10));
  EXPECT_NE(tried.find("withdraw 0/2"), std::string::npos) << tried;
  s.can_withdraw = true;
  ASSERT_TRUE(s.block(0, 1, 0, at(10)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::done, at(10)));
  ASSERT_TRUE(s.ended(0, 2, GrantEnd::stopped, at(11)));
  EXPECT_FALSE(s.ended(0, 2, GrantEnd::stopped, at(11))) << "only once";
  EXPECT_EQ(
      s.decide(at(11)),
      "grant 0/3: job 3 from 0; grant 0/4: job 2 from 0; finish 1 completed (plan_finished); release 1");
  EXPECT_TRUE(s.preemptions.empty());
  EXPECT_FALSE(s.ended(0, 3, GrantEnd::stopped, at(12))) << "nobody withdrew this one, nor told it to stop";
}

// The stop cannot be taken back: what was posted behind would overtake the job that stops for nothing.
TEST(Core, PostsNothingBehindAJobThatStopsForWorkThatHasGone) {
  Script s(Policy::edf);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(3, 10), at(500)), at(0)));
  ASSERT_TRUE(s.core.submit(s.spec(2, model(3, 10), at(900)), at(0)));
  s.decide(at(0));
  ASSERT_TRUE(s.block(0, 1, 0, at(10)));
  ASSERT_TRUE(s.core.submit(s.spec(3, model(3, 10), at(300)), at(11)));
  s.decide(at(11));
  ASSERT_TRUE(s.core.cancel(JobId{3}, at(12)));
  EXPECT_EQ(s.decide(at(12)), "withdraw 0/3 (by_request); finish 3 cancelled (by_request); release 3");
  ASSERT_TRUE(s.block(0, 1, 1, at(20)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::stopped, at(20)));
  EXPECT_EQ(s.decide(at(20)), "grant 0/4: job 1 from 2; grant 0/5: job 2 from 0");
}

TEST(Core, OrdersByPriorityThenDeadlineUnderFixedPriority) {
  Script s(Policy::fixed_priority);
  for (std::uint64_t id = 1; id <= 3; ++id) {
    JobSpec spec = s.spec(id, model(1, 10), at(1000 - static_cast<int>(id)));
    spec.priority = id == 1 ? -5 : 7;
    ASSERT_TRUE(s.core.submit(spec, at(0)));
  }
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 3 from 0; grant 0/2: job 2 from 0");
}

TEST(Core, CountsABlockThatEndsExactlyAtTheDeadline) {
  Script s(Policy::edf);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(1, 10), at(10)), at(0)));
  s.decide(at(0));
  EXPECT_EQ(s.core.next_wakeup(), at(10));
  s.core.advance(at(10));
  s.can_withdraw = false;
  EXPECT_EQ(s.decide(at(10)), "withdraw 0/1 (deadline_passed)") << "its only block needs no stop";
  EXPECT_EQ(s.core.next_wakeup(), at(11));
  ASSERT_TRUE(s.block(0, 1, 0, at(10)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::done, at(10)));
  EXPECT_EQ(s.decide(at(10)), "finish 1 completed (plan_finished); release 1");
  EXPECT_EQ(s.core.next_wakeup(), kNever);
}

TEST(Core, AnnouncesTheOutcomeAtTheDeadlineAndFreesTheJobWhenTheLaneLetsGo) {
  Script s(Policy::edf);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(3, 10), at(15)), at(0)));
  s.decide(at(0));
  ASSERT_TRUE(s.block(0, 1, 0, at(10)));
  EXPECT_EQ(s.decide(at(10)), "");
  EXPECT_EQ(s.decide(at(15)), "stop 0/1 (deadline_passed)");
  EXPECT_EQ(s.decide(at(16)), "finish 1 missed (deadline_passed)");
  EXPECT_EQ(s.core.job(JobId{1})->state, JobState::ended);
  ASSERT_TRUE(s.block(0, 1, 1, at(20)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::stopped, at(20)));
  EXPECT_EQ(s.decide(at(20)), "release 1");
  EXPECT_FALSE(s.core.job(JobId{1}).has_value());
}

TEST(Core, StopsNoJobForAnotherWhenItsDeadlineDoesSoAnyway) {
  Script s(Policy::fixed_priority);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(3, 10), at(15)), at(0)));
  s.decide(at(0));
  ASSERT_TRUE(s.block(0, 1, 0, at(10)));
  JobSpec urgent = s.spec(2, model(1, 10), at(1000));
  urgent.priority = 1;
  ASSERT_TRUE(s.core.submit(urgent, at(11)));
  EXPECT_EQ(s.decide(at(11)), "grant 0/2: job 2 from 0");
  EXPECT_EQ(s.decide(at(15)), "stop 0/1 (deadline_passed)");
}

TEST(Core, CountsAnAnswerByWhenItsBlockEndedNotByWhenItIsRead) {
  Script s(Policy::edf);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(2, 10), at(20)), at(0)));
  s.decide(at(0));
  const auto report = [&](int block, int start, int end) {
    return BlockReport{s.lane(0), GrantNumber{1}, block, at(start), at(end), {}};
  };
  ASSERT_TRUE(s.core.block_done(report(0, 0, 10), at(25)));
  ASSERT_TRUE(s.core.block_done(report(1, 10, 20), at(25)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::done, at(25)));
  EXPECT_EQ(s.decide(at(25)), "finish 1 completed (plan_finished); release 1");
}

TEST(Core, LetsAReadyJobLeaveAtItsDeadline) {
  Script s(Policy::fifo);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(3, 10), at(1000)), at(0)));
  ASSERT_TRUE(s.core.submit(s.spec(2, model(3, 10), at(8)), at(0)));
  s.decide(at(0));
  EXPECT_EQ(s.decide(at(8)), "finish 2 missed (deadline_passed); release 2");
}

TEST(Core, RunsEveryBlockOfAJobThatKeepsOn) {
  Script s(Policy::edf);
  JobSpec spec = s.spec(1, model(2, 10), at(5));
  spec.on_miss = OnMiss::keep_on;
  ASSERT_TRUE(s.core.submit(spec, at(0)));
  s.decide(at(0));
  EXPECT_EQ(s.core.next_wakeup(), kNever);
  ASSERT_TRUE(s.block(0, 1, 0, at(10)));
  ASSERT_TRUE(s.block(0, 1, 1, at(20)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::done, at(20)));
  EXPECT_EQ(s.decide(at(20)), "finish 1 missed (deadline_passed); release 1");
}

TEST(Core, HoldsAJobBackUntilItsRelease) {
  Script s(Policy::edf);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(1, 10), at(100), at(50)), at(0)));
  EXPECT_EQ(s.decide(at(0)), "");
  EXPECT_EQ(s.core.next_wakeup(), at(50));
  EXPECT_EQ(s.decide(at(50)), "grant 0/1: job 1 from 0");
}

TEST(Core, RejectsWithAReason) {
  Script s(Policy::edf, 1, 1);
  EXPECT_EQ(s.core.submit(s.spec(1, model(1, 10), at(50)), at(50)).error(), Reason::deadline_in_past);
  EXPECT_EQ(s.core.submit(s.spec(1, model(1, 10), at(60), at(60)), at(50)).error(),
            Reason::deadline_before_release);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(1, 10), at(100)), at(50)));
  EXPECT_EQ(s.core.submit(s.spec(2, model(1, 10), at(100)), at(50)).error(), Reason::queue_full);
  ASSERT_TRUE(s.core.cancel(JobId{1}, at(51)));
  s.decide(at(51));
  EXPECT_TRUE(s.core.submit(s.spec(2, model(1, 10), at(100)), at(52)));
}

TEST(Core, RunsTheJobsOfALostLaneAgainFromTheirFirstBlock) {
  Script s(Policy::edf, 2);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(3, 10), at(1000)), at(0)));
  ASSERT_TRUE(s.core.submit(s.spec(2, model(3, 10), at(2000)), at(0)));
  s.decide(at(0));
  ASSERT_TRUE(s.block(0, 1, 0, at(10)));
  s.core.lane_lost(s.lane(0), LaneLoss::comes_back, at(15));
  EXPECT_FALSE(s.block(0, 1, 1, at(16))) << "a lost lane reports nothing";
  s.can_withdraw = false;
  EXPECT_EQ(s.decide(at(16)),
            "withdraw 1/1 (more_urgent_work); grant 1/2: job 1 from 0; stop 1/1 (more_urgent_work)");
  s.core.lane_up(s.lane(0), DeviceId{0}, at(17));
  s.can_withdraw = true;
  EXPECT_EQ(s.decide(at(17)), "withdraw 1/2 (better_lane); grant 0/2: job 1 from 0");
  // The second loss under the same job: perhaps it is the culprit.
  s.core.lane_lost(s.lane(0), LaneLoss::comes_back, at(18));
  EXPECT_EQ(s.decide(at(18)), "finish 1 failed (lane_lost); release 1");
}

TEST(Core, WaitsForALaneThatComesBackAndFailsWhatNoLaneCanRun) {
  Script s(Policy::edf);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(3, 10), at(1000)), at(0)));
  ASSERT_TRUE(s.core.submit(s.spec(2, model(3, 10), at(2000), at(100)), at(0)));
  s.decide(at(0));
  s.core.lane_lost(s.lane(0), LaneLoss::comes_back, at(5));
  EXPECT_EQ(s.decide(at(5)), "");
  s.core.lane_up(s.lane(0), DeviceId{0}, at(6));
  EXPECT_EQ(s.decide(at(6)), "grant 0/2: job 1 from 0");
  ASSERT_TRUE(s.ended(0, 2, GrantEnd::failed, at(7)));
  EXPECT_EQ(s.decide(at(7)), "finish 1 failed (lane_failed); release 1");
  s.core.lane_lost(s.lane(0), LaneLoss::for_good, at(8));
  EXPECT_EQ(s.decide(at(8)), "finish 2 failed (no_lane); release 2");
  EXPECT_EQ(s.core.submit(s.spec(3, model(1, 10), at(1000)), at(9)).error(), Reason::no_lane);
}

TEST(Core, FailsTheJobAloneThatADeviceHasNoMemoryFor) {
  Script s(Policy::edf);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(1, 10), at(1000)), at(0)));
  ASSERT_TRUE(s.core.submit(s.spec(2, model(1, 10), at(2000)), at(0)));
  s.decide(at(0));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::out_of_memory, at(1)));
  EXPECT_EQ(s.decide(at(1)), "finish 1 failed (out_of_device_memory); release 1");
  ASSERT_TRUE(s.block(0, 2, 0, at(11))) << "job 2 was posted behind it";
}

TEST(Core, TriesAJobAgainForWhichThereIsNoMemoryYet) {
  Script s(Policy::edf);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(2, 10), at(1000)), at(0)));
  s.decide(at(0));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::not_begun, at(1)));
  EXPECT_EQ(s.decide(at(1)), "grant 0/2: job 1 from 0");
  ASSERT_TRUE(s.block(0, 2, 0, at(11)));
  EXPECT_FALSE(s.ended(0, 2, GrantEnd::not_begun, at(12))) << "a block of it has run";
}

// Of model 0 unless told otherwise.
TEST(Core, GivesNoLaneToJobsWhoseModelWasEvicted) {
  Script s(Policy::edf);
  s.core.set_residence(ModelId{0}, DeviceId{0}, Residence::out, at(0));
  ASSERT_TRUE(s.core.submit(s.spec(1, model(1, 10), kNever), at(0)));
  ASSERT_TRUE(s.core.submit(s.spec(2, model(1, 10), at(40)), at(0)));
  JobSpec other = s.spec(3, model(1, 10), at(1000));
  other.model = ModelId{1};
  ASSERT_TRUE(s.core.submit(other, at(0)));
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 3 from 0") << "the others wait";
  ASSERT_TRUE(s.block(0, 1, 0, at(10)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::done, at(10)));
  EXPECT_EQ(s.decide(at(10)), "finish 3 completed (plan_finished); release 3");
  EXPECT_EQ(s.decide(at(40)), "finish 2 missed (deadline_passed); release 2");
  s.core.set_residence(ModelId{0}, DeviceId{0}, Residence::in, at(50));
  EXPECT_EQ(s.decide(at(50)), "grant 0/2: job 1 from 0");
}

TEST(Core, FailsJobsWhoseModelNoDeviceWillHoldAgain) {
  Script s(Policy::edf);
  s.core.lane_up(s.lane(1), DeviceId{1}, at(0));
  auto on_both = std::make_shared<ModelTimes>(*model(1, 10));
  on_both->on_device.push_back(on_both->on_device[0]);
  for (const std::uint32_t device : {0u, 1u})
    s.core.set_residence(ModelId{0}, DeviceId{device}, Residence::out, at(0));
  ASSERT_TRUE(s.core.submit(s.spec(1, model(1, 10), kNever), at(0)));
  ASSERT_TRUE(s.core.submit(s.spec(2, on_both, kNever), at(0)));
  s.core.set_residence(ModelId{0}, DeviceId{0}, Residence::lost, at(5));
  EXPECT_EQ(s.decide(at(5)), "finish 1 failed (no_lane); release 1") << "the other device may hold it again";
  EXPECT_EQ(s.core.submit(s.spec(3, model(1, 10), kNever), at(6)).error(), Reason::no_lane);
  s.core.set_residence(ModelId{0}, DeviceId{1}, Residence::in, at(7));
  EXPECT_EQ(s.decide(at(7)), "grant 1/1: job 2 from 0");
}

TEST(Core, FailsJobsForWhoseModelThereIsNoRoomWithThatReason) {
  Script s(Policy::edf);
  s.core.set_residence(ModelId{0}, DeviceId{0}, Residence::out, at(0));
  ASSERT_TRUE(s.core.submit(s.spec(1, model(1, 10), kNever), at(0)));
  EXPECT_EQ(s.decide(at(0)), "");
  s.core.set_residence(ModelId{0}, DeviceId{0}, Residence::no_room, at(5));
  EXPECT_EQ(s.decide(at(5)), "finish 1 failed (out_of_device_memory); release 1");
  EXPECT_EQ(s.core.submit(s.spec(2, model(1, 10), kNever), at(6)).error(), Reason::no_lane);
}

TEST(Core, GivesAJobToTheFreeDeviceThatIsFastestForIt) {
  Script s(Policy::edf);
  s.core.lane_up(s.lane(1), DeviceId{1}, at(0));
  auto faster = std::make_shared<ModelTimes>(*model(3, 10));  // on device 1
  faster->on_device.push_back(model(3, 2)->on_device[0]);
  auto slower = std::make_shared<ModelTimes>(*model(3, 10));
  slower->on_device.push_back(model(3, 20)->on_device[0]);
  ASSERT_TRUE(s.core.submit(s.spec(1, faster, at(1000)), at(0)));
  EXPECT_EQ(s.decide(at(0)), "grant 1/1: job 1 from 0");
  ASSERT_TRUE(s.core.submit(s.spec(2, faster, at(2000)), at(1)));
  EXPECT_EQ(s.decide(at(1)), "grant 1/2: job 2 from 0") << "device 1 is busy, and faster all the same";
  for (int block = 0; block < 3; ++block) ASSERT_TRUE(s.block(1, 1, block, at(2 * (block + 1))));
  ASSERT_TRUE(s.ended(1, 1, GrantEnd::done, at(6)));
  for (int block = 0; block < 3; ++block) ASSERT_TRUE(s.block(1, 2, block, at(6 + 2 * (block + 1))));
  ASSERT_TRUE(s.ended(1, 2, GrantEnd::done, at(12)));
  s.decide(at(12));
  ASSERT_TRUE(s.core.submit(s.spec(3, slower, at(1000)), at(40)));
  ASSERT_TRUE(s.core.submit(s.spec(4, faster, at(2000)), at(40)));
  EXPECT_EQ(s.decide(at(40)), "grant 0/1: job 3 from 0; grant 1/3: job 4 from 0");
}

TEST(Core, KeepsAJobThatHasBegunOnItsDevice) {
  Script s(Policy::edf);
  s.core.lane_up(s.lane(1), DeviceId{1}, at(0));
  auto both = std::make_shared<ModelTimes>(*model(3, 10));
  both->on_device.push_back(both->on_device[0]);
  ASSERT_TRUE(s.core.submit(s.spec(1, both, at(1000)), at(0)));
  ASSERT_TRUE(s.core.submit(s.spec(2, both, at(2000)), at(0)));
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 1 from 0; grant 1/1: job 2 from 0");
  ASSERT_TRUE(s.block(0, 1, 0, at(10)));
  ASSERT_TRUE(s.core.submit(s.spec(3, model(3, 10), at(500)), at(11)));
  EXPECT_EQ(s.decide(at(11)), "grant 0/2: job 3 from 0; stop 0/1 (more_urgent_work)");
  ASSERT_TRUE(s.block(0, 1, 1, at(20)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::stopped, at(20)));
  EXPECT_EQ(s.decide(at(20)), "grant 0/3: job 1 from 2")
      << "job 1 is more urgent than job 2, but its state is on device 0";
}

TEST(Core, RefusesReportsThatFitNothing) {
  Script s(Policy::edf);
  EXPECT_FALSE(s.block(0, 1, 0, at(1)));
  ASSERT_TRUE(s.core.submit(s.spec(1, model(3, 10), at(1000)), at(2)));
  s.decide(at(2));
  EXPECT_FALSE(s.block(7, 1, 0, at(3))) << "unknown lane";
  EXPECT_FALSE(s.block(0, 2, 0, at(3))) << "unknown grant";
  EXPECT_FALSE(s.block(0, 1, 1, at(3))) << "block out of order";
  EXPECT_FALSE(s.block(0, 1, 0, at(3), ExitAnswer{.exit = 0})) << "the model has no exits";
  EXPECT_FALSE(s.core.block_done({s.lane(0), GrantNumber{1}, 0, at(3), at(2), {}}, at(3)))
      << "ends before its start";
  EXPECT_FALSE(s.ended(0, 1, GrantEnd::stopped, at(3))) << "it was not told to stop";
  EXPECT_FALSE(s.ended(0, 1, GrantEnd::done, at(3))) << "it has run nothing";
  EXPECT_TRUE(s.block(0, 1, 0, at(12)));
  EXPECT_FALSE(s.block(0, 1, 0, at(13))) << "reported twice";
}

TEST(Core, ChecksItsCallersAndItself) {
  Script s(Policy::edf);
  EXPECT_DEATH(s.core.lane_up(s.lane(0), DeviceId{0}, at(0)), "a lane comes up once");
  EXPECT_DEATH(s.core.lane_lost(s.lane(3), LaneLoss::for_good, at(0)), "only a lane that is up");
  ASSERT_TRUE(s.core.submit(s.spec(1, model(1, 10), at(100)), at(5)));
  EXPECT_DEATH((void)s.core.submit(s.spec(1, model(1, 10), at(100)), at(5)), "never reused");
  EXPECT_DEATH(s.core.advance(at(4)), "time never goes back");
}

TEST(Core, ShowsItsLanesAndQueue) {
  Script s(Policy::edf);
  ASSERT_TRUE(s.core.submit(s.spec(1, model(3, 10), at(1000)), at(0)));
  ASSERT_TRUE(s.core.submit(s.spec(2, model(2, 10), at(100)), at(0)));
  s.decide(at(0));
  EXPECT_THAT(s.core.dump(), HasSubstr("lane 0 on device 0: job 2 block 0 to 1 (grant 1, begun)"));
  EXPECT_THAT(s.core.dump(), HasSubstr("ready: job 1 from block 0"));
  EXPECT_EQ(s.core.job_count(), 2u);
  EXPECT_EQ(s.core.job(JobId{2})->lane, s.lane(0));
  EXPECT_EQ(s.core.job(JobId{3}), std::nullopt);
}

TEST(JobLife, AllowsOnlyTheTransitionsOfTheDesign) {
  constexpr JobState kAll[] = {JobState::waiting, JobState::ready, JobState::granted,
                               JobState::running, JobState::ended, JobState::gone};
  int legal = 0;
  for (const JobState from : kAll) {
    for (const JobState to : kAll) legal += is_legal(from, to);
    EXPECT_EQ(is_legal(from, JobState::gone), from == JobState::ended);
    EXPECT_EQ(is_legal(from, JobState::ended), from != JobState::ended && from != JobState::gone);
    EXPECT_FALSE(is_legal(from, JobState::waiting));
    EXPECT_EQ(is_legal(from, JobState::running), from == JobState::granted);
  }
  EXPECT_EQ(legal, 10);
}

}  // namespace
}  // namespace einet
