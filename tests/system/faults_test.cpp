// Workers that die, hang or lie: the daemon goes on, jobs go on or end with a reason and their best answer.
#include <algorithm>
#include <csignal>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include "config/files.h"
#include "config/unique_fd.h"
#include "running_daemon.h"

namespace einet::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

pid_t worker_of(const RunningDaemon& daemon) {
  return static_cast<pid_t>(daemon.status().lanes(0).worker_pid());
}

// Long enough for two kills between its answers.
SyntheticPackage steady_model() {
  return model_of("steady", 10, 50ms, 20us);
}

// A job that answers after every block, and kills its worker `kills` times, each time after an answer.
client::Ended run_under_kills(RunningDaemon& daemon, const SyntheticPackage& model, int kills) {
  client::Client client = daemon.connect();
  client::JobRequest job = job_of(model);
  job.plan = wire::ALL;
  int killed_at_answers = -1;
  int answers = 0;
  const auto ticket =
      client.post(job, {.exit = [&](JobId, const client::Answer&) { ++answers; }, .ended = {}});
  EXPECT_TRUE(ticket);
  pid_t last = 0;
  while (client.pending() > 0) {
    EXPECT_TRUE(client.wait_any(kPatience));
    if (kills == 0 || answers == killed_at_answers || answers == 0) continue;
    // Only once the job runs: a package whose worker dies while it loads is refused.
    const wire::LaneInfo lane = daemon.status().lanes(0);
    const auto worker = static_cast<pid_t>(lane.worker_pid());
    if (lane.state() != "busy" || worker == last) continue;
    daemon.kill_worker();
    last = worker;
    killed_at_answers = answers;
    --kills;
  }
  const auto ended = client.wait(*ticket, kPatience);
  EXPECT_TRUE(ended);
  return ended ? *ended : client::Ended();
}

TEST(Faults, AJobWhoseWorkerIsKilledMidBlockRunsAgainOnTheNextOne) {
  const SyntheticPackage model = steady_model();
  RunningDaemon daemon({.models = {model}});
  const std::size_t files = daemon.open_files();
  const client::Ended ended = run_under_kills(daemon, model, 1);
  EXPECT_EQ(ended.outcome, wire::COMPLETED) << ended.reason << daemon.log();
  EXPECT_EQ(daemon.status().lanes(0).restarts(), 1u);
  EXPECT_TRUE(daemon.wait_log("worker died"));
  EXPECT_TRUE(daemon.is_idle());
  EXPECT_EQ(daemon.open_files(), files);
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_EQ(broken_promises(daemon.trace()), "");
}

TEST(Faults, AJobThatLosesItsWorkerTwiceFailsWithItsBestAnswerAndOthersGoOn) {
  const SyntheticPackage model = steady_model();
  RunningDaemon daemon({.models = {model}});
  const client::Ended ended = run_under_kills(daemon, model, 2);
  EXPECT_EQ(ended.outcome, wire::FAILED);
  EXPECT_EQ(ended.reason, "lane_lost");
  EXPECT_TRUE(ended.best);
  EXPECT_EQ(daemon.connect("control").run(job_of(model), {}, kPatience)->outcome, wire::COMPLETED);
  EXPECT_TRUE(daemon.is_idle());
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_EQ(broken_promises(daemon.trace()), "");
}

// What it said and its death are there at once when the daemon looks. 10 trunks run when the model is loaded.
TEST(Faults, AWorkersLastWordsAreReadThoughItIsDeadByThen) {
  const SyntheticPackage model = steady_model();
  RunningDaemon daemon({.models = {model},
                        .backend = "synthetic-gpu",
                        .config = "drain = \"0s\"\n",
                        .tables = "[worker]\nrestart_delay = \"60s\"\nrestart_delay_max = \"60s\"\n",
                        .faults = "lost-after=15",
                        .worker_dies = true});
  const UniqueFd worker(static_cast<int>(::syscall(SYS_pidfd_open, worker_of(daemon), 0)));
  client::Client client = daemon.connect();
  client::JobRequest job = job_of(model);
  job.plan = wire::ALL;
  bool answered = false;
  const auto ticket =
      client.post(job, {.exit = [&](JobId, const client::Answer&) { answered = true; }, .ended = {}});
  ASSERT_TRUE(ticket) << ticket.error().message;
  while (!answered) ASSERT_TRUE(client.wait_any(kPatience));
  daemon.signal(SIGSTOP);
  pollfd death{worker.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&death, 1, 60'000), 1);
  daemon.signal(SIGCONT);
  EXPECT_TRUE(daemon.eventually([](const wire::Status& s) { return s.lanes(0).state() == "down"; }));
  EXPECT_THAT(daemon.status().warnings(),
              testing::Contains(HasSubstr("the device cannot be used any more: it fell off the bus")));
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
}

TEST(Faults, AHungWorkerIsKilledAndStartedAgain) {
  const SyntheticPackage model = model_of("steady", 20, 1ms, 20us);
  RunningDaemon daemon(
      {.models = {model},
       .tables = "[worker]\nhang = \"200ms\"\nrestart_delay = \"1ms\"\npath = \"" EINET_WORKER_PROGRAM "\"\n",
       .worker_dies = true});
  ::kill(worker_of(daemon), SIGSTOP);
  client::Client client = daemon.connect();
  const auto ended = client.run(job_of(model), {}, kPatience);
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->outcome, wire::COMPLETED) << daemon.log();
  EXPECT_TRUE(daemon.wait_log("it hangs"));
  EXPECT_EQ(daemon.status().lanes(0).restarts(), 1u);
  EXPECT_EQ(daemon.stop(), 0);
}

TEST(Faults, AWorkerThatDiesAgainAndAgainMakesItsDeviceUnhealthyUntilItRunsWell) {
  RunningDaemon daemon({.models = {short_model()},
                        .tables = "[worker]\nrestart_delay = \"1ms\"\nrestart_delay_max = \"300ms\"\n"});
  const auto up_again = [](const wire::Status& s) { return s.lanes(0).state() == "idle"; };
  const auto warns = [](const wire::Status& s) {
    return std::any_of(s.warnings().begin(), s.warnings().end(), [](const std::string& warning) {
      return warning.starts_with(
          "device cpu is unhealthy: its worker died 3 times in a row, last with signal 9 (Killed); it ");
    });
  };
  std::uint32_t deaths = 0;
  while (deaths < 3) {
    EXPECT_FALSE(warns(daemon.status()));
    daemon.kill_worker();
    ++deaths;
    ASSERT_TRUE(daemon.eventually(
        [&](const wire::Status& s) { return s.lanes(0).restarts() == deaths && up_again(s); }));
  }
  EXPECT_TRUE(daemon.wait_log("device unhealthy"));
  // Once it has run for restart_delay_max its past is forgotten.
  EXPECT_TRUE(daemon.eventually([&](const wire::Status& s) { return !warns(s); }));
  EXPECT_EQ(daemon.stop(), 0);
}

// Room for the weights and one job's state.
TEST(Faults, AJobForWhichItsDeviceHasNoMemoryFailsWithThatReasonAndOthersGoOn) {
  const SyntheticPackage model = long_model();
  TemporaryFolder folder;
  const auto package = read_package(write_synthetic_package(folder.path(), model));
  ASSERT_TRUE(package) << package.error().message;
  const std::string memory = std::to_string(size_of(package->weights).value + 12) + "B";
  RunningDaemon daemon({.models = {model}, .device = "lanes = 2\nmemory = \"" + memory + "\"\n"});
  client::JobRequest job = job_of(model);
  job.plan = wire::ALL;
  {
    client::Client client = daemon.connect();
    const auto first = client.post(job, {}), second = client.post(job, {});
    ASSERT_TRUE(first && second);
    auto stays = client.wait(*first, kPatience), fails = client.wait(*second, kPatience);
    ASSERT_TRUE(stays && fails);
    if (stays->outcome != wire::COMPLETED) std::swap(stays, fails);  // whose lane was first
    EXPECT_EQ(stays->outcome, wire::COMPLETED) << stays->reason;
    EXPECT_EQ(fails->outcome, wire::FAILED);
    EXPECT_EQ(fails->reason, "out_of_device_memory");
  }
  EXPECT_TRUE(daemon.is_idle());
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_EQ(broken_promises(daemon.trace()), "");
}

TEST(Faults, OneDevicesWorkerIsNotAnothers) {
  const SyntheticPackage model = model_of("steady", 40, 1ms, 20us);
  RunningDaemon daemon(
      {.models = {model}, .tables = "[[device]]\nname = \"cpu2\"\nbackend = \"synthetic\"\n"});
  ASSERT_EQ(daemon.status().lanes_size(), 2);
  const std::uint32_t second = daemon.status().lanes(1).worker_pid();
  daemon.kill_worker();
  ASSERT_TRUE(daemon.wait_log("worker died"));
  EXPECT_TRUE(daemon.eventually(
      [](const wire::Status& s) { return s.lanes(0).restarts() == 1 && s.lanes(0).state() == "idle"; }));
  EXPECT_EQ(daemon.status().lanes(1).worker_pid(), second);
}

// The mad worker (tests/system/mad_worker.cpp) does what its model's name says.
DaemonSetup mad(const std::string& model) {
  return {
      .models = {model_of(model, 2, 1ms, 1us), model_of("zzz", 2, 1ms, 1us)},
      .tables = "[worker]\nhang = \"200ms\"\nrestart_delay = \"1ms\"\npath = \"" MAD_WORKER_PROGRAM "\"\n",
      .worker_dies = true};
}

TEST(Faults, AWorkerThatLiesAboutItsBlocksIsKilledAndTheJobFails) {
  const DaemonSetup setup = mad("wrong-block");
  RunningDaemon daemon(setup);
  client::Client client = daemon.connect();
  const auto ended = client.run(job_of(setup.models[0]), {}, kPatience);
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->outcome, wire::FAILED);
  EXPECT_EQ(ended->reason, "lane_lost");
  EXPECT_FALSE(ended->best);  // nothing that it said is believed
  EXPECT_TRUE(daemon.wait_log("worker killed"));
  EXPECT_EQ(client.status(kPatience)->tenants(0).jobs(), 0u);
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
}

TEST(Faults, AWorkerThatNeverEndsABlockIsKilledAndTheJobFails) {
  const DaemonSetup setup = mad("stuck");
  RunningDaemon daemon(setup);
  client::Client client = daemon.connect();
  const auto ended = client.run(job_of(setup.models[0]), {}, kPatience);
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->outcome, wire::FAILED);
  EXPECT_EQ(ended->reason, "lane_lost");
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
}

TEST(Faults, APackageThatKillsItsWorkerIsRefusedAndTheOthersLoad) {
  RunningDaemon daemon(mad("deadly"), RunningDaemon::Start::later);
  daemon.start();
  ASSERT_TRUE(daemon.wait_ready()) << daemon.log();
  const auto models = daemon.connect().models(kPatience);
  ASSERT_TRUE(models);
  EXPECT_THAT(models->models(0).reason(), HasSubstr("died while it loaded the package (exit status 3)"));
  EXPECT_TRUE(models->models(1).loaded());
  EXPECT_EQ(daemon.stop(), 0);
}

TEST(Faults, AWorkerThatTalksNonsenseIsKilled) {
  RunningDaemon daemon(mad("talks-nonsense"), RunningDaemon::Start::later);
  daemon.start();
  EXPECT_TRUE(daemon.wait_log("makes no sense")) << daemon.log();
  EXPECT_TRUE(daemon.connect().status(kPatience));
  EXPECT_EQ(daemon.stop(), 0);
}

TEST(Faults, AWorkerThatIsNotThereIsSaidSoAndTriedAgain) {
  DaemonSetup setup = mad("any");
  setup.tables =
      "[worker]\npath = \"/nowhere/worker\"\nrestart_delay = \"1ms\"\nrestart_delay_max = \"2ms\"\n";
  RunningDaemon daemon(setup);
  EXPECT_TRUE(daemon.wait_log("cannot start the worker")) << daemon.log();
  const auto models = daemon.connect().models(kPatience);
  ASSERT_TRUE(models);
  EXPECT_THAT(models->models(0).reason(), HasSubstr("cannot be started"));
  EXPECT_EQ(daemon.stop(), 0);
}

// What these tests hold against the daemon's log: another worker takes over, so that nothing else would show.
TEST(RunningDaemon, FailsTheTestInWhichAWorkerDiesUnasked) {
  RunningDaemon daemon({.models = {short_model()}});
  ::kill(worker_of(daemon), SIGKILL);
  EXPECT_TRUE(daemon.wait_log("worker died"));
  EXPECT_NONFATAL_FAILURE(daemon.stop(), "worker died");
}

TEST(RunningDaemon, FailsTheTestInWhichASanitizerReports) {
  TemporaryFolder folder;
  const std::filesystem::path worker = folder.path() / "worker";
  ASSERT_TRUE(write_file(worker,
                         "#!/bin/sh\n"
                         "echo ==1==ERROR: AddressSanitizer: heap-use-after-free >&2\n"
                         "exec " EINET_WORKER_PROGRAM " \"$@\"\n"));
  std::filesystem::permissions(worker, std::filesystem::perms::owner_all);
  RunningDaemon daemon({.models = {short_model()}, .worker = worker, .worker_dies = true});
  EXPECT_NONFATAL_FAILURE(daemon.stop(), "AddressSanitizer");
}

// There is no such GPU on any machine; the build may have CUDA lanes or not.
TEST(Faults, ADeviceThatIsNotThereIsNamedWithTheReasonAndTheOthersServe) {
  const SyntheticPackage model = short_model();
  RunningDaemon daemon({.models = {model},
                        .tables = "[[device]]\nname = \"cuda:63\"\nbackend = \"cuda\"\n",
                        .worker_dies = true});
  const auto is_named = [](const wire::Status& status) {
    return std::any_of(status.warnings().begin(), status.warnings().end(), [](const std::string& warning) {
      return warning.starts_with(
          "device cuda:63: its worker does not run: cannot start: no CUDA device can be "
          "used here (");
    });
  };
  EXPECT_TRUE(daemon.eventually(is_named)) << daemon.log();
  const wire::Status status = daemon.status();
  ASSERT_EQ(status.lanes_size(), 2);
  EXPECT_EQ(status.lanes(1).device(), "cuda:63");
  EXPECT_EQ(status.lanes(1).state(), "down");
  client::Client client = daemon.connect();
  const auto ended = client.run(job_of(model), {}, kPatience);
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->outcome, wire::COMPLETED);
  EXPECT_EQ(daemon.stop(), 0);
}

}  // namespace
}  // namespace einet::test
