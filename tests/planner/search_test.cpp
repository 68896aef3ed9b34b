// The exact search against every subset of exits, and against every other planner.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "instance.h"
#include "planner/baselines.h"
#include "planner/label_search.h"
#include "planner/planner.h"

namespace einet {
namespace {

constexpr double kExact = 1e-9;
constexpr int kInstances = 5000;

// What `search` finds is as good as the best of all subsets, and its gain is the one of its plan.
template <class Search>
bool finds_the_best(Search& search, const Instance& i) {
  const Survival survival = i.survival();
  const Chain chain(i.problem(), survival);
  const auto found = search.best(chain, survival);
  const double worth = expected_accuracy(i.problem(), survival, found.exits);
  return std::abs(worth - (i.held + found.gain)) <= kExact && worth >= brute_force(i) - kExact;
}

// How many of kInstances random problems `search` does not solve exactly.
template <class Search>
int failures(Search search) {
  const auto gen = instances(10);
  rc::Random random(7);
  int failed = 0;
  for (int k = 0; k < kInstances; ++k) {
    const Instance i = gen(random.split(), rc::kNominalSize).value();
    if (!finds_the_best(search, i)) ++failed;
  }
  return failed;
}

RC_GTEST_PROP(PlanSearch, EqualsBruteForce, ()) {
  PlanSearch search;
  for (const Instance& i : *rc::gen::container<std::vector<Instance>>(50, instances(14))) {
    const Plan plan = search.exact(i.problem(), i.survival());
    if (plan.expected_accuracy < brute_force(i) - kExact) RC_FAIL("a subset is better");
    RC_ASSERT(plan.expected_accuracy == expected_accuracy(i.problem(), i.survival(), plan.exits));
    RC_ASSERT(plan.exits >> i.first_block << i.first_block == plan.exits || i.first_block == kMaxBlocks);
    RC_ASSERT(search.gap() <= kExact);
  }
}

TEST(LabelSearch, EqualsBruteForceOnEveryKindOfSurvival) {
  EXPECT_EQ(failures(LabelSearch<>(1 << 14)), 0);
}

// Negative controls: the check above sees a domination rule that is wrong.
struct LargestGainWins {
  bool operator()(const Label&, const Label&) const { return true; }  // only the earliest label survives
};
struct SmallLeadCounts {
  bool operator()(const Label& a, const Label& b) const { return a.gain >= b.gain - 0.05; }
};

TEST(LabelSearch, WithADominationRuleThatIgnoresTheGainMissesBestPlans) {
  EXPECT_GT(failures(LabelSearch<LargestGainWins>(1 << 14)), 0);
}

TEST(LabelSearch, WithADominationRuleThatIsTooGenerousMissesBestPlans) {
  EXPECT_GT(failures(LabelSearch<SmallLeadCounts>(1 << 14)), 0);
}

}  // namespace
}  // namespace einet
