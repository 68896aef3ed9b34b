// Jobs that several devices can run: which one they go to, and when they wait for a busy one.
#include <gtest/gtest.h>

#include "script.h"

namespace einet {
namespace {

// Three blocks on both devices; lane 0 is on device 0, the slow one.
std::shared_ptr<const ModelTimes> on_both(int slow_ns, int fast_ns, std::vector<double> accuracy = {}) {
  auto m = std::make_shared<ModelTimes>(*model(3, slow_ns, std::move(accuracy)));
  m->on_device.push_back(model(3, fast_ns)->on_device[0]);
  return m;
}

std::shared_ptr<const ModelTimes> fast_only(int ns) {
  auto m = std::make_shared<ModelTimes>(*on_both(1, ns));
  m->on_device[0].clear();
  return m;
}

struct TwoDevices : Script {
  explicit TwoDevices(Policy policy = Policy::edf) : Script(policy) {
    core.lane_up(lane(1), DeviceId{1}, at(0));
  }
  void submit(std::uint64_t id, const std::shared_ptr<const ModelTimes>& times, TimePoint deadline,
              TimePoint now) {
    ASSERT_TRUE(core.submit(spec(id, times, deadline, now), now));
  }
};

TEST(DeviceChoice, WaitsForTheDeviceWhereItIsDoneSooner) {
  TwoDevices s;
  s.submit(1, on_both(10, 2), at(1000), at(0));
  s.submit(2, on_both(10, 2), at(2000), at(0));
  EXPECT_EQ(s.decide(at(0)), "grant 1/1: job 1 from 0; grant 1/2: job 2 from 0")
      << "12 ns there, 30 ns on lane 0";
}

TEST(DeviceChoice, TakesTheFreeOneOnceTheQueueForTheOtherIsLonger) {
  TwoDevices s;
  for (std::uint64_t id = 1; id <= 6; ++id)
    s.submit(id, on_both(10, 2), at(1000 + static_cast<int>(id)), at(0));
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 5 from 0; grant 1/1: job 1 from 0; grant 1/2: job 2 from 0")
      << "the fifth would be done at 30 on either";
  EXPECT_EQ(s.core.job(JobId{3})->awaits, DeviceId{1});
  EXPECT_EQ(s.core.job(JobId{4})->awaits, DeviceId{1});
  EXPECT_EQ(s.core.job(JobId{5})->awaits, std::nullopt);
  EXPECT_EQ(s.core.job(JobId{6})->awaits, DeviceId{1}) << "36 there, 60 behind the fifth";
}

TEST(DeviceChoice, DoesNotWaitForADeviceThatHasEvictedTheModel) {
  TwoDevices s;
  s.core.set_residence(ModelId{0}, DeviceId{1}, Residence::out, at(0));
  s.submit(1, on_both(10, 2), at(1000), at(0));
  s.submit(2, on_both(10, 2), at(2000), at(0));
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 1 from 0; grant 0/2: job 2 from 0");
  s.core.set_residence(ModelId{0}, DeviceId{1}, Residence::in, at(1));
  EXPECT_EQ(s.decide(at(1)), "withdraw 0/2 (better_lane); grant 1/1: job 2 from 0");
}

TEST(DeviceChoice, LeavesTheSlowLaneIdleRatherThanBeDoneLater) {
  TwoDevices s;
  for (std::uint64_t id = 1; id <= 3; ++id) s.submit(id, on_both(10, 2), at(1000), at(0));
  s.decide(at(0));
  EXPECT_EQ(s.core.job(JobId{3})->lane, std::nullopt);
  for (int block = 0; block < 3; ++block) ASSERT_TRUE(s.block(1, 1, block, at(2 * (block + 1))));
  ASSERT_TRUE(s.ended(1, 1, GrantEnd::done, at(6)));
  EXPECT_EQ(s.decide(at(6)), "grant 1/3: job 3 from 0; finish 1 completed (plan_finished); release 1");
}

TEST(DeviceChoice, LeavesTheDeviceThatMoreUrgentWorkComesFor) {
  TwoDevices s;
  s.submit(1, on_both(10, 2), at(1000), at(0));
  s.submit(2, on_both(10, 2), at(2000), at(0));
  s.decide(at(0));
  s.submit(3, fast_only(20), at(500), at(1));
  EXPECT_EQ(s.decide(at(1)),
            "withdraw 1/2 (better_lane); withdraw 1/1 (more_urgent_work); grant 0/1: job 1 from 0; "
            "grant 1/3: job 3 from 0; grant 0/2: job 2 from 0")
      << "60 ns of job 3 come first on device 1";
}

TEST(DeviceChoice, LooksAtTheAnswerThatTheDeadlineIsFor) {
  // The first answer comes sooner on device 0, the last on device 1.
  auto times = std::make_shared<ModelTimes>(*model(3, 10, {0.5, 0.7, 0.9}));
  times->on_device.push_back(times->on_device[0]);
  times->on_device[0][0].trunk = Duration{4};
  times->on_device[0][2].trunk = Duration{100};
  for (const bool deadline : {true, false}) {
    TwoDevices s;
    s.submit(1, times, deadline ? at(25) : kNever, at(0));
    EXPECT_EQ(s.decide(at(0)), deadline ? "grant 0/1: job 1 from 0" : "grant 1/1: job 1 from 0");
  }
}

TEST(DeviceChoice, WaitsForTheOnlyDeviceThatCanBeInTime) {
  // On device 0 the first answer comes after 30 ns. Many more wait than are looked at for a sooner end.
  for (const std::uint64_t jobs : {3, 100}) {
    TwoDevices s;
    for (std::uint64_t id = 1; id <= jobs; ++id) s.submit(id, on_both(30, 2, {0.5, 0.7, 0.9}), at(29), at(0));
    EXPECT_EQ(s.decide(at(0)), "grant 1/1: job 1 from 0; grant 1/2: job 2 from 0");
    EXPECT_EQ(s.core.job_count(), jobs) << "idle lane 0 is no reason to give up";
  }
}

TEST(DeviceChoice, WaitsForTheOnlyDeviceThatCanBeInTimeThoughItHasAnUrgentLane) {
  TwoDevices s;
  s.core.urgent_lane_up(TwoDevices::lane(2), TwoDevices::lane(1), Preemption::instant, at(0));
  for (std::uint64_t id = 1; id <= 3; ++id) s.submit(id, on_both(30, 2, {0.5, 0.7, 0.9}), at(29), at(0));
  EXPECT_EQ(s.decide(at(0)), "grant 1/1: job 1 from 0; grant 1/2: job 2 from 0");
  EXPECT_EQ(s.core.job_count(), 3u);
}

TEST(DeviceChoice, GivesUpAJobThatNoDeviceCanHaveInTime) {
  TwoDevices s;
  s.submit(1, on_both(30, 10, {0.5, 0.7, 0.9}), at(9), at(0));
  EXPECT_EQ(s.decide(at(0)), "finish 1 missed (cannot_deliver); release 1");
}

TEST(DeviceChoice, GoesOnElsewhereWhenTheDeviceIsLost) {
  TwoDevices s;
  s.submit(1, on_both(10, 2), at(1000), at(0));
  s.submit(2, on_both(10, 2), at(2000), at(0));
  s.decide(at(0));
  s.core.lane_lost(s.lane(1), LaneLoss::comes_back, at(1));
  EXPECT_EQ(s.decide(at(1)), "grant 0/1: job 1 from 0; grant 0/2: job 2 from 0");
}

TEST(DeviceChoice, DoesNotWaitUnderFifo) {
  TwoDevices s(Policy::fifo);
  s.submit(1, on_both(10, 2), at(1000), at(0));
  s.submit(2, on_both(10, 2), at(2000), at(0));
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 2 from 0; grant 1/1: job 1 from 0");
}

// --- Jobs that have begun ---

// It takes 3 ns out of and 3 ns into each device.
std::shared_ptr<const ModelTimes> movable(int slow_ns, int fast_ns) {
  auto m = std::make_shared<ModelTimes>(*on_both(slow_ns, fast_ns));
  m->moves.assign(2, std::vector<MoveTime>(3, {.out = Duration{3}, .in = Duration{3}}));
  return m;
}

// Job 1 has run two blocks on device 1 and makes room there for job 2, whose blocks take so long.
struct Begun : TwoDevices {
  explicit Begun(int urgent_ns, const std::shared_ptr<const ModelTimes>& times = movable(10, 2)) {
    submit(1, times, at(1000), at(0));
    decide(at(0));
    EXPECT_TRUE(block(1, 1, 0, at(2)));
    submit(2, fast_only(urgent_ns), at(500), at(3));
    EXPECT_EQ(decide(at(3)), "grant 1/2: job 2 from 0; stop 1/1 (more_urgent_work)");
    EXPECT_TRUE(block(1, 1, 1, at(4)));
    EXPECT_TRUE(ended(1, 1, GrantEnd::stopped, at(4)));
  }
};

TEST(DeviceChoice, MovesAJobThatMadeRoomWhereItIsDoneSooner) {
  Begun s(20);
  EXPECT_EQ(s.decide(at(4)), "grant 0/1: job 1 from 2, moved from device 1") << "at 20, not at 66";
  ASSERT_TRUE(s.block(0, 1, 2, at(20)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::done, at(20)));
  EXPECT_EQ(s.decide(at(20)), "finish 1 completed (plan_finished); release 1");
}

TEST(DeviceChoice, LeavesAJobWhereItsStateIsIfTheMoveTakesLonger) {
  Begun s(3);
  EXPECT_EQ(s.decide(at(4)), "grant 1/3: job 1 from 2")
      << "at 15 there; at 20 on device 0, 14 without the move";
}

TEST(DeviceChoice, LeavesAJobThatCannotBeMoved) {
  Begun s(20, on_both(10, 2));
  EXPECT_EQ(s.decide(at(4)), "grant 1/3: job 1 from 2");
}

TEST(DeviceChoice, DoesNotTryAgainToMoveAStateThatDidNotArrive) {
  Begun s(20);
  s.decide(at(4));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::not_moved, at(7)));
  EXPECT_EQ(s.decide(at(7)), "grant 1/3: job 1 from 2");
  EXPECT_FALSE(s.ended(1, 3, GrantEnd::not_moved, at(8))) << "it was not to be moved";
}

TEST(DeviceChoice, BeginsAJobAgainWhoseStateWasLostOnItsWay) {
  Begun s(20);
  s.decide(at(4));
  s.core.lane_lost(s.lane(1), LaneLoss::comes_back, at(5));
  EXPECT_EQ(s.decide(at(5)), "") << "perhaps the state has left";
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::not_moved, at(6)));
  EXPECT_EQ(s.decide(at(6)), "grant 0/2: job 1 from 0");
}

TEST(DeviceChoice, CallsAJobOverToADeviceThatHasNothingToDo) {
  TwoDevices s;
  s.submit(1, fast_only(8), at(500), at(0));
  s.submit(2, movable(10, 2), at(1000), at(0));
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 2 from 0; grant 1/1: job 1 from 0") << "24 + 6 there, 30 here";
  ASSERT_TRUE(s.block(1, 1, 0, at(8)));
  ASSERT_TRUE(s.core.cancel(JobId{1}, at(8)));
  ASSERT_TRUE(s.block(0, 1, 0, at(10)));
  s.decide(at(10));
  ASSERT_TRUE(s.block(1, 1, 1, at(11)));
  ASSERT_TRUE(s.ended(1, 1, GrantEnd::stopped, at(11)));
  EXPECT_EQ(s.decide(at(11)), "release 1") << "what is left, 10 ns, is not worth a move";
}

TEST(DeviceChoice, CallsTheJobThatGainsMost) {
  TwoDevices s;
  s.core.lane_up(s.lane(2), DeviceId{0}, at(0));
  s.submit(1, fast_only(30), at(500), at(0));
  s.submit(2, movable(20, 2), at(1000), at(0));
  s.submit(3, movable(50, 20), at(1000), at(0));
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 2 from 0; grant 1/1: job 1 from 0; grant 2/1: job 3 from 0");
  ASSERT_TRUE(s.ended(1, 1, GrantEnd::failed, at(2)));
  EXPECT_EQ(s.decide(at(2)), "stop 2/1 (more_urgent_work); finish 1 failed (lane_failed); release 1")
      << "it gains 100 - 40 - 6, job 2 only 40 - 4 - 6";
  ASSERT_TRUE(s.block(2, 1, 0, at(50)));
  ASSERT_TRUE(s.ended(2, 1, GrantEnd::stopped, at(50)));
  EXPECT_EQ(s.decide(at(50)), "grant 1/2: job 3 from 1, moved from device 0");
}

TEST(DeviceChoice, DoesNotMoveReservedWork) {
  TwoDevices s;
  const auto times = movable(10, 2);
  s.core.reserve(
      TaskId{1},
      {.period = Duration{200}, .deadline = Duration{200}, .budget = Duration{30}, .home = s.lane(0)}, at(0));
  JobSpec job = s.spec(1, times, kNever);
  job.task = TaskId{1};
  ASSERT_TRUE(s.core.submit(job, at(0)));
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 1 from 0");
  ASSERT_TRUE(s.block(0, 1, 0, at(10)));
  EXPECT_EQ(s.decide(at(10)), "") << "the idle device would be done at 20, not at 30";
}

TEST(DeviceChoice, DoesNotKeepReservedWorkFromItsHome) {
  TwoDevices s;
  const auto times = on_both(10, 2);
  s.submit(1, times, at(1000), at(0));
  for (const std::uint32_t task : {1, 2}) {
    s.core.reserve(
        TaskId{task},
        {.period = Duration{200}, .deadline = Duration{200}, .budget = Duration{30}, .home = s.lane(0)},
        at(0));
    JobSpec job = s.spec(1 + task, times, kNever);
    job.task = TaskId{task};
    ASSERT_TRUE(s.core.submit(job, at(0)));
  }
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 2 from 0; grant 1/1: job 1 from 0; grant 0/2: job 3 from 0");
}

}  // namespace
}  // namespace einet
