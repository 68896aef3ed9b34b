// The paired bootstrap against what is known in closed form.
#include "evaluation/bootstrap.h"

#include <cmath>
#include <random>

#include <gtest/gtest.h>

namespace einet {
namespace {

// Columns of 0 and 1; the second planner answers as the first does but for every tenth sample, which it gets
// right.
std::vector<SampleColumns> columns(int samples, double share) {
  std::mt19937_64 random(1);
  std::vector<SampleColumns> out(2);
  for (int s = 0; s < samples; ++s) {
    const float right = static_cast<double>(random() >> 11) * 0x1p-53 < share ? 1 : 0;
    out[0].credit.push_back(right);
    out[1].credit.push_back(s % 10 == 0 ? 1 : right);
    for (SampleColumns& column : out) column.output.push_back(1);
  }
  return out;
}

TEST(Bootstrap, AgreesWithTheNormalApproximationOfAMean) {
  const auto planners = columns(4000, 0.7);
  const Comparison c = compare(planners, 0, 7).front();
  double right = 0;
  for (const float credit : planners[0].credit) right += credit;
  const double share = right / 4000;
  const double half = 1.96 * std::sqrt(share * (1 - share) / 4000);
  EXPECT_DOUBLE_EQ(c.accuracy.value, share);
  EXPECT_NEAR(c.accuracy.interval.low, share - half, half / 8);
  EXPECT_NEAR(c.accuracy.interval.high, share + half, half / 8);
  EXPECT_EQ(c.gain.value, 0);
  EXPECT_EQ(c.gain.interval.low, 0);
  EXPECT_EQ(c.gain.interval.high, 0);
}

// What both planners share does not widen the interval of their difference. Unpaired, it would be wider than
// either accuracy's: that is the control.
TEST(Bootstrap, PairsThePlannersSampleBySample) {
  const auto planners = columns(4000, 0.5);
  const auto c = compare(planners, 0, 7);
  const auto width = [](const Interval& i) { return i.high - i.low; };
  EXPECT_NEAR(c[1].gain.value, 0.05, 0.01);
  EXPECT_GT(c[1].gain.interval.low, 0.04);
  EXPECT_LT(width(c[1].gain.interval), width(c[0].accuracy.interval) / 2);
  auto unpaired = planners;
  std::rotate(unpaired[1].credit.begin(), unpaired[1].credit.begin() + 1995, unpaired[1].credit.end());
  EXPECT_GT(width(compare(unpaired, 0, 7)[1].gain.interval), width(c[0].accuracy.interval));
}

TEST(Bootstrap, IsTheSameForTheSameSeedOnly) {
  const auto planners = columns(500, 0.5);
  const auto low = [&](std::uint64_t seed) { return compare(planners, 0, seed)[1].accuracy.interval.low; };
  EXPECT_EQ(low(1), low(1));
  bool differs = false;
  for (std::uint64_t seed = 2; seed < 6; ++seed) differs = differs || low(seed) != low(1);
  EXPECT_TRUE(differs);
}

TEST(Bootstrap, ConditionsOnAnOutput) {
  std::vector<SampleColumns> planners(2);
  planners[0] = {{0.5F, 0.0F, 0.25F, 0.0F}, {0.5F, 0.5F, 0.5F, 0.0F}};
  planners[1] = {{0.0F, 0.0F, 0.0F, 0.0F}, {0.0F, 0.0F, 0.0F, 0.0F}};
  const auto c = compare(planners, 0, 1);
  EXPECT_DOUBLE_EQ(c[0].accuracy.value, 0.75 / 4);
  EXPECT_DOUBLE_EQ(c[0].given_output.value, 0.5);
  EXPECT_DOUBLE_EQ(c[1].given_output.value, 0.0);  // never an answer
  EXPECT_DOUBLE_EQ(c[1].gain.value, -0.75 / 4);
  EXPECT_DOUBLE_EQ(c[1].gain_given_output.value, -0.5);
  EXPECT_LE(c[0].given_output.interval.low, 0.5);
  EXPECT_GE(c[0].given_output.interval.high, 0.5);
}

}  // namespace
}  // namespace einet
