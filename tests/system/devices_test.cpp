// Jobs and several devices, with real processes: a CPU and something that behaves like a GPU. Which device a
// job goes to, and that it goes on elsewhere with its state when it is done sooner there.
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/synthetic/synthetic_backend.h"
#include "running_daemon.h"

namespace einet::test {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

// 800 ms on the CPU, 160 on the GPU; 80 and 16 for long_model().
SyntheticPackage huge_model() {
  return model_of("huge", 40, 20ms, 100us);
}

struct CpuAndGpu : testing::Test {
  explicit CpuAndGpu(const std::string& policy = "fixed-priority", const std::string& faults = "")
      : daemon({.models = {huge_model(), long_model(), short_model()},
                .tables = "[[device]]\nname = \"gpu\"\nbackend = \"synthetic-gpu\"\n",
                .arguments = {"--policy", policy},
                .faults = faults}),
        control(daemon.connect("control")),
        batch(daemon.connect("batch")) {}

  // Posts a job that executes every exit, and waits for so many answers of it.
  JobId begin(client::Client& client, const SyntheticPackage& model, int priority, int answers) {
    client::JobRequest request = job_of(model, priority);
    request.plan = wire::ALL;
    const auto submitted = client.submit(
        request,
        {.exit = [this](JobId id, const client::Answer& answer) { exits[id].push_back(answer.exit); },
         .ended = [this](const client::Ended& e) { ended.insert_or_assign(e.job, e); }});
    EXPECT_TRUE(submitted && !submitted->rejected);
    const JobId job = submitted->job;
    while (!ended.contains(job) && exits[job].size() < static_cast<std::size_t>(answers) &&
           client.wait_any(kPatience)) {
    }
    return job;
  }
  void wait(client::Client& client, JobId job) {
    while (!ended.contains(job) && client.wait_any(kPatience)) {
    }
  }
  // Returns when all is known that the daemon has said of the client's jobs.
  static void hear(client::Client& client) { EXPECT_TRUE(client.status(kPatience)); }
  // A job that runs on the CPU, for the GPU was busy, while that now has nothing to do. Tries again where
  // this came too late for the job to gain much from it.
  JobId begin_beside_a_gpu_that_becomes_idle() {
    for (;;) {
      const JobId huge = begin(control, huge_model(), 10, 1);
      const JobId job = begin(batch, long_model(), 0, 2);
      const bool was_busy = control.cancel(huge).has_value();
      hear(batch);
      if (was_busy && exits[job].size() < 20) return job;
      wait(control, huge);
      wait(batch, job);
    }
  }
  // It has answered once with each exit, and its blocks ran on these devices first, one after the other.
  void expect_whole(JobId job, const std::vector<std::string>& devices) {
    ASSERT_TRUE(ended.contains(job));
    const client::Ended& end = ended.at(job);
    EXPECT_EQ(end.outcome, wire::COMPLETED) << end.reason << "\n" << daemon.log();
    ASSERT_TRUE(end.best);
    EXPECT_EQ(end.best->top_class,
              synthetic_label(zeros(static_cast<std::size_t>(long_model().input.elements())),
                              long_model().classes));
    ASSERT_EQ(exits[job].size(), 40u);
    for (int e = 0; e < 40; ++e) EXPECT_EQ(exits[job][static_cast<std::size_t>(e)], e);
    EXPECT_EQ(daemon.stop(), 0) << daemon.log();
    std::vector<std::string> seen;
    for (const Json& e : daemon.trace()) {
      if (e["event"] != "block" || e["job"] != job.value) continue;
      if (seen.empty() || seen.back() != e["device"]) seen.push_back(e["device"]);
    }
    ASSERT_GE(seen.size(), devices.size());
    seen.resize(devices.size());
    EXPECT_EQ(seen, devices);
    EXPECT_EQ(broken_promises(daemon.trace()), "");
  }

  std::map<JobId, std::vector<int>> exits;
  std::map<JobId, client::Ended> ended;
  RunningDaemon daemon;
  client::Client control, batch;
};

// Three models that are loaded take memory for a state, the first job the fourth.
struct CpuAndFullGpu : CpuAndGpu {
  CpuAndFullGpu() : CpuAndGpu("fixed-priority", "full-every=5") {}
};

struct CpuAndGpuUnderFifo : CpuAndGpu {
  CpuAndGpuUnderFifo() : CpuAndGpu("fifo") {}
};

TEST_F(CpuAndGpu, AJobIsCalledOverWhenTheFasterDeviceHasNothingToDo) {
  const JobId job = begin_beside_a_gpu_that_becomes_idle();
  wait(batch, job);
  EXPECT_GE(daemon.counter("moves"), 1u);
  EXPECT_EQ(daemon.counter("failed_moves"), 0u);
  expect_whole(job, {"cpu", "gpu"});
}

TEST_F(CpuAndFullGpu, AnIdleModelGoesForTheStateOfAJobThatIsCalledOver) {
  const JobId huge = begin(control, huge_model(), 10, 1);
  const JobId job = begin(batch, long_model(), 0, 2);
  ASSERT_TRUE(control.cancel(huge));
  wait(batch, job);
  EXPECT_EQ(daemon.counter("failed_moves"), 1u);
  EXPECT_EQ(daemon.counter("moves"), 2u);
  EXPECT_EQ(daemon.counter("evictions"), 1u);
  expect_whole(job, {"cpu", "gpu"});
}

TEST_F(CpuAndGpuUnderFifo, AJobStaysWhereItHasBegun) {  // the negative control
  const JobId job = begin_beside_a_gpu_that_becomes_idle();
  wait(batch, job);
  EXPECT_EQ(daemon.counter("moves"), 0u);
  expect_whole(job, {"cpu"});
}

TEST_F(CpuAndGpu, AJobThatMadeRoomGoesOnOnTheOtherDeviceAndOutlivesTheFirst) {
  ASSERT_EQ(daemon.status().lanes(0).device(), "cpu");
  JobId job{};
  for (;;) {
    const std::uint64_t blocks = daemon.status().lanes(0).blocks();
    job = begin(batch, long_model(), 0, 2);
    const JobId huge = begin(control, huge_model(), 10, 1);
    hear(batch);
    bool in_time = !ended.contains(job);
    if (in_time) {
      ASSERT_TRUE(daemon.eventually([&](const wire::Status& s) { return s.lanes(0).blocks() > blocks; }));
      daemon.kill_worker(1);
      hear(control);
      in_time = !ended.contains(huge);
    }
    if (in_time) break;
    wait(control, huge);
    wait(batch, job);
    ASSERT_TRUE(daemon.eventually([](const wire::Status& s) { return s.lanes(1).state() == "idle"; }));
  }
  ASSERT_TRUE(daemon.eventually([&](const wire::Status&) { return daemon.counter("fallbacks") > 0; }));
  EXPECT_TRUE(daemon.wait_log("jobs run on another device while theirs is down"));
  wait(batch, job);
  expect_whole(job, {"gpu", "cpu"});
}

// 40 trunks run when the model is loaded.
TEST(Gpu, WhenItIsLostItsJobGoesOnElsewhereAndStatusSaysWhy) {
  RunningDaemon daemon({.models = {long_model()},
                        .tables = "[[device]]\nname = \"gpu\"\nbackend = \"synthetic-gpu\"\n"
                                  "[worker]\nrestart_delay = \"60s\"\nrestart_delay_max = \"60s\"\n",
                        .faults = "lost-after=60",
                        .worker_dies = true});
  client::Client client = daemon.connect();
  client::JobRequest job = job_of(long_model());
  job.plan = wire::ALL;
  std::vector<int> exits;
  const auto ended = client.run(
      job, [&](JobId, const client::Answer& answer) { exits.push_back(answer.exit); }, kPatience);
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->outcome, wire::COMPLETED) << ended->reason;
  ASSERT_EQ(exits.size(), 40u) << "none twice, though it began again";
  EXPECT_TRUE(std::is_sorted(exits.begin(), exits.end()));
  const wire::Status status = daemon.status();
  EXPECT_THAT(status.warnings(),
              testing::Contains(
                  "device gpu: its worker does not run: the device cannot be used any more: it fell off "
                  "the bus, on demand"));
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
  EXPECT_EQ(broken_promises(daemon.trace()), "");
}

TEST(Gpu, FaultsThatNobodyKnowsAreNamed) {
  RunningDaemon daemon({.models = {long_model()},
                        .tables = "[[device]]\nname = \"gpu\"\nbackend = \"synthetic-gpu\"\n",
                        .faults = "lost-after=soon",
                        .worker_dies = true});
  EXPECT_THAT(daemon.status().warnings(),
              testing::Contains(testing::HasSubstr(
                  "cannot start: EINET_SYNTHETIC_GPU_FAULTS: found "
                  "\"lost-after=soon\"; allowed: lost-after=N, full-every=N or memory=N")));
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
}

}  // namespace
}  // namespace einet::test
