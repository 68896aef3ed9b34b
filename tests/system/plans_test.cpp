// Plans made from each job's own answers, through the whole daemon: package, worker, control socket, core.
#include <array>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "running_daemon.h"

namespace einet::test {
namespace {

using namespace std::chrono_literals;

// Right answers are sure (0.9), wrong ones are not (0.4): the synthetic packages' way. Those who looked alike
// never got better where the first exit was sure, and always where it was not.
SyntheticPackage telling_model(Aggregation aggregation) {
  SyntheticPackage model = model_of("telling", 3, 1ms, 100us);
  model.accuracy = {0.5, 0.75, 1};
  PredictorParameters p;
  p.classes = 10;
  p.calibration.assign(3, {1, {0, 1}, {0, 1}});
  p.prior = {0.5F, 0.75F, 1};
  p.aggregation = aggregation;
  p.lookalikes = LookalikeParameters{
      .mean = p.prior,
      .groups = {{{0.4F, {0, 0.5F, 1}}, {0.9F, {1, 1, 1}}}, {{0.4F, {0, 1}}, {0.9F, {1, 1}}}, {{0.9F, {1}}}}};
  model.predictor = p;
  return model;
}

// How the jobs of 40 different inputs ended.
std::vector<client::Ended> outcomes(const RunningDaemon& daemon, const SyntheticPackage& model) {
  client::Client client = daemon.connect();
  std::vector<std::byte> input;
  std::vector<client::Ended> out;
  for (int i = 0; i < 40; ++i) {
    client::JobRequest job = job_of(model);
    job.deadline = Duration(10s);
    input.assign(64, static_cast<std::byte>(i));
    job.input = client::InlineInput{input};
    const auto ended = client.run(job, {}, kPatience);
    EXPECT_TRUE(ended) << ended.error().message;
    if (ended) out.push_back(*ended);
  }
  return out;
}

TEST(Plans, AJobThatIsSureOfItsFirstAnswerEndsThereAndOthersGoOn) {
  const SyntheticPackage model = telling_model(Aggregation::last);
  const RunningDaemon daemon({.models = {model}});
  std::array<int, 3> ends{};
  for (const client::Ended& ended : outcomes(daemon, model)) {
    ASSERT_EQ(ended.outcome, wire::COMPLETED);
    ASSERT_TRUE(ended.best);
    ++ends[static_cast<std::size_t>(ended.best->exit)];
    // Whoever stopped before the last exit was right to.
    EXPECT_GT(ended.best->confidence, 0.8);
  }
  EXPECT_GT(ends[0], 5);
  EXPECT_GT(ends[1] + ends[2], 5);
}

// The negative control: by the exits' mean accuracies every job goes on to the last one.
TEST(Plans, ByTheMeanAccuraciesEveryJobGoesOn) {
  const SyntheticPackage model = telling_model(Aggregation::last);
  const RunningDaemon daemon({.models = {model}, .tables = "[planner]\nexpect = \"statistics\"\n"});
  for (const client::Ended& ended : outcomes(daemon, model)) EXPECT_EQ(ended.best->exit, 2);
}

TEST(Plans, AnAnswerIsMadeOfAllExitsWhereThePackageSaysSo) {
  const SyntheticPackage model = telling_model(Aggregation::product);
  const RunningDaemon daemon({.models = {model}, .tables = "[planner]\nexpect = \"statistics\"\n"});
  int made = 0;
  for (const client::Ended& ended : outcomes(daemon, model)) {
    const auto& scores = ended.best->scores;
    ASSERT_EQ(scores.size(), 10);
    float sum = 0;
    for (const float score : scores) sum += score;
    EXPECT_NEAR(sum, 1, 1e-4);
    EXPECT_EQ(ended.best->confidence, *std::max_element(scores.begin(), scores.end()));
    // No exit alone says anything but 0.4 or 0.9.
    const float confidence = ended.best->confidence;
    made += std::abs(confidence - 0.4F) > 0.01F && std::abs(confidence - 0.9F) > 0.01F ? 1 : 0;
  }
  EXPECT_GT(made, 5);
}

}  // namespace
}  // namespace einet::test
