// Tasks on a real daemon: what is promised and refused, what becomes of senders that are too fast and of
// promises when models are loaded again. The tasks are slack, so that a busy test machine breaks no promise.
#include <algorithm>
#include <csignal>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "running_daemon.h"

namespace einet::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using wire::TaskRefused;

client::TaskRequest task_of(const std::string& name, Duration period) {
  client::TaskRequest task;
  task.name = name;
  task.model = "short";
  task.period = period;
  task.mandatory_exit = 1;
  return task;
}

wire::TaskAdded add(client::Client& client, const client::TaskRequest& task) {
  const auto reply = client.add_task(task, kPatience);
  EINET_CHECK(reply.has_value(), reply ? "" : reply.error().message.c_str());
  const auto* refused = std::get_if<TaskRefused>(&*reply);
  EINET_CHECK(refused == nullptr, refused != nullptr ? refused->words().c_str() : "");
  return std::get<wire::TaskAdded>(*reply);
}

TaskRefused refusal(client::Client& client, const client::TaskRequest& task) {
  const auto reply = client.add_task(task, kPatience);
  EXPECT_TRUE(reply) << reply.error().message;
  if (!reply || !std::holds_alternative<TaskRefused>(*reply)) return {};
  return std::get<TaskRefused>(*reply);
}

wire::TaskInfo info(client::Client& client, const std::string& name) {
  const auto list = client.tasks(kPatience);
  EXPECT_TRUE(list) << list.error().message;
  if (list) {
    for (const wire::TaskInfo& task : list->tasks()) {
      if (task.name() == name) return task;
    }
  }
  return {};
}

client::JobRequest job_of_task(const SyntheticPackage& model, const std::string& task) {
  client::JobRequest job = job_of(model);
  job.model.clear();
  job.task = task;
  return job;
}

// Posts this many jobs at once and waits for all.
std::vector<client::Ended> send(client::Client& client, const client::JobRequest& job, int count) {
  std::vector<client::Ended> all;
  for (int i = 0; i < count; ++i) {
    EXPECT_TRUE(
        client.post(job, {.exit = {}, .ended = [&](const client::Ended& ended) { all.push_back(ended); }}));
  }
  while (client.pending() > 0 && client.wait_any(kPatience)) {
  }
  EXPECT_EQ(all.size(), static_cast<std::size_t>(count));
  return all;
}

TEST(Tasks, APromiseOutlivesItsConnectionAndItsJobsAreCounted) {
  const SyntheticPackage model = short_model();
  RunningDaemon daemon({.models = {model}});
  {
    client::Client client = daemon.connect();
    const wire::TaskAdded added = add(client, task_of("detector", 2s));
    EXPECT_EQ(added.bound().device(), "cpu");
    EXPECT_GT(added.bound().response_ns(), 0);
    EXPECT_LE(Duration(added.bound().response_ns()), Duration(2s));
  }
  client::Client client = daemon.connect();
  const std::vector<client::Ended> ended = send(client, job_of_task(model, "detector"), 1);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].outcome, wire::COMPLETED) << ended[0].reason;
  ASSERT_TRUE(ended[0].deadline);
  EXPECT_EQ(*ended[0].deadline - ended[0].released, Duration(2s));
  const wire::TaskInfo task = info(client, "detector");
  EXPECT_EQ(task.jobs(), 1u);
  EXPECT_EQ(task.met(), 1u);
  EXPECT_GT(task.worst_response_ns(), 0);
  EXPECT_EQ(daemon.tenant("camera").tasks(), 1u);
  EXPECT_GT(daemon.status().lanes(0).promised(), 0);
  client::Client other = daemon.connect("batch");
  EXPECT_EQ(other.tasks(kPatience)->tasks_size(), 0);
  const auto not_theirs = other.submit(job_of_task(model, "detector"), {}, kPatience);
  ASSERT_TRUE(not_theirs && not_theirs->rejected);
  EXPECT_EQ(not_theirs->rejected->reason, "no_such_task");

  ASSERT_TRUE(client.remove_task("detector", kPatience));
  EXPECT_EQ(client.tasks(kPatience)->tasks_size(), 0);
  EXPECT_THAT(client.remove_task("detector", kPatience).error().message, HasSubstr("there is no task"));
  EXPECT_TRUE(daemon.wait_log("task removed"));
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_EQ(broken_promises(daemon.trace()), "");
}

TEST(Tasks, WhatCannotBePromisedIsRefusedWithNumbersAndWhatWouldFit) {
  const SyntheticPackage model = model_of("short", 4, 10ms, 1ms);
  RunningDaemon daemon({.models = {model}});
  client::Client client = daemon.connect();
  client::TaskRequest task = task_of("x", 30ms);
  task.mandatory_exit = 3;
  const TaskRefused no = refusal(client, task);
  EXPECT_EQ(no.reason(), TaskRefused::NOT_SCHEDULABLE);
  ASSERT_TRUE(no.has_largest_mandatory_exit()) << no.words();
  ASSERT_TRUE(no.has_smallest_period_ns()) << no.words();
  client::TaskRequest earlier = task;
  earlier.mandatory_exit = static_cast<int>(no.largest_mandatory_exit());
  add(client, earlier);
  ASSERT_TRUE(client.remove_task("x", kPatience));
  task.period = Duration(no.smallest_period_ns());
  add(client, task);

  EXPECT_EQ(refusal(client, task_of("x", 1s)).reason(), TaskRefused::NAME_TAKEN);
  EXPECT_EQ(refusal(client, task_of("", 1s)).reason(), TaskRefused::BAD_ARGUMENT);
  EXPECT_EQ(refusal(client, task_of("y", 0s)).reason(), TaskRefused::BAD_ARGUMENT);
  client::TaskRequest bad = task_of("y", 1s);
  bad.deadline = -1ms;
  EXPECT_EQ(refusal(client, bad).reason(), TaskRefused::BAD_ARGUMENT);
  bad = task_of("y", 1s);
  bad.mandatory_exit = 4;
  EXPECT_EQ(refusal(client, bad).reason(), TaskRefused::BAD_ARGUMENT);
  bad = task_of("y", 1s);
  bad.priority = 6;
  EXPECT_EQ(refusal(client, bad).reason(), TaskRefused::PRIORITY_CEILING);
  bad = task_of("y", 1s);
  bad.model = "none";
  EXPECT_EQ(refusal(client, bad).reason(), TaskRefused::UNKNOWN_MODEL);
  EXPECT_EQ(client.tasks(kPatience)->tasks_size(), 1);
}

TEST(Tasks, FifoPromisesNothing) {
  RunningDaemon daemon({.models = {short_model()}, .config = "policy = \"fifo\"\n"});
  client::Client client = daemon.connect();
  EXPECT_EQ(refusal(client, task_of("x", 1s)).reason(), TaskRefused::NO_PROMISES);
}

TEST(Tasks, ASenderThatIsTooFastIsThrottledBesideAFloodAndNobodyMisses) {
  const SyntheticPackage model = short_model();
  // So that no job overruns on a busy test machine: its task would pay for that with a later release.
  RunningDaemon daemon({.models = {model}, .tables = "[admission]\nmargin = 100\n"});
  client::Client client = daemon.connect("control");
  client::TaskRequest steady = task_of("steady", 200ms);
  steady.deadline = 20s;
  client::TaskRequest hasty = steady;
  hasty.name = "hasty";
  add(client, steady);
  add(client, hasty);

  client::Client flood = daemon.connect("batch");
  std::vector<client::Ticket> flooded;
  for (int i = 0; i < 200; ++i) flooded.push_back(*flood.post(job_of(model), {}));
  client::Client watcher = daemon.connect("control");
  int throttled = 0;
  std::set<std::uint64_t> accepted;
  const auto note = [&](const wire::Event& e) {
    if (e.kind() == wire::Event::ACCEPTED) accepted.insert(e.job());
    if (e.kind() != wire::Event::THROTTLED) return;
    ++throttled;
    EXPECT_TRUE(accepted.contains(e.job())) << "first it is accepted";
  };
  ASSERT_TRUE(watcher.watch(client::Client::Watch::jobs, note, kPatience));

  // All at once: each after the first comes too early.
  const std::vector<client::Ended> ended = send(client, job_of_task(model, "hasty"), 4);
  for (std::size_t i = 0; i < ended.size(); ++i) {
    EXPECT_EQ(ended[i].outcome, wire::COMPLETED) << ended[i].reason;
    EXPECT_EQ(*ended[i].deadline - ended[i].released, Duration(20s));
    if (i > 0) {
      EXPECT_EQ(ended[i].released - ended[i - 1].released, Duration(200ms));
    }
  }
  EXPECT_EQ(send(client, job_of_task(model, "steady"), 1)[0].outcome, wire::COMPLETED);
  EXPECT_EQ(info(client, "hasty").throttled(), 3u);
  EXPECT_EQ(info(client, "hasty").met(), 4u);
  EXPECT_EQ(info(client, "steady").throttled(), 0u);
  EXPECT_EQ(info(client, "steady").missed(), 0u);
  EXPECT_EQ(daemon.counter("throttled"), 3u);
  while (throttled < 3 && watcher.wait_any(kPatience)) {
  }
  EXPECT_EQ(throttled, 3);
  for (const client::Ticket ticket : flooded)
    EXPECT_EQ(flood.wait(ticket, kPatience)->outcome, wire::COMPLETED);
  EXPECT_TRUE(daemon.wait_log("its task sends faster than it said"));
}

TEST(Tasks, AJobMayNotSayWhatItsTaskSays) {
  const SyntheticPackage model = short_model();
  RunningDaemon daemon({.models = {model}});
  client::Client client = daemon.connect();
  add(client, task_of("x", 1s));
  client::JobRequest job = job_of_task(model, "x");
  job.deadline = Duration(5ms);
  const auto rejected = client.submit(job, {}, kPatience);
  ASSERT_TRUE(rejected && rejected->rejected);
  EXPECT_EQ(rejected->rejected->reason, "bad_argument");
  EXPECT_THAT(rejected->rejected->words, HasSubstr("has its deadline from the task"));
}

TEST(Tasks, AReloadWithLongerBlocksKeepsTasksThatFitAndSuspendsThoseThatDoNot) {
  SyntheticPackage model = short_model();
  RunningDaemon daemon({.models = {model}});
  client::Client client = daemon.connect();
  const wire::TaskAdded before = add(client, task_of("x", 100ms));
  const auto reload = [&](Duration trunk) {
    model = model_of("short", 2, trunk, 20us);
    std::filesystem::remove_all(daemon.models() / "short.einet");
    write_synthetic_package(daemon.models(), model);
    daemon.signal(SIGHUP);
  };
  const auto until = [&](auto holds) {
    return daemon.eventually([&](const wire::Status&) { return holds(info(client, "x")); });
  };

  reload(2ms);
  EXPECT_TRUE(until(
      [&](const wire::TaskInfo& task) { return task.bound().response_ns() > before.bound().response_ns(); }));
  EXPECT_EQ(info(client, "x").suspended(), "");

  reload(80ms);
  EXPECT_TRUE(until([](const wire::TaskInfo& task) { return !task.has_bound(); }));
  EXPECT_THAT(info(client, "x").suspended(), HasSubstr("the blocks of model short take too long now: "));
  const auto rejected = client.submit(job_of_task(model, "x"), {}, kPatience);
  ASSERT_TRUE(rejected && rejected->rejected);
  EXPECT_EQ(rejected->rejected->reason, "task_suspended");
  EXPECT_TRUE(daemon.wait_log("task suspended"));

  reload(200us);
  EXPECT_TRUE(until([](const wire::TaskInfo& task) { return task.has_bound(); }));
  EXPECT_TRUE(daemon.wait_log("task accepted again"));
  EXPECT_TRUE(daemon.eventually([](const wire::Status& s) { return s.lanes(0).state() == "idle"; }));
  EXPECT_NE(send(client, job_of_task(model, "x"), 1)[0].outcome, wire::FAILED);
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
}

TEST(Tasks, WhileTheirLaneIsDownStatusWarns) {
  RunningDaemon daemon({.models = {short_model()},
                        .tables = "[worker]\nrestart_delay = \"60s\"\nrestart_delay_max = \"60s\"\n"
                                  "path = \"" EINET_WORKER_PROGRAM "\"\n"});
  client::Client client = daemon.connect();
  const auto warning = testing::Contains(
      "lane cpu/0 is down until its worker has started again; jobs of tasks and budgets there may miss "
      "meanwhile");
  add(client, task_of("x", 1s));
  EXPECT_THAT(daemon.status().warnings(), testing::Not(warning));
  daemon.kill_worker();
  EXPECT_TRUE(daemon.eventually([](const wire::Status& s) { return s.lanes(0).state() == "down"; }));
  EXPECT_THAT(daemon.status().warnings(), warning);
  ASSERT_TRUE(client.remove_task("x", kPatience));
  EXPECT_THAT(daemon.status().warnings(), testing::Not(warning)) << "nothing is promised";
}

TEST(Tasks, WhileDrainingNothingIsPromised) {
  const SyntheticPackage model = long_model();
  RunningDaemon daemon({.models = {model}, .config = "drain = \"60s\"\n"});
  client::Client client = daemon.connect();
  const auto running = client.submit(job_of(model), {}, kPatience);
  ASSERT_TRUE(running);
  daemon.signal(SIGTERM);
  ASSERT_TRUE(daemon.wait_log("draining"));
  client::TaskRequest task = task_of("x", 1s);
  task.model = "long";
  EXPECT_EQ(refusal(client, task).reason(), TaskRefused::SHUTTING_DOWN);
}

TEST(Tasks, ABudgetThatDoesNotFitIsAWarning) {
  RunningDaemon daemon({.models = {short_model()},
                        .tables = "[tenant.greedy]\nuid = 12345\nbudget = \"99ms/100ms\"\n"
                                  "[tenant.modest]\nuid = 12346\nweight = 2.5\nbudget = \"5ms/100ms\"\n"});
  const wire::Status status = daemon.status();
  EXPECT_THAT(status.warnings(), testing::Not(testing::Contains(HasSubstr("tenant greedy has no budget"))));
  EXPECT_THAT(status.warnings(), testing::Contains(HasSubstr("tenant modest has no budget")));
}

TEST(Tasks, ABudgetIsHadWhenItsDeviceComesUpAfterTheStart) {
  const TemporaryFolder folder;
  const std::filesystem::path worker = folder.path() / "worker";
  RunningDaemon daemon({.models = {short_model()},
                        .tables = "[tenant.modest]\nuid = 12346\nbudget = \"5ms/100ms\"\n",
                        .worker = worker.string()});
  const auto warned = [](const wire::Status& status) {
    return std::any_of(status.warnings().begin(), status.warnings().end(), [](const std::string& warning) {
      return warning.find("tenant modest has no budget") != std::string::npos;
    });
  };
  EXPECT_TRUE(warned(daemon.status()));
  std::filesystem::create_symlink(EINET_WORKER_PROGRAM, worker);
  EXPECT_TRUE(daemon.eventually([&](const wire::Status& status) { return !warned(status); }));
  EXPECT_GT(daemon.status().lanes(0).promised(), 0);
}

}  // namespace
}  // namespace einet::test
