// The core allocates at construction and never again, however long it runs.
#include <memory>
#include <random>

#include <gtest/gtest.h>

#include "counting_allocator.h"
#include "scheduler/simulation/scenario.h"
#include "script.h"

namespace einet {
namespace {

// One lane that runs what it is given, block by block, and allocates nothing itself.
struct PlainLane final : Commands {
  void grant(const Grant& g, Reason) override { (running.job == JobId{} ? running : posted) = g; }
  void stop(LaneId, GrantNumber, Reason) override { stopped = true; }
  bool withdraw(LaneId, GrantNumber number, Reason) override {
    if (posted.number != number) return false;
    posted = {};
    return true;
  }
  void set_exits(LaneId, GrantNumber, ExitMask exits, Reason) override { running.exits = exits; }
  void finish(JobId, Outcome, Reason) override { ++finished; }
  void release(JobId) override {}

  Grant running;
  Grant posted;
  bool stopped = false;
  int finished = 0;
};

TEST(CoreMemory, IsAllocatedAtConstruction) {
  PlainLane lane;
  Observer observer;
  Core core(
      {.policy = Policy::edf, .max_jobs = 50, .survival = {.deadline = true, .demand = true, .lived = true}},
      lane, observer);
  core.lane_up(LaneId{0}, DeviceId{0}, at(0));
  const auto mean = model(8, 10, {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}, 2);
  const auto with_exits = std::make_shared<ModelTimes>(*mean);
  with_exits->forecast = untrained_forecast(mean->accuracy);
  const auto without = model(4, 10);
  std::mt19937 random(1);
  std::size_t warm = 0;
  for (int i = 0; i < 20'000; ++i) {
    if (i == 1000) warm = allocations();  // by then every kind of queue has been seen
    const TimePoint now = at(i * 10);
    JobSpec spec;
    spec.id = JobId{static_cast<std::uint64_t>(i) + 1};
    spec.times = random() % 2 == 0 ? with_exits : without;
    spec.release = now + Duration{random() % 30};
    spec.deadline = spec.release + Duration{20 + random() % 200};
    (void)core.submit(spec, now);
    if (random() % 4 == 0) core.cancel(JobId{spec.id.value - random() % 20}, now);
    core.decide(now);
    Grant& grant = lane.running;
    if (grant.job == JobId{}) continue;
    BlockReport report{LaneId{0}, grant.number, grant.first_block++, now, now, {}};
    if ((grant.exits & exit_bit(report.block)) != 0 && core.job(grant.job)->spec.times == with_exits) {
      const float sure = static_cast<float>(random() % 101) / 100;
      report.answer = ExitAnswer{.exit = report.block, .calibrated = sure, .sure = sure};
    }
    ASSERT_TRUE(core.block_done(report, now));
    const bool done = (grant.exits >> grant.first_block) == 0;
    if (done || lane.stopped) {
      const GrantNumber number = grant.number;
      grant = std::exchange(lane.posted, {});
      lane.stopped = false;
      ASSERT_TRUE(core.grant_ended(LaneId{0}, number, done ? GrantEnd::done : GrantEnd::stopped, now));
    }
    core.decide(now);
  }
  EXPECT_EQ(allocations() - warm, 0u);
  EXPECT_GT(lane.finished, 10'000);
}

// The count above can be other than zero.
TEST(CoreMemory, IsCounted) {
  const std::size_t before = allocations();
  const auto grown = std::make_unique<std::string>(100, 'x');
  EXPECT_EQ(allocations() - before, 2u);
}

}  // namespace
}  // namespace einet
