// Jobs that run together as one batch, on something that behaves like a GPU: what they answer, who rides with
// whom, and that a batch makes room like a single job. Without batches, the negative control, nothing is
// shared.
#include <deque>
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "running_daemon.h"

namespace einet::test {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

constexpr int kBatch = 4;

// 200 ms as a batch of four: long enough for a client to see a block's answer and act. When it is loaded it
// runs many times.
SyntheticPackage long_batch_model() {
  return model_of("long-batch", 12, 60ms, 0us);
}

struct Batches : testing::Test {
  explicit Batches(int batch = kBatch, const SyntheticPackage& of = long_model(),
                   const std::string& policy = "fixed-priority")
      : model(of),
        daemon({.models = {model, model_of("other", 4, 10ms, 0us)},
                .backend = "synthetic-gpu",
                .device = "batch = " + std::to_string(batch) + "\n",
                .config = "policy = \"" + policy + "\"\n"}),
        batch_client(daemon.connect("batch")),
        control(daemon.connect("control")) {}

  // Each with an input of its own: number i of all.
  client::JobRequest job(std::size_t i) {
    while (inputs.size() <= i) {
      inputs.emplace_back(static_cast<std::size_t>(model.input.elements()),
                          static_cast<std::byte>(inputs.size() + 1));
    }
    client::JobRequest request = job_of(model);
    request.input = client::InlineInput{inputs[i]};
    request.plan = wire::ALL;
    return request;
  }
  void post(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_TRUE(batch_client.post(job(i), {.exit = {}, .ended = [this, i](const client::Ended& e) {
                                               EXPECT_EQ(e.outcome, wire::COMPLETED) << e.reason;
                                               ASSERT_TRUE(e.best);
                                               answers[i] = {e.best->top_class, e.best->confidence};
                                               lane_time += e.lane_time;
                                             }}));
    }
  }
  void wait() {
    while (batch_client.pending() > 0) ASSERT_TRUE(batch_client.wait_any(kPatience));
  }

  // Blocks of several jobs between the same two instants; the number of jobs that each was of.
  std::multiset<std::size_t> shared_blocks() {
    EXPECT_EQ(daemon.stop(), 0) << daemon.log();
    trace = daemon.trace();
    EXPECT_EQ(broken_promises(trace), "");
    using Instants = std::pair<std::int64_t, std::int64_t>;
    std::map<Instants, std::set<std::pair<std::uint64_t, int>>> blocks;  // of the one lane
    for (const Json& e : trace) {
      if (e["event"] != "block") continue;
      const Instants when(e["start_ns"].get<std::int64_t>(), e["end_ns"].get<std::int64_t>());
      blocks[when].emplace(e["job"].get<std::uint64_t>(), e["block"].get<int>());
    }
    std::multiset<std::size_t> sizes;
    for (const auto& [when, jobs] : blocks) {
      for (const auto& [job, block] : jobs)
        EXPECT_EQ(block, jobs.begin()->second) << "all run the same block";
      if (jobs.size() > 1) sizes.insert(jobs.size());
    }
    return sizes;
  }

  SyntheticPackage model;
  RunningDaemon daemon;
  client::Client batch_client, control;
  std::deque<std::vector<std::byte>> inputs;
  std::map<std::size_t, std::pair<int, float>> answers;
  Duration lane_time{};
  std::vector<Json> trace;
};

struct OneByOne : Batches {
  OneByOne() : Batches(1) {}
};

struct LongBatches : Batches {
  explicit LongBatches(const std::string& policy = "fixed-priority")
      : Batches(kBatch, long_batch_model(), policy) {}

  // An urgent job comes while a batch runs: how many jobs have run before it and go on after it.
  std::size_t jobs_that_make_room() {
    post(8);
    EXPECT_TRUE(daemon.eventually([&](const wire::Status&) { return daemon.counter("batched_blocks") > 0; }));
    client::JobRequest urgent = job_of(model_of("other", 4, 10ms, 0us), 10);
    urgent.plan = wire::ALL;
    const auto ended = control.run(urgent, {}, kPatience);
    EXPECT_TRUE(ended && ended->outcome == wire::COMPLETED);
    wait();
    EXPECT_FALSE(shared_blocks().empty());
    // None of its blocks was shared, and it ran from its first to its last without a pause.
    std::int64_t first = 0, last = 0;
    for (const Json& e : trace) {
      if (e["event"] != "block" || e["tenant"] != "control") continue;
      EXPECT_TRUE(last == 0 || e["start_ns"] == last);
      if (first == 0) first = e["start_ns"];
      last = e["end_ns"];
    }
    std::set<std::uint64_t> before, both;
    for (const Json& e : trace) {
      if (e["event"] != "block" || e["tenant"] != "batch") continue;
      if (e["end_ns"] <= first) before.insert(e["job"].get<std::uint64_t>());
      if (e["start_ns"] >= last && before.contains(e["job"])) both.insert(e["job"].get<std::uint64_t>());
    }
    return both.size();
  }
};

struct LongBatchesUnderFifo : LongBatches {
  LongBatchesUnderFifo() : LongBatches("fifo") {}
};

TEST_F(Batches, LikeJobsRunTogetherAndAnswerAsTheyWouldAlone) {
  post(12);
  wait();
  EXPECT_GT(daemon.counter("batched_blocks"), 0u);
  for (const auto& [i, together] : answers) {
    const auto alone = batch_client.run(job(i), {}, kPatience);
    ASSERT_TRUE(alone && alone->best);
    EXPECT_EQ(together, std::pair(alone->best->top_class, alone->best->confidence)) << i;
  }
  const auto sizes = shared_blocks();
  ASSERT_FALSE(sizes.empty());
  EXPECT_EQ(*sizes.rbegin(), static_cast<std::size_t>(kBatch)) << "full batches, and none larger";
  // Of the lane each job paid its share only: together no more than the time from the first to the last
  // block.
  Duration first = Duration::max(), last{};
  for (const Json& e : trace) {
    if (e["event"] != "block") continue;
    first = std::min(first, Duration(e["start_ns"].get<std::int64_t>()));
    last = std::max(last, Duration(e["end_ns"].get<std::int64_t>()));
  }
  EXPECT_LE(lane_time, last - first);
}

TEST_F(OneByOne, NothingIsShared) {  // the negative control
  post(12);
  wait();
  EXPECT_EQ(daemon.counter("batched_blocks"), 0u);
  EXPECT_TRUE(shared_blocks().empty());
}

TEST_F(LongBatches, ABatchMakesRoomForAnUrgentJobAtItsNextBoundary) {
  EXPECT_GT(jobs_that_make_room(), 0u);
}

TEST_F(LongBatchesUnderFifo, ABatchMakesNoRoom) {  // the negative control
  EXPECT_EQ(jobs_that_make_room(), 0u);
}

TEST_F(LongBatches, OneThatIsCancelledLeavesAndTheOthersGoOn) {
  post(3);
  client::JobRequest job = job_of(model);
  job.plan = wire::ALL;
  client::Client other = daemon.connect("batch");
  int exits = 0;
  const auto submitted = other.submit(
      job, {.exit = [&](JobId, const client::Answer&) { ++exits; },
            .ended = [](const client::Ended& e) { EXPECT_EQ(e.outcome, wire::CANCELLED) << e.reason; }});
  ASSERT_TRUE(submitted && !submitted->rejected);
  while (exits == 0) ASSERT_TRUE(other.wait_any(kPatience));
  ASSERT_TRUE(other.cancel(submitted->job));
  while (other.pending() > 0) ASSERT_TRUE(other.wait_any(kPatience));
  wait();
  shared_blocks();
}

TEST_F(Batches, AreLostWithTheirWorkerAndBeginAgain) {
  post(8);
  ASSERT_TRUE(daemon.eventually([&](const wire::Status&) { return daemon.counter("batched_blocks") > 0; }));
  daemon.kill_worker();
  wait();
  shared_blocks();
}

// Every 11th state does not fit: that job fails, whether it leads or rides, and no other.
TEST(BatchesWithoutMemory, FailNoJobButTheOneWithoutMemory) {
  RunningDaemon daemon({.models = {long_model()},
                        .backend = "synthetic-gpu",
                        .device = "batch = " + std::to_string(kBatch) + "\n",
                        .faults = "full-every=11"});
  client::Client client = daemon.connect("batch");
  std::map<wire::OutcomeKind, int> outcomes;
  for (int i = 0; i < 24; ++i) {
    ASSERT_TRUE(client.post(job_of(long_model()),
                            {.exit = {}, .ended = [&](const client::Ended& e) { ++outcomes[e.outcome]; }}));
  }
  while (client.pending() > 0) ASSERT_TRUE(client.wait_any(kPatience));
  EXPECT_GT(daemon.counter("batched_blocks"), 0u);
  EXPECT_GT(outcomes[wire::FAILED], 0) << daemon.log();
  EXPECT_EQ(outcomes[wire::FAILED] + outcomes[wire::COMPLETED], 24) << daemon.log();
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
  EXPECT_EQ(broken_promises(daemon.trace()), "");
}

}  // namespace
}  // namespace einet::test
