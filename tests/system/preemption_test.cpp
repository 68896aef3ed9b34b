// Under load, with real processes: what the scheduling-point rule promises, read from the trace. The same
// load under fifo is the negative control: it breaks the promise.
#include <map>

#include <gtest/gtest.h>

#include "running_daemon.h"

namespace einet::test {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

constexpr int kUrgentJobs = 60;
constexpr std::size_t kFlood = 4;

// A flood of long jobs, and urgent ones one after the other. Returns the trace.
std::vector<Json> run_load(const std::string& policy) {
  const SyntheticPackage batch_model = model_of("batch", 12, 500us, 20us);
  const SyntheticPackage urgent_model = short_model();
  RunningDaemon daemon({.models = {batch_model, urgent_model}, .arguments = {"--policy", policy}});
  client::Client batch = daemon.connect("batch");
  client::Client control = daemon.connect("control");
  client::JobRequest batch_job = job_of(batch_model);
  batch_job.plan = wire::ALL;
  int blocks = 0;
  const client::Handlers handlers{
      .exit = [&](JobId, const client::Answer&) { ++blocks; },
      .ended = [](const client::Ended& e) { EXPECT_EQ(e.outcome, wire::COMPLETED) << e.reason; }};
  for (int i = 0; i < kUrgentJobs; ++i) {
    while (batch.pending() < kFlood) EXPECT_TRUE(batch.post(batch_job, handlers));
    // A lane is in the middle of the flood when the urgent job arrives.
    const int before = blocks;
    while (blocks == before) EXPECT_TRUE(batch.wait_any(kPatience));
    const auto ended = control.run(job_of(urgent_model, 10), {}, kPatience);
    EXPECT_TRUE(ended && ended->outcome == wire::COMPLETED);
  }
  while (batch.pending() > 0) EXPECT_TRUE(batch.wait_any(kPatience));
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
  return daemon.trace();
}

struct Seen {
  int started_after_stop = 0;
  int stops = 0;
  int preemptions = 0;
  int urgent_jobs = 0;
  // Whole batch jobs that ran between the arrival of an urgent job and its first block: the fewest and the
  // most.
  int fewest_jobs_ahead = 1 << 30;
  int most_jobs_ahead = 0;
};

Seen look(const std::vector<Json>& trace) {
  Seen seen;
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> stopped;  // lane, grant
  std::map<std::int64_t, std::int64_t> arrived;                           // urgent jobs
  std::map<std::int64_t, std::int64_t> started;
  std::map<std::int64_t, std::pair<std::int64_t, std::int64_t>> batch;  // first and last block
  for (const Json& e : trace) {
    const bool urgent = e.value("tenant", "") == "control";
    if (e["event"] == "stop") {
      ++seen.stops;
      stopped[{e["lane"], e["grant"]}] = e["at_ns"];
    }
    if (e["event"] == "preempt") ++seen.preemptions;
    if (e["event"] == "submit" && urgent) arrived[e["job"]] = e["at_ns"];
    if (e["event"] == "block" && urgent) started.emplace(e["job"], e["start_ns"]);
    if (e["event"] == "block" && !urgent) {
      auto& [first, last] = batch.try_emplace(e["job"], std::pair{e["start_ns"], e["end_ns"]}).first->second;
      last = e["end_ns"];
    }
  }
  for (const Json& e : trace) {
    if (e["event"] != "block") continue;
    const auto stop = stopped.find({e["lane"], e["grant"]});
    if (stop != stopped.end() && e["start_ns"] > stop->second) ++seen.started_after_stop;
  }
  for (const auto& [job, start] : started) {
    ++seen.urgent_jobs;
    int ahead = 0;
    for (const auto& [other, span] : batch)
      ahead += span.first > arrived.at(job) && span.second <= start ? 1 : 0;
    seen.fewest_jobs_ahead = std::min(seen.fewest_jobs_ahead, ahead);
    seen.most_jobs_ahead = std::max(seen.most_jobs_ahead, ahead);
  }
  return seen;
}

TEST(Preemption, NoLessUrgentBlockStartsOnALaneAfterItsStopWordWasSet) {
  const Seen seen = look(run_load("fixed-priority"));
  EXPECT_EQ(seen.urgent_jobs, kUrgentJobs);
  EXPECT_EQ(seen.started_after_stop, 0);
  EXPECT_GT(seen.stops, 0);
  EXPECT_GT(seen.preemptions, 0);
  EXPECT_EQ(seen.fewest_jobs_ahead, 0);
}

TEST(Preemption, WithoutItUrgentJobsWaitForWholeJobs) {
  const Seen seen = look(run_load("fifo"));
  EXPECT_EQ(seen.urgent_jobs, kUrgentJobs);
  EXPECT_EQ(seen.stops, 0);
  EXPECT_EQ(seen.preemptions, 0);
  EXPECT_GT(seen.most_jobs_ahead, 0);
}

}  // namespace
}  // namespace einet::test
