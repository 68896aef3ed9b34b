// What each survival function is worth where, and what its maker refuses.
#include "planner/survival.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "instance.h"

namespace einet {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::string refusal(const Result<Survival>& made) {
  return made ? "" : made.error().message;
}

TEST(Survival, UniformIsOneUntilFromAndZeroFromTo) {
  const Survival s = *Survival::uniform(10, 30);
  EXPECT_EQ(s(0), 1);
  EXPECT_EQ(s(10), 1);
  EXPECT_DOUBLE_EQ(s(15), 0.75);
  EXPECT_EQ(s(30), 0);
  EXPECT_EQ(s(1e300), 0);
  ASSERT_TRUE(s.line());
  EXPECT_DOUBLE_EQ(s.line()->at(15), 0.75);
}

TEST(Survival, UniformWithoutWidthIsAStepThatCountsItsOwnInstant) {
  const Survival s = *Survival::uniform(10, 10);
  EXPECT_EQ(s(10), 1);
  EXPECT_EQ(s(std::nextafter(10, 11)), 0);
  EXPECT_FALSE(s.line());
}

TEST(Survival, ExponentialAndNormalFollowTheirFormulas) {
  const Survival e = *Survival::exponential(4);
  EXPECT_EQ(e(0), 1);
  EXPECT_DOUBLE_EQ(e(4), std::exp(-1.0));
  const Survival n = *Survival::normal(100, 10);
  EXPECT_DOUBLE_EQ(n(100), 0.5);
  EXPECT_NEAR(n(110), 0.158655253931457, 1e-12);
  EXPECT_NEAR(n(80), 0.977249868051821, 1e-12);
}

TEST(Survival, SampleIsTheShareOfKillsAtOrAfter) {
  const Survival s = *Survival::sample(std::vector<double>{7, 3, 7, 9});
  EXPECT_EQ(s(0), 1);
  EXPECT_EQ(s(3), 1);
  EXPECT_EQ(s(3.5), 0.75);
  EXPECT_EQ(s(7), 0.75);
  EXPECT_EQ(s(8), 0.25);
  EXPECT_EQ(s(9), 0.25);
  EXPECT_EQ(s(9.5), 0);
}

TEST(Survival, PointsAreJoinedByLinesAndConstantOutside) {
  const Survival s = *Survival::points(std::vector<double>{10, 20, 40}, std::vector<double>{0.8, 0.4, 0.1});
  EXPECT_EQ(s(0), 0.8);
  EXPECT_EQ(s(10), 0.8);
  EXPECT_DOUBLE_EQ(s(15), 0.6);
  EXPECT_DOUBLE_EQ(s(20), 0.4);
  EXPECT_DOUBLE_EQ(s(30), 0.25);
  EXPECT_EQ(s(41), 0.1);
}

TEST(Survival, RefusesWhatIsNoSurvivalFunction) {
  EXPECT_EQ(refusal(Survival::uniform(5e6, 1e6)), "to: found 1ms; expected a time at or after `from`");
  EXPECT_EQ(refusal(Survival::uniform(kNan, 4)), "from: found nan; expected a finite time");
  EXPECT_NE(refusal(Survival::uniform(0, kInf)), "");
  EXPECT_NE(refusal(Survival::exponential(0)), "");
  EXPECT_NE(refusal(Survival::exponential(kNan)), "");
  EXPECT_NE(refusal(Survival::normal(1, 0)), "");
  EXPECT_NE(refusal(Survival::normal(kInf, 1)), "");
  EXPECT_NE(refusal(Survival::sample({})), "");
  EXPECT_NE(refusal(Survival::sample(std::vector<double>{1, kNan})), "");
  const auto points = [](std::vector<double> t, std::vector<double> s) {
    return refusal(Survival::points(t, s));
  };
  EXPECT_EQ(points({1, 2}, {0.5, 0.5}), "");
  EXPECT_EQ(points({1, 2}, {0.5, 0.6}),
            "s[1]: found 0.600000; expected at most the one before: survival must not rise");
  EXPECT_EQ(points({2, 2}, {0.5, 0.4}), "t[1]: found 2ns; expected a finite time after the one before");
  EXPECT_EQ(points({1, 2}, {0.5}), "s: found 1 values; expected as many as in t, 2");
  EXPECT_NE(points({1}, {1.5}), "");
  EXPECT_NE(points({1}, {kNan}), "");
  EXPECT_NE(points({kNan}, {0.5}), "");
  EXPECT_NE(points({}, {}), "");
}

// The first value of `f` over `times` is at most 1, the last at least 0, and none is above the one before.
template <class F>
bool never_rises(const F& f, const std::vector<double>& times) {
  double before = 1;
  for (double t : times) {
    const double now = f(t);
    if (!(now <= before && now >= 0)) return false;
    before = now;
  }
  return true;
}

RC_GTEST_PROP(Survival, NeverRisesAndStaysInRange, ()) {
  for (const Instance& i : *rc::gen::container<std::vector<Instance>>(50, instances(14))) {
    std::vector<double> times;
    for (int t = -40; t < 700; ++t) times.push_back(t / 4.0);
    times.insert(times.end(), {1e6, 1e18, kInf});
    RC_ASSERT(never_rises(i.survival(), times));
  }
}

TEST(Survival, TheCheckThatItNeverRisesSeesASmallRise) {
  const Survival s = *Survival::exponential(50);
  EXPECT_FALSE(never_rises([&](double t) { return s(t) + (t > 3 ? 0.01 : 0); }, {0, 1, 2, 3, 3.25, 4}));
}

RC_GTEST_PROP(Survival, SampleAgreesWithCountingHoweverTheKillsCluster, (std::vector<double> kills)) {
  RC_PRE(!kills.empty());
  const Survival s = *Survival::sample(kills);
  for (double t : kills) {
    for (double x : {t, std::nextafter(t, kInf), std::nextafter(t, -kInf)}) {
      const auto later = std::count_if(kills.begin(), kills.end(), [&](double kill) { return kill >= x; });
      RC_ASSERT(s(x) == static_cast<double>(later) / static_cast<double>(kills.size()));
    }
  }
}

}  // namespace
}  // namespace einet
