// The full fence in store_then_load: with it neither a doorbell nor a withdrawal is ever lost; without it
// (negative control) both happen. Not built for ThreadSanitizer, which takes a lock in every atomic
// operation, so that nothing is ever reordered there.
#include "ipc/lane/handshake.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "harness.h"
#include "ipc/lane/bell.h"

namespace einet::lane::test {
namespace {

using U32 = std::atomic<std::uint32_t>;

// Two threads that meet before every round.
class Meeting {
 public:
  void wait(std::uint32_t round) {
    arrived_.fetch_add(1);
    while (arrived_.load() < 2 * round) {
    }
  }

 private:
  alignas(64) U32 arrived_{0};
};

struct Cell {
  alignas(64) U32 mine{0};
  alignas(64) U32 theirs{0};
  std::uint32_t seen_by_me = 1;
  std::uint32_t seen_by_them = 1;
};

// Out of all caches: the next store to it takes long to be seen by others, and so do those behind it.
void make_cold([[maybe_unused]] std::vector<Cell>& cells) {
#if defined(__x86_64__)
  for (Cell& c : cells) __builtin_ia32_clflush(&c);
#endif
}

// How often, in `rounds` rounds of many handshakes, neither side saw the other; stops at the first.
template <Fence kFence>
int count_blind(std::uint32_t rounds) {
  const TwoCores cores;
  std::vector<Cell> cells(512);
  Meeting begin, end;
  std::atomic<bool> over{false};
  std::jthread other([&] {
    for (std::uint32_t round = 1; round <= rounds; ++round) {
      begin.wait(round);
      if (over.load()) return;
      for (Cell& c : cells) c.seen_by_them = store_then_load<kFence>(c.theirs, std::uint32_t{1}, c.mine);
      end.wait(round);
    }
  });
  cores.move(other.native_handle());
  int blind = 0;
  for (std::uint32_t round = 1; round <= rounds; ++round) {
    for (Cell& c : cells) c.mine.store(0), c.theirs.store(0);
    over.store(blind != 0);
    begin.wait(round);
    if (blind != 0) break;
    for (Cell& c : cells) c.seen_by_me = store_then_load<kFence>(c.mine, std::uint32_t{1}, c.theirs);
    end.wait(round);
    for (const Cell& c : cells) blind += c.seen_by_me == 0 && c.seen_by_them == 0;
  }
  return blind;
}

TEST(Handshake, AtLeastOneSideSeesTheOther) {
  EXPECT_EQ(count_blind<Fence::full>(300), 0);
}

TEST(Handshake, WithoutTheFenceBothMissEachOther) {
  EXPECT_GT(count_blind<Fence::none>(100'000), 0);
}

// A lane that goes to sleep again and again while a daemon rings: how often it slept although it had been
// rung for.
template <Fence kFence>
int count_lost_wakeups(std::uint32_t rings) {
  struct Words {
    alignas(64) U32 bell{0};
    alignas(64) U32 sleeping{0};
    alignas(64) U32 seen{0};
    alignas(64) U32 slept_with{0};  // what it had seen when it last went to sleep
  };
  const TwoCores cores;
  Words words;
  std::atomic<bool> over{false};
  std::jthread lane([&] {
    std::mt19937 random(9);
    std::uint32_t seen = 0;
    while (!over.load()) {
      // Work for about as long as a ring takes, so that the two meet.
      for (auto spins = random() % 2000; spins > 0; --spins)
        std::atomic_signal_fence(std::memory_order_seq_cst);
      while (words.bell.load(std::memory_order_acquire) == seen) {
        words.slept_with.store(seen, std::memory_order_release);
        sleep_on_bell(words.bell, seen, words.sleeping);
      }
      seen = words.bell.load(std::memory_order_acquire);
      words.seen.store(seen, std::memory_order_release);
    }
  });
  cores.move(lane.native_handle());
  std::mt19937 random(5);
  // A grant is some cold lines before the bell: it waits in the processor's store buffer until they are here.
  std::vector<Cell> grant(64);
  int lost = 0;
  for (std::uint32_t ring = 1; ring <= rings && lost == 0; ++ring) {
    for (auto spins = random() % 4000; spins > 0; --spins)
      std::atomic_signal_fence(std::memory_order_seq_cst);
    make_cold(grant);
    for (Cell& c : grant) c.mine.store(ring, std::memory_order_relaxed);
    const bool woke = ring_bell<kFence>(words.bell, words.sleeping);
    while (words.seen.load(std::memory_order_acquire) != ring) {
      // Asleep though the bell has changed and nobody woke it: the kernel would not have let it go to sleep
      // after. Unless this thread lost its core just now, and the lane has seen the bell and waits for the
      // next.
      if (futex_wake(words.bell) == 1 && !woke && words.slept_with.load(std::memory_order_acquire) != ring)
        ++lost;
    }
  }
  over.store(true);
  ring_bell(words.bell, words.sleeping);
  return lost;
}

TEST(Handshake, NoWakeUpIsLost) {
  EXPECT_EQ(count_lost_wakeups<Fence::full>(5'000), 0);
}

TEST(Handshake, WithoutTheFenceAWakeUpIsLost) {
  EXPECT_GT(count_lost_wakeups<Fence::none>(2'000'000), 0);
}

TEST(Handshake, ARaceForAGrantHasExactlyOneWinnerAndEveryOutcomeHappens) {
  // Withdrawn in time; taken and run; and both saw each other: told `taken`, then given up without a block.
  OneLane one;
  // On two cores, or the race is over before it begins.
  const TwoCores cores;
  cores.move(one.lanes.thread(0));
  std::array<int, 3> outcomes{};
  std::mt19937 random(3);
  std::uint64_t n = 0;
  while (std::find(outcomes.begin(), outcomes.end(), 0) != outcomes.end() && n < Log::kCapacity - 10) {
    const std::size_t ran_before = one.log->size.load();
    one.daemon.post(0, grant(++n, kBlocks - 1));
    one.daemon.post(0, grant(++n, kBlocks - 1));
    // From the first grant's block it is a fraction of a microsecond to the taking of the second.
    while (one.log->size.load() == ran_before) {
    }
    const auto most = 64U << random() % 7;
    for (auto spins = random() % most; spins > 0; --spins)
      std::atomic_signal_fence(std::memory_order_seq_cst);
    const GrantNumber raced{n};
    if (one.daemon.withdraw(0, raced) == Withdrawal::withdrawn) {
      ++outcomes[0];
      drain_until(one.daemon, [&] { return one.daemon.outstanding(0) == 0; });
      EXPECT_EQ(one.log->size.load(), ran_before + 1);
      continue;
    }
    const auto reports = drain_until(one.daemon, [&] { return one.daemon.outstanding(0) == 0; });
    const Report& last = reports.back();
    EXPECT_EQ(last.grant, raced);
    EXPECT_EQ(last.finished, last.block < 0 ? End::stopped : End::done);
    ++outcomes[last.block < 0 ? 2 : 1];
  }
  EXPECT_GT(outcomes[0], 0);
  EXPECT_GT(outcomes[1], 0);
  EXPECT_GT(outcomes[2], 0) << "after " << n / 2 << " races";
}

}  // namespace
}  // namespace einet::lane::test
