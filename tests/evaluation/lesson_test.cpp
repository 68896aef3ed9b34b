// Folds that share nothing, plans that know how answers are aggregated, and cross-validation that tells
// honest forecasts from such as have seen what judges them.
#include "evaluation/lesson.h"

#include <array>
#include <random>

#include <gtest/gtest.h>

#include "evaluation/evaluation.h"
#include "evaluation/learning.h"
#include "planner/planner.h"
#include "world.h"

namespace einet {
namespace {

using test::World;

Choices choices(std::initializer_list<const char*> names) {
  Choices out;
  for (const char* name : names) out.contenders.push_back(*parse_contender(name));
  return out;
}

TEST(Folds, JudgeEverySampleOnceAndTeachItToTheOthers) {
  for (const int samples : {5, 7, 200}) {
    const World world{test::SyntheticProfiles{.samples = {{Split::validation, samples}, {Split::test, 5}}}};
    const ProfileSplit& all = *world.set.split(Split::validation);
    std::vector<int> judged;
    for (const Fold& fold : cross_validation(all)) {
      EXPECT_EQ(fold.judge.samples() + fold.learn.samples(), samples);
      const auto sum = [](const ProfileSplit& split) {
        double out = 0;
        for (int s = 0; s < split.samples(); ++s) out += split.label(s) + double{split.score(s, 0)};
        return out;
      };
      EXPECT_NEAR(sum(fold.judge) + sum(fold.learn), sum(all), 1e-9);
      for (int s = 0; s < fold.judge.samples(); ++s) judged.push_back(fold.judge.label(s));
    }
    ASSERT_EQ(judged.size(), static_cast<std::size_t>(samples));
    for (int s = 0; s < samples; ++s) EXPECT_EQ(judged[static_cast<std::size_t>(s)], all.label(s));
  }
}

class UsualPlanTest : public testing::Test {
 protected:
  double worth(Aggregation aggregation, ExitMask exits) const {
    const auto accuracy = held_accuracies(validation_, calibrated_, {aggregation, temperature_}, exits);
    return expected_accuracy({.trunk_ns = world_.trunk_ns, .exit_ns = world_.exit_ns, .accuracy = accuracy},
                             survival_, exits);
  }
  UsualPlan usual(Aggregation aggregation) const {
    return usual_plan(validation_, calibrated_, {aggregation, temperature_}, kill_);
  }

  World world_{test::SyntheticProfiles{.blocks = 6}};
  const ProfileSplit& validation_ = *world_.set.split(Split::validation);
  Predictor predictor_ = learn_calibration(validation_);
  std::vector<double> temperature_ = temperatures(predictor_);
  std::vector<float> calibrated_ = calibrated_confidences(predictor_, validation_);
  Survival survival_ = *Survival::uniform(0, world_.whole_ns);
  KillSetting kill_{survival_, world_.trunk_ns, world_.exit_ns};
};

TEST_F(UsualPlanTest, IsTheBestThereIsWhereAnswersReplaceEachOther) {
  double best = 0;
  for (ExitMask exits = 1; exits < 64; ++exits) best = std::max(best, worth(Aggregation::last, exits));
  EXPECT_NEAR(worth(Aggregation::last, usual(Aggregation::last).exits), best, 1e-12);
}

TEST_F(UsualPlanTest, KnowsWhatSeveralAnswersAreWorthTogether) {
  double best = 0;
  for (ExitMask exits = 1; exits < 64; ++exits) best = std::max(best, worth(Aggregation::product, exits));
  const UsualPlan plan = usual(Aggregation::product);
  EXPECT_GE(worth(Aggregation::product, plan.exits), best - 0.005);
  // The control: the plan for every exit's own accuracy gives more away.
  EXPECT_LT(worth(Aggregation::product, usual(Aggregation::last).exits),
            worth(Aggregation::product, plan.exits));
  EXPECT_EQ(plan.accuracy,
            held_accuracies(validation_, calibrated_, {Aggregation::product, temperature_}, plan.exits));
}

// Three exits that nearly always err together, and a fourth that knows better than they do; or four that err
// each for itself. All exits are cheap.
ProfileRecord four_exits(bool three_are_one) {
  ProfileRecord record = test::make_synthetic_profiles({.blocks = 4, .classes = 2, .samples = {}});
  for (PartTime& time : record.times.front().exit) time = {Duration{1}, Duration{1}, Duration{1}};
  std::mt19937_64 random(1);
  const auto chance = [&](std::uint64_t percent) { return random() % 100 < percent; };
  for (const Split name : {Split::validation, Split::test}) {
    SplitRecord split(4, 2);
    for (int s = 0; s < 2000; ++s) {
      split.add_label(s % 2);
      bool right = chance(60);
      for (int k = 0; k < 4; ++k) {
        if (k == 3) {
          right = chance(75);
        } else if (three_are_one) {
          right = right || chance(4);
        } else {
          right = chance(70);
        }
        const float score = k == 3 ? 0.75F : 0.625F;
        split.add_scores(right == (s % 2 == 0) ? std::array{score, 1 - score} : std::array{1 - score, score});
      }
    }
    record.splits.emplace(name, split);
  }
  return record;
}

TEST(Discount, ForgetsExitsThatSayTheSameAgainAndKeepsOthers) {
  const auto learned = [](const ProfileRecord& record) {
    const World world{record};
    const ProfileSplit& validation = *world.set.split(Split::validation);
    const Predictor predictor = learn_calibration(validation);
    const Survival survival = *Survival::uniform(0, 2 * world.whole_ns);
    return learn_discount(validation, calibrated_confidences(predictor, validation), temperatures(predictor),
                          {survival, world.trunk_ns, world.exit_ns});
  };
  EXPECT_LT(learned(four_exits(true)), 0.9);
  EXPECT_GE(learned(four_exits(false)), 0.8);
}

TEST_F(UsualPlanTest, CountsTheAnswersThatAreHeld) {
  const auto alone = held_accuracies(validation_, calibrated_, {Aggregation::product, temperature_}, 0);
  const auto last =
      held_accuracies(validation_, calibrated_, {Aggregation::last, temperature_}, ~ExitMask{0});
  for (int k = 0; k < 6; ++k) {
    EXPECT_EQ(alone[static_cast<std::size_t>(k)], validation_.accuracy(k));
    EXPECT_EQ(last[static_cast<std::size_t>(k)], validation_.accuracy(k));
  }
  // Exit 2 after exit 0, by hand.
  HeldAnswer held({Aggregation::product, temperature_}, validation_.classes());
  int right = 0;
  for (int s = 0; s < validation_.samples(); ++s) {
    held.clear();
    held.add(validation_, s, 0, 0.5);
    held.add(validation_, s, 2, 0.5);
    right += held.answer() == validation_.label(s) ? 1 : 0;
  }
  const auto after =
      held_accuracies(validation_, calibrated_, {Aggregation::product, temperature_}, 0b001001);
  EXPECT_DOUBLE_EQ(after[2], static_cast<double>(right) / validation_.samples());
}

TEST(Lesson, LearnsNothingFromTheSamplesThatJudge) {
  // Two worlds that differ in what the fold judges only: what was learned is the same.
  const World one{test::SyntheticProfiles{.samples = {{Split::validation, 100}, {Split::test, 50}}}};
  const World two{
      test::SyntheticProfiles{.samples = {{Split::validation, 100}, {Split::test, 50}}, .seed = 2}};
  const Survival survival = *Survival::uniform(0, one.whole_ns);
  const Choices wanted = choices({"exact+product", "exact+last", "exact+last+predictor"});
  const auto expected = [&](const ProfileSplit& judge) {
    auto lesson = Lesson::learn({*one.set.split(Split::validation), judge}, wanted, 1);
    EXPECT_TRUE(lesson);
    const BlockTimes times{one.trunk_ns, one.exit_ns};
    const Forecasts& forecasts = lesson->learn_plans(wanted, survival, times).forecasts;
    std::vector<double> out(5), accuracy(5);
    const std::vector<double> seen{0.7, 0.6, 0, 0, 0};
    for (const Expectation e : {Expectation::lookalikes, Expectation::statistics}) {
      for (const Aggregation a : {Aggregation::product, Aggregation::last}) {
        out.push_back(forecasts.get(e, a)->expect({0b11, seen, 0.6}, accuracy));
        out.insert(out.end(), accuracy.begin(), accuracy.end());
      }
    }
    out.push_back(
        forecasts.get(Expectation::predictor, Aggregation::last)->expect({0b11, seen, 0.6}, accuracy));
    out.insert(out.end(), accuracy.begin(), accuracy.end());
    EXPECT_EQ(forecasts.get(Expectation::lookalikes, Aggregation::most_confident), nullptr);
    return out;
  };
  EXPECT_EQ(expected(*one.set.split(Split::test)), expected(*two.set.split(Split::test)));
}

TEST(Lesson, KnowsTheTimesOfANetwork) {
  const BlockTimes times{{10, 20, 30}, {1, 2, 3}};
  EXPECT_EQ(times.whole_ns(), 66);
  EXPECT_EQ(times.last_ns(), 63);
}

}  // namespace
}  // namespace einet
