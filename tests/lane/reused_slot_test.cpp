// Slots that are used anew: what a lane sees of them while the daemon writes the next grant, whose words come
// before its number. The memory is the test's own, so that it can be stopped half way.
#include <array>
#include <memory>

#include <gtest/gtest.h>

#include "harness.h"

namespace einet::lane::test {
namespace {

struct Memory {
  Down down{};
  LaneDown posted{};
};
static_assert(offsetof(Memory, posted) == sizeof(Down), "Down::lanes");

class ReusedSlot : public testing::Test {
 protected:
  static constexpr std::size_t kFirst = 0, kSecond = 1;

  // The first half of DaemonEnd::post; the number of the slot's last grant still stands.
  void write(std::size_t slot, GrantNumber with) {
    GrantSlot& to = memory_->posted.slot[slot];
    to.exits = exit_bit(kBlocks - 1);
    to.classes = kClasses;
    to.blocks = kBlocks;
    to.with = with.value;
  }
  // The second half.
  void publish(std::size_t slot, GrantNumber number) {
    LaneDown& posted = memory_->posted;
    posted.number[slot] = number.value;
    if (posted.slot[slot].with != 0) posted.newest_rider = number.value;
    posted.newest = number.value;
  }
  void post(std::size_t slot, GrantNumber number, GrantNumber with = {}) {
    write(slot, with);
    publish(slot, number);
  }

  // Grant 1 with number 2, which joined it, from the beginning to the end.
  void run_two() {
    post(kFirst, GrantNumber{1});
    post(kSecond, GrantNumber{2}, GrantNumber{1});
    ASSERT_EQ(lane.next_grant()->number, GrantNumber{1});
    ASSERT_EQ(lane.take_riders().size(), 1U);
    lane.report_end(End::done, 0, 1);
    lane.report_end(End::done, 0, 0);
  }

  // The number of records so far.
  std::uint64_t reported() const {
    std::uint64_t records = 0;
    while (up_->ring[records + 1].sequence == records + 1) ++records;
    return records;
  }

 private:
  const std::unique_ptr<Memory> memory_ = std::make_unique<Memory>();
  const std::unique_ptr<LaneUp> up_ = std::make_unique<LaneUp>();
  const SystemClock clock_{};

 protected:
  LaneEnd lane{memory_->down, up_.get(), 0, -1, clock_};
};

TEST_F(ReusedSlot, OfOneThatJoinedIsNotTakenForTheNextGrantWhileThatIsWritten) {
  run_two();
  write(kSecond, {});
  EXPECT_FALSE(lane.has_work()) << "grant 2 once more, with the words of grant 3";
  publish(kSecond, GrantNumber{3});
  ASSERT_TRUE(lane.has_work());
  EXPECT_EQ(lane.next_grant()->number, GrantNumber{3});
}

TEST_F(ReusedSlot, OfOneThatLedIsNotTakenForOneThatRidesWhileThatIsWritten) {
  run_two();
  post(kSecond, GrantNumber{3});
  ASSERT_EQ(lane.next_grant()->number, GrantNumber{3});
  write(kFirst, GrantNumber{3});
  EXPECT_TRUE(lane.take_riders().empty()) << "grant 1 once more, with the words of grant 4";
  publish(kFirst, GrantNumber{4});
  const auto riders = lane.take_riders();
  ASSERT_EQ(riders.size(), 1U);
  EXPECT_EQ(riders[0].number, GrantNumber{4});
}

TEST_F(ReusedSlot, OfOneThatLedIsNotEndedAsOneThatCameTooLateWhileThatIsWritten) {
  run_two();
  post(kSecond, GrantNumber{3}, GrantNumber{1});
  write(kFirst, GrantNumber{1});
  lane.give_up_late();
  EXPECT_EQ(reported(), 3U) << "grant 3 came too late; grant 1 ended before";
  publish(kFirst, GrantNumber{4});
  lane.give_up_late();
  EXPECT_EQ(reported(), 4U);
}

}  // namespace
}  // namespace einet::lane::test
