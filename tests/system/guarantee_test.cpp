// What is promised to an accepted task, on real processes: its jobs are in time, however much other work
// waits. The same jobs without a promise, under a policy that does not preempt, are the negative control.
// Times are far apart (a flood of seconds, deadlines of one), so that a busy machine changes nothing; the
// full measurement is tools/bench guarantee.
#include <gtest/gtest.h>

#include "running_daemon.h"

namespace einet::test {
namespace {

using namespace std::chrono_literals;

constexpr int kFlood = 40;  // jobs of 100 ms
constexpr auto kDeadline = 1s;
constexpr const char* kAdmission = "[admission]\nmargin = 3.0\n";  // sanitizers make blocks longer

struct Load {
  SyntheticPackage flood = model_of("flood", 20, 5ms, 100us);
  SyntheticPackage task = model_of("task", 2, 2ms, 100us);

  RunningDaemon daemon(const std::string& policy) const {
    return RunningDaemon({.models = {flood, task}, .tables = kAdmission, .arguments = {"--policy", policy}});
  }
  // So much that the lane is busy for seconds; the connection's end cancels it.
  client::Client fill(const RunningDaemon& daemon) const {
    client::Client client = daemon.connect("batch");
    client::JobRequest job = job_of(flood);
    job.plan = wire::ALL;
    for (int i = 0; i < kFlood; ++i) EXPECT_TRUE(client.post(job, {}));
    EXPECT_TRUE(
        daemon.eventually([&](const wire::Status&) { return daemon.tenant("batch").jobs() >= kFlood; }));
    return client;
  }
};

TEST(Guarantee, JobsOfAnAcceptedTaskAreInTimeBesideAFlood) {
  const Load load;
  const RunningDaemon daemon = load.daemon("imprecise");
  client::Client control = daemon.connect("control");
  const auto added = control.add_task({.name = "watch",
                                       .model = "task",
                                       .period = 20ms,
                                       .deadline = kDeadline,
                                       .priority = 10,
                                       .mandatory_exit = 1});
  ASSERT_TRUE(added && std::holds_alternative<wire::TaskAdded>(*added));
  const client::Client flood = load.fill(daemon);
  client::JobRequest job = job_of(load.task);
  job.task = "watch";
  for (int i = 0; i < 20; ++i) {
    const auto ended = control.run(job, {}, kPatience);
    ASSERT_TRUE(ended) << ended.error().message;
    EXPECT_EQ(ended->outcome, wire::COMPLETED) << ended->reason;
  }
  EXPECT_GT(daemon.tenant("batch").jobs(), 0U) << "the flood had gone";
}

TEST(Guarantee, WithoutAPromiseTheSameJobMissesBehindTheFlood) {
  const Load load;
  const RunningDaemon daemon = load.daemon("fifo");
  client::Client control = daemon.connect("control");
  const client::Client flood = load.fill(daemon);
  client::JobRequest job = job_of(load.task, 10);
  job.deadline = kDeadline;
  job.mandatory_exit = 1;
  const auto ended = control.run(job, {}, kPatience);
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->outcome, wire::MISSED);
}

TEST(Guarantee, ATaskThatWouldMissIsRefusedWithWhatWouldFit) {
  const Load load;
  const RunningDaemon daemon = load.daemon("imprecise");
  client::Client control = daemon.connect("control");
  const auto refused = control.add_task({.name = "greedy",
                                         .model = "task",
                                         .period = 5ms,
                                         .deadline = 5ms,
                                         .priority = 10,
                                         .mandatory_exit = 1});
  ASSERT_TRUE(refused && std::holds_alternative<wire::TaskRefused>(*refused));
  EXPECT_EQ(std::get<wire::TaskRefused>(*refused).reason(), wire::TaskRefused::NOT_SCHEDULABLE);
}

}  // namespace
}  // namespace einet::test
