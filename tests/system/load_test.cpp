// Many jobs from many clients: every one exactly one outcome, and everything comes back.
#include <atomic>
#include <fstream>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "running_daemon.h"
#include "sanitized.h"

namespace einet::test {
namespace {

using namespace std::chrono_literals;

constexpr int kClients = 8;
constexpr std::size_t kInFlight = 32;

// Of one round: what the trace can hold, should its writer not run at all. It has caught up before the next.
constexpr int kJobsPerClient = 350;

constexpr int kMoreRounds = kSanitized ? 1 : 7;
constexpr bool kMemoryIsTheProductsOwn =
    !kSanitized;  // sanitizers keep freed memory and shadows of their own

std::uint64_t resident_bytes(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  std::uint64_t pages = 0;
  file >> pages >> pages;
  return pages * 4096;
}

struct Outcomes {
  int all = 0;
  int late = 0;  // of these, refused because their deadline had passed: on a busy machine some come too late
};

// Runs `jobs` jobs, every third of them with a deadline, every fifth cancelled.
Outcomes run_client(client::Client client, const SyntheticPackage& model, int number, int jobs) {
  Outcomes outcomes;
  std::set<std::uint64_t> ids;
  for (int posted = 0; posted < jobs || client.pending() > 0;) {
    while (posted < jobs && client.pending() < kInFlight) {
      client::JobRequest job = job_of(model, number % 3);
      if (posted % 3 == 0) job.deadline = Duration(5ms);
      const auto ticket = client.post(job, {.exit = {}, .ended = [&](const client::Ended& e) {
                                              ++outcomes.all;
                                              EXPECT_NE(e.outcome, wire::FAILED) << e.words;
                                              if (e.outcome == wire::REJECTED) {
                                                ++outcomes.late;
                                                EXPECT_EQ(e.words, "the deadline has passed");
                                              } else {
                                                EXPECT_TRUE(ids.insert(e.job.value).second);
                                              }
                                            }});
      EXPECT_TRUE(ticket);
      if (posted % 5 == 0) client.post_cancel(*ticket);
      ++posted;
    }
    const auto ok = client.wait_any(kPatience);
    EXPECT_TRUE(ok) << ok.error().message;
    if (!ok) break;
  }
  return outcomes;
}

int outcomes_in_trace(const RunningDaemon& daemon) {
  std::ifstream file(daemon.folder() / "trace");
  int outcomes = 0;
  for (std::string line; std::getline(file, line);) {
    outcomes += line.find("\"event\":\"outcome\"") != std::string::npos;
  }
  return outcomes;
}

Outcomes run_clients(const RunningDaemon& daemon, const SyntheticPackage& model, int jobs) {
  std::atomic<int> all = 0;
  std::atomic<int> late = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kClients; ++i) {
    threads.emplace_back([&, i] {
      const Outcomes of_one = run_client(daemon.connect("camera"), model, i, jobs);
      all += of_one.all;
      late += of_one.late;
    });
  }
  for (std::thread& t : threads) t.join();
  return {all, late};
}

TEST(Load, ManyJobsFromEightClientsHaveOneOutcomeEachAndLeaveNothing) {
  const SyntheticPackage model = model_of("tiny", 2, 10us, 2us);
  RunningDaemon daemon({.models = {model}, .device = "lanes = 2\n"});
  // What is allocated once is allocated now, by the same load: the most that it holds at a time.
  int accepted = 0;
  const auto run_round = [&] {
    const Outcomes of_round = run_clients(daemon, model, kJobsPerClient);
    EXPECT_EQ(of_round.all, kClients * kJobsPerClient);
    EXPECT_TRUE(daemon.is_idle());
    accepted += of_round.all - of_round.late;
    EXPECT_TRUE(
        daemon.eventually([&](const wire::Status&) { return outcomes_in_trace(daemon) >= accepted; }));
  };
  run_round();
  const std::size_t files = daemon.open_files();
  const std::uint64_t before = resident_bytes(daemon.pid());

  for (int round = 0; round < kMoreRounds; ++round) run_round();
  EXPECT_EQ(daemon.open_files(), files);
  if (kMemoryIsTheProductsOwn) {
    // The two buffers of the trace take memory as far as they were ever filled.
    EXPECT_LT(resident_bytes(daemon.pid()), before + (20u << 20));
  }
  const wire::Status status = daemon.status();
  std::uint64_t outcomes = 0;
  for (const wire::Counter& c : status.counters()) {
    for (const char* name : {"jobs_completed", "jobs_deadline", "jobs_missed", "jobs_cancelled"}) {
      if (c.name() == name) outcomes += c.value();
    }
  }
  EXPECT_EQ(outcomes, static_cast<std::uint64_t>(accepted));
  EXPECT_EQ(daemon.counter("jobs_failed"), 0u);
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_EQ(broken_promises(daemon.trace()), "");
}

}  // namespace
}  // namespace einet::test
