// Which exits the simple planners choose, and that none ever beats the exact search.
#include "planner/baselines.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "instance.h"

namespace einet {
namespace {

constexpr const char* kNames[] = {"all",    "static:25", "static:50", "static:100", "single",   "hybrid",
                                  "greedy", "hybrid:0",  "hybrid:9",  "random",     "random:7", "exact"};

struct Fixture {
  std::vector<double> trunk = std::vector<double>(8, 10.0), exit = std::vector<double>(8, 1.0);
  std::vector<double> accuracy = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8};
  PlanProblem problem(int first_block) const { return {trunk, exit, accuracy, 0, first_block}; }
};

ExitMask chosen(const char* planner, int first_block = 0) {
  const Fixture f;
  PlanSearch search;
  return make_plan(*parse_planner(planner), f.problem(first_block), *Survival::exponential(50), search).exits;
}

TEST(Planners, ChooseTheExitsTheyAreNamedFor) {
  EXPECT_EQ(chosen("all"), 0xffu);
  EXPECT_EQ(chosen("all", 3), 0xf8u);
  EXPECT_EQ(chosen("all", 8), 0u);
  EXPECT_EQ(chosen("static:25"), 0b10001000u);
  EXPECT_EQ(chosen("static:50"), 0b10101010u);
  EXPECT_EQ(chosen("static:50", 4), 0b10100000u);
  EXPECT_EQ(chosen("static:100"), 0xffu);
  EXPECT_EQ(chosen("single"), 0x80u);
  EXPECT_EQ(chosen("single", 8), 0u);
}

TEST(Planners, HaveNamesThatReadBack) {
  for (const char* text : kNames) {
    const auto planner = parse_planner(text);
    ASSERT_TRUE(planner) << text;
    EXPECT_EQ(name(*planner), text);
  }
}

TEST(Planners, RefuseUnknownNamesAndParametersOutOfRange) {
  const auto refusal = [](const char* text) {
    const auto planner = parse_planner(text);
    return planner ? std::string() : planner.error().message;
  };
  EXPECT_NE(refusal("exakt").find("did you mean \"exact\"?"), std::string::npos);
  EXPECT_EQ(refusal("hybrid:17"), "planner hybrid:N: found \"17\"; expected a whole number from 0 to 16");
  for (const char* text : {"", "static", "static:30", "hybrid:", "hybrid:-1", "hybrid:2x", "random:0",
                           "random:99999999999999999999", "EXACT", "exact ", "\n"}) {
    EXPECT_NE(refusal(text), "") << text;
    EXPECT_EQ(refusal(text).find('\n'), std::string::npos) << text;
  }
}

RC_GTEST_PROP(Planners, NoneIsAboveExactUpToTheLargestNetwork, ()) {
  PlanSearch search;
  for (const Instance& i : *rc::gen::container<std::vector<Instance>>(10, instances(kMaxBlocks))) {
    const Survival survival = i.survival();
    const Plan best = search.exact(i.problem(), survival);
    RC_ASSERT(search.gap() <= 1e-9);
    for (const char* text : kNames) {
      const Plan plan = make_plan(*parse_planner(text), i.problem(), survival, search);
      RC_ASSERT(plan.expected_accuracy == expected_accuracy(i.problem(), survival, plan.exits));
      RC_ASSERT(plan.expected_accuracy <= best.expected_accuracy + 1e-9);
    }
  }
}

}  // namespace
}  // namespace einet
