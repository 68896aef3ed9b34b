// Admission: what is promised, what is refused, and with which words and numbers.
#include "scheduler/admission/admission.h"

#include <gmock/gmock.h>

namespace einet {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

// A model on device 0 with these worst times of trunks, and exits of the same worst time each.
std::shared_ptr<const ModelTimes> model(const std::vector<Duration>& trunks, Duration exit = 1ms) {
  auto times = std::make_shared<ModelTimes>();
  times->on_device.emplace_back();
  for (const Duration trunk : trunks) {
    times->on_device[0].push_back(
        {.trunk = trunk / 2, .exit = exit / 2, .worst_trunk = trunk, .worst_exit = exit});
    times->accuracy.push_back(0.5);
  }
  return times;
}

TaskRequest request(std::uint32_t id, const std::string& name, std::shared_ptr<const ModelTimes> times,
                    Duration period, Duration deadline, int mandatory_exit) {
  return {.id = TaskId{id},
          .name = name,
          .times = std::move(times),
          .period = period,
          .deadline = deadline,
          .mandatory_exit = mandatory_exit};
}

AdmissionOptions exact(Policy policy) {
  return {.policy = policy, .margin = 1, .overhead = {}};
}

TEST(Admission, ReservesTheMandatoryPartWithMarginAndOverhead) {
  Admission admission({.policy = Policy::edf, .margin = 1.5, .overhead = 10us});
  admission.add_lane(LaneId{3}, DeviceId{0}, Preemption::boundary);
  const auto r = admission.add(request(1, "a", model({2ms, 4ms, 6ms}), 100ms, 50ms, 1));
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ(r->budget, 3ms + 7500us + 20us);  // trunks 0 and 1, exit 1
  EXPECT_EQ(r->home, LaneId{3});
  EXPECT_EQ(r->patience, kForever);
  EXPECT_EQ(r->mandatory_exit, 1);
  const auto bound = admission.bound(TaskId{1});
  ASSERT_TRUE(bound);
  EXPECT_EQ(bound->blocking, 10510us - 1ns);  // its own optional block 2
  EXPECT_EQ(bound->response, 10520us + 10510us - 1ns);
  EXPECT_EQ(bound->slack, 50ms - bound->response);
  EXPECT_NEAR(admission.utilisation(LaneId{3}), 0.1052, 1e-9);
}

TEST(Admission, EveryBlockInFlightHasItsOverhead) {
  Admission admission({.policy = Policy::edf, .margin = 1.5, .overhead = 10us});
  admission.add_lane(LaneId{0}, DeviceId{0}, Preemption::boundary);
  ASSERT_TRUE(admission.set_longest_stretch(DeviceId{0}, 40us, 4));
  ASSERT_TRUE(admission.add(request(1, "a", model({1us}, 0us), 10ms, 10ms, 0)));
  EXPECT_EQ(admission.bound(TaskId{1})->blocking, 60us + 4 * 10us - 1ns);
}

TEST(Admission, RefusalNamesTheTaskTheNumbersAndWhatWouldFit) {
  Admission admission(exact(Policy::edf));
  admission.add_lane(LaneId{0}, DeviceId{0}, Preemption::boundary);
  ASSERT_TRUE(admission.set_longest_stretch(DeviceId{0}, 9ms));
  ASSERT_TRUE(admission.add(request(1, "ctl", model({12ms}), 40ms, 22ms, 0)));
  const auto r = admission.add(request(2, "cam", model({2ms, 8ms}), 60ms, 30ms, 1));
  ASSERT_FALSE(r.has_value());
  EXPECT_EQ(r.error().task, "cam");
  EXPECT_EQ(r.error().lateness, 3ms - 1ns);
  EXPECT_THAT(r.error().words,
              HasSubstr("task \"cam\" would miss its deadline of 30ms by 2.999999ms on lane 0"));
  EXPECT_EQ(r.error().largest_mandatory_exit, 0);
  EXPECT_THAT(r.error().words, HasSubstr("mandatory exit 0 would fit"));
  EXPECT_FALSE(admission.bound(TaskId{2}));
  EXPECT_EQ(admission.tasks(), std::vector{TaskId{1}});
}

TEST(Admission, SuggestedPeriodFitsAndIsNearlyTheSmallest) {
  Admission admission(exact(Policy::edf));
  admission.add_lane(LaneId{0}, DeviceId{0}, Preemption::boundary);
  ASSERT_TRUE(admission.add(request(1, "ctl", model({5ms}), 12ms, 12ms, 0)));
  TaskRequest wanted = request(2, "cam", model({5ms}), 10ms, 10ms, 0);
  const auto r = admission.add(wanted);
  ASSERT_FALSE(r.has_value());
  EXPECT_EQ(r.error().task, "");  // 50 % and 60 %
  EXPECT_THAT(r.error().words, HasSubstr("110.0% of lane 0"));
  ASSERT_TRUE(r.error().smallest_period);
  const Duration period = *r.error().smallest_period;
  wanted.period = wanted.deadline = period - 20us;
  EXPECT_FALSE(admission.add(wanted));
  wanted.period = wanted.deadline = period;
  EXPECT_TRUE(admission.add(wanted));
}

TEST(Admission, SecondLaneTakesWhatTheFirstCannot) {
  Admission admission(exact(Policy::fixed_priority));
  admission.add_lane(LaneId{0}, DeviceId{0}, Preemption::boundary);
  admission.add_lane(LaneId{1}, DeviceId{0}, Preemption::boundary);
  const auto times = model({5ms});
  EXPECT_EQ(admission.add(request(1, "a", times, 10ms, 100ms, 0))->home, LaneId{0});
  EXPECT_EQ(admission.add(request(2, "b", times, 10ms, 100ms, 0))->home, LaneId{1});
  EXPECT_FALSE(admission.add(request(3, "c", times, 10ms, 100ms, 0)));
  admission.remove(TaskId{1});
  EXPECT_EQ(admission.add(request(3, "c", times, 10ms, 100ms, 0))->home, LaneId{0});
}

TEST(Admission, ALaneThatIsHardToAnalyseLeavesEffortForTheNext) {
  const auto blocks = [](std::size_t n, Duration last) {
    std::vector<Duration> trunks(n, 100us);
    trunks.back() = last;
    return model(trunks, 0ns);
  };
  for (const int lanes : {1, 2}) {
    Admission admission(exact(Policy::edf));
    for (int i = 0; i < lanes; ++i) {
      admission.add_lane(LaneId{static_cast<std::uint32_t>(i)}, DeviceId{0}, Preemption::boundary);
    }
    ASSERT_TRUE(admission.set_longest_stretch(DeviceId{0}, 1ms));
    ASSERT_TRUE(admission.add(request(1, "a", blocks(60, 100us), 10ms, 10ms, 59)));
    // With it, lane 0 would be busy to 1 - 3e-8, over very many periods.
    const auto r = admission.add(request(2, "b", blocks(28, 99'999ns), 7'000'003ns, 7'000'003ns, 27));
    ASSERT_EQ(r.has_value(), lanes == 2);
    if (r) {
      EXPECT_EQ(r->home, LaneId{1});
    } else {
      EXPECT_THAT(r.error().words, HasSubstr("worst case was not found"));
    }
  }
}

TEST(Admission, OnlyThoseWhoCannotWaitTakeTheCore) {
  Admission admission(exact(Policy::edf));
  admission.add_lane(LaneId{0}, DeviceId{0}, Preemption::as_needed);
  ASSERT_TRUE(admission.set_longest_stretch(DeviceId{0}, 20ms));
  const auto patient = admission.add(request(1, "patient", model({4ms}), 100ms, 100ms, 0));
  ASSERT_TRUE(patient.has_value());
  EXPECT_EQ(patient->patience, kForever);
  const auto urgent = admission.add(request(2, "urgent", model({4ms}), 50ms, 10ms, 0));
  ASSERT_TRUE(urgent.has_value());
  EXPECT_LT(urgent->patience, 20ms);
  EXPECT_EQ(admission.reservation(TaskId{1})->patience, kForever);
  EXPECT_EQ(admission.bound(TaskId{2})->blocking, 0ns);

  // The negative control: at boundaries it cannot be promised.
  Admission boundary(exact(Policy::edf));
  boundary.add_lane(LaneId{0}, DeviceId{0}, Preemption::boundary);
  ASSERT_TRUE(boundary.set_longest_stretch(DeviceId{0}, 20ms));
  EXPECT_FALSE(boundary.add(request(2, "urgent", model({4ms}), 50ms, 10ms, 0)));
}

// Jobs under way count on how their task gets at the core: that changes only where it must.
TEST(Admission, APatienceChangesOnlyWhereNothingElseFits) {
  Admission admission(exact(Policy::edf));
  admission.add_lane(LaneId{0}, DeviceId{0}, Preemption::as_needed);
  ASSERT_TRUE(admission.set_longest_stretch(DeviceId{0}, 20ms));
  EXPECT_EQ(admission.add(request(1, "a", model({4ms}), 100ms, 30ms, 0))->patience, kForever);
  ASSERT_TRUE(admission.add(request(2, "b", model({8ms}), 100ms, 29ms, 0)));
  EXPECT_LT(admission.reservation(TaskId{1})->patience, 20ms) << "20 + 8 + 4 > 30";
  admission.remove(TaskId{2});
  EXPECT_LT(admission.reservation(TaskId{1})->patience, 20ms) << "it fits as it is";
  admission.remove(TaskId{1});
  EXPECT_EQ(admission.add(request(1, "a", model({4ms}), 100ms, 30ms, 0))->patience, kForever);
}

TEST(Admission, LongerBlocksAreRefusedAsAWhole) {
  Admission admission(exact(Policy::edf));
  admission.add_lane(LaneId{0}, DeviceId{0}, Preemption::boundary);
  const auto old_times = model({4ms});
  ASSERT_TRUE(admission.add(request(1, "a", old_times, 50ms, 20ms, 0)));
  const auto bound = *admission.bound(TaskId{1});
  const auto refused = admission.set_longest_stretch(DeviceId{0}, 17ms);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().task, "a");
  EXPECT_EQ(admission.bound(TaskId{1})->response, bound.response);
  EXPECT_FALSE(admission.replace_times(old_times, model({30ms})));
  EXPECT_EQ(admission.bound(TaskId{1})->response, bound.response);
  const auto new_times = model({6ms});
  ASSERT_TRUE(admission.replace_times(old_times, new_times));
  EXPECT_EQ(admission.reservation(TaskId{1})->budget, 7ms);
}

TEST(Admission, BudgetsAreCountedAndGivenBack) {
  Admission admission(exact(Policy::edf));
  admission.add_lane(LaneId{0}, DeviceId{0}, Preemption::boundary);
  ASSERT_TRUE(admission.add_budget(TenantId{1}, "the budget of camera", 20ms, 100ms));
  EXPECT_NEAR(admission.utilisation(LaneId{0}), 0.2, 1e-9);
  const TaskRequest wanted = request(1, "a", model({5ms}), 100ms, 30ms, 0);
  EXPECT_FALSE(admission.add(wanted));  // two windows in a row: 40 ms
  admission.remove_budget(TenantId{1});
  ASSERT_TRUE(admission.add(wanted));
  const auto refused = admission.add_budget(TenantId{1}, "the budget of camera", 20ms, 100ms);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().task, "a");
  EXPECT_TRUE(admission.add_budget(TenantId{1}, "the budget of camera", 10ms, 100ms));
}

TEST(Admission, FifoPromisesNothing) {
  Admission admission(exact(Policy::fifo));
  admission.add_lane(LaneId{0}, DeviceId{0}, Preemption::boundary);
  const auto r = admission.add(request(1, "a", model({1ms}), 100ms, 100ms, 0));
  ASSERT_FALSE(r.has_value());
  EXPECT_THAT(r.error().words, HasSubstr("fifo"));
}

TEST(Admission, BadRequestsAreRefusedWithWords) {
  Admission admission(exact(Policy::edf));
  const auto times = model({1ms, 1ms});
  EXPECT_THAT(admission.add(request(1, "a", times, 10ms, 10ms, 0)).error().words,
              HasSubstr("no lane can run"));
  admission.add_lane(LaneId{0}, DeviceId{0}, Preemption::boundary);
  for (const TaskRequest& bad :
       {request(1, "a\n", times, 0ms, 10ms, 0), request(1, "a\n", times, 10ms, 0ms, 0),
        request(1, "a\n", times, 10ms, Duration{std::numeric_limits<std::int64_t>::max()}, 0),
        request(1, "a\n", times, 10ms, 10ms, 2), request(1, "a\n", times, 10ms, 10ms, -1)}) {
    const auto r = admission.add(bad);
    ASSERT_FALSE(r.has_value());
    EXPECT_THAT(r.error().words, HasSubstr("task \"a\\x0a\": "));
  }
  EXPECT_FALSE(admission.add_budget(TenantId{0}, "x", 0ms, 10ms));
  EXPECT_FALSE(admission.add_budget(TenantId{0}, "x", 11ms, 10ms));
}

}  // namespace
}  // namespace einet
