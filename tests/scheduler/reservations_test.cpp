// What tasks and budgets may count on, and what they may not: rank over best-effort work at home, throttling,
// overruns, help of other lanes, budgets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "script.h"

namespace einet {
namespace {

constexpr TaskId kTask{7};

Reservation reservation(int budget_ns, int home = 0) {
  return {.period = Duration{100},
          .deadline = Duration{80},
          .priority = 0,
          .mandatory_exit = -1,
          .budget = Duration{budget_ns},
          .home = Script::lane(home),
          .patience = kForever};
}

JobSpec of_task(std::uint64_t id, std::shared_ptr<const ModelTimes> times, TimePoint release = at(0)) {
  JobSpec spec = Script::spec(id, std::move(times), kNever, release);
  spec.task = kTask;
  return spec;
}

TEST(Reservation, OutranksMoreUrgentBestEffortWork) {
  for (const Policy policy : {Policy::edf, Policy::fixed_priority, Policy::imprecise}) {
    Script s(policy);
    s.core.reserve(kTask, reservation(20), at(0));
    JobSpec loud = Script::spec(1, model(3, 10), at(50));
    loud.priority = 9;
    ASSERT_TRUE(s.core.submit(loud, at(0)));
    ASSERT_TRUE(s.core.submit(of_task(2, model(2, 10)), at(0)));
    EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 2 from 0; grant 0/2: job 1 from 0") << name(policy);
  }
}

TEST(Reservation, GivesTheJobItsDeadlinePriorityAndMandatoryExit) {
  Script s(Policy::imprecise);
  Reservation r = reservation(100);
  r.priority = 3;
  r.mandatory_exit = 1;
  s.core.reserve(kTask, r, at(0));
  const auto accepted = s.core.submit(of_task(1, model(3, 10, {0.5, 0.7, 0.9})), at(5));
  ASSERT_TRUE(accepted);
  EXPECT_EQ(accepted->deadline, at(80));
  const auto job = s.core.job(JobId{1});
  EXPECT_EQ(job->spec.priority, 3);
  EXPECT_EQ(job->spec.mandatory_exit, 1);
  EXPECT_EQ(job->spec.deadline, at(80));
}

TEST(Reservation, IsUnknownOnceItsTaskHasGone) {
  Script s(Policy::edf);
  EXPECT_EQ(s.core.submit(of_task(1, model(1, 10)), at(0)).error(), Reason::no_such_task);
  s.core.reserve(kTask, reservation(20), at(0));
  EXPECT_TRUE(s.core.submit(of_task(2, model(1, 10)), at(0)));
  s.core.unreserve(kTask, at(0));
  EXPECT_EQ(s.core.submit(of_task(3, model(1, 10)), at(0)).error(), Reason::no_such_task);
}

TEST(Reservation, LeavesAJobAsBestEffortWhenItsTaskGoes) {
  Script s(Policy::edf);
  s.core.reserve(kTask, reservation(20), at(0));
  ASSERT_TRUE(s.core.submit(of_task(1, model(3, 10)), at(0)));
  ASSERT_TRUE(s.core.submit(Script::spec(2, model(2, 10), at(50)), at(0)));
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 1 from 0; grant 0/2: job 2 from 0");
  ASSERT_TRUE(s.block(0, 1, 0, at(10)));
  s.core.unreserve(kTask, at(10));
  EXPECT_EQ(s.decide(at(10)), "stop 0/1 (more_urgent_work)");
}

struct Listening final : Script {
  using Script::Script;
  void throttled(JobId job, TaskId, TimePoint until, TimePoint) override {
    heard.push_back("throttled " + std::to_string(job.value) + " until " +
                    std::to_string(until.time_since_epoch().count()));
  }
  void overran(JobId job, TaskId, Duration used, TimePoint) override {
    heard.push_back("overran " + std::to_string(job.value) + " used " + std::to_string(used.count()));
  }
  bool used(std::uint64_t grant, int index, int start, int end, int used_ns) {
    return core.block_done({lane(0), GrantNumber{grant}, index, at(start), at(end), {}, Duration{used_ns}},
                           at(end));
  }
  std::vector<std::string> heard;
};

TEST(Reservation, ReleasesAJobThatComesTooEarlyLater) {
  Listening s(Policy::edf);
  s.core.reserve(kTask, reservation(20), at(0));
  ASSERT_TRUE(s.core.submit(of_task(1, model(1, 10)), at(0)));
  const auto early = s.core.submit(of_task(2, model(1, 10), at(30)), at(30));
  ASSERT_TRUE(early);
  EXPECT_EQ(early->release, at(100));
  EXPECT_EQ(early->deadline, at(180));
  EXPECT_EQ(s.heard, std::vector<std::string>{"throttled 2 until 100"});
  const auto in_time = s.core.submit(of_task(3, model(1, 10), at(250)), at(250));
  EXPECT_EQ(in_time->release, at(250));
  EXPECT_EQ(s.heard.size(), 1u);
}

TEST(Reservation, GoesOnAsBestEffortAfterAnOverrun) {
  Listening s(Policy::edf);
  s.core.reserve(kTask, reservation(20), at(0));
  ASSERT_TRUE(s.core.submit(of_task(1, model(3, 10)), at(0)));
  ASSERT_TRUE(s.core.submit(Script::spec(2, model(1, 10), at(60)), at(0)));
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 1 from 0; grant 0/2: job 2 from 0");
  ASSERT_TRUE(s.used(1, 0, 0, 25, 25));
  EXPECT_EQ(s.heard, std::vector<std::string>{"overran 1 used 25"});
  EXPECT_EQ(s.decide(at(25)), "stop 0/1 (more_urgent_work)") << "the other job's deadline is earlier";
  // It pays with its next release: 5 of 20 over is a quarter of a period.
  EXPECT_EQ(s.core.submit(of_task(3, model(1, 10), at(26)), at(26))->release, at(125));
}

TEST(Reservation, PaysForTheBlockThatItsLaneHadBegunWhenItOverran) {
  Listening s(Policy::edf);
  s.core.reserve(kTask, reservation(20), at(0));
  ASSERT_TRUE(s.core.submit(of_task(1, model(3, 10)), at(0)));
  ASSERT_TRUE(s.core.submit(Script::spec(2, model(1, 10), at(60)), at(0)));
  s.decide(at(0));
  ASSERT_TRUE(s.used(1, 0, 0, 25, 25));
  EXPECT_EQ(s.decide(at(25)), "stop 0/1 (more_urgent_work)");
  ASSERT_TRUE(s.used(1, 1, 25, 35, 10));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::stopped, at(35)));
  ASSERT_TRUE(s.used(2, 0, 35, 45, 10));
  ASSERT_TRUE(s.ended(0, 2, GrantEnd::done, at(45)));
  EXPECT_THAT(s.decide(at(45)), testing::StartsWith("grant 0/3: job 1 from 2"));
  ASSERT_TRUE(s.used(3, 2, 45, 55, 10));
  // 5 of 20 over when it overran, and 10 that it had begun then; the rest ran as best-effort work.
  EXPECT_EQ(s.core.submit(of_task(3, model(1, 10), at(56)), at(56))->release, at(175));
}

TEST(Reservation, IsNotChargedForTimeInWhichAnotherLaneHadTheCore) {
  Listening s(Policy::edf);
  s.core.reserve(kTask, reservation(20), at(0));
  ASSERT_TRUE(s.core.submit(of_task(1, model(2, 10)), at(0)));
  s.decide(at(0));
  ASSERT_TRUE(s.used(1, 0, 0, 60, 10));
  EXPECT_TRUE(s.heard.empty());
}

TEST(Reservation, IsNotPutOffByJobsThatEndBeforeTheirRelease) {
  for (const bool newest_first : {true, false}) {
    Script s(Policy::edf);
    s.core.reserve(kTask, reservation(20), at(0));
    ASSERT_TRUE(s.core.submit(of_task(1, model(1, 10)), at(0)));
    ASSERT_TRUE(s.core.submit(of_task(2, model(1, 10), at(1000)), at(0)));
    ASSERT_TRUE(s.core.submit(of_task(3, model(1, 10), at(1000)), at(0)));
    const auto next = [&](std::uint64_t id) {
      const auto accepted = s.core.submit(of_task(id, model(1, 10), at(50)), at(10));
      EXPECT_TRUE(s.core.cancel(JobId{id}, at(10)));
      return accepted->release;
    };
    EXPECT_EQ(next(4), at(1200));
    ASSERT_TRUE(s.core.cancel(JobId{newest_first ? 3U : 2U}, at(10)));
    EXPECT_EQ(next(5), newest_first ? at(1100) : at(1200)) << "behind the one that is still to come";
    ASSERT_TRUE(s.core.cancel(JobId{newest_first ? 2U : 3U}, at(10)));
    EXPECT_EQ(next(6), at(100)) << "behind job 1";
    s.decide(at(10));
  }
}

TEST(Reservation, ExecutesNoExitBeforeTheMandatoryOne) {
  for (const PlanMode mode : {PlanMode::exact, PlanMode::all, PlanMode::last}) {
    Script s(Policy::imprecise);
    Reservation r = reservation(100);
    r.mandatory_exit = 1;
    s.core.reserve(kTask, r, at(0));
    JobSpec spec = of_task(1, model(3, 10, {0.5, 0.7, 0.9}));
    spec.plan = mode;
    ASSERT_TRUE(s.core.submit(spec, at(0)));
    s.decide(at(0));
    EXPECT_EQ(s.exits & 0b011, 0b010u) << static_cast<int>(mode);
  }
}

// Job 1 waits behind the more urgent job 2, which would go on until 26 if nobody took its optional part's
// place.
TEST(Reservation, KeepsItsMandatoryExitWhileItsStartIsOnlyExpected) {
  auto times = std::make_shared<ModelTimes>(*model(4, 2, {0.5, 0.6, 0.7, 0.8}));
  times->on_device[0][0].trunk = Duration{3};
  times->on_device[0][2].trunk = Duration{8};
  Script s(Policy::imprecise);
  Reservation quiet = reservation(100);
  quiet.deadline = Duration{33};
  quiet.mandatory_exit = 2;
  Reservation loud = reservation(100);
  loud.priority = 3;
  loud.mandatory_exit = 1;
  s.core.reserve(kTask, quiet, at(0));
  s.core.reserve(TaskId{8}, loud, at(0));
  ASSERT_TRUE(s.core.submit(of_task(1, times), at(0)));
  s.decide(at(0));
  JobSpec urgent = of_task(2, times, at(1));
  urgent.task = TaskId{8};
  ASSERT_TRUE(s.core.submit(urgent, at(1)));
  s.can_withdraw = false;
  s.decide(at(1));
  ASSERT_TRUE(s.block(0, 1, 0, at(7)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::stopped, at(7)));
  s.decide(at(7));
  s.decide(at(14));
  EXPECT_EQ(s.core.job(JobId{1})->plan & 0b100u, 0b100u);
}

TEST(Reservation, StaysOnItsHomeLane) {
  Script s(Policy::edf, 2);
  s.core.reserve(kTask, reservation(20, 1), at(0));
  ASSERT_TRUE(s.core.submit(of_task(1, model(2, 10)), at(0)));
  EXPECT_EQ(s.decide(at(0)), "grant 1/1: job 1 from 0") << "the other lane is idle too";
}

TEST(Reservation, IsHelpedByAnIdleLaneWhileItsHomeIsBusyWithMoreUrgentWork) {
  Script s(Policy::edf, 2);
  s.core.reserve(kTask, reservation(20, 1), at(0));
  s.core.reserve(TaskId{8}, reservation(20, 1), at(0));
  ASSERT_TRUE(s.core.submit(of_task(1, model(2, 10)), at(0)));
  JobSpec other = of_task(2, model(2, 10));
  other.task = TaskId{8};
  ASSERT_TRUE(s.core.submit(other, at(0)));
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 2 from 0; grant 1/1: job 1 from 0");
}

// Its home sees it as if it ran there: nothing less urgent begins at home, and it comes home at the next
// boundary.
TEST(Reservation, KeepsItsHomeFreeOfLessUrgentWorkWhileItIsAway) {
  Script s(Policy::edf, 2);
  s.core.reserve(kTask, reservation(20, 1), at(0));
  s.core.reserve(TaskId{8}, reservation(60, 1), at(0));
  ASSERT_TRUE(s.core.submit(of_task(1, model(2, 5)), at(0)));
  JobSpec away = of_task(2, model(3, 20));
  away.task = TaskId{8};
  ASSERT_TRUE(s.core.submit(away, at(0)));
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 2 from 0; grant 1/1: job 1 from 0");
  s.can_withdraw = false;
  ASSERT_TRUE(s.core.submit(Script::spec(3, model(3, 10), at(500)), at(2)));
  EXPECT_EQ(s.decide(at(2)), "grant 0/2: job 3 from 0; stop 0/1 (more_urgent_work)")
      << "best-effort work comes before help";
  ASSERT_TRUE(s.block(1, 1, 0, at(5)));
  ASSERT_TRUE(s.block(1, 1, 1, at(10)));
  ASSERT_TRUE(s.ended(1, 1, GrantEnd::done, at(10)));
  ASSERT_TRUE(s.core.submit(Script::spec(4, model(3, 10), at(500)), at(10)));
  EXPECT_EQ(s.decide(at(10)), "finish 1 completed (plan_finished); release 1") << "lane 1 waits for job 2";
  ASSERT_TRUE(s.block(0, 1, 0, at(20)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::stopped, at(20)));
  EXPECT_EQ(s.decide(at(20)), "grant 1/2: job 2 from 1; grant 0/3: job 4 from 0");
}

// One task of one job, which is promised another patience, beside a new task.
struct ChangingPromises final : Script {
  ChangingPromises() : Script(Policy::edf) { core.reserve(kTask, reservation(20), at(0)); }
  void change(TimePoint now) {
    Reservation impatient = reservation(20);
    impatient.patience = {};
    core.reserve(kTask, impatient, now);
    core.reserve(kNew, reservation(20), now);
  }
  void in_force(TaskId task, TimePoint now) override {
    heard.push_back(std::to_string(task.value) + " at " + std::to_string(now.time_since_epoch().count()));
  }
  static constexpr TaskId kNew{8};
  std::vector<std::string> heard;
};

TEST(Promises, ThatChangeWaitUntilJobsThatCountOnTheOldOnesAreDone) {
  ChangingPromises s;
  ASSERT_TRUE(s.core.submit(of_task(1, model(2, 10)), at(0)));
  s.decide(at(0));
  s.heard.clear();
  s.change(at(5));
  JobSpec early = Script::spec(2, model(1, 10), kNever, at(5));
  early.task = ChangingPromises::kNew;
  ASSERT_TRUE(s.core.submit(early, at(5)));
  ASSERT_TRUE(s.core.submit(Script::spec(3, model(1, 10), at(50), at(5)), at(5)));
  s.decide(at(5));
  EXPECT_EQ(s.heard, std::vector<std::string>{});
  ASSERT_TRUE(s.block(0, 1, 0, at(10)));
  ASSERT_TRUE(s.block(0, 1, 1, at(20)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::done, at(20)));
  s.decide(at(20));
  EXPECT_EQ(s.heard, (std::vector<std::string>{"7 at 20", "8 at 20"}));
  EXPECT_EQ(s.core.job(JobId{3})->state, JobState::running) << "a new task's job was best-effort until then";
}

TEST(Promises, ThatChangeWhileNoJobCountsOnThemAreInForceAtOnce) {
  ChangingPromises s;
  s.heard.clear();
  s.change(at(5));
  EXPECT_EQ(s.heard, (std::vector<std::string>{"7 at 5", "8 at 5"}));
}

TEST(Promises, OfATaskThatComesAfterOneThatWentWaitForJobsThatMetThatOne) {
  ChangingPromises s;
  s.core.reserve(TaskId{9}, reservation(20), at(0));
  ASSERT_TRUE(s.core.submit(of_task(1, model(2, 10)), at(0)));
  s.decide(at(0));
  s.core.unreserve(TaskId{9}, at(5));
  s.heard.clear();
  s.core.reserve(ChangingPromises::kNew, reservation(20), at(6));
  EXPECT_EQ(s.heard, std::vector<std::string>{});
}

TEST(Promises, OfANewTaskAloneWaitForNobody) {
  ChangingPromises s;
  ASSERT_TRUE(s.core.submit(of_task(1, model(2, 10)), at(0)));
  s.decide(at(0));
  s.heard.clear();
  s.core.reserve(ChangingPromises::kNew, reservation(20), at(5));
  EXPECT_EQ(s.heard, std::vector<std::string>{"8 at 5"});
}

// Job 1 has a higher priority than job 2, whose tenant has a budget of this amount.
void submit_loud_and_budgeted(Script& s, Duration amount) {
  s.core.set_share(TenantId{1}, {.weight = 1, .budget = Budget{amount, Duration{100}, Script::lane(0)}},
                   at(0));
  JobSpec loud = Script::spec(1, model(4, 10), kNever);
  loud.priority = 9;
  ASSERT_TRUE(s.core.submit(loud, at(0)));
  JobSpec budgeted = Script::spec(2, model(4, 10), kNever);
  budgeted.tenant = TenantId{1};
  ASSERT_TRUE(s.core.submit(budgeted, at(0)));
}

TEST(Budget, LetsOneBestEffortJobCountAsReservedUntilItIsSpent) {
  Script s(Policy::fixed_priority);
  submit_loud_and_budgeted(s, Duration{20});
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 2 from 0; grant 0/2: job 1 from 0");
  const auto ran = [&](int block, int end) {
    return s.core.block_done(
        {Script::lane(0), GrantNumber{1}, block, at(end - 10), at(end), {}, Duration{10}}, at(end));
  };
  ASSERT_TRUE(ran(0, 10));
  EXPECT_EQ(s.decide(at(10)), "stop 0/1 (more_urgent_work)") << "after block 1 nothing is left";
  ASSERT_TRUE(ran(1, 20));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::stopped, at(20)));
  EXPECT_EQ(s.decide(at(20)), "grant 0/3: job 2 from 2");
  EXPECT_EQ(s.core.next_wakeup(), at(100)) << "the next window begins";
  s.core.advance(at(100));
  s.can_withdraw = false;
  EXPECT_NE(s.decide(at(100)).find("stop 0/2 (more_urgent_work)"), std::string::npos);
}

TEST(Budget, CarriesNothingThatDoesNotFit) {
  Script s(Policy::fixed_priority);
  submit_loud_and_budgeted(s, Duration{5});
  EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 1 from 0; grant 0/2: job 2 from 0");
}

// The next job of the tenant with the budget: one block.
void submit_short(Script& s, std::uint64_t id, int trunk_ns, TimePoint now) {
  JobSpec spec = Script::spec(id, model(1, trunk_ns), kNever, now);
  spec.tenant = TenantId{1};
  ASSERT_TRUE(s.core.submit(spec, now));
}

// A block of 10 ns under the first grant of lane 0.
bool ran(Script& s, int block, int end) {
  return s.core.block_done({Script::lane(0), GrantNumber{1}, block, at(end - 10), at(end), {}, Duration{10}},
                           at(end));
}

TEST(Budget, PaysForTheBlockInWhichItsJobIsCancelled) {
  Script s(Policy::fixed_priority);
  submit_loud_and_budgeted(s, Duration{20});
  submit_short(s, 3, 15, at(0));
  s.decide(at(0));
  s.can_withdraw = false;
  ASSERT_TRUE(s.core.cancel(JobId{2}, at(5)));
  EXPECT_EQ(s.decide(at(5)),
            "withdraw 0/1 (by_request); stop 0/1 (by_request); finish 2 cancelled (by_request)");
  ASSERT_TRUE(ran(s, 0, 10));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::stopped, at(10)));
  EXPECT_EQ(s.decide(at(10)), "grant 0/3: job 3 from 0; release 2") << "behind job 1: 10 ns are left";
}

TEST(Budget, PaysForTheBlockThatIsInProgressWhenNoMoreFits) {
  Script s(Policy::fixed_priority);
  submit_loud_and_budgeted(s, Duration{20});
  submit_short(s, 3, 10, at(0));
  s.decide(at(0));
  ASSERT_TRUE(ran(s, 0, 10));
  EXPECT_EQ(s.decide(at(10)), "stop 0/1 (more_urgent_work)") << "for job 1: job 3 is not carried";
  ASSERT_TRUE(ran(s, 1, 20));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::stopped, at(20)));
  EXPECT_EQ(s.decide(at(20)).find("withdraw"), std::string::npos) << "nor now";
}

TEST(Budget, PaysForNoMoreOfAJobThatGoesOnWithoutIt) {
  Script s(Policy::fixed_priority);
  submit_loud_and_budgeted(s, Duration{25});
  ASSERT_TRUE(s.core.cancel(JobId{1}, at(0)));
  s.decide(at(0));
  ASSERT_TRUE(ran(s, 0, 10));
  s.decide(at(10));
  submit_short(s, 3, 5, at(11));
  EXPECT_EQ(s.decide(at(11)), "grant 0/2: job 3 from 0") << "behind job 2, whose block is paid for";
  ASSERT_TRUE(ran(s, 1, 20));
  EXPECT_EQ(s.decide(at(20)), "stop 0/1 (more_urgent_work)") << "5 ns are left for job 3";
}

TEST(Budget, CarriesTheNextJobAtOnceWhereNoLaneHasBegunTheLast) {
  Script s(Policy::fixed_priority);
  JobSpec loud = Script::spec(1, model(4, 10), kNever);
  loud.priority = 9;
  ASSERT_TRUE(s.core.submit(loud, at(0)));
  s.decide(at(0));
  ASSERT_TRUE(ran(s, 0, 10));
  s.core.set_share(TenantId{1}, {.weight = 1, .budget = Budget{Duration{20}, Duration{100}, Script::lane(0)}},
                   at(11));
  submit_short(s, 2, 10, at(11));
  submit_short(s, 3, 10, at(11));
  EXPECT_EQ(s.decide(at(11)), "grant 0/2: job 2 from 0; stop 0/1 (more_urgent_work)");
  JobSpec rival = Script::spec(4, model(1, 10), kNever);
  rival.priority = 8;
  ASSERT_TRUE(s.core.submit(rival, at(12)));
  ASSERT_TRUE(s.core.cancel(JobId{2}, at(12)));
  const std::string then = s.decide(at(12));
  EXPECT_EQ(then.find("withdraw 0/2 (by_request)"), 0u) << then;
  EXPECT_NE(then.find("job 3 from 0"), std::string::npos) << then;
}

TEST(Budget, LooksAgainAtAJobWhoseModelHasComeBack) {
  Script s(Policy::fixed_priority);
  constexpr ModelId kModel{5};
  s.core.set_share(TenantId{1}, {.weight = 1, .budget = Budget{Duration{20}, Duration{100}, Script::lane(0)}},
                   at(0));
  s.core.set_residence(kModel, DeviceId{0}, Residence::out, at(0));
  JobSpec budgeted = Script::spec(1, model(1, 10), kNever);
  budgeted.tenant = TenantId{1};
  budgeted.model = kModel;
  ASSERT_TRUE(s.core.submit(budgeted, at(0)));
  EXPECT_EQ(s.decide(at(0)), "");
  JobSpec loud = Script::spec(2, model(4, 10), kNever);
  loud.priority = 9;
  ASSERT_TRUE(s.core.submit(loud, at(1)));
  s.core.set_residence(kModel, DeviceId{0}, Residence::in, at(1));
  EXPECT_EQ(s.decide(at(1)), "grant 0/1: job 1 from 0; grant 0/2: job 2 from 0");
}

}  // namespace
}  // namespace einet
