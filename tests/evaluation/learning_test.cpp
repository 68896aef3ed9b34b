// What is learned comes from the held-out samples alone, and is worth having.
#include "evaluation/learning.h"

#include <array>
#include <cmath>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "evaluation/evaluation.h"
#include "world.h"

namespace einet {
namespace {

using test::World;

test::SyntheticProfiles wanted(int classes = 10) {
  return {.blocks = 6, .classes = classes, .samples = {{Split::validation, 1500}, {Split::test, 1000}}};
}

TEST(Learning, TakesAnswersAsTheyAre) {
  const World world(wanted(20));
  const ProfileSplit& split = *world.set.split(Split::test);
  const ExitAnswers answers = exit_answers(split);
  EXPECT_TRUE(check(answers));
  EXPECT_EQ(answers.samples, 1000);
  EXPECT_EQ(answers.exits, 6);
  EXPECT_EQ(answers.classes, 20);
  EXPECT_EQ(answers.kept, 10);
  int not_kept = 0;
  for (int s = 0; s < split.samples(); ++s) {
    for (int e = 0; e < split.exits(); ++e) {
      ASSERT_EQ(answers.right(s, e), split.right(s, e));
      ASSERT_EQ(answers.scores(s, e)[3], split.score(s, e, 3));
      const int rank = answers.rank[answers.answer(s, e)];
      if (rank == answers.kept) {
        ++not_kept;
      } else {
        ASSERT_EQ(split.top(s, e, rank), split.label(s));
      }
    }
  }
  EXPECT_GT(not_kept, 0);
}

// How far the mean of these probabilities is from the share that is right.
double off(const ProfileSplit& split, int exit, const std::vector<float>& probability) {
  double sum = 0;
  for (int s = 0; s < split.samples(); ++s) {
    sum += probability[static_cast<std::size_t>(s * split.exits() + exit)];
  }
  return std::abs(sum / split.samples() - split.accuracy(exit));
}

TEST(Learning, CalibratesConfidencesThatPromiseTooMuch) {
  const World world(wanted());
  const ProfileSplit& split = *world.set.split(Split::test);
  const Predictor predictor = learn_calibration(*world.set.split(Split::validation));
  const auto calibrated = calibrated_confidences(predictor, split);
  for (int e = 0; e < split.exits(); ++e) {
    EXPECT_LT(off(split, e, calibrated), 0.03) << e;
    EXPECT_GT(off(split, e, world.calibrated), 0.035) << e;  // the control: as the network said it
  }
  for (const double temperature : temperatures(predictor)) EXPECT_GT(temperature, 1.1);
}

TEST(Learning, KnowsOnlyTheMeanWithoutANetwork) {
  const World world(wanted());
  const Predictor predictor = learn_calibration(*world.set.split(Split::validation));
  std::vector<double> mean(6), expected(6);
  world.statistics.expect({}, mean);
  PredictorForecast(predictor, Aggregation::last).expect({0, std::vector<double>(6), 0}, expected);
  for (std::size_t e = 0; e < 6; ++e) EXPECT_NEAR(mean[e], expected[e], 1e-3);
}

// Half of the samples are easy for the first exit, which says so, and hard for the second; for the others it
// is the other way round. On average the first exit is better, so a plan for the mean never executes the
// second.
ProfileRecord two_kinds() {
  ProfileRecord record = test::make_synthetic_profiles({.blocks = 2, .classes = 2, .samples = {}});
  std::mt19937_64 random(1);
  const auto answer = [&](SplitRecord& split, int label, int percent_right, float confidence) {
    const bool right = random() % 100 < static_cast<std::uint64_t>(percent_right);
    const auto top = static_cast<std::size_t>(right ? label : 1 - label);
    std::array<float, 2> scores{1 - confidence, 1 - confidence};
    scores[top] = confidence;
    split.add_scores(scores);
  };
  for (const auto& [name, samples] : {std::pair{Split::validation, 2000}, {Split::test, 1000}}) {
    SplitRecord split(2, 2);
    for (int s = 0; s < samples; ++s) {
      const int label = s / 2 % 2;
      split.add_label(label);
      answer(split, label, s % 2 == 0 ? 90 : 60, s % 2 == 0 ? 0.875F : 0.625F);
      answer(split, label, s % 2 == 0 ? 30 : 95, 0.75F);
    }
    record.splits.emplace(name, split);
  }
  return record;
}

class TwoKinds : public testing::Test {
 protected:
  explicit TwoKinds()
      : calibration_(learn_calibration(validation())), temperature_(temperatures(calibration_)) {
    world_.calibrated = calibrated_confidences(calibration_, *world_.set.split(Split::test));
  }
  const ProfileSplit& validation() const { return *world_.set.split(Split::validation); }
  Lookalikes lookalikes(Aggregation aggregation) const {
    return find_lookalikes(validation(), calibrated_confidences(calibration_, validation()),
                           {aggregation, temperature_}, 1);
  }
  double accuracy(const Forecast& forecast, Aggregation aggregation = Aggregation::last) const {
    const Survival survival = *Survival::uniform(0, 10 * world_.whole_ns);
    const ReplaySetting setting = world_.setting(survival, forecast, aggregation);
    const auto table = evaluate(std::vector{*parse_contender("exact")}, "exact", 1, {&setting, 1});
    return table->rows[0].comparison.accuracy.value;
  }

  World world_{two_kinds()};
  Predictor calibration_;
  std::vector<double> temperature_;
};

TEST_F(TwoKinds, ArePlannedBetterByWhatWasSeenThanByTheMean) {
  const double mean = accuracy(world_.statistics);
  const Predictor predictor = *learn_predictor(validation(), 1);
  EXPECT_GT(accuracy(PredictorForecast(predictor, Aggregation::last)), mean + 0.05);
  EXPECT_GT(accuracy(lookalikes(Aggregation::last)), mean + 0.05);
}

TEST_F(TwoKinds, LookalikesKnowWhatTheirKindDid) {
  const Lookalikes forecast = lookalikes(Aggregation::last);
  const auto expected = [&](std::size_t sample) {
    const std::array<double, 2> calibrated{world_.calibrated[2 * sample], 0.5};
    std::array<double, 2> out{-1, -1};
    const double held = forecast.expect({1, calibrated, calibrated[0]}, out);
    EXPECT_EQ(out[0], -1);
    return std::pair(held, out[1]);
  };
  EXPECT_NEAR(expected(0).first, 0.90, 0.03);
  EXPECT_NEAR(expected(0).second, 0.30, 0.05);
  EXPECT_NEAR(expected(1).first, 0.60, 0.05);
  EXPECT_NEAR(expected(1).second, 0.95, 0.03);
}

// Of the most confident answer, a later exit cannot make worse what is surer than it: its answers that are
// surer are all that changes. The control: where the last answer counts, it can.
TEST_F(TwoKinds, LookalikesJudgeTheAnswerThatIsHeldThen) {
  const std::array<double, 2> calibrated{world_.calibrated[0], 0};
  std::array<double, 2> confident{}, last{};
  const double held =
      lookalikes(Aggregation::most_confident).expect({1, calibrated, calibrated[0]}, confident);
  lookalikes(Aggregation::last).expect({1, calibrated, calibrated[0]}, last);
  EXPECT_NEAR(confident[1], held, 1e-6);
  EXPECT_LT(last[1], held - 0.4);
}

TEST_F(TwoKinds, LookalikesStartWithTheMean) {
  std::array<double, 2> mean{}, out{};
  EXPECT_EQ(lookalikes(Aggregation::last).expect({}, out), 0);
  world_.statistics.expect({}, mean);
  EXPECT_THAT(out, testing::Pointwise(testing::DoubleNear(1e-6), mean));
  // Exit 0 is usually executed, so of the product the first exit's answer is a part.
  lookalikes(Aggregation::product).expect({}, out);
  EXPECT_NEAR(out[0], mean[0], 1e-6);
  EXPECT_GT(out[1], mean[1] + 0.05);
}

TEST_F(TwoKinds, LookalikesAnswerForAnyConfidence) {
  const Lookalikes forecast = lookalikes(Aggregation::last);
  for (const double held : {0.0, 0.3, 0.7, 1.0}) {
    std::array<double, 2> out{};
    const double now = forecast.expect({1, std::array<double, 2>{held, 0}, held}, out);
    EXPECT_TRUE(now >= 0 && now <= 1 && out[1] >= 0 && out[1] <= 1) << held;
  }
}

TEST(Learning, NeedsEnoughSamplesToTrain) {
  const World world(
      test::SyntheticProfiles{.blocks = 2, .samples = {{Split::validation, 20}, {Split::test, 5}}});
  const auto predictor = learn_predictor(*world.set.split(Split::validation), 1);
  ASSERT_FALSE(predictor);
  EXPECT_THAT(predictor.error().message, testing::HasSubstr("20"));
}

}  // namespace
}  // namespace einet
