// A device whose memory does not hold all models: which leave it, which come back, and who waits for that.
#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/files.h"
#include "models/package.h"
#include "raw_client.h"
#include "running_daemon.h"

namespace einet::test {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;

constexpr std::uint64_t kState = 8;  // of a job of the synthetic backend

// 100 ms; all such have weights of the same size.
SyntheticPackage model(const std::string& name) {
  return model_of(name, 20, 5ms, 20us);
}

std::uint64_t weights_of(const SyntheticPackage& model) {
  TemporaryFolder folder;
  return size_of(read_package(write_synthetic_package(folder.path(), model)).value().weights).value;
}

std::string memory_for(int models, int states) {
  const auto n = static_cast<std::uint64_t>(models), s = static_cast<std::uint64_t>(states);
  return "memory = \"" + std::to_string(n * weights_of(model("any")) + s * kState) + "B\"\n";
}

// The evicted ones, by name.
std::string evicted(client::Client& client) {
  const auto list = client.models(kPatience);
  EXPECT_TRUE(list) << list.error().message;
  std::string names;
  for (const wire::ModelInfo& m : list->models()) {
    EXPECT_TRUE(m.loaded()) << m.reason();
    for (const wire::ModelOnDevice& device : m.devices()) {
      if (device.evicted()) names += (names.empty() ? "" : " ") + m.name() + "@" + device.device();
    }
  }
  return names;
}

client::JobRequest whole(const SyntheticPackage& of, int priority = 0) {
  client::JobRequest job = job_of(of, priority);
  job.plan = wire::ALL;
  return job;
}

struct Memory : testing::Test {
  Memory(int models, int states, const std::string& device = "lanes = 2\n")
      : daemon({.models = {a, b, c}, .device = device + memory_for(models, states)}),
        client(daemon.connect("control")) {}

  client::Ended run(const client::JobRequest& job) {
    auto ended = client.run(job, {}, kPatience);
    EXPECT_TRUE(ended) << ended.error().message;
    return ended ? *ended : client::Ended{};
  }
  client::Ticket post(const client::JobRequest& job) {
    const auto ticket = client.post(job, {});
    EXPECT_TRUE(ticket) << ticket.error().message;
    return *ticket;
  }
  client::Ended wait(client::Ticket ticket) {
    auto ended = client.wait(ticket, kPatience);
    EXPECT_TRUE(ended) << ended.error().message;
    return ended ? *ended : client::Ended{};
  }
  // Runs on a lane, and has answered.
  client::Ticket begin(const SyntheticPackage& of) {
    const int before = answers;
    const client::JobRequest job = whole(of);
    const auto ticket =
        client.post(job, {.exit = [this](JobId, const client::Answer&) { ++answers; }, .ended = {}});
    EXPECT_TRUE(ticket);
    while (answers == before && client.wait_any(kPatience)) {
    }
    return *ticket;
  }
  // The only job that waits for memory.
  std::optional<wire::JobInfo> waits() {
    const auto list = client.jobs(kPatience);
    EXPECT_TRUE(list);
    for (const wire::JobInfo& job : list->jobs()) {
      if (job.awaits_memory()) return job;
    }
    return std::nullopt;
  }
  bool holds_jobs(std::uint64_t jobs) {
    return daemon.eventually([&](const wire::Status&) { return daemon.counter("jobs_held") == jobs; });
  }
  void expect_good_end() {
    EXPECT_TRUE(holds_jobs(0));
    EXPECT_EQ(daemon.stop(), 0) << daemon.log();
    EXPECT_EQ(broken_promises(daemon.trace()), "");
  }

  int answers = 0;
  const SyntheticPackage a = model("a"), b = model("b"), c = model("c");
  RunningDaemon daemon;
  client::Client client;
};

struct MemoryForTwo : Memory {
  MemoryForTwo() : Memory(2, 8) {}
};
struct MemoryForOne : Memory {
  MemoryForOne() : Memory(1, 8) {}
};
struct MemoryForAll : Memory {
  MemoryForAll() : Memory(3, 8) {}
};
struct MemoryForThreeAndOneJob : Memory {
  MemoryForThreeAndOneJob() : Memory(3, 1) {}
};

TEST_F(MemoryForTwo, AJobBringsItsModelBackAndTheOneNeededLeastRecentlyGoes) {
  EXPECT_EQ(evicted(client), "a@cpu") << "each was loaded once, one after the other";
  EXPECT_EQ(run(whole(a)).outcome, wire::COMPLETED);
  EXPECT_EQ(evicted(client), "b@cpu");
  EXPECT_EQ(run(whole(b)).outcome, wire::COMPLETED);
  EXPECT_EQ(evicted(client), "c@cpu") << "a was needed since";
  EXPECT_EQ(run(whole(a)).outcome, wire::COMPLETED);
  EXPECT_EQ(evicted(client), "c@cpu") << "a is there";
  EXPECT_EQ(run(whole(c)).outcome, wire::COMPLETED);
  EXPECT_EQ(evicted(client), "b@cpu");
  EXPECT_EQ(daemon.counter("evictions"), 3u);
  expect_good_end();
  // A replay must know: its lanes would run jobs of models that are not there.
  std::string changes;
  for (const nlohmann::json& e : daemon.trace()) {
    if (e["event"] == "residence")
      changes += " " + e["model"].get<std::string>() + " " + e["residence"].get<std::string>();
  }
  EXPECT_EQ(changes, " a out b out a in c out b in b out c in");
}

TEST_F(MemoryForAll, NothingIsEvicted) {
  for (const SyntheticPackage& m : {a, b, c, a}) EXPECT_EQ(run(whole(m)).outcome, wire::COMPLETED);
  EXPECT_EQ(evicted(client), "");
  EXPECT_EQ(daemon.counter("evictions"), 0u);
  expect_good_end();
}

TEST_F(MemoryForOne, AModelWithJobsStaysAndOthersWaitUntilItsLastIsGone) {
  EXPECT_EQ(evicted(client), "a@cpu b@cpu");
  const client::Ticket first = begin(c), second = post(whole(c)), other = post(whole(a));
  client::JobRequest hurried = whole(b);
  hurried.deadline = 1ms;
  EXPECT_EQ(run(hurried).outcome, wire::MISSED) << "waiting for memory is no reason to forget a deadline";
  const std::optional<wire::JobInfo> waiting = waits();
  ASSERT_TRUE(waiting) << daemon.log();
  EXPECT_EQ(waiting->model(), "a");
  EXPECT_EQ(waiting->awaits(), "cpu");
  EXPECT_EQ(wait(first).outcome, wire::COMPLETED);
  EXPECT_EQ(wait(second).outcome, wire::COMPLETED);
  EXPECT_EQ(wait(other).outcome, wire::COMPLETED);
  EXPECT_EQ(evicted(client), "b@cpu c@cpu");
  EXPECT_EQ(daemon.counter("evictions"), 1u);
  expect_good_end();
}

TEST_F(MemoryForOne, JobsThatWaitOutliveTheWorker) {
  const client::Ticket runs = begin(c), waits_for_it = post(whole(a));
  ASSERT_TRUE(waits());
  daemon.kill_worker();
  EXPECT_EQ(wait(runs).outcome, wire::COMPLETED);
  EXPECT_EQ(wait(waits_for_it).outcome, wire::COMPLETED);
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
}

TEST_F(MemoryForOne, AModelThatWasSpoiltMeanwhileIsRefusedAndItsJobsFail) {
  const client::Ticket runs = begin(c), doomed = post(whole(a));
  std::filesystem::resize_file(daemon.models() / "a.einet/weights.safetensors", 100);
  EXPECT_EQ(wait(runs).outcome, wire::COMPLETED);
  const client::Ended ended = wait(doomed);
  EXPECT_EQ(ended.outcome, wire::FAILED);
  EXPECT_EQ(ended.reason, "no_lane");
  EXPECT_EQ(run(whole(c)).outcome, wire::COMPLETED) << "nobody else notices";
  const auto rejected = client.submit(whole(a), {}, kPatience);
  ASSERT_TRUE(rejected && rejected->rejected);
  EXPECT_THAT(rejected->rejected->words, HasSubstr("weights.safetensors"));
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
}

TEST_F(MemoryForTwo, ATaskBringsItsModelBackAndKeepsIt) {
  const auto add = [&](const std::string& name, const std::string& of) {
    client::TaskRequest task;
    task.name = name;
    task.model = of;
    task.period = 10s;
    const auto reply = client.add_task(task, kPatience);
    EXPECT_TRUE(reply);
    const auto* refused = reply ? std::get_if<wire::TaskRefused>(&*reply) : nullptr;
    return refused != nullptr ? refused->words() : "";
  };
  EXPECT_EQ(add("t", "b"), "");
  EXPECT_EQ(add("u", "a"), "") << "which is evicted";
  EXPECT_EQ(evicted(client), "c@cpu") << "b would have been next";
  EXPECT_EQ(
      add("v", "c"),
      "model c does not fit into the memory of device cpu beside the models of tasks there (a, b); remove "
      "such a task, or give the device more `memory`");
  const client::Ticket job = post(whole(c));
  ASSERT_TRUE(holds_jobs(1));
  EXPECT_TRUE(waits());
  ASSERT_TRUE(client.remove_task("t", kPatience));
  EXPECT_EQ(wait(job).outcome, wire::COMPLETED);
  EXPECT_EQ(evicted(client), "b@cpu");
  expect_good_end();
}

// What it asks for waits for the job of another; then it is gone.
TEST_F(MemoryForOne, AClientThatLeavesGetsNoTask) {
  const client::Ticket runs = begin(c);
  {
    client::Client leaves = daemon.connect();
    client::TaskRequest task;
    task.name = "t";
    task.model = "a";
    task.period = 10s;
    EXPECT_FALSE(leaves.add_task(task, 1ms));
    EXPECT_TRUE(daemon.wait_log("task waits for its model"));
  }
  EXPECT_EQ(wait(runs).outcome, wire::COMPLETED);
  EXPECT_EQ(run(whole(b)).outcome, wire::COMPLETED);
  const auto tasks = client.tasks(kPatience);
  EXPECT_TRUE(tasks && tasks->tasks().empty());
  expect_good_end();
}

// Its device has evicted the model and is busy; then its worker cannot be started any more.
struct AWaitingTask : testing::Test {
  AWaitingTask() {
    std::filesystem::create_symlink(EINET_WORKER_PROGRAM, worker);
    daemon.emplace(
        DaemonSetup{.models = {model("a"), busy}, .device = memory_for(1, 8), .worker = worker.string()});
    client.emplace(daemon->connect());
    const auto count = [&](JobId, const client::Answer&) { ++answers; };
    for (int i = 0; i < 50; ++i) EXPECT_TRUE(client->post(whole(busy), {.exit = count, .ended = {}}));
    while (answers == 0 && client->wait_any(kPatience)) {
    }
    asks.emplace(daemon->socket());
    asks->send(frame(1, hello_as("camera")));
    wire::AddTask task;
    task.set_name("t");
    task.set_model("a");
    task.set_period_ns(Duration(10s).count());
    asks->send(frame(2, task));
    EXPECT_TRUE(asks->next_as<wire::HelloReply>());
    EXPECT_TRUE(daemon->wait_log("task waits for its model"));
    std::filesystem::remove(worker);
  }

  const SyntheticPackage busy = model_of("busy", 20, 20ms, 20us);
  const TemporaryFolder folder;
  const std::filesystem::path worker = folder.path() / "worker";
  int answers = 0;
  std::optional<RunningDaemon> daemon;
  std::optional<client::Client> client;
  std::optional<RawClient> asks;
};

TEST_F(AWaitingTask, IsAnsweredWhenTheWorkerDies) {
  daemon->kill_worker();
  EXPECT_TRUE(asks->next_as<wire::TaskAdded>()) << "its lane may come back";
}

TEST_F(AWaitingTask, IsAnsweredWhenTheWorkerCannotBeStarted) {
  daemon->signal(SIGHUP);
  const auto refused = asks->next_as<wire::TaskRefused>();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->words(), "model a is not loaded: the worker of device cpu cannot be started");
}

// A worker keeps the room of a job's state for the next job. Here the large model needs it back.
TEST(Memory, ThatIsFullOfOldStatesIsFreed) {
  const SyntheticPackage small = model("small"), large = model_of("large", 21, 5ms, 20us);
  const std::string memory = std::to_string(weights_of(large) + kState / 2) + "B";
  RunningDaemon daemon({.models = {large, small}, .device = "lanes = 2\nmemory = \"" + memory + "\"\n"});
  client::Client client = daemon.connect();
  EXPECT_EQ(evicted(client), "large@cpu");
  auto ended = client.run(whole(small), {}, kPatience);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->outcome, wire::COMPLETED);
  // Its weights fit, but not beside that job's state; nor does a state of its own.
  ended = client.run(whole(large), {}, kPatience);
  ASSERT_TRUE(ended) << daemon.log();
  EXPECT_EQ(ended->reason, "out_of_device_memory");
  EXPECT_EQ(evicted(client), "small@cpu");
  EXPECT_TRUE(daemon.wait_log("worker starts again for memory"));
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
}

// Two jobs at once, where there is room for the state of one.
TEST_F(MemoryForThreeAndOneJob, AnIdleModelGoesForTheStateOfAJob) {
  const client::Ticket first = post(whole(b)), second = post(whole(b));
  EXPECT_EQ(wait(first).outcome, wire::COMPLETED);
  EXPECT_EQ(wait(second).outcome, wire::COMPLETED);
  EXPECT_EQ(evicted(client), "a@cpu");
  EXPECT_EQ(daemon.counter("evictions"), 1u);
  expect_good_end();
}

TEST(Memory, OfAGpuThatHoldsOneModelTheOthersAreServedByTheCpu) {
  const SyntheticPackage a = model("a"), b = model("b");
  RunningDaemon daemon(
      {.models = {a, b},
       .tables = "[[device]]\nname = \"gpu\"\nbackend = \"synthetic-gpu\"\n" + memory_for(1, 8)});
  client::Client client = daemon.connect();
  EXPECT_EQ(evicted(client), "a@gpu");
  const auto of_b = client.post(whole(b), {}), of_a = client.post(whole(a), {});
  ASSERT_TRUE(of_a && of_b);
  for (const client::Ticket ticket : {*of_a, *of_b}) {
    const auto ended = client.wait(ticket, kPatience);
    ASSERT_TRUE(ended);
    EXPECT_EQ(ended->outcome, wire::COMPLETED);
  }
  EXPECT_TRUE(daemon.eventually([&](const wire::Status&) { return evicted(client) == "b@gpu"; }))
      << "a was brought there for its job";
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
  EXPECT_EQ(broken_promises(daemon.trace()), "");
}

// The device itself is full now and then: each model that is loaded takes memory for a state, and each job.
TEST(Memory, WhereTheDeviceIsFullAnIdleModelGoesAndElseTheJobFailsAlone) {
  const SyntheticPackage a = model("a"), b = model("b");
  RunningDaemon with_idle({.models = {a, b}, .backend = "synthetic-gpu", .faults = "full-every=3"});
  RunningDaemon without({.models = {a}, .backend = "synthetic-gpu", .faults = "full-every=2"});
  client::Client client = with_idle.connect();
  auto ended = client.run(whole(a), {}, kPatience);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->outcome, wire::COMPLETED);
  EXPECT_EQ(evicted(client), "b@cpu");
  client = without.connect();
  ended = client.run(whole(a), {}, kPatience);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->outcome, wire::FAILED);
  EXPECT_EQ(ended->reason, "out_of_device_memory");
  ended = client.run(whole(a), {}, kPatience);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->outcome, wire::COMPLETED);
  for (RunningDaemon* daemon : {&with_idle, &without}) {
    EXPECT_EQ(daemon->stop(), 0) << daemon->log();
    EXPECT_EQ(broken_promises(daemon->trace()), "");
  }
}

// No limit is configured: what the device holds is its own word.
TEST(Memory, WhereTheDeviceIsFullWhileAModelIsLoadedAnIdleOneGoes) {
  const SyntheticPackage a = model("a"), b = model("b");
  RunningDaemon daemon(
      {.models = {a, b}, .backend = "synthetic-gpu", .faults = "memory=" + std::to_string(weights_of(a))});
  client::Client client = daemon.connect();
  EXPECT_EQ(evicted(client), "a@cpu");
  for (const auto& [of, gone] : {std::pair(a, "b@cpu"), std::pair(b, "a@cpu")}) {
    const auto ended = client.run(whole(of), {}, kPatience);
    ASSERT_TRUE(ended);
    EXPECT_EQ(ended->outcome, wire::COMPLETED) << ended->reason;
    EXPECT_EQ(evicted(client), gone);
  }
  EXPECT_EQ(daemon.counter("evictions"), 2u);
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
  EXPECT_EQ(broken_promises(daemon.trace()), "");
}

TEST(Memory, WhichOtherProgramsFillRefusesModelsUntilAReload) {
  const SyntheticPackage a = model("a"), b = model("b");
  const std::uint64_t weights = weights_of(a);
  TemporaryFolder folder;
  const std::filesystem::path others = folder.path() / "others";
  const auto fill = [&](std::uint64_t bytes) {
    ASSERT_TRUE(write_file(others, ""));
    std::filesystem::resize_file(others, bytes);
  };
  RunningDaemon daemon({.models = {a, b},
                        .backend = "synthetic-gpu",
                        .faults = "memory=" + std::to_string(weights) + " others=" + others.string()});
  client::Client client = daemon.connect();
  EXPECT_EQ(evicted(client), "a@cpu");
  fill(1);
  const auto ended = client.run(whole(a), {}, kPatience);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->outcome, wire::FAILED);
  EXPECT_EQ(ended->reason, "out_of_device_memory");
  EXPECT_TRUE(daemon.wait_log("model refused")) << "and the worker does not start again and again";
  const auto rejected = client.submit(whole(a), {}, kPatience);
  ASSERT_TRUE(rejected && rejected->rejected);
  EXPECT_THAT(rejected->rejected->words,
              AllOf(HasSubstr("out of device memory"), HasSubstr("no other model can make room")));
  fill(0);
  daemon.signal(SIGHUP);
  EXPECT_TRUE(daemon.eventually([&](const wire::Status&) {
    const auto again = client.run(whole(a), {}, kPatience);
    return again && again->outcome == wire::COMPLETED;
  }));
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
}

}  // namespace
}  // namespace einet::test
