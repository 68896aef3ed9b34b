// Several blocks of a job in flight on something that behaves like a GPU: what a stop costs, and that
// answers, batches and lost workers are as with one.
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "running_daemon.h"

namespace einet::test {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

// Long enough, on the synthetic GPU a fifth of it, for a client to see a block's answer and act within the
// next.
SyntheticPackage deep() {
  return model_of("deep", 12, 300ms, 0us);
}

DaemonSetup on_gpu(int in_flight, std::vector<SyntheticPackage> models, const std::string& device = {}) {
  return {.models = std::move(models),
          .backend = "synthetic-gpu",
          .device = "in_flight = " + std::to_string(in_flight) + "\n" + device,
          .config = "policy = \"fixed-priority\"\n"};
}

// How many blocks a job has run when another, more urgent one that comes after its first answer begins.
int blocks_before_the_urgent_job(int in_flight) {
  RunningDaemon daemon(on_gpu(in_flight, {deep(), short_model()}));
  client::Client batch = daemon.connect("batch"), control = daemon.connect("control");
  client::JobRequest job = job_of(deep());
  job.plan = wire::ALL;
  bool answered = false;
  EXPECT_TRUE(
      batch.post(job, {.exit = [&](JobId, const client::Answer&) { answered = true; },
                       .ended = [](const client::Ended& e) { EXPECT_EQ(e.outcome, wire::COMPLETED); }}));
  while (!answered) {
    if (!batch.wait_any(kPatience)) return -1;
  }
  const auto urgent = control.run(job_of(short_model(), 10), {}, kPatience);
  EXPECT_TRUE(urgent && urgent->outcome == wire::COMPLETED);
  while (batch.pending() > 0) EXPECT_TRUE(batch.wait_any(kPatience));
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
  const std::vector<Json> trace = daemon.trace();
  EXPECT_EQ(broken_promises(trace, in_flight), "");
  int before = 0;
  for (const Json& e : trace) {
    if (e["event"] != "block") continue;
    if (e["tenant"] == "control") return before;
    ++before;
  }
  return -1;
}

TEST(InFlight, WhatIsEnqueuedRunsBeforeAMoreUrgentJob) {
  EXPECT_GE(blocks_before_the_urgent_job(4), 5) << "the first, and four that were in flight when it ended";
}

TEST(InFlight, OneByOneTheMoreUrgentJobComesNext) {  // the negative control
  const int before = blocks_before_the_urgent_job(1);
  EXPECT_GE(before, 2);
  EXPECT_LT(before, 5) << "60 ms each";
}

std::map<int, std::vector<std::pair<int, float>>> answers_with(int in_flight,
                                                               const std::string& device = {}) {
  RunningDaemon daemon(on_gpu(in_flight, {long_model()}, device));
  client::Client client = daemon.connect("batch");
  std::map<int, std::vector<std::pair<int, float>>> answers;
  std::vector<std::vector<std::byte>> inputs;
  for (int i = 0; i < 8; ++i) {
    inputs.emplace_back(static_cast<std::size_t>(long_model().input.elements()),
                        static_cast<std::byte>(i + 1));
  }
  for (int i = 0; i < 8; ++i) {
    client::JobRequest job = job_of(long_model());
    job.plan = wire::ALL;
    job.input = client::InlineInput{inputs[static_cast<std::size_t>(i)]};
    EXPECT_TRUE(client.post(
        job,
        {.exit = [&answers, i](
                     JobId, const client::Answer& a) { answers[i].emplace_back(a.top_class, a.confidence); },
         .ended = [](const client::Ended& e) { EXPECT_EQ(e.outcome, wire::COMPLETED) << e.reason; }}));
  }
  while (client.pending() > 0) EXPECT_TRUE(client.wait_any(kPatience));
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
  EXPECT_EQ(broken_promises(daemon.trace(), in_flight), "");
  return answers;
}

TEST(InFlight, EveryExitAnswersAsItDoesOneByOne) {
  const auto one_by_one = answers_with(1);
  ASSERT_EQ(one_by_one.size(), 8u);
  EXPECT_EQ(answers_with(2), one_by_one);
  EXPECT_EQ(answers_with(4, "batch = 4\n"), one_by_one) << "in batches";
  EXPECT_EQ(answers_with(3, "preemption = \"instant\"\n"), one_by_one) << "beside an urgent stream";
}

TEST(InFlight, AJobThatIsCancelledLeavesWhenWhatIsEnqueuedHasRun) {
  RunningDaemon daemon(on_gpu(4, {deep()}));
  client::Client client = daemon.connect("batch");
  client::JobRequest job = job_of(deep());
  job.plan = wire::ALL;
  int exits = 0;
  const auto submitted = client.submit(
      job, {.exit = [&](JobId, const client::Answer&) { ++exits; },
            .ended = [](const client::Ended& e) { EXPECT_EQ(e.outcome, wire::CANCELLED) << e.reason; }});
  ASSERT_TRUE(submitted && !submitted->rejected);
  while (exits == 0) ASSERT_TRUE(client.wait_any(kPatience));
  ASSERT_TRUE(client.cancel(submitted->job));
  while (client.pending() > 0) ASSERT_TRUE(client.wait_any(kPatience));
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
  EXPECT_EQ(broken_promises(daemon.trace(), 4), "");
}

TEST(InFlight, IsLostWithItsWorkerAndBeginsAgain) {
  RunningDaemon daemon(on_gpu(4, {deep()}));
  client::Client client = daemon.connect("batch");
  client::JobRequest job = job_of(deep());
  job.plan = wire::ALL;
  int exits = 0;
  ASSERT_TRUE(client.post(
      job, {.exit = [&](JobId, const client::Answer&) { ++exits; },
            .ended = [](const client::Ended& e) { EXPECT_EQ(e.outcome, wire::COMPLETED) << e.reason; }}));
  while (exits == 0) ASSERT_TRUE(client.wait_any(kPatience));
  daemon.kill_worker();
  while (client.pending() > 0) ASSERT_TRUE(client.wait_any(kPatience));
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
  EXPECT_EQ(broken_promises(daemon.trace(), 4), "");
}

}  // namespace
}  // namespace einet::test
