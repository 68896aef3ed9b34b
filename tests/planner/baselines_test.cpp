// Which exits the simple planners choose, and that none ever beats the exact search.
#include "planner/baselines.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "instance.h"

namespace einet {
namespace {

constexpr const char* kNames[] = {"all",    "static:25", "static:50", "static:100", "single",   "hybrid",
                                  "greedy", "hybrid:0",  "hybrid:9",  "random",     "random:7", "exact"};

ExitMask chosen(const char* planner, int first_block = 0, std::size_t blocks = 8) {
  const std::vector<double> trunk(blocks, 10.0), exit(blocks, 1.0), accuracy(blocks, 0.5);
  const PlanProblem problem{trunk, exit, accuracy, 0, first_block};
  PlanSearch search;
  return make_plan(*parse_planner(planner), problem, *Survival::exponential(50), search).exits;
}

TEST(Planners, ChooseTheExitsTheyAreNamedFor) {
  EXPECT_EQ(chosen("all"), 0xffu);
  EXPECT_EQ(chosen("all", 3), 0xf8u);
  EXPECT_EQ(chosen("all", 8), 0u);
  EXPECT_EQ(chosen("static:25"), 0b10000001u);
  EXPECT_EQ(chosen("static:50"), 0b10010101u);
  EXPECT_EQ(chosen("static:50", 4), 0b10010000u);
  EXPECT_EQ(chosen("static:100"), 0xffu);
  EXPECT_EQ(chosen("single"), 0x80u);
  EXPECT_EQ(chosen("single", 8), 0u);
}

TEST(Planners, OfAShareOfTheExitsBeginWithTheFirstOfAnyNetwork) {
  EXPECT_EQ(chosen("static:25", 0, 1), 1u);
  EXPECT_EQ(chosen("static:25", 0, 3), 0b001u);
  EXPECT_EQ(chosen("static:50", 0, 3), 0b101u);
  EXPECT_EQ(chosen("static:25", 0, 5), 0b10001u);
  EXPECT_EQ(chosen("static:50", 0, 21), 0b1'01010'10101'01010'10101u);
  EXPECT_EQ(chosen("static:100", 0, kMaxBlocks), ~ExitMask{0});
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
