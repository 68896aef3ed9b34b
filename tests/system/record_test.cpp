// A recording of a real daemon is one that `einet simulate --replay` accepts, with every job in it, whatever
// ended the daemon.
#include <csignal>
#include <sstream>

#include <gtest/gtest.h>

#include "running_daemon.h"
#include "tools/einet/command_line.h"

namespace einet::test {
namespace {

using namespace std::chrono_literals;

struct Ran {
  int code = 0;
  std::string out, err;
};

Ran replay(const std::filesystem::path& file, const std::string& policy) {
  const std::string path = file.string();
  std::ostringstream out, err;
  const std::array argv{"einet", "simulate", "--replay", path.c_str(), "--policy", policy.c_str(), "--json"};
  const int code = cli::run(static_cast<int>(argv.size()), argv.data(), out, err);
  return {code, out.str(), err.str()};
}

// Jobs with and without deadlines; every seventh is cancelled.
void run_jobs(client::Client& client, const SyntheticPackage& model, int jobs) {
  for (int i = 0; i < jobs; ++i) {
    client::JobRequest job = job_of(model, i % 3);
    if (i % 2 == 0) job.deadline = Duration(10ms);
    const auto ticket = client.post(job, {});
    ASSERT_TRUE(ticket) << ticket.error().message;
    if (i % 7 == 0) client.post_cancel(*ticket);
  }
}

void wait_all(client::Client& client) {
  while (client.pending() > 0) ASSERT_TRUE(client.wait_any(kPatience));
}

void expect_replay_with_all_jobs(DaemonSetup setup) {
  const SyntheticPackage model = model_of("small", 4, 100us, 20us);
  setup.models = {model};
  RunningDaemon daemon(setup);
  client::Client client = daemon.connect();
  run_jobs(client, model, 60);
  wait_all(client);
  EXPECT_EQ(daemon.stop(), 0);
  std::size_t blocks = 0;
  std::map<std::string, int> outcomes;
  for (const nlohmann::json& e : daemon.trace()) {
    blocks += e["event"] == "block";
    if (e["event"] == "outcome") ++outcomes[e["outcome"]];
  }
  for (const char* policy : {"edf", "fixed-priority", "fifo", "imprecise"}) {
    const Ran ran = replay(daemon.folder() / "trace", policy);
    ASSERT_EQ(ran.code, 0) << ran.err;
    const nlohmann::json out = nlohmann::json::parse(ran.out);
    EXPECT_EQ(out["policy"], policy);
    EXPECT_EQ(out["jobs"], 60);
    EXPECT_EQ(out["ended"], 60);
    EXPECT_EQ(out["lost_events"], 0);
    EXPECT_FALSE(out["cut_off"]);
    std::size_t counted = 0;
    for (const nlohmann::json& b : out["blocks"]) counted += std::size_t{b["actual"]["count"]};
    EXPECT_EQ(counted, blocks);
    int predicted = 0;
    for (const auto& [name, row] : out["outcomes"].items()) {
      EXPECT_EQ(row["actual"], outcomes[name]) << name;
      predicted += int{row["predicted"]};
    }
    EXPECT_EQ(predicted, 60);
  }
}

TEST(Record, AReplayAcceptsARecordingAndHasItsJobs) {
  expect_replay_with_all_jobs({.models = {}, .device = "lanes = 2\n"});
}

TEST(Record, OfAGpuWithBatchesAndBlocksInFlightIsReplayedToo) {
  expect_replay_with_all_jobs(
      {.models = {}, .backend = "synthetic-gpu", .device = "batch = 4\nin_flight = 3\n"});
}

TEST(Record, OfAKilledDaemonIsReadable) {
  const SyntheticPackage model = model_of("small", 4, 100us, 20us);
  RunningDaemon daemon({.models = {model}});
  client::Client client = daemon.connect();
  run_jobs(client, model, 200);
  ASSERT_TRUE(client.wait_any(kPatience));
  // What was written by now stays; the writer is perhaps in the middle of a line.
  std::error_code code;
  const std::filesystem::path file = daemon.folder() / "trace";
  while (std::filesystem::file_size(file, code) == 0) ASSERT_TRUE(client.status(kPatience));
  daemon.signal(SIGKILL);
  EXPECT_EQ(daemon.wait_end(), -SIGKILL);
  const Ran ran = replay(file, "imprecise");
  EXPECT_EQ(ran.code, 0) << ran.err;
}

TEST(Record, AFullDiskEndsTheRecordingAndNothingElse) {
  const SyntheticPackage model = model_of("small", 4, 100us, 20us);
  RunningDaemon daemon({.models = {model}, .arguments = {"--record", "/dev/full"}});
  EXPECT_TRUE(daemon.wait_log("/dev/full: cannot be written: No space left on device"));
  client::Client client = daemon.connect();
  const auto ended = client.run(job_of(model), {}, kPatience);
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->outcome, wire::COMPLETED);
  EXPECT_EQ(daemon.stop(), 0);
}

}  // namespace
}  // namespace einet::test
