// A worker that writes anything into what it owns: the daemon's end says what was wrong, never crashes, and
// believes nothing that its grant does not allow.
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <limits>
#include <random>
#include <thread>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "harness.h"
#include "ipc/lane/record.h"

namespace einet::lane::test {
namespace {

// The worker's own view of `up`, and a daemon with a fixed clock.
struct Bench {
  DaemonEnd daemon = make_channel(1);
  Mapping mapping = *map_for_writing(daemon.up_fd(), ByteCount{up_bytes(1)});
  VirtualClock clock{TimePoint{Duration{1'000'000}}};
  std::vector<Report> reports;

  LaneUp& up() { return *reinterpret_cast<LaneUp*>(mapping.writable_data()); }
  Result<std::size_t> drain() {
    return daemon.drain(clock, [&](const Report& r) { reports.push_back(r); });
  }
};

struct Says {
  RecordData record;
  std::vector<float> scores;
};

// The first block of grant(1), with its exit.
Says first_block() {
  Says says;
  says.record.sequence = 1;
  says.record.grant = 1;
  says.record.job = 1001;
  says.record.block = 0;
  says.record.flags = kBlock | kExit;
  says.record.classes = kClasses;
  says.record.top_class = 2;
  says.record.start_ns = 100;
  says.record.end_ns = 200;
  says.record.confidence = 0.5F;
  says.scores.assign(kClasses, 0.05F);
  says.scores[2] = 0.5F;
  return says;
}

TEST(MadWorker, WhatAWorkingLaneSaysIsBelieved) {
  Bench bench;
  bench.daemon.post(0, grant(1, 0, ~ExitMask{0} >> (64 - kBlocks)));
  const Says says = first_block();
  commit(bench.up(), says.record, says.scores, [] {});
  EXPECT_TRUE(bench.drain().has_value());
  EXPECT_EQ(bench.reports.size(), 1U);
}

TEST(MadWorker, ABlockUsesNoMoreTimeThanPassed) {
  for (const auto& [says_ns, used] : {std::pair(50U, 50), {100U, 100}, {5000U, 100}, {kUsedTooLong, 100}}) {
    Bench bench;
    bench.daemon.post(0, grant(1, 0, exit_bit(0) | exit_bit(kBlocks - 1)));
    Says says = first_block();  // from 100 to 200
    says.record.used_ns = says_ns;
    commit(bench.up(), says.record, says.scores, [] {});
    EXPECT_TRUE(bench.drain().has_value());
    ASSERT_EQ(bench.reports.size(), 1U);
    EXPECT_EQ(bench.reports[0].used, Duration{used});
  }
}

TEST(MadWorker, EveryFieldIsChecked) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<std::pair<const char*, std::function<void(Says&)>>> lies{
      {"a grant never posted", [](Says& s) { s.record.grant = 3; }},
      {"a grant that is not its turn", [](Says& s) { s.record.grant = 2, s.record.job = 1002; }},
      {"grant 0", [](Says& s) { s.record.grant = 0; }},
      {"another job", [](Says& s) { s.record.job = 1002; }},
      {"a block too early", [](Says& s) { s.record.block = 1; }},
      {"a block that the model lacks", [](Says& s) { s.record.block = 200; }},
      {"ends before it starts", [](Says& s) { s.record.start_ns = 201; }},
      {"ends in the future", [](Says& s) { s.record.end_ns = 1'000'001; }},
      {"before time began", [](Says& s) { s.record.start_ns = std::numeric_limits<std::int64_t>::min(); }},
      {"no flags", [](Says& s) { s.record.flags = 0; }},
      {"an unknown flag", [](Says& s) { s.record.flags |= 32; }},
      {"done and stopped", [](Says& s) { s.record.flags |= kDone | kStopped; }},
      {"an exit of a block not executed", [](Says& s) { s.record.flags = kExit | kDone; }},
      {"failed after a block", [](Says& s) { s.record.flags = kBlock | kFailed; }},
      {"given up, though nobody withdrew it",
       [](Says& s) {
         s.record.flags = kStopped;
         s.record.job = 0;
         s.record.classes = 0;
         s.scores.clear();
       }},
      {"processor time without a block",
       [](Says& s) {
         s.record.flags = kStopped;
         s.record.used_ns = 1;
         s.record.classes = 0;
         s.scores.clear();
       }},
      {"scores without an exit", [](Says& s) { s.record.flags = kBlock; }},
      {"too few scores",
       [](Says& s) {
         s.record.classes = kClasses - 1;
         s.scores.pop_back();
       }},
      {"more scores than fit", [](Says& s) { s.record.classes = 5000; }},
      {"a class that the model lacks", [](Says& s) { s.record.top_class = kClasses; }},
      {"a huge class", [](Says& s) { s.record.top_class = ~0U; }},
      {"another score than the top class's", [](Says& s) { s.record.confidence = 0.4F; }},
      {"a confidence that is no number", [=](Says& s) { s.record.confidence = s.scores[2] = nan; }},
      {"a confidence above 1", [](Says& s) { s.record.confidence = s.scores[2] = 1.5F; }},
      {"a negative confidence", [](Says& s) { s.record.confidence = s.scores[2] = -0.1F; }},
      {"a score that is no number", [=](Says& s) { s.scores[7] = nan; }},
      {"an infinite score", [](Says& s) { s.scores[7] = std::numeric_limits<float>::infinity(); }},
      {"a record out of sequence", [](Says& s) { s.record.sequence = 1 + 2 * kRing; }},
  };
  for (const auto& [what, lie] : lies) {
    Bench bench;
    bench.daemon.post(0, grant(1, 0, exit_bit(0) | exit_bit(kBlocks - 1)));
    bench.daemon.post(0, grant(2));
    Says says = first_block();
    lie(says);
    commit(bench.up(), says.record, says.scores, [] {});
    const auto drained = bench.drain();
    ASSERT_FALSE(drained.has_value()) << what;
    EXPECT_TRUE(bench.reports.empty()) << what;
    // It stays broken.
    EXPECT_EQ(bench.drain().error().message, drained.error().message);
  }
}

TEST(MadWorker, CannotRunABlockTwiceNorGoOnAfterTheEnd) {
  for (const bool ended : {false, true}) {
    Bench bench;
    bench.daemon.post(0, grant(1, 0, exit_bit(0) | exit_bit(kBlocks - 1)));
    Says says = first_block();
    if (ended) says.record.flags |= kStopped;
    commit(bench.up(), says.record, says.scores, [] {});
    EXPECT_TRUE(bench.drain().has_value());
    says.record.sequence = 2;
    says.record.start_ns = says.record.end_ns = 300;
    if (ended) says.record.block = 1;
    commit(bench.up(), says.record, says.scores, [] {});
    EXPECT_FALSE(bench.drain().has_value());
  }
}

TEST(MadWorker, BlocksOfALaneCannotOverlap) {
  Bench bench;
  bench.daemon.post(0, grant(1, 0, exit_bit(0) | exit_bit(1) | exit_bit(kBlocks - 1)));
  Says says = first_block();
  commit(bench.up(), says.record, says.scores, [] {});
  says.record.sequence = 2;
  says.record.block = 1;
  says.record.start_ns = 199;
  commit(bench.up(), says.record, says.scores, [] {});
  EXPECT_FALSE(bench.drain().has_value());
  EXPECT_EQ(bench.reports.size(), 1U);
}

// Grant 1 rides with grant 2: two records of one block, then what `next` says.
struct BatchBench : Bench {
  BatchBench() {
    GrantMessage rider = grant(1, 0, exit_bit(0) | exit_bit(kBlocks - 1));
    rider.with = GrantNumber{2};
    daemon.post(0, rider);
    daemon.post(0, grant(2, 0, exit_bit(0) | exit_bit(kBlocks - 1)));
  }
  bool says(std::uint64_t number, std::uint8_t block, std::int64_t start_ns,
            std::uint8_t flags = kBlock | kExit) {
    Says says = first_block();
    says.record.sequence = ++records;
    says.record.grant = number;
    says.record.job = 1000 + number;
    says.record.block = block;
    says.record.flags = flags;
    says.record.start_ns = start_ns;
    says.record.end_ns = start_ns + 100;
    if ((flags & kExit) == 0) {
      says.record.classes = 0;
      says.scores.clear();
    }
    if ((flags & kBlock) == 0) says.record.start_ns = says.record.end_ns;
    commit(up(), says.record, says.scores, [] {});
    return drain().has_value();
  }
  // Both ran block 0, and grant 2 alone tells of block 1.
  bool parts() { return says(1, 0, 100) && says(2, 0, 100) && says(2, 1, 200); }
  std::uint64_t records = 0;
};

TEST(MadWorker, JobsOfABatchTellTheSameBlockThoseThatRideFirst) {
  BatchBench bench;
  EXPECT_TRUE(bench.says(1, 0, 100));
  EXPECT_TRUE(bench.says(2, 0, 100));
  EXPECT_EQ(bench.daemon.ran(0), Duration{100});
  EXPECT_TRUE(bench.says(1, 1, 200, kBlock | kStopped));
  EXPECT_TRUE(bench.says(2, 1, 200, kBlock | kStopped));
}

TEST(MadWorker, ABatchCannotBeTwoBlocksAtOnceNorPartSilently) {
  const std::vector<std::pair<const char*, std::function<bool(BatchBench&)>>> lies{
      {"other times", [](auto& b) { return b.says(1, 0, 100) && b.says(2, 0, 150); }},
      {"the next block at the same time", [](auto& b) { return b.says(1, 0, 100) && b.says(1, 1, 100); }},
      {"it goes on without the other for longer than blocks can be in flight",
       [](auto& b) { return b.parts() && b.says(2, 2, 300) && b.says(2, 3, 400) && b.says(2, 4, 500); }},
      {"the other, without which it went on, comes back",
       [](auto& b) { return b.parts() && b.says(1, 1, 300); }},
      {"or was stopped", [](auto& b) { return b.parts() && b.says(1, 1, 300, kStopped); }},
      {"it ends before that has failed",
       [](auto& b) { return b.parts() && b.says(2, 2, 300, kBlock | kExit | kStopped); }},
      {"it rides on after that has ended",
       [](auto& b) { return b.says(2, 0, 100, kBlock | kExit | kStopped) && b.says(1, 0, 200); }},
      {"it is done without a block after that has ended",
       [](auto& b) { return b.says(2, 0, 100, kBlock | kExit | kStopped) && b.says(1, 0, 200, kDone); }},
  };
  for (const auto& [what, lie] : lies) {
    BatchBench bench;
    EXPECT_FALSE(lie(bench)) << what;
  }
  BatchBench bench;
  EXPECT_TRUE(bench.says(2, 0, 100, kBlock | kExit | kStopped));
  EXPECT_TRUE(bench.says(1, 0, 200, kStopped)) << "it came too late";
}

TEST(MadWorker, AJobThatFailedMaySaySoWhenItsBlocksInFlightAreDone) {
  BatchBench bench;
  EXPECT_TRUE(bench.parts());
  EXPECT_TRUE(bench.says(2, 2, 300));
  EXPECT_TRUE(bench.says(2, 3, 400));
  EXPECT_TRUE(bench.says(1, 1, 500, kFailed));
  EXPECT_TRUE(bench.says(2, 4, 500));
}

TEST(MadWorker, MayGiveUpAGrantOnlyWhenItsWithdrawalCameLate) {
  // The lane says that it takes the grant, the daemon withdraws it, the lane sees that and gives it up.
  Bench bench;
  bench.daemon.post(0, grant(1));
  bench.up().taken[0].store(1);
  EXPECT_EQ(bench.daemon.withdraw(0, GrantNumber{1}), Withdrawal::taken);
  Says says = first_block();
  says.record.job = 0;
  says.record.flags = kStopped;
  says.record.classes = 0;
  commit(bench.up(), says.record, {}, [] {});
  EXPECT_TRUE(bench.drain().has_value());
  ASSERT_EQ(bench.reports.size(), 1U);
  EXPECT_EQ(bench.reports[0].finished, End::stopped);
  EXPECT_EQ(bench.reports[0].block, -1);
  EXPECT_EQ(bench.reports[0].job, JobId{1001});
  EXPECT_EQ(bench.daemon.outstanding(0), 0U);
}

TEST(MadWorker, GivingUpAWithdrawnGrantIsNotNews) {
  // The daemon withdrew in time, but the lane had looked before that: it says that it gives it up.
  Bench bench;
  bench.daemon.post(0, grant(1));
  EXPECT_EQ(bench.daemon.withdraw(0, GrantNumber{1}), Withdrawal::withdrawn);
  Says says = first_block();
  says.record.job = 0;
  says.record.flags = kStopped;
  says.record.classes = 0;
  commit(bench.up(), says.record, {}, [] {});
  const auto drained = bench.drain();
  ASSERT_TRUE(drained.has_value());
  EXPECT_EQ(*drained, 0U);
  EXPECT_TRUE(bench.reports.empty());
}

TEST(MadWorker, ThatRingsWithoutEndIsFound) {
  Bench bench;
  int rings = 0;
  for (; rings < 10'000; ++rings) {
    const std::uint64_t one = 1;
    ASSERT_EQ(::write(bench.daemon.doorbell_fd(), &one, sizeof one), 8);
    bench.daemon.disarm();
    if (!bench.drain()) break;
  }
  EXPECT_LT(rings, 10'000);
}

TEST(MadWorker, CannotMakeTheDaemonWaitAtTheDoorbell) {
  Bench bench;
  const int flags = ::fcntl(bench.daemon.doorbell_fd(), F_GETFL);
  ASSERT_EQ(::fcntl(bench.daemon.doorbell_fd(), F_SETFL, flags & ~O_NONBLOCK), 0);
  bench.daemon.disarm();  // returns
  EXPECT_EQ(bench.daemon.arm(), Arm::asleep);
}

// A lane that mostly works: what it should say next, now and then with a lie in one field.
RC_GTEST_PROP(MadWorker, AnyRecordIsRefusedOrKeepsToItsGrant, ()) {
  enum class Lie : std::uint8_t { none, grant, job, block, flags, start, end };
  Bench bench;
  bench.daemon.post(0, grant(1));
  bench.daemon.post(0, grant(2));
  const int records = *rc::gen::inRange(1, 2 * kBlocks + 2);
  std::uint64_t current = 1;
  std::uint8_t block = 0;
  for (int i = 0; i < records; ++i) {
    Says says = first_block();
    says.record.sequence = static_cast<std::uint64_t>(i + 1);
    says.record.grant = current;
    says.record.job = 1000 + current;
    says.record.block = block++;
    says.record.flags = *rc::gen::element<std::uint8_t>(kBlock, kBlock | kExit);
    says.record.start_ns = 100 * i;
    says.record.end_ns = 100 * (i + 1);
    if (block == kBlocks || *rc::gen::inRange(0, 4) == 0) {
      says.record.flags |= *rc::gen::element<std::uint8_t>(kDone, kStopped);
      ++current;
      block = 0;
    }
    if ((says.record.flags & kExit) == 0) {
      says.record.classes = 0;
      says.scores.clear();
    }
    switch (*rc::gen::weightedElement<Lie>({{60, Lie::none},
                                            {1, Lie::grant},
                                            {1, Lie::job},
                                            {1, Lie::block},
                                            {1, Lie::flags},
                                            {1, Lie::start},
                                            {1, Lie::end}})) {
      case Lie::none:
        break;
      case Lie::grant:
        says.record.grant = *rc::gen::inRange<std::uint64_t>(0, 4);
        break;
      case Lie::job:
        says.record.job = 1000 + *rc::gen::inRange<std::uint64_t>(0, 4);
        break;
      case Lie::block:
        says.record.block = *rc::gen::inRange<std::uint8_t>(0, kBlocks + 2);
        break;
      case Lie::flags:
        says.record.flags = *rc::gen::inRange<std::uint8_t>(0, 64);
        break;
      case Lie::start:
        says.record.start_ns = *rc::gen::inRange<std::int64_t>(-1, 1500);
        break;
      case Lie::end:
        says.record.end_ns = *rc::gen::inRange<std::int64_t>(-1, 1500);
        break;
    }
    commit(bench.up(), says.record, says.scores, [] {});
  }
  const bool sound = bench.drain().has_value();
  std::array<int, 3> next{};
  std::array<int, 3> ends{};
  TimePoint end{};
  for (const Report& report : bench.reports) {
    const std::uint64_t number = report.grant.value;
    RC_ASSERT(number == 1 || number == 2);
    RC_ASSERT(report.job.value == 1000 + number);
    RC_ASSERT(ends[number] == 0 && (number == 1 || ends[1] == 1));
    RC_ASSERT(report.start >= end && report.start <= report.end);
    if (report.block < 0) RC_ASSERT(report.finished != End::none);
    if (report.block >= 0) {
      RC_ASSERT(report.block == next[number]++ && report.block < kBlocks);
      end = report.end;
    }
    ends[number] += report.finished != End::none;
  }
  RC_CLASSIFY(!sound, "violations");
}

RC_GTEST_PROP(MadWorker, AnyBytesAreSurvived,
              (const std::vector<std::pair<std::uint16_t, std::uint8_t>>& bytes)) {
  Bench bench;
  bench.daemon.post(0, grant(1));
  for (const auto& [where, value] : bytes) {
    bench.mapping.writable_data()[where] = static_cast<std::byte>(value);
    const auto drained = bench.drain();
    RC_ASSERT(!drained || bench.reports.empty());
    bench.daemon.running_since(0);
    if (bench.daemon.arm() == Arm::asleep) bench.daemon.disarm();
  }
}

TEST(MadWorker, ThatScribblesAllTheTimeIsFoundAndHarmsNobody) {
  const SystemClock clock;
  int found = 0;
  for (unsigned seed = 1; seed <= 20; ++seed) {
    DaemonEnd daemon = make_channel(1);
    const auto mapping = map_for_writing(daemon.up_fd(), ByteCount{up_bytes(1)});
    ASSERT_TRUE(mapping.has_value());
    const std::jthread scribbler([&, seed](const std::stop_token& stop) {
      std::mt19937_64 random(seed);
      // The first pages: the sleeping word, what was taken, the ring.
      constexpr std::size_t kWords = (kLine * 3 + kRing * kLine) / 8;
      while (!stop.stop_requested()) {
        const std::uint64_t word = random() % 4 == 0 ? random() : random() % 300;
        std::memcpy(mapping->writable_data() + random() % kWords * 8, &word, 8);
      }
    });
    std::uint64_t number = 0;
    for (int i = 0; i < 5000; ++i) {
      if (daemon.outstanding(0) < kSlots) daemon.post(0, grant(++number));
      daemon.stop(0, GrantNumber{number});
      if (!daemon.drain(clock, [](const Report&) {})) {
        ++found;
        break;
      }
      if (daemon.arm() == Arm::asleep) daemon.disarm();
    }
  }
  EXPECT_GT(found, 0);
}

}  // namespace
}  // namespace einet::lane::test
