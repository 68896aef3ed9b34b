// Records: a worker killed anywhere in the middle of writing one leaves no record. Negative control: a writer
// that commits first leaves halves, and the checksum is what finds them.
#include "ipc/lane/record.h"

#include <array>
#include <csignal>
#include <numeric>
#include <random>
#include <sys/wait.h>

#include <gtest/gtest.h>

#include "harness.h"

namespace einet::lane::test {
namespace {

using Scores = std::array<float, kMaxClasses>;

RecordData some_record(std::uint64_t sequence) {
  RecordData record;
  record.sequence = sequence;
  record.grant = 17;
  record.job = 99;
  record.block = 3;
  record.flags = kBlock | kExit | kDone;
  record.classes = kClasses;
  record.top_class = 4;
  record.start_ns = 1000;
  record.end_ns = 2000;
  record.confidence = 0.25F;
  record.used_ns = 800;
  return record;
}

std::array<float, kClasses> some_scores() {
  std::array<float, kClasses> scores;
  std::iota(scores.begin(), scores.end(), 1.0F);
  return scores;
}

TEST(Record, ComesOutOfTheRingAsItWentIn) {
  const Shared<LaneUp> up;
  Scores scores{};
  for (std::uint64_t sequence = 1; sequence <= 3 * kRing; ++sequence) {
    RecordData out;
    EXPECT_EQ(fetch(*up, sequence, out, scores), Fetched::nothing);
    commit(*up, some_record(sequence), some_scores(), [] {});
    ASSERT_EQ(fetch(*up, sequence, out, scores), Fetched::record);
    EXPECT_EQ(out, some_record(sequence));
    EXPECT_EQ(scores[9], 10.0F);
  }
}

TEST(Record, WithAnyFieldChangedIsNonsense) {
  const Shared<LaneUp> up;
  Record& in_ring = up->ring[1];
  Scores scores{};
  RecordData out;
  auto check = [&](auto& word, auto value) {
    commit(*up, some_record(1), some_scores(), [] {});
    ASSERT_NE(word.load(), value);
    word.store(value);
    EXPECT_EQ(fetch(*up, 1, out, scores), Fetched::nonsense);
  };
  check(in_ring.sequence, std::uint64_t{2});
  check(in_ring.grant, std::uint64_t{18});
  check(in_ring.job, std::uint64_t{98});
  check(in_ring.what, ~std::uint64_t{0});
  check(in_ring.start_ns, std::uint64_t{1001});
  check(in_ring.end_ns, std::uint64_t{2001});
  check(in_ring.answer, std::uint64_t{0});
  check(in_ring.checksum, std::uint64_t{0});
  check(up->scores[1][9], 0.0F);
}

TEST(Record, OfARoundAgoIsNotTakenForANewOne) {
  const Shared<LaneUp> up;
  Scores scores{};
  RecordData out;
  commit(*up, some_record(1), some_scores(), [] {});
  EXPECT_EQ(fetch(*up, 1 + kRing, out, scores), Fetched::nothing);
  EXPECT_EQ(fetch(*up, 1 + 2 * kRing, out, scores), Fetched::nonsense);
}

// The negative control: the same stores, the commit word first.
template <class Step>
void commit_first(LaneUp& up, const RecordData& data, std::span<const float> scores, Step step) {
  step();
  up.ring[data.sequence % kRing].sequence.store(data.sequence, std::memory_order_release);
  commit(up, data, scores, step);
}

// Lets a process write records 1 and 2 and kills it before store number `cut` of the second; what is there
// then? Nothing: it was not killed any more.
enum class Writer { commit_last, commit_first };
std::optional<Fetched> fetch_after_death(Writer writer, int cut) {
  const Shared<LaneUp> up;
  const pid_t pid = ::fork();
  if (pid == 0) {
    int left = cut;
    auto die_in_time = [&] {
      if (left-- == 0) ::raise(SIGKILL);
    };
    commit(*up, some_record(1), some_scores(), [] {});
    if (writer == Writer::commit_last) {
      commit(*up, some_record(2), some_scores(), die_in_time);
    } else {
      commit_first(*up, some_record(2), some_scores(), die_in_time);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  RecordData out;
  Scores scores{};
  EXPECT_EQ(fetch(*up, 1, out, scores), Fetched::record);
  const Fetched second = fetch(*up, 2, out, scores);
  if (!WIFSIGNALED(status)) {
    EXPECT_EQ(second, Fetched::record);
    return std::nullopt;
  }
  return second;
}

TEST(Record, OfAWorkerKilledInTheMiddleIsNotThere) {
  int cut = 0;
  while (const auto fetched = fetch_after_death(Writer::commit_last, cut)) {
    EXPECT_EQ(*fetched, Fetched::nothing) << "killed before store " << cut;
    ++cut;
  }
  EXPECT_EQ(cut, kClasses + 8);  // every store was tried
}

TEST(Record, CommittedFirstIsFoundTornByTheChecksum) {
  int torn = 0;
  for (int cut = 1; const auto fetched = fetch_after_death(Writer::commit_first, cut); ++cut) {
    torn += *fetched == Fetched::nonsense;
  }
  EXPECT_GE(torn, kClasses);
}

TEST(Record, AWorkerKilledAtAnyTimeLeavesOnlyWholeRecordsInOrder) {
  std::mt19937 random(11);
  const SystemClock clock;
  for (int round = 0; round < 30; ++round) {
    const Shared<Log> log;
    DaemonEnd daemon = make_channel(1);
    const ProcessLanes lanes(daemon, &*log);
    std::uint64_t number = 0;
    std::size_t blocks = 0;
    auto drain = [&] {
      const auto drained = daemon.drain(clock, [&](const Report& r) { blocks += r.block >= 0; });
      EXPECT_TRUE(drained.has_value()) << drained.error().message;
    };
    for (auto left = 20 + random() % 200; left > 0; --left) {
      while (daemon.outstanding(0) == kSlots) drain();
      daemon.post(0, grant(++number));
    }
    ::kill(lanes.pid(0), SIGKILL);
    ::waitpid(lanes.pid(0), nullptr, 0);
    drain();
    // A block is written down before it is reported: at most the one in progress is not.
    const std::size_t executed = log->size.load();
    EXPECT_TRUE(blocks == executed || blocks + 1 == executed) << blocks << " of " << executed;
  }
}

}  // namespace
}  // namespace einet::lane::test
