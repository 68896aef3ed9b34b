// Instant preemption with real processes: an urgent job takes the core from a block in progress, which goes
// on afterwards; under preemption = "boundary", the negative control, none does. On a GPU its stream has the
// priority. Where no real-time rank is to be had, the daemon says so, works, and says how to allow it.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sched.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "running_daemon.h"

namespace einet::test {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using Json = nlohmann::json;

constexpr int kUrgentJobs = 20;

const Machine& here() {
  static const Machine machine = Machine::here();
  return machine;
}
bool has_real_time() {
  return here().no_real_time.empty();
}

std::string preempts(const std::string& preemption) {
  return "preemption = \"" + preemption + "\"\n";
}
std::string pinned(const std::string& preemption) {
  return "lanes = 1\ncores = [" + std::to_string(here().cores.back()) + "]\n" + preempts(preemption);
}

const auto says_why = AllOf(HasSubstr("urgent jobs wait for the end of the block in progress"),
                            HasSubstr("real-time rank"), HasSubstr("LimitRTPRIO=10"));

// Urgent jobs, each sent while a flood's block runs: how many ran wholly inside a block of another job.
int run_inside_blocks(const std::string& preemption, bool on_gpu = false) {
  const SyntheticPackage batch_model = model_of("batch", 4, 20ms, 0us);
  // On a GPU, where blocks are shorter, longer than the other's: that must stand still to contain it. There a
  // rank is not needed.
  const SyntheticPackage urgent_model = on_gpu ? model_of("urgent", 1, 30ms, 0us) : short_model();
  RunningDaemon daemon({.models = {batch_model, urgent_model},
                        .backend = on_gpu ? "synthetic-gpu" : "synthetic",
                        .device = on_gpu ? preempts(preemption) : pinned(preemption),
                        .arguments = {"--policy", "fixed-priority"},
                        .rights = on_gpu ? DaemonSetup::Rights::no_real_time
                                         : DaemonSetup::Rights::as_this_process});
  client::Client batch = daemon.connect("batch");
  client::Client control = daemon.connect("control");
  client::JobRequest batch_job = job_of(batch_model);
  batch_job.plan = wire::ALL;
  int blocks = 0;
  const client::Handlers handlers{
      .exit = [&](JobId, const client::Answer&) { ++blocks; },
      .ended = [](const client::Ended& e) { EXPECT_EQ(e.outcome, wire::COMPLETED) << e.reason; }};
  for (int i = 0; i < kUrgentJobs; ++i) {
    while (batch.pending() < 2) EXPECT_TRUE(batch.post(batch_job, handlers));
    const int before = blocks;
    while (blocks == before) EXPECT_TRUE(batch.wait_any(kPatience));
    const auto ended = control.run(job_of(urgent_model, 10), {}, kPatience);
    EXPECT_TRUE(ended && ended->outcome == wire::COMPLETED);
  }
  while (batch.pending() > 0) EXPECT_TRUE(batch.wait_any(kPatience));
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
  const std::vector<Json> trace = daemon.trace();
  EXPECT_EQ(broken_promises(trace), "");
  const bool urgent_lanes = (on_gpu || has_real_time()) && preemption != "boundary";
  const auto count = [&](const std::function<bool(const Json&)>& holds) {
    return std::count_if(trace.begin(), trace.end(), holds);
  };
  // What happened is in the trace, for reports and for running it again.
  EXPECT_EQ(count([](const Json& e) { return e["event"] == "suspend"; }) > 0, urgent_lanes);
  EXPECT_EQ(count([&](const Json& e) {
              return e["event"] == "lane_up" && e.value("preemption", "") == preemption;
            }),
            urgent_lanes ? 1 : 0);
  int inside = 0;
  for (const Json& urgent : trace) {
    if (urgent["event"] != "block" || urgent["tenant"] != "control") continue;
    for (const Json& other : trace) {
      if (other["event"] != "block" || other["tenant"] != "batch") continue;
      if (urgent["start_ns"] <= other["start_ns"] || urgent["end_ns"] >= other["end_ns"]) continue;
      ++inside;
      // The block paid for its own time alone. Half is enough to tell, and leaves room for what the worker
      // does around the other's.
      const auto ns = [](const Json& e, const char* key) { return e[key].get<std::int64_t>(); };
      EXPECT_LE(ns(other, "used_ns") + ns(urgent, "used_ns") / 2,
                ns(other, "end_ns") - ns(other, "start_ns"));
    }
  }
  return inside;
}

TEST(UrgentLanes, AnUrgentJobTakesTheCoreFromTheBlockInProgress) {
  const int inside = run_inside_blocks("instant");
  if (!has_real_time()) {
    EXPECT_EQ(inside, 0);
    GTEST_SKIP() << here().no_real_time;
  }
  EXPECT_GT(inside, 0);
}

TEST(UrgentLanes, AtBoundariesItWaitsForTheBlocksEnd) {  // the negative control
  EXPECT_EQ(run_inside_blocks("boundary"), 0);
}

TEST(UrgentLanes, OnAGpuAnUrgentJobRunsInAStreamOfHigherPriority) {
  EXPECT_GT(run_inside_blocks("instant", /*on_gpu=*/true), 0);
}

TEST(UrgentLanes, OnAGpuItWaitsForTheBlocksEndAtBoundaries) {  // the negative control
  EXPECT_EQ(run_inside_blocks("boundary", /*on_gpu=*/true), 0);
}

// Priority inheritance: while a best-effort block keeps a job of a task waiting, its lane holds the core like
// reserved work, so that no ordinary process makes the wait longer. Another best-effort job, the negative
// control, raises nothing.
TEST(UrgentLanes, TheBlockThatATasksJobWaitsForHoldsItsCoreAtRealTimeRank) {
  if (!has_real_time()) GTEST_SKIP() << here().no_real_time;
  const SyntheticPackage slow = model_of("slow", 1, 500ms, 0us);
  const RunningDaemon daemon({.models = {slow, short_model()}, .device = pinned("boundary")});
  client::Client batch = daemon.connect("batch");
  client::Client control = daemon.connect("control");
  ASSERT_TRUE(control.add_task({.name = "watch",
                                .model = "short",
                                .period = 100ms,  // less than a round below: no job comes too early
                                .deadline = 10s,
                                .priority = 10,
                                .mandatory_exit = 1}));
  const auto lane_policy = [&] {
    const std::string tasks = "/proc/" + std::to_string(daemon.status().lanes(0).worker_pid()) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks)) {
      std::string name;
      std::getline(std::ifstream(task.path() / "comm"), name);
      if (name == "lane 0") {
        return ::sched_getscheduler(std::stoi(task.path().filename())) & ~SCHED_RESET_ON_FORK;
      }
    }
    return -1;
  };
  for (const std::string task : {"watch", ""}) {
    for (bool in_time = false; !in_time;) {
      EXPECT_TRUE(batch.post(job_of(slow), {}));
      EXPECT_TRUE(daemon.eventually([](const wire::Status& s) { return s.lanes(0).state() != "idle"; }));
      // A lane waits for work at real-time rank; it has started when it has put that down.
      EXPECT_TRUE(daemon.eventually([&](const wire::Status& s) {
        return lane_policy() == SCHED_OTHER || s.lanes(0).state() == "idle";
      }));
      client::JobRequest job = job_of(short_model());
      job.task = task;
      EXPECT_TRUE(control.post(job, {}));
      // On a slow machine the block may be over by now.
      EXPECT_TRUE(daemon.eventually([&](const wire::Status& s) {
        return daemon.tenant("control").jobs() > 0 || s.lanes(0).model() != slow.name;
      }));
      const int policy = lane_policy();
      in_time = daemon.status().lanes(0).model() == slow.name;
      if (in_time) {
        EXPECT_EQ(policy, task.empty() ? SCHED_OTHER : SCHED_FIFO);
      }
      while (control.pending() > 0) ASSERT_TRUE(control.wait_any(kPatience));
      while (batch.pending() > 0) ASSERT_TRUE(batch.wait_any(kPatience));
    }
  }
}

TEST(UrgentLanes, StatusShowsThemOnTheCoreOfTheirBaseLaneOrSaysWhyThereAreNone) {
  RunningDaemon daemon({.models = {short_model()}, .device = pinned("as-needed")});
  const wire::Status status = daemon.status();
  if (!has_real_time()) {
    EXPECT_EQ(status.lanes_size(), 1);
    EXPECT_THAT(status.warnings(), Contains(says_why));
    GTEST_SKIP() << here().no_real_time;
  }
  EXPECT_THAT(status.warnings(), testing::Not(Contains(says_why)));
  ASSERT_EQ(status.lanes_size(), 2);
  EXPECT_FALSE(status.lanes(0).urgent());
  EXPECT_EQ(status.lanes(0).rank(), "nice 0/fifo 3");
  EXPECT_TRUE(status.lanes(1).urgent());
  EXPECT_EQ(status.lanes(1).rank(), "fifo 5");
  EXPECT_EQ(status.lanes(1).state(), "idle");
  EXPECT_EQ(status.lanes(1).cores(), status.lanes(0).cores());
  EXPECT_EQ(status.lanes(1).device(), "cpu");
}

TEST(UrgentLanes, BothLanesComeBackWithTheirWorker) {
  if (!has_real_time()) GTEST_SKIP() << here().no_real_time;
  RunningDaemon daemon({.models = {short_model()}, .device = pinned("instant")});
  daemon.kill_worker();
  EXPECT_TRUE(daemon.eventually([](const wire::Status& s) {
    return std::all_of(s.lanes().begin(), s.lanes().end(), [](const wire::LaneInfo& lane) {
      return lane.restarts() == 1 && lane.state() == "idle";
    });
  }));
  EXPECT_EQ(daemon.connect("control").run(job_of(short_model()), {}, kPatience)->outcome, wire::COMPLETED);
  EXPECT_EQ(daemon.stop(), 0);
}

// Urgent jobs keep a block from its core for longer than any block may run.
TEST(UrgentLanes, ALaneThatStandsStillForUrgentJobsDoesNotHang) {
  if (!has_real_time()) GTEST_SKIP() << here().no_real_time;
  const SyntheticPackage heavy = model_of("heavy", 1, 50ms, 0us);
  const SyntheticPackage rush = model_of("rush", 1, 20ms, 0us);
  RunningDaemon daemon({.models = {heavy, rush},
                        .device = pinned("instant"),
                        .config = "policy = \"fixed-priority\"\n",
                        .tables = "[worker]\nhang = \"1s\"\npath = \"" EINET_WORKER_PROGRAM "\"\n"});
  client::Client batch = daemon.connect("batch");
  client::Client control = daemon.connect("control");
  const client::Handlers handlers{
      .exit = {}, .ended = [](const client::Ended& e) { EXPECT_EQ(e.outcome, wire::COMPLETED) << e.reason; }};
  EXPECT_TRUE(batch.post(job_of(heavy), handlers));
  EXPECT_TRUE(daemon.eventually([](const wire::Status& s) { return s.lanes(0).state() != "idle"; }));
  for (int i = 0; i < 80; ++i) EXPECT_TRUE(control.post(job_of(rush, 10), handlers));
  while (control.pending() > 0) ASSERT_TRUE(control.wait_any(kPatience));
  while (batch.pending() > 0) ASSERT_TRUE(batch.wait_any(kPatience));
  EXPECT_EQ(daemon.status().lanes(0).restarts(), 0u) << daemon.log();
  EXPECT_EQ(daemon.stop(), 0);
}

TEST(UrgentLanes, WithoutARealTimeRankTheDaemonSaysHowToAllowItAndWorks) {
  RunningDaemon daemon(
      {.models = {short_model()}, .device = pinned("instant"), .rights = DaemonSetup::Rights::no_real_time});
  const wire::Status status = daemon.status();
  ASSERT_EQ(status.lanes_size(), 1);
  EXPECT_FALSE(status.lanes(0).urgent());
  EXPECT_THAT(status.warnings(), Contains(says_why));
  EXPECT_THAT(daemon.log(), says_why);
  EXPECT_EQ(daemon.connect("control").run(job_of(short_model()), {}, kPatience)->outcome, wire::COMPLETED);
  EXPECT_EQ(daemon.stop(), 0);
}

// The line of /proc/PID/status that says where a process's first thread may run.
std::string cores_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("Cpus_allowed_list:")) return line;
  }
  return "";
}

TEST(UrgentLanes, LeaveTheDaemonTheOtherCoresWhereThereAreSome) {
  const std::string everywhere = cores_of(::getpid());
  const SyntheticPackage model = short_model();
  {
    RunningDaemon daemon({.models = {model}, .device = pinned("as-needed")});
    EXPECT_EQ(cores_of(daemon.pid()) == everywhere, here().cores.size() == 1);
    // The worker's threads other than lanes may run anywhere.
    EXPECT_EQ(cores_of(static_cast<pid_t>(daemon.status().lanes(0).worker_pid())), everywhere);
    EXPECT_EQ(daemon.connect().run(job_of(model), {}, kPatience)->outcome, wire::COMPLETED);
  }
  // With a lane on every core the daemon shares them all.
  std::string cores;
  for (const int core : here().cores) cores += (cores.empty() ? "" : ", ") + std::to_string(core);
  const std::string lanes = std::to_string(here().cores.size());
  const RunningDaemon daemon(
      {.models = {model}, .device = "lanes = " + lanes + "\ncores = [" + cores + "]\n"});
  EXPECT_EQ(cores_of(daemon.pid()), everywhere);
}

}  // namespace
}  // namespace einet::test
