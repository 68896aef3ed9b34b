// The main road: submit, answers per exit, one outcome; looking at it; an orderly end.
#include <csignal>
#include <fstream>
#include <sys/resource.h>
#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/files.h"
#include "running_daemon.h"

namespace einet::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::SizeIs;

TEST(EndToEnd, AJobGivesItsAnswersExitByExitAndThenOneOutcome) {
  const SyntheticPackage model = short_model();
  RunningDaemon daemon({.models = {model}});
  client::Client client = daemon.connect();
  EXPECT_EQ(client.hello().tenant(), "camera");
  EXPECT_EQ(client.hello().limits().max_priority(), 5);

  client::JobRequest job = job_of(model);
  job.plan = wire::ALL;
  std::vector<int> exits;
  const auto ended = client.run(
      job,
      [&](JobId, const client::Answer& a) {
        exits.push_back(a.exit);
        EXPECT_THAT(a.scores, SizeIs(model.classes));
      },
      kPatience);
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->outcome, wire::COMPLETED) << ended->reason << ": " << ended->words;
  EXPECT_EQ(ended->reason, "plan_finished");
  EXPECT_EQ(exits, (std::vector<int>{0, 1}));
  ASSERT_TRUE(ended->best);
  EXPECT_EQ(ended->best->exit, 1);
  EXPECT_EQ(ended->executed_exits, 3u);
  ASSERT_TRUE(ended->first_block);
  EXPECT_LE(ended->received, ended->released);
  EXPECT_LE(ended->released, *ended->first_block);
  EXPECT_LE(*ended->first_block, ended->finished);
  EXPECT_GE(ended->lane_time, Duration(400us));
}

TEST(EndToEnd, AnswersMayBeLargerThanWhatAClientMaySend) {
  SyntheticPackage model = short_model();
  model.classes = 1000;
  RunningDaemon daemon({.models = {model}, .tables = "[limits]\nmessage = \"1KiB\"\n"});
  client::Client client = daemon.connect();
  EXPECT_EQ(client.hello().limits().max_body_bytes(), 1024u);
  int exits = 0;
  client::JobRequest job = job_of(model);
  job.plan = wire::ALL;
  const auto ended = client.run(
      job, [&](JobId, const client::Answer&) { ++exits; }, kPatience);
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->outcome, wire::COMPLETED) << ended->reason << ": " << ended->words;
  EXPECT_EQ(exits, 2);
  ASSERT_TRUE(ended->best);
  EXPECT_THAT(ended->best->scores, SizeIs(1000));
}

TEST(EndToEnd, AnInputInARegionIsAsGoodAsOneInTheMessage) {
  const SyntheticPackage model = short_model();
  RunningDaemon daemon({.models = {model}});
  client::Client client = daemon.connect();
  auto region = client.register_region(ByteCount{4096}, kPatience);
  ASSERT_TRUE(region) << region.error().message;
  client::JobRequest job = job_of(model);
  job.dtype = wire::F32;
  job.input = client::RegionInput{region->id(), 128, 64 * 4};
  const auto ended = client.run(job, {}, kPatience);
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->outcome, wire::COMPLETED) << ended->words;
  EXPECT_TRUE(client.unregister_region(std::move(*region), kPatience));
}

TEST(EndToEnd, AJobWaitsForItsReleaseAndStopsAtItsDeadlineWithItsBestAnswer) {
  const SyntheticPackage model = long_model();  // 80 ms and more
  RunningDaemon daemon({.models = {model}});
  client::Client client = daemon.connect();
  client::JobRequest job = job_of(model);
  job.plan = wire::ALL;
  job.release = Duration(20ms);
  job.deadline = Duration(30ms);
  const auto ended = client.run(job, {}, kPatience);
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->released - ended->received, Duration(20ms));
  EXPECT_TRUE(!ended->first_block || *ended->first_block >= ended->released);
  // On a busy machine the first answer may come too late; then there is none, and the job is missed.
  EXPECT_EQ(ended->outcome, ended->best ? wire::DEADLINE : wire::MISSED) << ended->reason;
  EXPECT_NE(ended->executed_exits, (std::uint64_t{1} << 40) - 1);
}

TEST(EndToEnd, AMandatoryExitThatIsNotReachedIsAMiss) {
  const SyntheticPackage model = long_model();
  RunningDaemon daemon({.models = {model}});
  client::Client client = daemon.connect();
  client::JobRequest job = job_of(model);
  job.deadline = Duration(20ms);
  job.mandatory_exit = 39;
  const auto ended = client.run(job, {}, kPatience);
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->outcome, wire::MISSED) << ended->reason;
}

TEST(EndToEnd, LookingShowsJobsModelsLanesAndTenants) {
  const SyntheticPackage model = model_of("long", 40, 20ms, 100us);  // runs until it is cancelled
  RunningDaemon daemon({.models = {model}, .device = "lanes = 2\n"});
  client::Client client = daemon.connect();
  std::vector<wire::Event> events;
  client::Client watcher = daemon.connect();
  ASSERT_TRUE(watcher.watch(
      client::Client::Watch::jobs_and_blocks, [&](const wire::Event& e) { events.push_back(e); }, kPatience));
  const auto submitted = client.submit(job_of(model), {}, kPatience);
  ASSERT_TRUE(submitted);
  while (
      std::none_of(events.begin(), events.end(), [](auto& e) { return e.kind() == wire::Event::STARTED; })) {
    ASSERT_TRUE(watcher.wait_any(kPatience));
  }
  ASSERT_GE(events.size(), 3u);
  EXPECT_EQ(events[0].kind(), wire::Event::ACCEPTED);
  EXPECT_EQ(events[1].kind(), wire::Event::RELEASED);
  EXPECT_LE(events[0].at_ns(), events[1].at_ns());
  const auto jobs = watcher.jobs(kPatience);
  ASSERT_TRUE(jobs);
  ASSERT_EQ(jobs->jobs_size(), 1);
  EXPECT_EQ(jobs->jobs(0).job(), submitted->job.value);
  EXPECT_EQ(jobs->jobs(0).state(), "running");
  EXPECT_EQ(jobs->jobs(0).device(), "cpu");
  EXPECT_EQ(jobs->jobs(0).blocks(), 40u);
  EXPECT_EQ(daemon.connect("batch").jobs(kPatience)->jobs_size(), 0);  // not its own

  EXPECT_FALSE(jobs->jobs(0).has_plan());
  const auto explained = watcher.jobs(kPatience, client::Client::Jobs::with_plans);
  ASSERT_EQ(explained->jobs_size(), 1);
  const wire::PlanBasis& basis = explained->jobs(0).plan();
  EXPECT_GT(basis.exits_size(), 0);
  for (const wire::PlanExit& exit : basis.exits()) EXPECT_TRUE(exit.alive() >= 0 && exit.alive() <= 1);

  const auto models = client.models(kPatience);
  ASSERT_TRUE(models);
  ASSERT_EQ(models->models_size(), 1);
  EXPECT_TRUE(models->models(0).loaded()) << models->models(0).reason();
  EXPECT_EQ(models->models(0).devices(0).blocks_size(), 40);

  const wire::Status status = *client.status(kPatience);
  ASSERT_EQ(status.lanes_size(), 2);
  EXPECT_EQ(status.lanes(0).state(), "busy");
  EXPECT_EQ(status.lanes(0).job(), submitted->job.value);
  EXPECT_EQ(status.lanes(1).state(), "idle");
  EXPECT_EQ(status.policy(), "imprecise");
  ASSERT_EQ(status.tenants_size(), 1);
  EXPECT_EQ(status.tenants(0).jobs(), 1u);
  EXPECT_EQ(status.tenants(0).bytes(), 64u);

  ASSERT_TRUE(client.cancel(submitted->job, kPatience));
  EXPECT_EQ(client.wait(submitted->ticket, kPatience)->outcome, wire::CANCELLED);
  EXPECT_TRUE(daemon.eventually([](const wire::Status& s) { return s.lanes(0).state() == "idle"; }));
  while (std::none_of(events.begin(), events.end(), [](auto& e) { return e.kind() == wire::Event::ENDED; })) {
    ASSERT_TRUE(watcher.wait_any(kPatience));
  }
  EXPECT_TRUE(
      std::any_of(events.begin(), events.end(), [](auto& e) { return e.kind() == wire::Event::BLOCK; }));
}

TEST(Root, SeesAndCancelsAllUnlessItsHelloNamesATenant) {
  if (::geteuid() != 0) GTEST_SKIP() << "this user is not root";
  const SyntheticPackage model = short_model();
  RunningDaemon daemon({.models = {model}});
  client::Client camera = daemon.connect("camera");
  client::JobRequest job = job_of(model);
  job.release = Duration(1h);
  const auto submitted = camera.submit(job, {}, kPatience);
  ASSERT_TRUE(submitted);
  client::TaskRequest task;
  task.name = "t";
  task.model = model.name;
  task.period = 1h;
  ASSERT_TRUE(camera.add_task(task, kPatience));

  client::Client batch = daemon.connect("batch");
  EXPECT_EQ(batch.jobs(kPatience)->jobs_size(), 0);
  EXPECT_EQ(batch.tasks(kPatience)->tasks_size(), 0);
  EXPECT_EQ(batch.status(kPatience)->tenants_size(), 1);
  EXPECT_FALSE(batch.cancel(submitted->job, kPatience));
  EXPECT_FALSE(batch.remove_task("t", kPatience));

  client::Client root = daemon.connect("");
  int events = 0;
  ASSERT_TRUE(root.watch(
      client::Client::Watch::jobs, [&](const wire::Event& e) { events += e.tenant() == "camera"; },
      kPatience));
  const auto jobs = root.jobs(kPatience);
  ASSERT_TRUE(jobs);
  ASSERT_EQ(jobs->jobs_size(), 1);
  EXPECT_EQ(jobs->jobs(0).tenant(), "camera");
  EXPECT_EQ(root.tasks(kPatience)->tasks_size(), 1);
  EXPECT_EQ(root.status(kPatience)->tenants_size(), 3);
  EXPECT_TRUE(root.remove_task("t", kPatience));
  EXPECT_TRUE(root.cancel(submitted->job, kPatience));
  EXPECT_EQ(camera.wait(submitted->ticket, kPatience)->outcome, wire::CANCELLED);
  while (events == 0) ASSERT_TRUE(root.wait_any(kPatience));
}

TEST(Root, IsNoTenantUnlessTheConfigurationSaysSo) {
  if (::geteuid() != 0) GTEST_SKIP() << "this user is not root";
  const SyntheticPackage model = short_model();
  RunningDaemon daemon({.models = {model}, .user = 12345});
  const client::Options as_camera{.name = "test", .tenant = "camera", .timeout = kPatience};
  EXPECT_FALSE(client::Client::connect(daemon.socket(), as_camera));
  client::Client root = daemon.connect("");
  EXPECT_EQ(root.hello().tenant(), "");
  const auto ended = root.run(job_of(model), {}, kPatience);
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->outcome, wire::FAILED);
  EXPECT_EQ(ended->words, "root is not a tenant here and submits no jobs");
  const auto added = root.add_task({}, kPatience);
  ASSERT_FALSE(added);
  EXPECT_THAT(added.error().message, HasSubstr("root is not a tenant here; act as one to add its tasks"));
  EXPECT_EQ(root.status(kPatience)->tenants_size(), 3);
}

TEST(Root, GetsInAlthoughATenantHasAllItsConnections) {
  if (::geteuid() != 0) GTEST_SKIP() << "this user is not root";
  RunningDaemon daemon({.models = {short_model()}});
  std::vector<client::Client> clients;
  for (int i = 0; i < 16; ++i) clients.push_back(daemon.connect("control"));
  const client::Options as_control{.name = "test", .tenant = "control", .timeout = kPatience};
  EXPECT_FALSE(client::Client::connect(daemon.socket(), as_control));
  client::Client root = daemon.connect("");
  EXPECT_EQ(root.hello().tenant(), "control");  // the first that it may be
  const auto status = root.status(kPatience);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->tenants_size(), 3);
  EXPECT_EQ(status->tenants(0).connections(), 16u);
}

TEST(Ending, DrainingLetsRunningJobsFinishAndRefusesNewOnes) {
  const SyntheticPackage model = long_model();
  RunningDaemon daemon({.models = {model}, .config = "drain = \"60s\"\n"});
  client::Client client = daemon.connect();
  const auto running = client.submit(job_of(model), {}, kPatience);
  ASSERT_TRUE(running);
  daemon.signal(SIGTERM);
  ASSERT_TRUE(daemon.wait_log("draining"));
  const auto late = client.submit(job_of(model), {}, kPatience);
  ASSERT_TRUE(late) << late.error().message;
  ASSERT_TRUE(late->rejected);
  EXPECT_EQ(late->rejected->reason, "shutting_down");
  const auto ended = client.wait(running->ticket, kPatience);
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->outcome, wire::COMPLETED);
  EXPECT_EQ(daemon.wait_end(), 0) << daemon.log();
  EXPECT_FALSE(std::filesystem::exists(daemon.socket()));
}

TEST(Ending, WhileItDrainsClientsMayComeAndLook) {
  const SyntheticPackage model = short_model();
  RunningDaemon daemon({.models = {model}, .config = "drain = \"3600s\"\n"});
  client::Client client = daemon.connect();
  client::JobRequest job = job_of(model);
  job.release = Duration(1h);
  const auto waiting = client.submit(job, {}, kPatience);
  ASSERT_TRUE(waiting);
  daemon.signal(SIGTERM);
  ASSERT_TRUE(daemon.wait_log("draining"));
  client::Client newcomer = daemon.connect();
  const auto jobs = newcomer.jobs(kPatience);
  ASSERT_TRUE(jobs);
  EXPECT_EQ(jobs->jobs_size(), 1);
  const auto late = newcomer.submit(job_of(model), {}, kPatience);
  ASSERT_TRUE(late) << late.error().message;
  ASSERT_TRUE(late->rejected);
  EXPECT_EQ(late->rejected->reason, "shutting_down");
  ASSERT_TRUE(client.cancel(waiting->job, kPatience));
  EXPECT_EQ(client.wait(waiting->ticket, kPatience)->outcome, wire::CANCELLED);
  EXPECT_EQ(daemon.wait_end(), 0) << daemon.log();
  EXPECT_FALSE(std::filesystem::exists(daemon.socket()));
}

TEST(Ending, JobsThatOutlastTheDrainAreCancelled) {
  const SyntheticPackage model = model_of("endless", 64, 10ms, 1ms);
  RunningDaemon daemon({.models = {model}, .config = "drain = \"0s\"\n"});
  client::Client client = daemon.connect();
  const auto running = client.submit(job_of(model), {}, kPatience);
  ASSERT_TRUE(running);
  daemon.signal(SIGTERM);
  const auto ended = client.wait(running->ticket, kPatience);
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->outcome, wire::CANCELLED);
  EXPECT_EQ(ended->reason, "shutting_down");
  EXPECT_EQ(daemon.wait_end(), 0) << daemon.log();
}

TEST(Starting, ASocketFileThatNobodyListensOnIsReplacedAndALiveOneIsNot) {
  RunningDaemon daemon({.models = {short_model()}});
  struct stat status {};
  ASSERT_EQ(::stat(daemon.socket().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0660u);
  const std::filesystem::path trace = daemon.folder() / "trace";
  const Ran second =
      run_einetd({"--config", (daemon.folder() / "einetd.toml").string(), "--trace", trace.string()});
  EXPECT_EQ(second.status, 1);
  EXPECT_THAT(second.output, HasSubstr("another daemon listens on this socket"));
  client::Client client = daemon.connect();
  ASSERT_TRUE(client.run(job_of(short_model()), {}, kPatience));
  EXPECT_TRUE(daemon.eventually([&](const wire::Status&) {
    return read_file(trace, ByteCount{1u << 20})->find("\"outcome\"") != std::string::npos;
  }));

  daemon.signal(SIGKILL);
  EXPECT_EQ(daemon.wait_end(), -SIGKILL);
  EXPECT_TRUE(std::filesystem::exists(daemon.socket()));
  const std::string crashed = *read_file(trace, ByteCount{1u << 20});
  EXPECT_THAT(crashed, testing::StartsWith("{\"event\":\"header\"")) << "the refused start touched it";
  daemon.start();
  EXPECT_TRUE(daemon.wait_ready()) << daemon.log();
  ASSERT_TRUE(std::filesystem::exists(trace.string() + ".1"));
  EXPECT_EQ(*read_file(trace.string() + ".1", ByteCount{1u << 20}), crashed);
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_EQ(daemon.trace().front()["event"], "header");
}

TEST(Starting, TakesAllTheDescriptorsThatItMayHave) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few{256, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  RunningDaemon daemon({.models = {short_model()}});
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit its{};
  ASSERT_EQ(::prlimit(daemon.pid(), RLIMIT_NOFILE, nullptr, &its), 0);
  EXPECT_EQ(its.rlim_cur, before.rlim_max);
  EXPECT_EQ(daemon.stop(), 0);
}

TEST(Starting, SaysWhatIsWrongWithACommandLineOrAConfiguration) {
  EXPECT_EQ(run_einetd({"--version"}).status, 0);
  EXPECT_THAT(run_einetd({"--help"}).output, HasSubstr("--check-config"));
  EXPECT_EQ(run_einetd({"--polciy", "edf"}).status, 2);
  const Ran no_file = run_einetd({"--config", "/nowhere.toml"});
  EXPECT_EQ(no_file.status, 2);
  EXPECT_THAT(no_file.output, HasSubstr("docs/einetd.example.toml shows every key"));

  const TemporaryFolder folder;
  const std::string file = (folder.path() / "e.toml").string();
  std::ofstream(file) << "sokcet = \"/s\"\n[[device]]\nname = \"cpu\"\n";
  for (const char* option : {"--config", "--check-config"}) {
    const Ran ran = run_einetd({option, file});
    EXPECT_EQ(ran.status, 2);
    EXPECT_EQ(ran.output, "einetd: " + file + ":1:1: sokcet: unknown key; did you mean \"socket\"?\n");
  }
  std::ofstream(file) << "models = \".\"\n[[device]]\nname = \"cpu\"\n";
  const Ran good = run_einetd({"--check-config", file});
  EXPECT_EQ(good.status, 0) << good.output;
  EXPECT_THAT(good.output, testing::StartsWith("ok\nsocket /run/einetd/socket"));

  std::ofstream(file) << "models = \"/nowhere\"\n[[device]]\nname = \"cpu\"\n";
  const Ran checked = run_einetd({"--check-config", file});
  EXPECT_EQ(checked.status, 1);
  EXPECT_THAT(checked.output, testing::StartsWith("socket /run/einetd/socket"));
  EXPECT_THAT(checked.output,
              HasSubstr("einetd: would not start on this machine: models: /nowhere: cannot read"));
  const Ran no_models = run_einetd({"--config", file, "--socket", (folder.path() / "s").string()});
  EXPECT_EQ(no_models.status, 1);
  EXPECT_THAT(no_models.output, HasSubstr("/nowhere: cannot read the model directory"));
}

}  // namespace
}  // namespace einet::test
