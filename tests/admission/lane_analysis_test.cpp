// The analysis of one lane: examples that are worked by hand, in whole nanoseconds.
#include "scheduler/admission/lane_analysis.h"

#include <limits>

#include <gmock/gmock.h>

namespace einet {
namespace {

using Verdict = LaneBound::Verdict;
using ::testing::HasSubstr;

Duration ns(std::int64_t n) {
  return Duration{n};
}

LaneTask task(const std::string& name, std::int64_t period, std::int64_t deadline,
              const std::vector<std::int64_t>& blocks, int priority = 0, Access access = Access::waits) {
  LaneTask t{.name = name,
             .period = ns(period),
             .deadline = ns(deadline),
             .priority = priority,
             .blocks = {},
             .access = access};
  for (const std::int64_t block : blocks) t.blocks.push_back(ns(block));
  return t;
}

std::vector<LaneBound> bounds(const LaneLoad& load) {
  Effort effort;
  return analyse(load, effort);
}

TEST(LaneAnalysis, LoneTaskTakesItsOwnTime) {
  const auto b = bounds({.tasks = {task("a", 10, 4, {1, 3})}, .servers = {}});
  EXPECT_EQ(b[0].verdict, Verdict::fits);
  EXPECT_EQ(b[0].response, ns(4));
  EXPECT_EQ(b[0].blocking, ns(0));
}

TEST(LaneAnalysis, BlockOfLessUrgentWorkCountsButItsLastNanosecond) {
  LaneLoad load{.policy = Policy::fixed_priority,
                .tasks = {task("a", 10, 5, {2}, 2), task("b", 40, 40, {4, 4}, 1)},
                .servers = {}};
  auto b = bounds(load);
  EXPECT_EQ(b[0].blocking, ns(3));
  EXPECT_EQ(b[0].response, ns(5));
  EXPECT_EQ(b[0].verdict, Verdict::fits);
  EXPECT_THAT(b[0].limit, HasSubstr("3ns blocking by \"b\""));
  load.tasks[1].blocks[1] = ns(5);
  b = bounds(load);
  EXPECT_EQ(b[0].response, ns(6));
  EXPECT_EQ(b[0].verdict, Verdict::misses);
}

TEST(LaneAnalysis, LastBlockIsNotInterrupted) {
  // b: 4 + 6, a released at 0 and at 10 (the second finds b's last block running, and waits).
  const auto b = bounds({.policy = Policy::fixed_priority,
                         .tasks = {task("a", 10, 10, {2}, 2), task("b", 40, 40, {4, 6}, 1)},
                         .servers = {}});
  EXPECT_EQ(b[1].response, ns(12));
  EXPECT_EQ(b[0].response, ns(7));
}

TEST(LaneAnalysis, LaterJobOfABusyTimeMayBeTheWorst) {
  // Bril, Lukkien, Verhaegh 2009, the idea of figure 2: with U = 1 and b not interrupted at all; the jobs of
  // b take 62, 54, 46, 58 and 50.
  const auto b = bounds({.policy = Policy::fixed_priority,
                         .tasks = {task("a", 50, 100, {20}, 2), task("b", 70, 70, {42}, 1)},
                         .servers = {}});
  EXPECT_EQ(b[1].response, ns(62));
  // Interrupted anywhere but in its last 12, the first job ends at 62 too, the second needs 74 - 10.
  EXPECT_EQ(b[0].response, ns(61));
}

TEST(LaneAnalysis, EarliestDeadlineFirstCountsDeadlinesUpToItsOwn) {
  // a waits for 7 of b's 8; b has its deadline after a's second: 8 + 2 * 2.
  const auto b = bounds(
      {.policy = Policy::edf, .tasks = {task("a", 10, 9, {2}), task("b", 30, 20, {8})}, .servers = {}});
  EXPECT_EQ(b[0].response, ns(9));
  EXPECT_EQ(b[0].blocking, ns(7));
  EXPECT_EQ(b[1].response, ns(10));
}

TEST(LaneAnalysis, FifoWaitsForAllThatCameBefore) {
  const auto b = bounds(
      {.policy = Policy::fifo, .tasks = {task("a", 10, 5, {2}), task("b", 30, 20, {8})}, .servers = {}});
  EXPECT_EQ(b[0].response, ns(9));  // b came 1 ns before
  EXPECT_EQ(b[1].response, ns(10));
  EXPECT_EQ(b[0].verdict, Verdict::misses);
  EXPECT_EQ(b[1].verdict, Verdict::fits);
}

TEST(LaneAnalysis, OverloadHasNoBound) {
  const auto b = bounds({.policy = Policy::fixed_priority,
                         .tasks = {task("a", 10, 10, {5}, 2), task("b", 10, 100, {6}, 1)},
                         .servers = {}});
  EXPECT_EQ(b[0].verdict, Verdict::fits);
  EXPECT_EQ(b[1].verdict, Verdict::overload);
}

TEST(LaneAnalysis, ServerMayRunTwiceInARow) {
  // The end of one window and the beginning of the next: 2 * 3 before a's block.
  const auto b = bounds(
      {.tasks = {task("a", 100, 100, {4})}, .servers = {{.name = "t", .amount = ns(3), .period = ns(20)}}});
  EXPECT_EQ(b[0].response, ns(10));
}

TEST(LaneAnalysis, WhoTakesTheCoreWaitsForNoBaseBlock) {
  LaneLoad load{.policy = Policy::fixed_priority,
                .tasks = {task("a", 20, 5, {2}, 3, Access::takes), task("b", 40, 40, {4}, 2, Access::takes)},
                .servers = {},
                .less_urgent_block = ns(30)};
  const auto b = bounds(load);
  EXPECT_EQ(b[0].blocking, ns(3));  // b, once it has the core
  EXPECT_EQ(b[0].response, ns(5));
  EXPECT_EQ(b[1].blocking, ns(0));
  // b has the core, or a has; a may take it from b's block if b runs on the base lane.
  EXPECT_EQ(b[1].response, ns(6));
}

TEST(LaneAnalysis, ThoseWhoWaitMayBeOvertakenByThoseWhoDoNot) {
  const auto b = bounds({.policy = Policy::fixed_priority,
                         .tasks = {task("a", 40, 40, {2}, 3), task("b", 40, 10, {4}, 2, Access::takes)},
                         .servers = {},
                         .less_urgent_block = ns(11)});
  // 10 for the block, 4 for b, which took the core from it, and its own 2.
  EXPECT_EQ(b[0].response, ns(16));
  EXPECT_EQ(b[1].response, ns(6));
}

TEST(LaneAnalysis, WhoTakesTheCoreMayMeetWorkThatWaitedForABlock) {
  // w waits for 10 of the block; then a comes, with a deadline after w's, and waits for w's 4.
  LaneLoad load{.policy = Policy::edf,
                .tasks = {task("a", 100, 20, {2}, 0, Access::takes), task("w", 100, 25, {4})},
                .servers = {},
                .less_urgent_block = ns(11)};
  EXPECT_EQ(bounds(load)[0].response, ns(6));
  load.less_urgent_block = ns(1);
  EXPECT_EQ(bounds(load)[0].response, ns(2));
}

TEST(LaneAnalysis, HugeTimesDoNotOverflow) {
  const std::int64_t most = kForever.count() - 1;
  const auto b = bounds({.policy = Policy::edf,
                         .tasks = {task("a", most, most, {most, most}), task("b", 1, most, {1})},
                         .servers = {{.name = "t", .amount = ns(most), .period = ns(most)}},
                         .less_urgent_block = ns(most)});
  EXPECT_NE(b[0].verdict, Verdict::fits);
  EXPECT_NE(b[1].verdict, Verdict::fits);
  const auto c = bounds({.policy = Policy::edf,
                         .tasks = {task("a", most, most, {most / 2}), task("b", most, most, {most / 3})},
                         .servers = {}});
  EXPECT_EQ(c[0].verdict, Verdict::fits);
}

TEST(LaneAnalysis, PrioritiesMayBeAnyNumber) {
  constexpr int kLeast = std::numeric_limits<int>::min();
  constexpr int kMost = std::numeric_limits<int>::max();
  const auto b = bounds({.policy = Policy::fixed_priority,
                         .tasks = {task("a", 10, 10, {2}, kMost), task("b", 40, 40, {4}, kLeast)},
                         .servers = {}});
  EXPECT_EQ(b[0].response, ns(5));
  EXPECT_EQ(b[1].response, ns(6));
}

TEST(LaneAnalysis, GivesUpOnSetsThatTakeTooLong) {
  // U = 1 - 1e-15, and a block that is never caught up with.
  Effort effort{100'000};
  const LaneLoad load{.policy = Policy::edf,
                      .tasks = {task("a", 3, 3, {1}), task("b", 1'500'000'000'000'000, 4'000'000'000'000'000,
                                                           {999'999'999'999'999})},
                      .servers = {},
                      .less_urgent_block = ns(1)};
  EXPECT_EQ(analyse(load, effort)[1].verdict, Verdict::unknown);
  EXPECT_EQ(effort.left, 0u);
}

}  // namespace
}  // namespace einet
