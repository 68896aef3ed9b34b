// What replays find, by hand and against what must hold for every network: the exact search is never below
// any other planner on the same forecast, the oracle never below anyone, and nothing that plans has seen the
// answers.
#include "evaluation/replay.h"

#include <cmath>
#include <limits>
#include <numeric>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "world.h"

namespace einet {
namespace {

using test::World;

constexpr auto kAll = kEveryAggregation;

std::vector<Contender> contenders() {
  std::vector<Contender> out = usual_contenders();
  for (const char* name : {"hybrid:2", "random:3", "confidence:60", "oracle-truth"})
    out.push_back(*parse_contender(name));
  return out;
}

// Two exits; sample 0 is right at both, sample 1 at the second only, sample 2 at the first only.
ProfileRecord by_hand() {
  ProfileRecord record = test::make_synthetic_profiles({.blocks = 2, .classes = 2, .samples = {}});
  record.times.resize(1);
  const auto at = [](int ms) {
    const Duration d = std::chrono::milliseconds{ms};
    return PartTime{d, d, d};
  };
  record.times[0].trunk = {at(1), at(2)};
  record.times[0].exit = {at(1), at(1)};
  SplitRecord split(2, 2);
  const std::vector<float> zero{0.75F, 0.25F}, one{0.125F, 0.875F};
  for (const auto& [label, first, second] : {std::tuple{0, zero, zero}, {1, zero, one}, {0, zero, one}}) {
    split.add_label(label);
    split.add_scores(first);
    split.add_scores(second);
  }
  record.splits.emplace(Split::test, split);
  record.splits.emplace(Split::validation, split);
  return record;
}

TEST(Replay, CreditsAnswersByTheirSurvival) {
  const World world(by_hand());
  const Survival survival = *Survival::uniform(0, 10e6);  // answers at 2 and 5 ms live to 0.8 and 0.5
  const auto run = [&](const char* name, Aggregation aggregation = Aggregation::last) {
    return replay(*parse_contender(name), world.setting(survival, world.statistics, aggregation)).samples;
  };
  const auto all = run("all");
  EXPECT_FLOAT_EQ(all[0].credit, 0.8F);
  EXPECT_FLOAT_EQ(all[1].credit, 0.5F);
  EXPECT_FLOAT_EQ(all[2].credit, 0.8F - 0.5F);
  for (const ReplayedSample& sample : all) {
    EXPECT_EQ(sample.executed, 3u);
    EXPECT_FLOAT_EQ(sample.output, 0.8F);
    EXPECT_FLOAT_EQ(sample.count, 1.3F);
    EXPECT_FLOAT_EQ(sample.depth, 0 * 0.3F + 1 * 0.5F);
  }
  const auto single = run("single");  // ready at 4 ms
  EXPECT_EQ(single[0].executed, 2u);
  EXPECT_FLOAT_EQ(single[0].credit, 0.6F);
  EXPECT_FLOAT_EQ(single[2].credit, 0.0F);
  EXPECT_FLOAT_EQ(single[2].output, 0.6F);
  EXPECT_FLOAT_EQ(single[2].depth, 0.6F);
  const auto stopped = run("confidence:75");  // 75 % are reached at once
  EXPECT_EQ(stopped[1].executed, 1u);
  EXPECT_FLOAT_EQ(stopped[1].credit, 0.0F);
  EXPECT_EQ(run("confidence:76")[1].executed, 3u);
  // 0.75 and 0.125: the second is the more confident and the larger factor.
  EXPECT_FLOAT_EQ(run("all", Aggregation::most_confident)[1].credit, 0.5F);
  EXPECT_FLOAT_EQ(run("all", Aggregation::product)[2].credit, 0.8F - 0.5F);
}

TEST(Replay, DrawsTheAccuracyOverKillTimes) {
  const World world(by_hand());
  const Survival survival = *Survival::uniform(0, 10e6);
  const auto at = replay(*parse_contender("all"), world.setting(survival, world.statistics)).accuracy_at;
  ASSERT_EQ(at.size(), static_cast<std::size_t>(kCurvePoints));  // 0 to 5 ms, 10 us apart
  EXPECT_EQ(at[199], 0);
  EXPECT_DOUBLE_EQ(at[200], 2.0 / 3);  // the first answer counts if the job is killed as it is ready
  EXPECT_DOUBLE_EQ(at[499], 2.0 / 3);
  EXPECT_DOUBLE_EQ(at[500], 2.0 / 3);
  const auto single =
      replay(*parse_contender("single"), world.setting(survival, world.statistics)).accuracy_at;
  EXPECT_EQ(single[399], 0);
  EXPECT_DOUBLE_EQ(single[400], 2.0 / 3);
}

TEST(Replay, CurveAndCreditSayTheSame) {
  const World world(test::SyntheticProfiles{.blocks = 7});
  const Survival survival = *Survival::uniform(0, world.whole_ns);
  for (const Contender& contender : contenders()) {
    const Replay out = replay(contender, world.setting(survival, world.shifted));
    double credit = 0;
    for (const ReplayedSample& sample : out.samples) credit += sample.credit;
    const double area = std::accumulate(out.accuracy_at.begin(), out.accuracy_at.end(), 0.0) / kCurvePoints;
    EXPECT_NEAR(credit / static_cast<double>(out.samples.size()), area, 2.0 / kCurvePoints) << contender.name;
  }
}

TEST(Replay, IsTheSameOnAnyNumberOfThreads) {
  const World world(test::SyntheticProfiles{.blocks = 6});
  const Survival survival = *Survival::exponential(world.whole_ns / 2);
  for (const Contender& contender : contenders()) {
    const Replay one = replay(contender, world.setting(survival, world.shifted, Aggregation::product, 1));
    const Replay many = replay(contender, world.setting(survival, world.shifted, Aggregation::product, 3));
    EXPECT_EQ(one.accuracy_at, many.accuracy_at);
    EXPECT_EQ(one.times.searches, many.times.searches);
    for (std::size_t s = 0; s < one.samples.size(); ++s) {
      ASSERT_EQ(one.samples[s].executed, many.samples[s].executed);
      ASSERT_EQ(one.samples[s].credit, many.samples[s].credit);
    }
  }
}

TEST(Replay, PlansAnewWithTheSamplesOwnConfidences) {
  const World world(test::SyntheticProfiles{.blocks = 8});
  const Survival survival = *Survival::uniform(0, world.whole_ns);
  const auto different = [&](const char* name, const Forecast& forecast) {
    const Replay out = replay(*parse_contender(name), world.setting(survival, forecast));
    return std::any_of(out.samples.begin(), out.samples.end(), [&](const ReplayedSample& sample) {
      return sample.executed != out.samples.front().executed;
    });
  };
  for (const char* name : {"exact", "hybrid", "greedy"}) {
    EXPECT_TRUE(different(name, world.shifted)) << name;
    EXPECT_FALSE(different(name, world.statistics)) << name;  // the control: this forecast does not listen
  }
  for (const char* name : {"statistics", "all", "static:50", "single"}) {
    EXPECT_FALSE(different(name, world.shifted)) << name;
    EXPECT_EQ(replay(*parse_contender(name), world.setting(survival, world.shifted)).times.searches, 0);
  }
}

// The confidences of exits that were not executed are unknown: no plan depends on them. (The oracles know
// all.)
TEST(Replay, PlansOnWhatCanBeKnown) {
  const World world(test::SyntheticProfiles{.blocks = 6});
  const Survival survival = *Survival::uniform(0, world.whole_ns);
  for (const Contender& contender : contenders()) {
    if (contender.name.starts_with("oracle")) continue;
    const Replay before = replay(contender, world.setting(survival, world.shifted));
    World blind = world;
    for (std::size_t s = 0; s < before.samples.size(); ++s) {
      for (int k = 0; k < 6; ++k) {
        if ((before.samples[s].executed & exit_bit(k)) == 0) {
          blind.calibrated[s * 6 + static_cast<std::size_t>(k)] = std::numeric_limits<float>::quiet_NaN();
        }
      }
    }
    const Replay after = replay(contender, blind.setting(survival, blind.shifted));
    for (std::size_t s = 0; s < before.samples.size(); ++s) {
      ASSERT_EQ(before.samples[s].executed, after.samples[s].executed) << contender.name;
    }
  }
}

Survival any_survival(double whole_ns) {
  const double a = whole_ns * *rc::gen::inRange(1, 120) / 100;
  const double b = whole_ns * *rc::gen::inRange(1, 120) / 100;
  switch (*rc::gen::inRange(0, 4)) {
    case 0:
      return *Survival::uniform(0, a);
    case 1:
      return *Survival::uniform(std::min(a, b), std::max(a, b));
    case 2:
      return *Survival::exponential(a);
    default:
      return *Survival::normal(a, b);
  }
}

World any_world() {
  return World(test::SyntheticProfiles{.blocks = *rc::gen::inRange(1, 12),
                                       .classes = *rc::gen::inRange(2, 12),
                                       .samples = {{Split::validation, 60}, {Split::test, 20}},
                                       .seed = *rc::gen::arbitrary<std::uint64_t>()});
}

RC_GTEST_PROP(Replay, OnTheSameForecastNoneIsAboveExact, ()) {
  const World world = any_world();
  const Survival survival = any_survival(world.whole_ns);
  std::vector<double> accuracy(world.trunk_ns.size());
  world.statistics.expect({}, accuracy);
  const PlanProblem problem{world.trunk_ns, world.exit_ns, accuracy};
  const auto worth = [&](const char* name) {
    const Replay out = replay(*parse_contender(name), world.setting(survival, world.statistics));
    double most = 0;
    for (const ReplayedSample& sample : out.samples) {
      most = std::max(most, expected_accuracy(problem, survival, sample.executed));
    }
    return most;
  };
  const double exact = worth("exact");
  // Planning again with nothing learned leaves the plan as good as it was.
  RC_ASSERT(std::abs(worth("statistics") - exact) < 1e-9);
  for (const Contender& contender : contenders()) RC_ASSERT(worth(contender.name.c_str()) <= exact + 1e-9);
}

RC_GTEST_PROP(Replay, NoneIsAboveTheOracleOnAnySample, ()) {
  const World world = any_world();
  const Survival survival = any_survival(world.whole_ns);
  const auto blocks = world.trunk_ns.size();
  // An answer's worth is its calibrated confidence; of the most confident one, the largest so far.
  for (const Aggregation aggregation : {Aggregation::last, Aggregation::most_confident}) {
    const auto worth = [&](const ReplayedSample& sample, std::size_t s) {
      std::vector<double> accuracy(world.calibrated.begin() + static_cast<std::ptrdiff_t>(s * blocks),
                                   world.calibrated.begin() + static_cast<std::ptrdiff_t>((s + 1) * blocks));
      double most = 0;
      for (std::size_t k = 0; k < blocks && aggregation == Aggregation::most_confident; ++k) {
        if ((sample.executed & exit_bit(static_cast<int>(k))) == 0) continue;
        most = accuracy[k] = std::max(most, accuracy[k]);
      }
      return expected_accuracy({world.trunk_ns, world.exit_ns, accuracy}, survival, sample.executed);
    };
    const Replay oracle =
        replay(*parse_contender("oracle"), world.setting(survival, world.shifted, aggregation));
    for (const Contender& contender : contenders()) {
      const Replay other = replay(contender, world.setting(survival, world.shifted, aggregation));
      for (std::size_t s = 0; s < other.samples.size(); ++s) {
        RC_ASSERT(worth(other.samples[s], s) <= worth(oracle.samples[s], s) + 1e-9);
      }
    }
  }
}

RC_GTEST_PROP(Replay, NoneIsRightLongerThanTheOracleOfTheTruth, ()) {
  const World world = any_world();
  const Survival survival = any_survival(world.whole_ns);
  const Replay truth = replay(*parse_contender("oracle-truth"), world.setting(survival, world.shifted));
  for (const Contender& contender : contenders()) {
    const Replay other = replay(contender, world.setting(survival, world.shifted));
    for (std::size_t s = 0; s < other.samples.size(); ++s) {
      RC_ASSERT(other.samples[s].credit <= truth.samples[s].credit + 1e-6F);
    }
  }
}

TEST(Replay, NeverPromisesMoreThanAnOutput) {
  const World world(test::SyntheticProfiles{.blocks = 9});
  for (const Aggregation aggregation : kAll) {
    for (const Contender& contender : contenders()) {
      const Survival survival = *Survival::normal(world.whole_ns / 2, world.whole_ns / 5);
      for (const ReplayedSample& sample :
           replay(contender, world.setting(survival, world.shifted, aggregation)).samples) {
        EXPECT_GE(sample.credit, -1e-6F);
        EXPECT_LE(sample.credit, sample.output + 1e-6F);
        EXPECT_LE(sample.output, 1);
        EXPECT_LE(sample.output, sample.count + 1e-6F);
        EXPECT_LE(sample.depth, 8 * sample.output + 1e-5F);
      }
    }
  }
}

}  // namespace
}  // namespace einet
