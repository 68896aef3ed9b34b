// Temperature, isotonic regression and the calibration of an exit: against brute force, and against answers
// whose truth is known.
#include "planner/calibration.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "answers.h"
#include "planner/predictor_training.h"

namespace einet {
namespace {

using testing::HasSubstr;

double squared_error(std::span<const double> values, std::span<const double> weights,
                     std::span<const double> fit) {
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i)
    sum += weights[i] * (values[i] - fit[i]) * (values[i] - fit[i]);
  return sum;
}

// The best non-falling fit is constant over stretches, each at its mean: so the best of all cuts into
// stretches.
double least_squared_error(std::span<const double> values, std::span<const double> weights) {
  const std::size_t n = values.size();
  double least = std::numeric_limits<double>::infinity();
  for (std::uint32_t cuts = 0; cuts < std::uint32_t{1} << (n - 1); ++cuts) {
    std::vector<double> fit;
    for (std::size_t from = 0; from < n;) {
      std::size_t to = from + 1;
      while (to < n && (cuts >> (to - 1) & 1) == 0) ++to;
      double sum = 0;
      double weight = 0;
      for (std::size_t i = from; i < to; ++i) {
        sum += weights[i] * values[i];
        weight += weights[i];
      }
      fit.insert(fit.end(), to - from, sum / weight);
      from = to;
    }
    if (std::is_sorted(fit.begin(), fit.end())) least = std::min(least, squared_error(values, weights, fit));
  }
  return least;
}

struct Series {
  std::vector<double> values, weights;
};

Series random_series() {
  Series s;
  const int n = *rc::gen::inRange(1, 10);
  for (int i = 0; i < n; ++i) {
    s.values.push_back(*rc::gen::inRange(0, 9) / 8.0);
    s.weights.push_back(*rc::gen::inRange(1, 6));
  }
  return s;
}

RC_GTEST_PROP(Isotonic, NeverFallsAndHasTheLeastSquaredError, ()) {
  const Series s = random_series();
  const std::vector<double> fit = isotonic(s.values, s.weights);
  RC_ASSERT(fit.size() == s.values.size());
  RC_ASSERT(std::is_sorted(fit.begin(), fit.end()));
  RC_ASSERT(squared_error(s.values, s.weights, fit) <= least_squared_error(s.values, s.weights) + 1e-12);
}

// The control: the comparison above does tell a fit that never falls from the best one.
TEST(Isotonic, TheLargestSoFarIsNotTheBestFit) {
  const std::vector<double> values = {0.5, 0.9, 0.1, 0.6};
  const std::vector<double> weights = {1, 1, 1, 1};
  std::vector<double> largest = values;
  for (std::size_t i = 1; i < values.size(); ++i) largest[i] = std::max(largest[i], largest[i - 1]);
  EXPECT_GT(squared_error(values, weights, largest), least_squared_error(values, weights) + 0.1);
}

TEST(Isotonic, OfNothingIsNothing) {
  EXPECT_TRUE(isotonic({}, {}).empty());
}

TEST(TemperedConfidence, AtTemperatureOneIsTheTopScore) {
  EXPECT_NEAR(tempered_confidence(std::vector<float>{0.1F, 0.7F, 0.2F}, 3, 1), 0.7, 1e-6);
  EXPECT_NEAR(tempered_confidence(std::vector<float>{0.7F}, 3, 1), 0.7, 1e-6);
  EXPECT_NEAR(tempered_confidence(std::vector<float>{1, 0, 0}, 3, 1), 1, 1e-6);
}

TEST(TemperedConfidence, RaisesScoresToThePowerOfOneOverTheTemperature) {
  // 0.64, 0.32 and 0.04: square roots 0.8, 0.5657 and 0.2; squares 0.4096, 0.1024 and 0.0016.
  const std::vector<float> scores = {0.64F, 0.32F, 0.04F};
  EXPECT_NEAR(tempered_confidence(scores, 3, 2), 0.8 / (0.8 + 0.565685 + 0.2), 1e-6);
  EXPECT_NEAR(tempered_confidence(scores, 3, 0.5), 0.4096 / (0.4096 + 0.1024 + 0.0016), 1e-6);
}

RC_GTEST_PROP(TemperedConfidence, TakesTheBestScoresForAllOfThem, ()) {
  const int classes = *rc::gen::inRange(11, 40);
  std::vector<float> scores;
  for (int c = 0; c < classes; ++c) scores.push_back(static_cast<float>(*rc::gen::inRange(0, 1000)) + 1);
  const float sum = std::accumulate(scores.begin(), scores.end(), 0.0F);
  for (float& score : scores) score /= sum;
  const double temperature = *rc::gen::inRange(1, 40) / 8.0;
  const double all = tempered_confidence(scores, classes, temperature);
  std::sort(scores.rbegin(), scores.rend());
  scores.resize(kTopScores);
  RC_ASSERT(tempered_confidence(scores, classes, temperature) == all);
  RC_ASSERT(all > 0 && all <= 1);
}

TEST(Calibration, IsLinearBetweenItsKnotsAndConstantOutside) {
  const Calibration c{1, {0.2F, 0.4F, 0.9F}, {0.1F, 0.3F, 0.3F}};
  ASSERT_TRUE(check(c));
  EXPECT_FLOAT_EQ(static_cast<float>(c(0)), 0.1F);
  EXPECT_FLOAT_EQ(static_cast<float>(c(0.2)), 0.1F);
  EXPECT_FLOAT_EQ(static_cast<float>(c(0.3)), 0.2F);
  EXPECT_FLOAT_EQ(static_cast<float>(c(0.7)), 0.3F);
  EXPECT_FLOAT_EQ(static_cast<float>(c(1)), 0.3F);
}

TEST(Calibration, SaysWhatIsWrongWithIt) {
  const auto said = [](Calibration c) {
    const auto ok = check(c);
    return ok ? "" : ok.error().message;
  };
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(said({1, {0.5F}, {0.5F}}), "");
  EXPECT_THAT(said({0, {0.5F}, {0.5F}}),
              HasSubstr("temperature: found 0.000000; expected a number from 0.05 to 20"));
  EXPECT_THAT(said({kNan, {0.5F}, {0.5F}}), HasSubstr("temperature: found nan"));
  EXPECT_THAT(said({1, {}, {}}), HasSubstr("confidence: found 0 knots; expected from 1 to 64"));
  EXPECT_THAT(said({1, std::vector<float>(65), std::vector<float>(65)}), HasSubstr("found 65 knots"));
  EXPECT_THAT(said({1, {0.5F}, {0.5F, 0.6F}}), HasSubstr("accuracy: found 2 knots; expected as many"));
  EXPECT_THAT(said({1, {0.5F, 1.5F}, {0.5F, 0.6F}}), HasSubstr("confidence[1]: found 1.500000"));
  EXPECT_THAT(said({1, {0.5F, kNan}, {0.5F, 0.6F}}), HasSubstr("confidence[1]: found nan"));
  EXPECT_THAT(said({1, {0.5F, 0.6F}, {-0.1F, 0.6F}}), HasSubstr("accuracy[0]: found -0.1"));
  EXPECT_THAT(said({1, {0.5F, 0.6F}, {kNan, 0.6F}}), HasSubstr("accuracy[0]: found nan"));
  EXPECT_THAT(said({1, {0.5F, 0.5F}, {0.5F, 0.6F}}),
              HasSubstr("confidence[1]: found 0.500000; expected more"));
  EXPECT_THAT(
      said({1, {0.5F, 0.6F}, {0.6F, 0.5F}}),
      HasSubstr("accuracy[1]: found 0.500000; expected at least the knot before: a calibration never falls"));
}

TEST(FitCalibration, FindsTheTemperatureThatScoresWereSharpenedBy) {
  for (const double sharpened : {0.6, 1.0, 2.5}) {
    const ExitAnswers answers = test::make_answers({.samples = 4000, .exits = 1, .sharpened = sharpened});
    EXPECT_NEAR(fit_calibration(answers, 0).temperature, sharpened, 0.1 * sharpened);
  }
}

TEST(FitCalibration, GivesTheTrueChanceOfBeingRightForWhatIsTooSureOfItself) {
  const ExitAnswers fair = test::make_answers({.samples = 4000, .exits = 2});
  const ExitAnswers sure = test::make_answers({.samples = 4000, .exits = 2, .sharpened = 2.5});
  const Calibration calibration = fit_calibration(sure, 1);
  ASSERT_TRUE(check(calibration));
  double off = 0;
  double off_before = 0;
  for (int s = 0; s < sure.samples; ++s) {
    const double truth = fair.scores(s, 1)[0];
    const double found =
        calibration(tempered_confidence(sure.scores(s, 1), sure.classes, calibration.temperature));
    off += std::abs(found - truth) / sure.samples;
    off_before += std::abs(static_cast<double>(sure.scores(s, 1)[0]) - truth) / sure.samples;
  }
  EXPECT_LT(off, 0.03);
  EXPECT_GT(off_before, 0.1);
}

TEST(FitCalibration, OfOneKindOfAnswerIsItsAccuracy) {
  ExitAnswers answers{4, 1, 2, 1, {1, 1, 1, 1}, {0, 0, 1, 0}};
  ASSERT_TRUE(check(answers));
  const Calibration calibration = fit_calibration(answers, 0);
  ASSERT_TRUE(check(calibration));
  EXPECT_NEAR(calibration(0.5), 0.75, 1e-6);
  EXPECT_NEAR(calibration(1), 0.75, 1e-6);
}

RC_GTEST_PROP(FitCalibration, IsAlwaysOneThatMayBeUsed, ()) {
  ExitAnswers answers;
  answers.samples = *rc::gen::inRange(1, 200);
  answers.exits = 1;
  answers.classes = 3;
  answers.kept = 1;
  const int levels = *rc::gen::inRange(1, 100);
  for (int s = 0; s < answers.samples; ++s) {
    answers.score.push_back(static_cast<float>(*rc::gen::inRange(0, levels + 1)) /
                            static_cast<float>(levels));
    answers.rank.push_back(static_cast<std::uint8_t>(*rc::gen::inRange(0, 2)));
  }
  const auto ok = check(fit_calibration(answers, 0));
  RC_ASSERT(ok.has_value());
}

}  // namespace
}  // namespace einet
