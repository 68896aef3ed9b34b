// The imprecise policy: mandatory parts first, optional exits by what they are worth, fair shares between
// tenants.
#include <deque>
#include <map>

#include <gtest/gtest.h>

#include "script.h"

namespace einet {
namespace {

const std::vector<double> kRising = {0.5, 0.7, 0.9};

ExitAnswer answer(int exit) {
  return {.exit = exit, .top_class = 3, .confidence = 0.5F};
}

TEST(Imprecise, FinishesEveryMandatoryPartBeforeAnyOptionalOne) {
  Script s(Policy::imprecise);
  JobSpec first = Script::spec(1, model(3, 10, kRising, 1), at(200));
  first.mandatory_exit = 0;
  ASSERT_TRUE(s.core.submit(first, at(0)));
  s.decide(at(0));
  JobSpec second = Script::spec(2, model(3, 10, kRising, 1), at(300), at(2));
  second.priority = -5;
  ASSERT_TRUE(s.core.submit(second, at(2)));
  // Known before the boundary: after its mandatory exit the running job makes room for a less urgent
  // mandatory part.
  EXPECT_NE(s.decide(at(2)).find("exits 0/1"), std::string::npos);
  EXPECT_EQ(s.exits, 1u) << "its grant ends there";
  ASSERT_TRUE(s.block(0, 1, 0, at(11), answer(0)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::done, at(11)));
  s.decide(at(11));
  EXPECT_EQ(s.core.job(JobId{2})->state, JobState::running);
}

TEST(Imprecise, KeepsItsLaneUntilTheMandatoryPartIsDone) {
  Script s(Policy::imprecise);
  JobSpec first = Script::spec(1, model(3, 10, kRising, 1), at(200));
  first.mandatory_exit = 1;
  ASSERT_TRUE(s.core.submit(first, at(0)));
  s.decide(at(0));
  ASSERT_TRUE(s.core.submit(Script::spec(2, model(3, 10, kRising, 1), at(300), at(2)), at(2)));
  EXPECT_EQ(s.decide(at(2)).find("stop"), std::string::npos);
}

TEST(Imprecise, TakesAnEarlyAnswerWhileOthersWaitForTheirFirst) {
  Script alone(Policy::imprecise);
  ASSERT_TRUE(alone.core.submit(Script::spec(1, model(3, 10, kRising, 1), kNever), at(0)));
  alone.decide(at(0));
  EXPECT_EQ(alone.exits & 1, 0u) << "with all the time in the world the first exit is a waste";

  Script crowded(Policy::imprecise);
  for (std::uint64_t id = 1; id <= 4; ++id) {
    ASSERT_TRUE(crowded.core.submit(Script::spec(id, model(3, 10, kRising, 1), kNever), at(0)));
  }
  crowded.decide(at(0));
  EXPECT_EQ(crowded.exits & 1, 1u);
}

TEST(Imprecise, AStaticPlanIsFinishedThoughLaterExitsWouldBeBetter) {
  Script s(Policy::imprecise);
  JobSpec job = Script::spec(1, model(3, 10, kRising, 1), kNever);
  job.plan = PlanMode::all;
  job.exits = 0b001;
  ASSERT_TRUE(s.core.submit(job, at(0)));
  s.decide(at(0));
  ASSERT_TRUE(s.block(0, 1, 0, at(11), answer(0)));
  ASSERT_TRUE(s.ended(0, 1, GrantEnd::done, at(11)));
  EXPECT_EQ(s.decide(at(11)), "finish 1 completed (plan_finished); release 1");
}

TEST(Imprecise, HurriesARunningJobWhenOthersArrive) {
  Script s(Policy::imprecise);
  ASSERT_TRUE(s.core.submit(Script::spec(1, model(3, 10, kRising, 1), kNever), at(0)));
  s.decide(at(0));
  EXPECT_EQ(s.exits & 1, 0u);
  ASSERT_TRUE(s.core.submit(Script::spec(2, model(3, 10, kRising, 1), kNever, at(2)), at(2)));
  EXPECT_NE(s.decide(at(2)).find("exits 0/1"), std::string::npos);
}

// Optional parts: 0.2 per block each, but one tenant weighs more.
TEST(Imprecise, PrefersOptionalWorkByGainPerTimeAndWeight) {
  for (const double weight : {1.0, 4.0}) {
    Script s(Policy::imprecise);
    s.core.set_share(TenantId{2}, {.weight = weight, .budget = {}}, at(0));
    const auto submit = [&](std::uint64_t id, std::uint32_t tenant, std::vector<double> accuracy) {
      JobSpec job = Script::spec(id, model(2, 10, std::move(accuracy), 1), at(500));
      job.tenant = TenantId{tenant};
      job.plan = PlanMode::all;
      job.mandatory_exit = 0;
      ASSERT_TRUE(s.core.submit(job, at(0)));
    };
    submit(1, 1, {0.5, 0.9});
    submit(2, 2, {0.5, 0.7});
    s.decide(at(0));
    ASSERT_TRUE(s.block(0, 1, 0, at(11), answer(0)));
    ASSERT_TRUE(s.ended(0, 1, GrantEnd::done, at(11)));
    // Job 2 is at its mandatory part; it is known already which refinement goes on at its boundary.
    const std::string then = s.decide(at(11));
    EXPECT_EQ(then.find("exits 0/2") == std::string::npos, weight > 2) << then;
  }
}

// Knows which grants its lane holds.
struct OneLane final : Script {
  using Script::Script;
  void grant(const Grant& g, Reason why) override {
    posted.push_back(g);
    Script::grant(g, why);
  }
  bool withdraw(LaneId l, GrantNumber n, Reason why) override {
    Script::withdraw(l, n, why);
    if (posted.front().number == n) return false;
    std::erase_if(posted, [&](const Grant& g) { return g.number == n; });
    return true;
  }
  // Runs the only block of the job that has the lane. Its id.
  std::uint64_t run(TimePoint start, TimePoint end) {
    const Grant g = posted.front();
    posted.pop_front();
    EXPECT_TRUE(core.block_done({g.lane, g.number, 0, start, end, {}, end - start}, end));
    EXPECT_TRUE(core.grant_ended(g.lane, g.number, GrantEnd::done, end));
    return g.job.value;
  }
  std::deque<Grant> posted;
};

// Two tenants that always have eight jobs waiting: lane time in proportion to their weights.
TEST(Imprecise, SharesTheLanesByWeight) {
  OneLane s(Policy::imprecise);
  s.core.set_share(TenantId{1}, {.weight = 3, .budget = {}}, at(0));
  std::map<std::uint64_t, std::uint32_t> tenant_of;
  std::uint64_t next_id = 1;
  int now = 0;
  const auto submit = [&](std::uint32_t tenant) {
    JobSpec job = Script::spec(next_id, model(1, 1000), kNever, at(now));
    job.tenant = TenantId{tenant};
    tenant_of[next_id++] = tenant;
    ASSERT_TRUE(s.core.submit(job, at(now)));
  };
  for (int i = 0; i < 8; ++i) {
    submit(1);
    submit(2);
  }
  std::map<std::uint32_t, int> served;
  s.decide(at(0));
  for (int i = 0; i < 400; ++i, now += 1000) {
    const std::uint32_t tenant = tenant_of[s.run(at(now), at(now + 1000))];
    ++served[tenant];
    now += 1000;
    submit(tenant);
    now -= 1000;
    s.decide(at(now + 1000));
  }
  EXPECT_NEAR(served[1], 300, 12);
  EXPECT_NEAR(served[2], 100, 12);
}

// Two tenants of equal weight that always have eight jobs waiting; one cancels each as soon as it runs.
TEST(Imprecise, SharesTheLanesWithATenantThatCancelsItsJobs) {
  OneLane s(Policy::imprecise);
  std::map<std::uint64_t, std::uint32_t> tenant_of;
  std::uint64_t next_id = 1;
  const auto submit = [&](std::uint32_t tenant, TimePoint now) {
    JobSpec job = Script::spec(next_id, model(1, 1000), kNever, now);
    job.tenant = TenantId{tenant};
    tenant_of[next_id++] = tenant;
    ASSERT_TRUE(s.core.submit(job, now));
  };
  for (int i = 0; i < 8; ++i) {
    submit(1, at(0));
    submit(2, at(0));
  }
  std::map<std::uint32_t, int> served;
  s.decide(at(0));
  for (int now = 0; now < 200'000; now += 1000) {
    const JobId running = s.posted.front().job;
    const std::uint32_t tenant = tenant_of[running.value];
    if (tenant == 2) {
      ASSERT_TRUE(s.core.cancel(running, at(now + 500)));
      s.decide(at(now + 500));
    }
    s.run(at(now), at(now + 1000));
    ++served[tenant];
    submit(tenant, at(now + 1000));
    s.decide(at(now + 1000));
  }
  EXPECT_NEAR(served[1], 100, 8);
  EXPECT_NEAR(served[2], 100, 8);
}

// One block, which takes so long on device 0 and on device 1; only the lane of the latter is up.
std::shared_ptr<const ModelTimes> model_on_two(int trunk_0, int trunk_1) {
  auto m = std::make_shared<ModelTimes>(*model(1, trunk_0));
  m->on_device.push_back(model(1, trunk_1)->on_device[0]);
  return m;
}

// How many jobs of a tenant, each due at 40 by its own deadline, run before one of another that is due at 50.
int run_before_another(OneLane& s, int jobs, const std::shared_ptr<const ModelTimes>& times) {
  for (int i = 1; i <= jobs; ++i) {
    EXPECT_TRUE(s.core.submit(Script::spec(static_cast<std::uint64_t>(i), times, at(40)), at(0)));
  }
  JobSpec another = Script::spec(100, times, at(50));
  another.tenant = TenantId{1};
  EXPECT_TRUE(s.core.submit(another, at(0)));
  for (int ran = 0;; ++ran) {
    s.decide(at(ran));
    if (s.run(at(ran), at(ran + 1)) == 100) return ran;
  }
}

TEST(Imprecise, PutsAFloodOffByTheLanesThatItCanUse) {
  for (const int others : {0, 14}) {
    OneLane s(Policy::imprecise);
    for (int i = 1; i <= others; ++i) s.core.lane_up(Script::lane(i), DeviceId{1}, at(0));
    EXPECT_EQ(run_before_another(s, 8, model(1, 10)), 6) << others << " lanes of another device";
  }
}

TEST(Imprecise, PutsATenantOffByWhatItsJobsTakeWhereTheyRun) {
  OneLane s(Policy::imprecise, 0);
  s.core.lane_up(Script::lane(0), DeviceId{1}, at(0));
  EXPECT_EQ(run_before_another(s, 2, model_on_two(100, 10)), 2);
}

TEST(Imprecise, PromotesAJobWhoseLaxityIsUsedUp) {
  for (const int laxity : {0, 5}) {
    Script s({.policy = Policy::imprecise, .max_jobs = 10, .promote_at_laxity = Duration{laxity}});
    JobSpec high = Script::spec(1, model(10, 10), at(400));
    high.priority = 5;
    ASSERT_TRUE(s.core.submit(high, at(0)));
    ASSERT_TRUE(s.core.submit(Script::spec(2, model(2, 10), at(60)), at(0)));
    s.decide(at(0));
    ASSERT_TRUE(s.block(0, 1, 0, at(10)));
    s.decide(at(10));
    if (laxity > 0) {
      EXPECT_EQ(s.core.next_wakeup(), at(35));
    }
    s.core.advance(at(35));
    const std::string then = s.decide(at(35));
    EXPECT_EQ(then.find("stop 0/1 (more_urgent_work)") != std::string::npos, laxity > 0) << then;
  }
}

TEST(Imprecise, ReckonsLaxityOnTheFastestDeviceThatIsUp) {
  Script s({.policy = Policy::imprecise, .max_jobs = 10, .promote_at_laxity = Duration{5}}, 0);
  s.core.lane_up(Script::lane(0), DeviceId{1}, at(0));
  ASSERT_TRUE(s.core.submit(Script::spec(1, model_on_two(100, 10), at(60)), at(0)));
  EXPECT_EQ(s.core.next_wakeup(), at(45));
}

}  // namespace
}  // namespace einet
