// einet-worker as einetd sees it: a real process with its lanes, driven through the control socket and the
// lane channel. Most packages run on the synthetic backend; one runs on each backend that was built.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <map>
#include <optional>
#include <poll.h>
#include <random>
#include <spawn.h>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "daemon/worker/device_memory.h"
#include "daemon/worker/model_table.h"
#include "daemon/worker/slot_table.h"
#include "ipc/lane/control.h"
#include "ipc/lane/daemon_end.h"
#include "models/synthetic/synthetic_backend.h"
#include "synthetic_package.h"
#include "temporary_folder.h"
#include "worker_harness.h"

namespace einet::lane {
namespace {

using std::chrono::microseconds;

// Exit status, or minus the signal. What it wrote goes into `text`.
int run_by_hand(std::vector<std::string> arguments, std::string& text) {
  std::array<int, 2> pipe{};
  EXPECT_EQ(::pipe(pipe.data()), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe[1], 1);
  posix_spawn_file_actions_adddup2(&actions, pipe[1], 2);
  posix_spawn_file_actions_addclose(&actions, pipe[0]);
  arguments.insert(arguments.begin(), EINET_WORKER);
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  EXPECT_EQ(::posix_spawn(&pid, EINET_WORKER, &actions, nullptr, argv.data(), environ), 0);
  posix_spawn_file_actions_destroy(&actions);
  ::close(pipe[1]);
  std::array<char, 4096> chunk;
  for (ssize_t n = 0; (n = ::read(pipe[0], chunk.data(), chunk.size())) > 0;) {
    text.append(chunk.data(), static_cast<std::size_t>(n));
  }
  ::close(pipe[0]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(WorkerByHand, SaysWhatItIsAndWhatToDoInstead) {
  std::string text;
  EXPECT_EQ(run_by_hand({}, text), 2);
  EXPECT_NE(text.find("einetd starts it"), std::string::npos) << text;
  text.clear();
  EXPECT_EQ(run_by_hand({"--help"}, text), 0);
  EXPECT_NE(text.find("usage"), std::string::npos) << text;
  for (const char* wrong : {"0", "-1", "99", "nonsense", "3x", ""}) {
    text.clear();
    EXPECT_EQ(run_by_hand({"--control-fd", wrong}, text), 2) << wrong;
    EXPECT_NE(text.find("not a control socket"), std::string::npos) << text;
  }
}

TEST(WorkerByHand, ProfilesAPackageOnThisMachineOrSaysWhyNot) {
  const std::vector<std::string> backends{EINET_BACKENDS};
  const bool measures = std::find(backends.begin(), backends.end(), "onednn") != backends.end();
  test::TemporaryFolder folder;
  test::SyntheticPackage want;
  want.trunk = want.exit = {std::chrono::seconds(7), std::chrono::seconds(7)};  // what no machine needs
  const auto package = test::write_synthetic_package(folder.path(), want);
  std::string text;
  EXPECT_EQ(run_by_hand({"--profile", package.string()}, text), measures ? 0 : 1) << text;
  const auto info = read_package_info(package);
  ASSERT_TRUE(info.has_value()) << info.error().message;
  ASSERT_NE(info->times_on("cpu"), nullptr);
  EXPECT_EQ(info->times_on("cpu")->trunk[0].p50 < std::chrono::seconds(7), measures);

  text.clear();
  EXPECT_EQ(run_by_hand({"--profile", (folder.path() / "none.einet").string()}, text), 1);
  EXPECT_EQ(text.find("none.einet") != std::string::npos, measures) << text;

  text.clear();
  EXPECT_EQ(run_by_hand({"--profile", "--device", "cuda:63", package.string()}, text), 1);
  EXPECT_NE(text.find("no CUDA device can be used here ("), std::string::npos) << text;
  EXPECT_EQ(run_by_hand({"--profile", "--device", "tpu", package.string()}, text), 2);
  EXPECT_NE(text.find("--device \"tpu\"; allowed: cpu, or cuda:N"), std::string::npos) << text;
  EXPECT_EQ(run_by_hand({"--profile", "--device", "cpu"}, text), 2);
}

class WorkerTest : public testing::Test {
 protected:
  test::TemporaryFolder folder;
  std::filesystem::path package = test::write_synthetic_package(folder.path(), small_package());
};

TEST_F(WorkerTest, RefusesAModelThatIsTooLargeForTheDevice) {
  Configure configure;
  configure.backend = "synthetic";
  configure.memory = ByteCount{100};
  WorkerHarness worker(std::move(configure));
  worker.receive<Ready>();
  worker.send(LoadModel{ModelId{0}, package.string()});
  const std::string reason = worker.receive<ModelRefused>().reason;
  EXPECT_NE(reason.find("its weights: "), std::string::npos) << reason;
  EXPECT_NE(reason.find(" is more than the 100B left of this device's `memory`, 100B"), std::string::npos)
      << reason;
}

// And gives back what it took for it: the limit holds the weights once.
TEST_F(WorkerTest, SaysThatTheDeviceItselfHasNoMemoryForAModel) {
  const ByteCount weights = size_of(read_package(package).value().weights);
  Configure configure;
  configure.backend = "synthetic-gpu";
  configure.memory = weights + ByteCount{8};
  ::setenv(kSyntheticGpuFaults, "full-every=1", 1);  // the state that it is tried with
  WorkerHarness worker(std::move(configure));
  worker.receive<Ready>();
  ::unsetenv(kSyntheticGpuFaults);
  for (int attempt = 0; attempt < 2; ++attempt) {
    worker.send(LoadModel{ModelId{0}, package.string()});
    const ModelRefused refused = worker.receive<ModelRefused>();
    EXPECT_EQ(refused.lacks, ByteCount{1}) << refused.reason;
  }
}

TEST_F(WorkerTest, GivesTheMemoryOfAnUnloadedModelToTheNext) {
  const ByteCount weights = size_of(read_package(package).value().weights);
  Configure configure;
  configure.backend = "synthetic";
  configure.lanes = 1;
  configure.memory = weights + ByteCount{8};
  WorkerHarness worker(std::move(configure));
  worker.receive<Ready>();
  EXPECT_EQ(worker.load(ModelId{0}, package).weights, weights);
  worker.send(LoadModel{ModelId{1}, package.string()});
  EXPECT_EQ(worker.receive<ModelRefused>().lacks, weights - ByteCount{8});
  worker.send(UnloadModel{ModelId{0}});
  EXPECT_EQ(worker.receive<ModelUnloaded>().model, ModelId{0});
  worker.send(UnloadModel{ModelId{0}});
  EXPECT_EQ(worker.receive<ModelUnloaded>().model, ModelId{0}) << "it was not there, and gives nothing back";
  worker.load(ModelId{1}, package);
  worker.channel->post(0, grant(1, 1, 0, 0b111));
  EXPECT_EQ(worker.finish().back().finished, End::failed) << "of model 0";
  EXPECT_NE(worker.receive<LogLine>().text.find("model 0 is not loaded"), std::string::npos);
}

// Room for the state of one job; each slot keeps its own.
TEST_F(WorkerTest, FailsAJobForWhoseStateNoMemoryIsLeftAndRunsTheOthers) {
  Configure configure;
  configure.backend = "synthetic";
  configure.lanes = 1;
  configure.memory = size_of(read_package(package).value().weights) + ByteCount{12};
  WorkerHarness worker(std::move(configure));
  worker.receive<Ready>();
  worker.load(ModelId{0}, package);
  const auto ends = [&](std::uint64_t number, std::uint64_t job) {
    worker.channel->post(0, grant(number, job, 0, 0b111));
    return worker.finish().back().finished;
  };
  EXPECT_EQ(ends(1, 1), End::done);
  EXPECT_EQ(ends(2, 2), End::out_of_memory);
  EXPECT_NE(
      worker.receive<LogLine>().text.find("job 2 failed on lane 0: job slot 2: 8B is more than the 4B left"),
      std::string::npos);
  EXPECT_EQ(ends(3, 1), End::done);
}

TEST_F(WorkerTest, DescribesWhatItLoaded) {
  WorkerHarness worker;
  worker.receive<Ready>();
  const ModelDescription model = worker.load(ModelId{0}, package);
  EXPECT_EQ(model.name, "small");
  EXPECT_EQ(model.input, (std::vector<int>{1, 8, 8}));
  EXPECT_EQ(model.blocks, 3);
  EXPECT_EQ(model.classes, 10);
  ASSERT_EQ(model.times.size(), 3U);
  EXPECT_EQ(model.times[2].trunk.p50, microseconds(50));
  EXPECT_EQ(model.times[2].exit.max, microseconds(10));
  ASSERT_EQ(model.accuracy.size(), 3U);
  EXPECT_NEAR(model.accuracy[1], 0.75, 0.01);
}

TEST_F(WorkerTest, RunsAJobOnEveryBackendThatWasBuilt) {
  for (const std::string backend : {EINET_BACKENDS}) {
    WorkerHarness worker(backend);
    worker.receive<Ready>();
    worker.load(ModelId{0}, package);
    for (std::size_t i = 0; i < 64; ++i) worker.arena.mapping.writable_data()[i] = std::byte(i);
    worker.channel->post(0, grant(1, 1, 0, 0b101));
    const auto reports = worker.finish();
    ASSERT_EQ(reports.size(), 3U) << backend;
    EXPECT_TRUE(reports[0].answer.has_value());
    EXPECT_FALSE(reports[1].answer.has_value());
    ASSERT_TRUE(reports[2].answer.has_value());
    EXPECT_EQ(reports[2].finished, End::done);
    if (backend == "synthetic") {
      const std::span input(worker.arena.mapping.data(), 64);
      EXPECT_EQ(reports[2].answer->top_class, synthetic_label(input, 10));
    }
  }
}

// Two jobs at once, each with another input.
TEST_F(WorkerTest, AnswersTheSameWithBlocksInFlight) {
  std::vector<std::vector<Answer>> answers;
  for (const int in_flight : {1, 2, kMaxInFlight}) {
    Configure configure;
    configure.backend = "synthetic-gpu";
    configure.largest_batch = 2;
    configure.in_flight = in_flight;
    WorkerHarness worker(std::move(configure));
    worker.receive<Ready>();
    worker.load(ModelId{0}, package);
    for (std::size_t i = 0; i < 128; ++i) worker.arena.mapping.writable_data()[i] = std::byte(i);
    GrantMessage rider = grant(1, 1, 0, 0b111);
    rider.with = GrantNumber{2};
    rider.input_offset = 64;
    worker.channel->post(0, rider);
    worker.channel->post(0, grant(2, 2, 0, 0b111));
    auto& of = answers.emplace_back();
    for (const Report& report : worker.finish()) of.push_back(report.answer.value());
    ASSERT_EQ(of.size(), 6U);
    for (std::size_t i = 0; i < of.size(); ++i) {
      EXPECT_EQ(of[i].top_class, answers[0][i].top_class);
      EXPECT_EQ(of[i].confidence, answers[0][i].confidence);
    }
  }
}

TEST_F(WorkerTest, RefusesADamagedPackageAndServesTheOthers) {
  const auto broken = test::write_synthetic_package(folder.path(), [] {
    auto want = small_package();
    want.name = "broken";
    return want;
  }());
  std::ofstream(broken / "program", std::ios::app) << "x";
  WorkerHarness worker;
  worker.receive<Ready>();
  worker.send(LoadModel{ModelId{0}, broken.string()});
  const auto refused = worker.receive<ModelRefused>();
  EXPECT_EQ(refused.model, ModelId{0});
  EXPECT_NE(refused.reason.find("program"), std::string::npos) << refused.reason;
  worker.send(LoadModel{ModelId{1}, "/nonexistent.einet"});
  worker.receive<ModelRefused>();
  worker.load(ModelId{2}, package);
  worker.send(LoadModel{ModelId{2}, package.string()});
  EXPECT_NE(worker.receive<ModelRefused>().reason.find("loaded already"), std::string::npos);
}

TEST_F(WorkerTest, ResumesAStoppedJobOnTheOtherLane) {
  WorkerHarness worker;
  worker.receive<Ready>();
  worker.load(ModelId{0}, package);
  // It may get to the end before the stop does: then again.
  for (std::uint64_t job = 1;; ++job) {
    worker.channel->post(0, grant(job, job, 0, 0b100));
    while (!worker.channel->running_since(0) && worker.channel->arm() == Arm::asleep)
      std::this_thread::yield();
    worker.channel->stop(0, GrantNumber{job});
    const auto reports = worker.finish();
    ASSERT_FALSE(reports.empty());
    if (reports.back().finished == End::done || reports.back().block < 0) continue;
    EXPECT_EQ(reports.back().finished, End::stopped);
    const int next = reports.back().block + 1;
    worker.channel->post(1, grant(1, job, next, 0b100));
    const auto rest = worker.finish();
    ASSERT_EQ(rest.size(), static_cast<std::size_t>(3 - next));
    EXPECT_EQ(rest.back().finished, End::done);
    EXPECT_EQ(rest.back().lane, 1);
    return;
  }
}

TEST_F(WorkerTest, AGrantThatMakesNoSenseFailsWithAReasonAndTheLaneLives) {
  WorkerHarness worker("synthetic", 1);
  worker.receive<Ready>();
  worker.load(ModelId{0}, package);
  auto with = [](auto change) {
    GrantMessage message = grant(0, 7, 0, 0b100);
    change(message);
    return message;
  };
  const std::vector<std::pair<const char*, GrantMessage>> wrong{
      {"not loaded", with([](auto& g) { g.model = ModelId{5}; })},
      {"not loaded", with([](auto& g) { g.model = ModelId{~0U}; })},
      {"blocks", with([](auto& g) { g.blocks = 2, g.exits = 1; })},
      {"classes", with([](auto& g) { g.classes = 9; })},
      {"arena", with([](auto& g) { g.input_offset = kArena; })},
      {"arena", with([](auto& g) { g.input_offset = ~std::uint64_t{0}; })},
      {"bytes", with([](auto& g) { g.input_bytes = 63; })},
      {"another job", with([](auto& g) { g.job_slot = 8, g.first_block = 1; })},
      {"before block 0", with([](auto& g) { g.first_block = 1; })},
  };
  std::uint64_t number = 0;
  for (auto [reason, message] : wrong) {
    message.number = GrantNumber{++number};
    worker.channel->post(0, message);
    const auto reports = worker.finish();
    ASSERT_EQ(reports.size(), 1U) << reason;
    EXPECT_EQ(reports[0].finished, End::failed) << reason;
    const auto line = worker.receive<LogLine>();
    EXPECT_NE(line.text.find(reason), std::string::npos) << line.text;
  }
  worker.channel->post(0, grant(++number, 7, 0, 0b100));
  EXPECT_EQ(worker.finish().back().finished, End::done);
}

TEST_F(WorkerTest, StartsNoBlockOfAStoppedGrantAfterTheStop) {
  // Both lanes are always busy; a more urgent job comes at any time and is posted before the running one is
  // stopped.
  auto want = small_package();
  want.name = "deep";
  want.trunk.assign(kMaxBlocks, microseconds(50));
  want.exit.assign(kMaxBlocks, microseconds(10));
  want.accuracy.clear();
  WorkerHarness worker;
  worker.receive<Ready>();
  worker.load(ModelId{0}, test::write_synthetic_package(folder.path(), want));
  std::mt19937 random(1);
  std::array<std::uint64_t, 2> newest{};
  std::map<std::pair<int, std::uint64_t>, TimePoint> stops;
  std::vector<Report> reports;
  for (int round = 0; round < 400; ++round) {
    const int lane = round % 2;
    const std::uint64_t running = newest[static_cast<std::size_t>(lane)]++;
    GrantMessage urgent =
        grant(running + 1, 2 * running + 2 + static_cast<std::uint64_t>(lane), 0, exit_bit(kMaxBlocks - 1));
    urgent.blocks = kMaxBlocks;
    worker.channel->post(lane, urgent);
    if (running > 0) {
      worker.channel->stop(lane, GrantNumber{running});
      stops[{lane, running}] = worker.clock.now();
    }
    const TimePoint until = worker.clock.now() + microseconds(random() % 1000);
    do {
      const auto drained =
          worker.channel->drain(worker.clock, [&](const Report& r) { reports.push_back(r); });
      ASSERT_TRUE(drained.has_value()) << drained.error().message;
      std::this_thread::yield();
    } while (worker.clock.now() < until || worker.channel->outstanding(1 - lane) > 1);
  }
  const auto rest = worker.finish();
  reports.insert(reports.end(), rest.begin(), rest.end());
  std::size_t stopped = 0;
  for (const Report& report : reports) {
    const auto stop = stops.find({report.lane, report.grant.value});
    if (report.block < 0 || stop == stops.end()) continue;
    EXPECT_LT(report.start, stop->second);
    stopped += report.finished == End::stopped;
  }
  EXPECT_GT(stopped, 0U);  // some were stopped between two blocks
}

TEST_F(WorkerTest, EndsWhenTheDaemonHasGone) {
  WorkerHarness worker;
  worker.receive<Ready>();
  worker.load(ModelId{0}, package);
  worker.channel->post(0, grant(1, 1, 0, 0b100));
  worker.control = ControlSocket();
  EXPECT_EQ(worker.wait(), 0);
}

TEST_F(WorkerTest, IsNotEndedByASignalToTheWholeGroup) {
  WorkerHarness worker;
  worker.receive<Ready>();
  ::kill(worker.pid, SIGTERM);
  ::kill(worker.pid, SIGINT);
  worker.load(ModelId{0}, package);
}

TEST_F(WorkerTest, SaysWhyItCannotStart) {
  WorkerHarness worker("abacus");
  EXPECT_NE(worker.receive<LogLine>().text.find("abacus"), std::string::npos);
  EXPECT_EQ(worker.wait(), 1);
}

TEST_F(WorkerTest, SaysWhyThereIsNoGpu) {
  WorkerHarness worker("cuda:63");
  EXPECT_NE(worker.receive<LogLine>().text.find("cannot start: no CUDA device can be used here ("),
            std::string::npos);
  EXPECT_EQ(worker.wait(), 1);
}

TEST(DeviceMemory, SaysHowMuchIsLackingWhenItWasAskedFor) {
  DeviceMemory memory(ByteCount{100});
  ASSERT_TRUE(memory.take(ByteCount{60}).has_value());
  EXPECT_EQ(memory.take(ByteCount{50}).error().lacks, ByteCount{10});
  EXPECT_EQ(memory.take(ByteCount{41}).error().lacks, ByteCount{1});
  EXPECT_TRUE(memory.take(ByteCount{40}).has_value());
  memory.give_back(ByteCount{100});
  EXPECT_TRUE(memory.take(ByteCount{100}).has_value());
}

// Only one of them can have its part, and gives it back again and again while the other one asks.
TEST(DeviceMemory, SaysWhatIsLackingWhileOthersGiveBack) {
  DeviceMemory memory(ByteCount{100});
  std::atomic<int> wrong = 0;
  const auto take_and_give_back = [&] {
    for (int i = 0; i < 100'000; ++i) {
      const auto taken = memory.take(ByteCount{60});
      if (taken) {
        memory.give_back(ByteCount{60});
      } else if (taken.error().lacks != ByteCount{20}) {
        ++wrong;
      }
    }
  };
  std::thread other(take_and_give_back);
  take_and_give_back();
  other.join();
  EXPECT_EQ(wrong, 0);
}

// A device whose memory ends.
class SmallBackend final : public Backend {
 public:
  std::string_view name() const override { return "small"; }
  Result<std::unique_ptr<LoadedModel>> load(Package) override { return error("is not asked for"); }
  Result<std::unique_ptr<TrunkState>> make_state(ByteCount size) override {
    if (size > ByteCount{100}) return error("out of device memory");
    return std::make_unique<TrunkState>(size);
  }
};

TEST(SlotTable, RefusesTheJobThatNoMemoryIsLeftForAndNoOther) {
  SmallBackend backend;
  DeviceMemory memory{ByteCount{}};
  SlotTable jobs(backend, memory);
  const auto refused = jobs.take(grant(1, 5, 0, 1), ByteCount{101});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().end, End::out_of_memory);
  EXPECT_NE(refused.error().message.find("job slot 5: out of device memory"), std::string::npos);
  EXPECT_TRUE(jobs.take(grant(2, 5, 0, 1), ByteCount{100}).has_value());
}

TEST(SlotTable, StaysWithinTheMemoryThatTheDeviceMayUse) {
  const auto backend = make_synthetic_backend();
  DeviceMemory memory(ByteCount{250});
  SlotTable jobs(*backend, memory);
  EXPECT_TRUE(jobs.take(grant(1, 1, 0, 1), ByteCount{100}).has_value());
  EXPECT_TRUE(jobs.take(grant(2, 2, 0, 1), ByteCount{100}).has_value());
  const auto refused = jobs.take(grant(3, 3, 0, 1), ByteCount{51});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().end, End::out_of_memory);
  EXPECT_EQ(refused.error().message,
            "job slot 3: 51B is more than the 50B left of this device's `memory`, 250B");
  EXPECT_TRUE(jobs.take(grant(4, 3, 0, 1), ByteCount{50}).has_value());
  // A slot that grows gives its old memory back first; one whose job is refused has none.
  jobs.put_back(1, 3);
  EXPECT_FALSE(jobs.take(grant(5, 1, 0, 1), ByteCount{101}).has_value());
  EXPECT_TRUE(jobs.take(grant(6, 1, 0, 1), ByteCount{100}).has_value());
}

// The synthetic backend, taken for a GPU of this name.
class NamedGpu final : public Backend {
 public:
  explicit NamedGpu(std::string machine) : machine_(std::move(machine)) {}
  std::string_view name() const override { return "named"; }
  std::string_view device_kind() const override { return "cuda"; }
  std::string machine() const override { return machine_; }
  Result<std::unique_ptr<LoadedModel>> load(Package package) override {
    return make_synthetic_backend()->load(std::move(package));
  }

 private:
  std::string machine_;
};

TEST(ModelTable, TakesAProfileOfTheSameGpuAndRefusesThatOfAnother) {
  test::TemporaryFolder folder;
  Package package = read_package(test::write_synthetic_package(folder.path(), small_package())).value();
  EtProfile on_gpu = package.info.times.front();
  on_gpu.device = "cuda";
  on_gpu.machine = "GPU A";
  on_gpu.trunk[0].p50 = std::chrono::nanoseconds(5);
  package.info.times.push_back(on_gpu);
  NamedGpu same("GPU A"), other("GPU B");
  const auto model = same.load(package).value();
  const auto described = describe(*model, same);
  ASSERT_TRUE(described.has_value()) << described.error().message;
  EXPECT_EQ(described->times[0].trunk.p50, std::chrono::nanoseconds(5)) << "the GPU's, not the processor's";
  const auto refused = describe(*model, other);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(
      refused.error().message.find("\"GPU A\", this is a \"GPU B\"; measure it here: einet-worker --profile"),
      std::string::npos)
      << refused.error().message;
}

TEST(SlotTable, GivesAStateToOneLaneAtATime) {
  const auto backend = make_synthetic_backend();
  DeviceMemory memory{ByteCount{}};
  SlotTable jobs(*backend, memory);
  const auto first = jobs.take(grant(1, 5, 0, 1), ByteCount{100});
  ASSERT_TRUE(first.has_value());
  EXPECT_GE((*first)->size(), ByteCount{100});
  EXPECT_FALSE(jobs.take(grant(2, 5, 0, 1), ByteCount{100}).has_value());
  jobs.put_back(5, 2);
  EXPECT_FALSE(jobs.take(grant(3, 5, 1, 0b10), ByteCount{100}).has_value());
  const auto second = jobs.take(grant(4, 5, 2, 0b100), ByteCount{100});
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(*second, *first);
}

TEST(SlotTable, HasNothingToGoOnWithWhereAnotherJobWasRefused) {
  const auto backend = make_synthetic_backend();
  DeviceMemory memory(ByteCount{100});
  SlotTable jobs(*backend, memory);
  ASSERT_TRUE(jobs.take(grant(1, 5, 0, 1), ByteCount{100}).has_value());
  jobs.put_back(5, 2);
  ASSERT_TRUE(jobs.take_left({5, JobId{5}, ModelId{0}, 2}).has_value());
  jobs.put_back(5, 2);
  EXPECT_FALSE(jobs.take_fresh({5, JobId{6}, ModelId{0}, 2}, ByteCount{101}).has_value());
  for (const std::uint64_t job : {5, 6}) {
    EXPECT_FALSE(jobs.take_left({5, JobId{job}, ModelId{0}, 2}).has_value()) << job;
  }
}

TEST(SlotTable, KeepsASlotsMemoryForTheNextJobUnlessItIsTooSmall) {
  const auto backend = make_synthetic_backend();
  DeviceMemory memory{ByteCount{}};
  SlotTable jobs(*backend, memory);
  GrantMessage message = grant(1, 5, 0, 1);
  TrunkState* const first = *jobs.take(message, ByteCount{100});
  jobs.put_back(5, 3);
  message.job = JobId{6};  // in the same slot
  EXPECT_EQ(*jobs.take(message, ByteCount{50}), first);
  jobs.put_back(5, 3);
  EXPECT_GE((*jobs.take(message, ByteCount{200}))->size(), ByteCount{200});
}

}  // namespace
}  // namespace einet::lane
