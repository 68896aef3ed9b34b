// One answer of several, by hand.
#include "evaluation/held_answer.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "synthetic_profiles.h"

namespace einet {
namespace {

// One sample; each inner list holds one exit's scores of all classes.
ProfileSet one_sample(const std::vector<std::vector<float>>& exits, int kept) {
  const int classes = static_cast<int>(exits.front().size());
  const int blocks = static_cast<int>(exits.size());
  ProfileRecord record = test::make_synthetic_profiles({.blocks = blocks, .classes = classes, .samples = {}});
  SplitRecord split(blocks, classes, kept);
  split.add_label(0);
  for (const auto& scores : exits) split.add_scores(scores);
  record.splits.emplace(Split::test, split);
  return *ProfileSet::parse(format_profiles(record), "");
}

// The answers held as exit after exit is executed, each as confident as it says.
std::vector<int> answers(Aggregation aggregation, const std::vector<std::vector<float>>& exits,
                         std::vector<double> temperature = {1, 1, 1}, int kept = 0, double discount = 1) {
  const ProfileSet set = one_sample(exits, kept > 0 ? kept : static_cast<int>(exits.front().size()));
  const ProfileSplit& split = *set.split(Split::test);
  HeldAnswer held({aggregation, temperature, discount}, set.classes());
  std::vector<int> out;
  for (int round = 0; round < 2; ++round) {  // the second round shows that nothing of the first is left
    out.clear();
    held.clear();
    EXPECT_EQ(held.answer(), -1);
    EXPECT_EQ(held.confidence(), 0);
    for (int k = 0; k < split.exits(); ++k) {
      held.add(split, 0, k, split.confidence(0, k));
      out.push_back(held.answer());
    }
  }
  return out;
}

using testing::ElementsAre;

TEST(HeldAnswer, IsTheLastTheMostConfidentOrTheProducts) {
  const std::vector<std::vector<float>> exits{
      {0.75F, 0.25F, 0.0F}, {0.25F, 0.5F, 0.25F}, {0.125F, 0.125F, 0.75F}};
  EXPECT_THAT(answers(Aggregation::last, exits), ElementsAre(0, 1, 2));
  EXPECT_THAT(answers(Aggregation::most_confident, exits), ElementsAre(0, 0, 2));
  // 0.75, 0.25, 0 - 0.1875, 0.125, 0 - 0.0234, 0.0156, 0: class 2 is out from the start.
  EXPECT_THAT(answers(Aggregation::product, exits), ElementsAre(0, 0, 0));
}

TEST(HeldAnswer, OfAHotExitCountsLessInTheProduct) {
  const std::vector<std::vector<float>> exits{{0.75F, 0.25F}, {0.5F, 0.5F}, {0.28F, 0.72F}};
  EXPECT_THAT(answers(Aggregation::product, exits), ElementsAre(0, 0, 0));
  EXPECT_THAT(answers(Aggregation::product, exits, {2, 1, 1}), ElementsAre(0, 0, 1));
}

TEST(HeldAnswer, ForgetsAsMuchAsItsDiscountSays) {
  // Logarithms of class 0 over class 1: 1.95, -1.10, -1.10. Undiscounted 1.95, 0.85, -0.25; by a half 1.95,
  // -0.12, -1.16.
  const std::vector<std::vector<float>> exits{{0.875F, 0.125F}, {0.25F, 0.75F}, {0.25F, 0.75F}};
  const auto discounted = [&](double discount) {
    return answers(Aggregation::discounted, exits, {1, 1, 1}, 0, discount);
  };
  EXPECT_THAT(discounted(1), ElementsAre(0, 0, 1));
  EXPECT_THAT(discounted(1), answers(Aggregation::product, exits));
  EXPECT_THAT(discounted(0.5), ElementsAre(0, 1, 1));
  EXPECT_THAT(discounted(1e-9), answers(Aggregation::last, exits));
  EXPECT_THAT(answers(Aggregation::product, exits, {1, 1, 1}, 0, 0.5),
              ElementsAre(0, 0, 1));  // not the product
}

TEST(HeldAnswer, IsTheDeepestExitsWhereTheProductLeavesNothing) {
  EXPECT_THAT(answers(Aggregation::product, {{1.0F, 0.0F, 0.0F}, {0.0F, 0.875F, 0.125F}, {0.0F, 0.0F, 1.0F}}),
              ElementsAre(0, 1, 2));
}

// Classes that an exit does not name share what is missing to 1.
TEST(HeldAnswer, CountsClassesThatAnExitDidNotName) {
  // Exit 0 names 0 and 1 and leaves 0.25 for each of 2, 3; so class 2: 0.125 * 0.5 < class 0: 0.5 * 0.25.
  EXPECT_THAT(answers(Aggregation::product, {{0.5F, 0.25F, 0.125F, 0.125F}, {0.25F, 0.125F, 0.5F, 0.125F}},
                      {1, 1}, 2),
              ElementsAre(0, 0));
  EXPECT_THAT(answers(Aggregation::product,
                      {{0.5F, 0.25F, 0.125F, 0.125F}, {0.0625F, 0.0625F, 0.8125F, 0.0625F}}, {1, 1}, 1),
              ElementsAre(0, 2));
  // Nothing is left for classes that are not named: only named ones stay.
  EXPECT_THAT(
      answers(Aggregation::product, {{0.75F, 0.25F, 0.0F, 0.0F}, {0.0F, 0.125F, 0.875F, 0.0F}}, {1, 1}, 2),
      ElementsAre(0, 1));
}

TEST(HeldAnswer, SaysHowSureItIs) {
  const auto sure = [](Aggregation aggregation, const std::vector<std::vector<float>>& exits, int kept = 0) {
    const ProfileSet set = one_sample(exits, kept > 0 ? kept : static_cast<int>(exits.front().size()));
    const std::vector<double> temperature(exits.size(), 1.0);
    HeldAnswer held({aggregation, temperature}, set.classes());
    for (int k = 0; k < set.blocks(); ++k) held.add(*set.split(Split::test), 0, k, 0.5 / (1 + k));
    return held.confidence();
  };
  const std::vector<std::vector<float>> exits{{0.75F, 0.25F}, {0.75F, 0.25F}};
  EXPECT_DOUBLE_EQ(sure(Aggregation::last, exits), 0.25);
  EXPECT_DOUBLE_EQ(sure(Aggregation::most_confident, exits), 0.5);
  EXPECT_NEAR(sure(Aggregation::product, exits), std::log(9) / (1 + std::log(9)), 1e-6);
  EXPECT_EQ(sure(Aggregation::product, {{1.0F, 0.0F}}), 1);                // no other class is left
  EXPECT_EQ(sure(Aggregation::product, {{1.0F, 0.0F}, {0.0F, 1.0F}}), 0);  // none at all
  EXPECT_EQ(sure(Aggregation::product, {{0.5F, 0.5F}}), 0);
  // Classes that were never named are rivals, unless nothing was left for them.
  const double twice = std::log(2) / (1 + std::log(2));
  EXPECT_NEAR(sure(Aggregation::product, {{0.5F, 0.25F, 0.25F}}, 1), twice, 1e-6);
  EXPECT_NEAR(sure(Aggregation::product, {{0.5F, 0.25F, 0.25F}, {0.25F, 0.5F, 0.25F}}, 1), 0, 1e-6);
  EXPECT_NEAR(sure(Aggregation::product, {{0.5F, 0.25F, 0.125F, 0.125F}}, 2), twice, 1e-6);
  EXPECT_EQ(sure(Aggregation::product, {{1.0F, 0.0F, 0.0F}}, 1), 1);
}

// As where it is asked, sample by sample, what each exit would make of the answer held so far.
TEST(HeldAnswer, GoesOnFromTheAnswerThatItWasAssigned) {
  const std::vector<std::vector<float>> exits{
      {0.625F, 0.25F, 0.125F, 0.0F}, {0.125F, 0.25F, 0.0625F, 0.5625F}, {0.0625F, 0.1875F, 0.75F, 0.0F}};
  const std::vector<double> temperature(exits.size(), 1.0);
  for (const Aggregation aggregation : kEveryAggregation) {
    const ProfileSet set = one_sample(exits, 2);
    const ProfileSplit& split = *set.split(Split::test);
    const auto add = [&](HeldAnswer& answer, int exit) {
      answer.add(split, 0, exit, split.confidence(0, exit));
    };
    HeldAnswer then({aggregation, temperature, 0.5}, set.classes());
    for (int a = 0; a < 3; ++a) {
      for (int b = 0; b < 3; ++b) {
        HeldAnswer held({aggregation, temperature, 0.5}, set.classes());
        add(held, a);
        HeldAnswer copied = held;
        then = held;  // it still holds what the last pair left
        for (HeldAnswer* answer : {&held, &copied, &then}) {
          add(*answer, b);
          add(*answer, a);
          EXPECT_EQ(answer->answer(), held.answer());
          EXPECT_EQ(answer->confidence(), held.confidence());
        }
      }
    }
  }
}

TEST(HeldAnswer, OfEqualConfidencesIsTheDeepest) {
  EXPECT_THAT(answers(Aggregation::most_confident, {{0.75F, 0.25F}, {0.25F, 0.75F}}, {1, 1}),
              ElementsAre(0, 1));
}

TEST(Aggregation, HasNamesThatReadBack) {
  for (const char* text : {"last", "most-confident", "product"})
    EXPECT_EQ(name(*parse_aggregation(text)), text);
  EXPECT_THAT(parse_aggregation("best").error().message,
              testing::HasSubstr("expected last, most-confident, product or discounted"));
}

}  // namespace
}  // namespace einet
