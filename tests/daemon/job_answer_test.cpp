// One answer of one or of several exits, as a job's client gets it.
#include "daemon/einetd/job_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace einet {
namespace {

using testing::ElementsAre;
using testing::FloatNear;

// Takes confidences for probabilities, a tenth off.
std::shared_ptr<const Predictor> judge(Aggregation aggregation) {
  PredictorParameters p;
  p.classes = 2;
  p.calibration.assign(3, {1, {0, 1}, {0, 0.9F}});
  p.prior.assign(3, 0.5F);
  p.aggregation = aggregation;
  return std::make_shared<const Predictor>(*Predictor::make(std::move(p)));
}

constexpr std::array<float, 2> kFirst{0.8F, 0.2F};
constexpr std::array<float, 2> kSecond{0.4F, 0.6F};

TEST(JobAnswer, OfAPackageWithoutAJudgeIsTheLastExits) {
  JobAnswer answer(nullptr);
  answer.add(0, kFirst);
  const ExitAnswer held = answer.add(1, kSecond);
  EXPECT_EQ(held.exit, 1);
  EXPECT_EQ(held.top_class, 1);
  EXPECT_EQ(held.confidence, 0.6F);
  EXPECT_EQ(held.sure, 0.6F);
  EXPECT_THAT(answer.scores(), ElementsAre(0.4F, 0.6F));
}

TEST(JobAnswer, IsJudgedByTheCalibration) {
  JobAnswer answer(judge(Aggregation::last));
  const ExitAnswer held = answer.add(1, kSecond);
  EXPECT_EQ(held.confidence, 0.6F);
  EXPECT_FLOAT_EQ(held.calibrated, 0.54F);
  EXPECT_FLOAT_EQ(held.sure, 0.54F);
}

TEST(JobAnswer, IsTheProductWhereThePackageSaysSo) {
  JobAnswer answer(judge(Aggregation::product));
  answer.add(0, kFirst);
  const ExitAnswer held = answer.add(2, kSecond);
  EXPECT_EQ(held.exit, 2);
  EXPECT_EQ(held.top_class, 0);
  // The roots of 0.32 and 0.12, scaled to 1.
  EXPECT_THAT(answer.scores(), ElementsAre(FloatNear(0.6202F, 1e-4F), FloatNear(0.3798F, 1e-4F)));
  EXPECT_EQ(held.confidence, answer.scores()[0]);
  EXPECT_FLOAT_EQ(held.calibrated, 0.54F) << "the exit by itself";
  EXPECT_NEAR(held.sure, std::log(0.32 / 0.12) / (1 + std::log(0.32 / 0.12)), 1e-6);
}

TEST(JobAnswer, DiscountsEarlierExitsWhereThePackageSaysSo) {
  PredictorParameters p = judge(Aggregation::discounted)->parameters();
  p.discount = 0.125F;
  JobAnswer answer(std::make_shared<const Predictor>(*Predictor::make(p)));
  answer.add(0, kFirst);
  EXPECT_EQ(answer.add(2, kSecond).top_class, 1) << "0.8^(1/8) * 0.4 against 0.2^(1/8) * 0.6";
}

TEST(JobAnswer, OfExitsThatRuleEachOtherOutIsTheLastOnes) {
  JobAnswer answer(judge(Aggregation::product));
  answer.add(0, std::array<float, 2>{1, 0});
  const ExitAnswer held = answer.add(1, std::array<float, 2>{0, 1});
  EXPECT_EQ(held.top_class, 1);
  EXPECT_THAT(answer.scores(), ElementsAre(0, 1));
}

// After a lost lane the job's exits are executed again.
TEST(JobAnswer, TakesNoExitTwice) {
  JobAnswer answer(judge(Aggregation::product));
  answer.add(0, kFirst);
  answer.add(1, kSecond);
  const std::vector<float> scores(answer.scores().begin(), answer.scores().end());
  EXPECT_EQ(answer.add(0, kFirst).exit, 1);
  EXPECT_EQ(answer.add(1, kSecond).exit, 1);
  EXPECT_THAT(answer.scores(), testing::ElementsAreArray(scores));
}

}  // namespace
}  // namespace einet
