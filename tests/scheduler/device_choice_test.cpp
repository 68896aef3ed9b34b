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

struct TwoDevices : Script {
  explicit TwoDevices(Policy policy = Policy::edf) : Script(policy) {
    core.lane_up(lane(1), DeviceId{1}, at(0));
  }
  void submit(std::uint64_t id, const std::shared_ptr<const ModelTimes>& times, TimePoint deadline, TimePoint now) {
    ASSERT_TRUE(core.submit(spec(id, times, deadline, now), now));
  }
};

TEST(DeviceChoice, WaitsForTheDeviceWhereItIsDoneSooner) {
  TwoDevices s;
  s.submit(1, on_both(10, 2), at(1000), at(0));
  s.submit(2, on_both(10, 2), at(2000), at(0));
  EXPECT_EQ(s.decide(at(0)), "grant 1/1: job 1 from 0; grant 1/2: job 2 from 0") << "12 ns there, 30 ns on lane 0";
}

TEST(DeviceChoice, TakesTheFreeOneOnceTheQueueForTheOtherIsLonger) {
  TwoDevices s;
  for (std::uint64_t id = 1; id <= 6; ++id) s.submit(id, on_both(10, 2), at(1000 + static_cast<int>(id)), at(0));
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 5 from 0; grant 1/1: job 1 from 0; grant 1/2: job 2 from 0")
      << "the fifth would be done at 30 on either";
  EXPECT_EQ(s.core.job(JobId{3})->awaits, DeviceId{1});
  EXPECT_EQ(s.core.job(JobId{4})->awaits, DeviceId{1});
  EXPECT_EQ(s.core.job(JobId{5})->awaits, std::nullopt);
  EXPECT_EQ(s.core.job(JobId{6})->awaits, DeviceId{1}) << "36 there, 60 behind the fifth";
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
  auto fast_only = std::make_shared<ModelTimes>(*on_both(10, 20));
  fast_only->on_device[0].clear();  // cannot run on the slow one
  s.submit(1, on_both(10, 2), at(1000), at(0));
  s.submit(2, on_both(10, 2), at(2000), at(0));
  s.decide(at(0));
  s.submit(3, fast_only, at(500), at(1));
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

TEST(DeviceChoice, DoesNotKeepReservedWorkFromItsHome) {
  TwoDevices s;
  const auto times = on_both(10, 2);
  s.submit(1, times, at(1000), at(0));
  for (const std::uint32_t task : {1, 2}) {
    s.core.reserve(TaskId{task},
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
