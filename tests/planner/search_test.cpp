// The exact search against every subset of exits; what it costs in memory; what it says when that runs out.
#include <cmath>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "allocations.h"
#include "instance.h"
#include "planner/label_search.h"
#include "planner/linear_search.h"
#include "planner/planner.h"

namespace einet {
namespace {

constexpr double kExact = 1e-9;

// Solves the same 5000 random problems with `search(problem, survival) -> expected accuracy`, and counts
// those where a subset of the exits is better.
template <class Search>
int failures(Search&& search) {
  const auto gen = instances(10);
  rc::Random random(7);
  int failed = 0;
  for (int k = 0; k < 5000; ++k) {
    const Instance i = gen(random.split(), rc::kNominalSize).value();
    if (search(i.problem(), i.survival()) < brute_force(i) - kExact) ++failed;
  }
  return failed;
}

template <class Domination>
int failures_with_labels() {
  LabelSearch<Domination> search(1 << 14);
  return failures([&](const PlanProblem& p, const Survival& survival) {
    return expected_accuracy(p, survival, search.best(Chain(p, survival), survival).exits);
  });
}

RC_GTEST_PROP(PlanSearch, EqualsBruteForce, ()) {
  PlanSearch search;
  for (const Instance& i : *rc::gen::container<std::vector<Instance>>(50, instances(14))) {
    const Plan plan = search.exact(i.problem(), i.survival());
    RC_ASSERT(plan.expected_accuracy >= brute_force(i) - kExact);
    RC_ASSERT(plan.expected_accuracy == expected_accuracy(i.problem(), i.survival(), plan.exits));
    RC_ASSERT((plan.exits & (exit_bit(i.first_block) - 1)) == 0u);
    RC_ASSERT(search.gap() <= kExact);
  }
}

TEST(LabelSearch, EqualsBruteForceOnEveryKindOfSurvival) {
  EXPECT_EQ(failures_with_labels<EarlierWithAtLeastTheGain>(), 0);
}

// Negative controls: the same check sees domination rules that are wrong.
struct EarliestWins {
  bool operator()(const Label&, const Label&) const { return true; }
};
struct AlmostTheGainIsEnough {
  bool operator()(const Label& a, const Label& b) const { return a.gain >= b.gain - 0.02; }
};

TEST(LabelSearch, MissesBestPlansIfDominationIgnoresTheGain) {
  EXPECT_GT(failures_with_labels<EarliestWins>(), 0);
}

TEST(LabelSearch, MissesBestPlansIfDominationForgivesTooMuch) {
  EXPECT_GT(failures_with_labels<AlmostTheGainIsEnough>(), 0);
}

TEST(LinearSearch, IsNotEnoughWhereResultsComeBeforeTheLineHasFallenToOne) {
  LinearSearch linear;
  PlanSearch search;
  EXPECT_GT(failures([&](const PlanProblem& p, const Survival& survival) {
              const auto line = survival.line();
              if (!line) return search.exact(p, survival).expected_accuracy;
              return expected_accuracy(p, survival, linear.best(Chain(p, survival), *line).exits);
            }),
            0);
}

// The same problems, 8e15 ns later: a fall from 1 to 0 within few of these nanoseconds, and sums that are
// still exact.
TEST(PlanSearch, EqualsBruteForceOnASteepLineThatComesLate) {
  constexpr double kLater = 8e15;
  PlanSearch search;
  const auto gen = instances(8);
  rc::Random random(11);
  int lines = 0;
  for (int k = 0; k < 5000; ++k) {
    Instance i = gen(random.split(), rc::kNominalSize).value();
    bool whole = true;
    for (const auto* times : {&i.trunk_ns, &i.exit_ns, &i.a}) {
      for (const double ns : *times) whole = whole && ns == std::floor(ns);
    }
    if (!i.survival().line() || !whole || i.problem().blocks() == i.first_block) continue;
    ++lines;
    i.trunk_ns[static_cast<std::size_t>(i.first_block)] += kLater;
    for (double& ns : i.a) ns += kLater;
    ASSERT_GE(search.exact(i.problem(), i.survival()).expected_accuracy, brute_force(i) - kExact) << i;
  }
  EXPECT_GT(lines, 100);
}

RC_GTEST_PROP(PlanSearch, SaysHowMuchABetterPlanCouldHaveWhenItRunsOutOfLabels, ()) {
  PlanSearch search(1);
  for (const Instance& i : *rc::gen::container<std::vector<Instance>>(50, instances(12))) {
    const Plan plan = search.exact(i.problem(), i.survival());
    RC_ASSERT(plan.expected_accuracy + search.gap() >= brute_force(i) - kExact);
  }
}

TEST(PlanSearch, WithOneLabelMissesBestPlans) {
  PlanSearch search(1);
  EXPECT_GT(failures([&](const PlanProblem& p, const Survival& survival) {
              return search.exact(p, survival).expected_accuracy;
            }),
            0);
}

TEST(PlanSearch, AllocatesNothingInASearch) {
  PlanSearch search;
  const auto gen = instances(kMaxBlocks);
  rc::Random random(3);
  for (int k = 0; k < 200; ++k) {
    const Instance i = gen(random.split(), rc::kNominalSize).value();
    const Survival survival = i.survival();
    const std::size_t before = allocations();
    search.exact(i.problem(), survival);
    ASSERT_EQ(allocations(), before);
  }
  EXPECT_GT(allocations(), 0u);  // the count counts
}

TEST(PlanProblem, IsCheckedEntryByEntry) {
  const auto refusal = [](std::vector<double> trunk, std::vector<double> exit, std::vector<double> accuracy,
                          double held = 0, int first_block = 0) {
    const auto ok = check(PlanProblem{trunk, exit, accuracy, held, first_block});
    return ok ? std::string() : ok.error().message;
  };
  EXPECT_EQ(refusal({1, 2}, {0, 0}, {0.5, 1}, 1, 2), "");
  EXPECT_EQ(refusal({}, {}, {}), "trunk: found 0 blocks; expected from 1 to 64");
  EXPECT_NE(refusal(std::vector<double>(65, 1), std::vector<double>(65, 1), std::vector<double>(65, 1)), "");
  EXPECT_EQ(refusal({1, 2}, {0}, {0.5, 1}), "exit: found 1 entries; expected as many as in trunk, 2");
  EXPECT_EQ(refusal({1, 2}, {0, 0}, {1}), "accuracy: found 1 entries; expected as many as in trunk, 2");
  EXPECT_EQ(refusal({1, -2}, {0, 0}, {0, 1}),
            "trunk[1]: found -2.000000; expected nanoseconds from 0 to 2^62");
  EXPECT_NE(refusal({1, 2}, {0, std::nan("")}, {0, 1}), "");
  EXPECT_NE(refusal({1, 2}, {0, HUGE_VAL}, {0, 1}), "");
  EXPECT_EQ(refusal({1, 2}, {0, 0}, {0, 1.5}), "accuracy[1]: found 1.500000; expected a number from 0 to 1");
  EXPECT_NE(refusal({1, 2}, {0, 0}, {std::nan(""), 1}), "");
  EXPECT_NE(refusal({1}, {0}, {1}, std::nan("")), "");
  EXPECT_NE(refusal({1}, {0}, {1}, 0, 2), "");
  EXPECT_NE(refusal({1}, {0}, {1}, 0, -1), "");
}

}  // namespace
}  // namespace einet
