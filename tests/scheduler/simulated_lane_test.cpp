// A simulated lane alone: what it does with grants, and how its block stands still while another lane has the
// core.
#include "scheduler/simulation/simulated_lane.h"

#include <gtest/gtest.h>

#include "script.h"

namespace einet {
namespace {

struct FixedWork : SimulatedWork {
  int blocks(JobId) override { return 5; }
  Duration trunk(JobId, int, int) override { return Duration{10}; }
  Duration exit(JobId, int, int) override { return Duration{4}; }
  std::optional<ExitAnswer> answer(JobId, int exit) override { return ExitAnswer{.exit = exit}; }
};

struct ALane : testing::Test {
  void post(std::uint64_t number, ExitMask exits) {
    lane.post(
        {.lane = {}, .number = GrantNumber{number}, .job = JobId{number}, .first_block = 0, .exits = exits});
  }
  FixedWork work;
  SimulatedLane lane{LaneId{0}, work};
};

TEST_F(ALane, ReportsABlockWithItsExitAndThenTheEndOfItsGrant) {
  post(1, 0b10);
  lane.act(at(0));
  ASSERT_EQ(lane.next_event(), at(10));
  lane.act(at(10));
  lane.act(at(20));
  EXPECT_EQ(lane.next_event(), at(24));
  lane.act(at(24));
  const std::vector<LaneRecord> records = lane.take_records();
  ASSERT_EQ(records.size(), 3u);
  EXPECT_FALSE(records[0].block->answer.has_value());
  EXPECT_EQ(records[1].block->start, at(10));
  EXPECT_EQ(records[1].block->end, at(24));
  EXPECT_EQ(records[1].block->used, Duration{14});
  EXPECT_EQ(records[1].block->answer->exit, 1);
  EXPECT_EQ(records[2].ended, GrantEnd::done);
  EXPECT_FALSE(lane.in_block());
}

TEST_F(ALane, ExecutesTheLastExitWhateverItIsToldWhileTheTrunkRuns) {
  post(1, 0b10000);
  for (const int t : {0, 10, 20, 30, 40}) lane.act(at(t));
  lane.set_exits(GrantNumber{1}, 0b1000);
  lane.act(at(50));
  lane.act(at(54));
  const std::vector<LaneRecord> records = lane.take_records();
  ASSERT_EQ(records.size(), 6u);
  EXPECT_FALSE(records[3].block->answer.has_value());
  EXPECT_EQ(records[4].block->answer->exit, 4);
  EXPECT_EQ(records[5].ended, GrantEnd::done);
}

TEST_F(ALane, RunsWhatRidesAtTheSameTimeAndLetsAllPartWithTheOneThatLeads) {
  const auto ride = [&](std::uint64_t number, ExitMask exits) {
    lane.post({.lane = {},
               .number = GrantNumber{number},
               .job = JobId{number},
               .first_block = 0,
               .exits = exits,
               .with = GrantNumber{3}});
  };
  ride(1, 0b1);
  ride(2, 0b100);
  post(3, 0b10);
  lane.act(at(0));
  ride(4, 0b1);  // too late
  lane.act(at(10));
  lane.act(at(14));
  EXPECT_EQ(lane.next_event(), at(24));
  std::string found;
  const auto tell = [&] {
    for (const LaneRecord& r : lane.take_records()) {
      found += std::to_string(r.grant.value);
      found += r.block ? "@" + std::to_string(r.block->end.time_since_epoch().count()) + "/" +
                             std::to_string(r.block->used.count()) + (r.block->answer ? "! " : " ")
               : *r.ended == GrantEnd::done ? "done "
                                            : "stopped ";
    }
  };
  tell();
  EXPECT_EQ(found, "1@14/4! 2@14/4 3@14/6 1done 4stopped ") << "block 0, with the exit of one of them";
  lane.act(at(24));
  lane.act(at(28));
  found.clear();
  tell();
  EXPECT_EQ(found, "2@28/7 3@28/7! 2stopped 3done ");
}

struct TwoInFlight : FixedWork {
  int in_flight(JobId) override { return 2; }
  void commits(JobId, int block) override { committed.push_back(block); }
  std::vector<int> committed;
};

TEST(ALaneWithTwoBlocksInFlight, DecidesABlockWhenTheOneBeforeBegins) {
  TwoInFlight work;
  SimulatedLane lane(LaneId{0}, work);
  lane.post({.lane = {}, .number = GrantNumber{1}, .job = JobId{1}, .first_block = 0, .exits = 0b11111});
  lane.act(at(0));
  EXPECT_EQ(work.committed, (std::vector{0, 1}));
  lane.set_exits(GrantNumber{1}, 0b10000);  // too late for these two
  lane.act(at(10));
  lane.act(at(14));
  EXPECT_EQ(work.committed, (std::vector{0, 1, 2}));
  lane.stop(GrantNumber{1});
  for (const int t : {24, 28, 38}) lane.act(at(t));
  const std::vector<LaneRecord> records = lane.take_records();
  ASSERT_EQ(records.size(), 4u);
  EXPECT_TRUE(records[0].block->answer && records[1].block->answer);
  EXPECT_FALSE(records[2].block->answer) << "block 2";
  EXPECT_EQ(records[3].ended, GrantEnd::stopped);
}

TEST(ALaneWithTwoBlocksInFlight, RunsReservedBlocksOneByOne) {
  TwoInFlight work;
  SimulatedLane lane(LaneId{0}, work);
  lane.post({.lane = {},
             .number = GrantNumber{1},
             .job = JobId{1},
             .first_block = 0,
             .exits = 0b10000,
             .reserved_blocks = 2});
  lane.act(at(0));
  EXPECT_EQ(work.committed, (std::vector{0}));
  lane.act(at(10));
  EXPECT_EQ(work.committed, (std::vector{0, 1}));
  lane.act(at(20));
  EXPECT_EQ(work.committed, (std::vector{0, 1, 2, 3}));
}

TEST_F(ALane, StandsStillWhileItIsSuspendedAndDoesNotCountThatTime) {
  post(1, 0b1);
  lane.act(at(0));
  lane.suspend(at(3));
  EXPECT_EQ(lane.next_event(), kNever);
  lane.suspend(at(5));  // it is already
  lane.act(at(30));
  lane.resume(at(50));
  EXPECT_EQ(lane.next_event(), at(57));
  lane.suspend(at(52));  // a second time in one block
  lane.resume(at(60));
  ASSERT_EQ(lane.next_event(), at(65));
  lane.act(at(65));
  lane.suspend(at(66));  // now in its exit
  lane.resume(at(70));
  ASSERT_EQ(lane.next_event(), at(73));
  lane.act(at(73));
  const std::vector<LaneRecord> records = lane.take_records();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].block->start, at(0));
  EXPECT_EQ(records[0].block->end, at(73));
  EXPECT_EQ(records[0].block->used, Duration{14});
}

TEST_F(ALane, GoesOnAtTheInstantOfItsSuspensionAndThenStandsStill) {
  post(1, 0b10);
  lane.act(at(0));
  lane.suspend(at(10));
  EXPECT_EQ(lane.take_records().size(), 1u);
  EXPECT_TRUE(lane.in_block());
  lane.stop(GrantNumber{1});
  lane.resume(at(20));
  lane.act(at(30));
  lane.act(at(34));
  const std::vector<LaneRecord> records = lane.take_records();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].block->start, at(10));
  EXPECT_EQ(records[0].block->used, Duration{14});
}

TEST_F(ALane, BeginsWhatIsPostedDuringASuspensionAfterIt) {
  lane.suspend(at(0));
  post(1, 0b1);
  lane.act(at(0));
  EXPECT_TRUE(lane.waits(GrantNumber{1}));
  EXPECT_FALSE(lane.in_block());
  lane.resume(at(7));
  lane.act(at(7));
  EXPECT_EQ(lane.next_event(), at(17));
}

}  // namespace
}  // namespace einet
