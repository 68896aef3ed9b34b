// Urgent lanes and ranks, on a real einet-worker: what takes a core from whom, and whose processor time that
// is. Where this process may not take a real-time rank, the worker must say so instead, and what takes one is
// skipped.
#include <atomic>
#include <csignal>
#include <sched.h>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "config/daemon_config.h"
#include "config/ranks.h"
#include "daemon/worker/urgent_time.h"
#include "temporary_folder.h"
#include "worker_harness.h"

namespace einet::lane {
namespace {

using std::chrono::milliseconds;

// Always shows the same.
auto at(std::int64_t ns) {
  return [ns] { return Duration{ns}; };
}

TEST(UrgentTime, IsNotThatOfTheLaneBeside) {
  UrgentTime urgent;
  EXPECT_EQ(urgent.without(at(20)), Duration{20});
  urgent.begin(at(30));
  EXPECT_EQ(urgent.without(at(40)), Duration{30});
  urgent.end(at(50));
  EXPECT_EQ(urgent.without(at(60)), Duration{40});
  urgent.begin(at(70));
  urgent.end(at(75));
  EXPECT_EQ(urgent.without(at(80)), Duration{55});
}

// One who looks while a part ends sees it ended.
TEST(UrgentTime, IsNotSeenInTheMiddleOfAChange) {
  UrgentTime urgent;
  urgent.begin(at(50));
  std::atomic<bool> looked = false;
  Duration seen{};
  std::thread reader;
  urgent.end([&] {
    reader = std::thread([&] {
      seen = urgent.without([&] {
        looked = true;
        return Duration{100};
      });
    });
    while (!looked) std::this_thread::yield();
    return Duration{80};
  });
  reader.join();
  EXPECT_EQ(seen, Duration{70});
}

// Counted twice, a part that ends would set it back.
TEST(UrgentTime, NeverSetsTheLaneBesideBack) {
  constexpr int kParts = 100'000;
  std::atomic<std::int64_t> ticks = 0;
  const auto clock = [&] { return Duration{++ticks}; };
  UrgentTime urgent;
  std::atomic<bool> done = false;
  std::thread lane([&] {
    for (int part = 0; part < kParts; ++part) {
      urgent.begin(clock);
      urgent.end(clock);
    }
    done = true;
  });
  int back = 0;
  for (Duration last{}; !done;) {
    const Duration now = urgent.without(clock);
    if (now < last) ++back;
    last = now;
  }
  lane.join();
  EXPECT_EQ(back, 0);
}

constexpr ModelId kSlow{0}, kQuick{1};
constexpr int kBase = 0, kUrgent = 1;  // lanes
constexpr Duration kSlowTime = milliseconds(60), kQuickTime = milliseconds(15);
// The clocks of a block's begin and end and of its processor time may drift apart by 0.05 %.
constexpr Duration kDrift = milliseconds(1);

test::SyntheticPackage one_block(const std::string& name, Duration time) {
  test::SyntheticPackage want;
  want.name = name;
  want.trunk = {time};
  want.exit = {Duration{0}};
  return want;
}

enum class Reserved { no, yes };

class UrgentLane : public testing::Test {
 protected:
  static Configure configuration() {
    Configure configure;
    configure.backend = "synthetic";
    configure.lanes = 1;
    configure.cores = {Machine::here().cores.back()};
    configure.reserved_priority = kReservedLanePriority;
    configure.urgent_lanes = true;
    configure.urgent_priority = kUrgentLanePriority;
    return configure;
  }

  // False: it could not take its places, which is right only where nobody can; then it has said so.
  bool start(Configure configure) {
    const bool possible = Machine::here().no_real_time.empty();
    worker.emplace(std::move(configure));
    if (!possible) {
      EXPECT_NE(worker->receive<LogLine>().text.find("cannot get its real-time rank"), std::string::npos);
      EXPECT_NE(worker->receive<LogLine>().text.find("cannot get its real-time rank"), std::string::npos);
    }
    const Ready ready = worker->receive<Ready>();
    EXPECT_EQ(ready.places, possible ? Places::all : Places::missing);
    threads = ready.threads;
    worker->load(kSlow, test::write_synthetic_package(folder.path(), one_block("slow", kSlowTime)));
    worker->load(kQuick, test::write_synthetic_package(folder.path(), one_block("quick", kQuickTime)));
    return possible;
  }

  JobId post(int lane, ModelId model, Reserved reserved = Reserved::no) {
    ++grants;
    GrantMessage message = grant(grants, grants, 0, 1);
    message.blocks = 1;
    message.model = model;
    message.reserved_blocks = reserved == Reserved::yes ? 1 : 0;
    worker->channel->post(lane, message);
    return message.job;
  }

  struct Pair {
    Report slow, quick;
  };
  // A slow block on lane 0 and, posted while that is in progress, a quick one on `lane`. Tries again where
  // this thread did not run in time: while the slow one still had more to do than twice the quick one.
  Pair run_beside(int lane, Reserved reserved = Reserved::no) {
    for (;;) {
      const JobId slow = post(0, kSlow, reserved);
      wait_for_block();
      post(lane, kQuick);
      const std::optional<TimePoint> since = worker->channel->running_since(0);
      const bool in_time = since && worker->clock.now() - *since < kSlowTime - 2 * kQuickTime;
      const auto reports = worker->finish();
      EXPECT_EQ(reports.size(), 2U);
      if (!in_time) continue;
      return reports[0].job == slow ? Pair{reports[0], reports[1]} : Pair{reports[1], reports[0]};
    }
  }
  // Returns when lane 0 runs a block, or has run it already.
  void wait_for_block() {
    while (!worker->channel->running_since(0) && worker->channel->arm() == Arm::asleep) {
      std::this_thread::yield();
    }
  }

  // SCHED_… of lane 0 in the middle of a block.
  int policy_during_block(Reserved reserved) {
    for (;;) {
      post(0, kSlow, reserved);
      wait_for_block();
      ::kill(worker->pid, SIGSTOP);
      ::waitpid(worker->pid, nullptr, WUNTRACED);
      const bool in_time = worker->channel->running_since(0).has_value();
      const int seen = policy(0);
      ::kill(worker->pid, SIGCONT);
      worker->finish();
      if (in_time) return seen;
    }
  }
  // SCHED_… of lane 0 in an ordinary block with another one behind it, after one during which it was raised.
  int policy_after_raised_block(Reserved waits) {
    const sched_param parameter{.sched_priority = kReservedLanePriority};
    for (;;) {
      post(kBase, kSlow);
      post(kBase, kSlow);
      post(kBase, kQuick, waits);
      wait_for_block();
      EXPECT_EQ(::sched_setscheduler(threads[kBase], SCHED_FIFO | SCHED_RESET_ON_FORK, &parameter), 0);
      std::size_t ended = 0;
      while (ended == 0) {
        ended += *worker->channel->drain(worker->clock, [](const Report&) {});
        std::this_thread::yield();
      }
      ::kill(worker->pid, SIGSTOP);
      ::waitpid(worker->pid, nullptr, WUNTRACED);
      const bool in_time = ended == 1 && worker->channel->outstanding(kBase) == 2 &&
                           worker->channel->running_since(kBase).has_value();
      const int seen = policy(kBase);
      ::kill(worker->pid, SIGCONT);
      worker->finish();
      if (in_time) return seen;
    }
  }
  // SCHED_… of a lane's thread, now.
  int policy(int lane) const {
    return ::sched_getscheduler(threads.at(static_cast<std::size_t>(lane))) & ~SCHED_RESET_ON_FORK;
  }
  void wait_for_policy(int lane, int wanted) const {
    while (policy(lane) != wanted) std::this_thread::yield();
  }

  test::TemporaryFolder folder;
  std::optional<WorkerHarness> worker;
  std::vector<int> threads;  // of its lanes
  std::uint64_t grants = 0;
};

TEST_F(UrgentLane, TakesTheCoreFromTheBlockInProgressWhichGoesOnAfterwards) {
  if (!start(configuration())) GTEST_SKIP() << Machine::here().no_real_time;
  for (const Reserved reserved : {Reserved::no, Reserved::yes}) {
    const auto [base, urgent] = run_beside(kUrgent, reserved);
    EXPECT_EQ(base.finished, End::done);
    EXPECT_EQ(urgent.finished, End::done);
    EXPECT_GT(urgent.start, base.start);
    EXPECT_LT(urgent.end, base.end);
    // It stood still meanwhile: none of the urgent block's time is its own.
    EXPECT_GE(base.used, kSlowTime - kDrift);
    EXPECT_LE(base.used, base.end - base.start - (urgent.end - urgent.start) + kDrift);
  }
}

TEST_F(UrgentLane, BehindTheBlockOnItsOwnLaneTheSameJobWaitsForItsEnd) {  // the negative control
  start(configuration());
  const auto [slow, quick] = run_beside(kBase);
  EXPECT_GE(quick.start, slow.end);
}

Configure two_lanes_on_one_core() {
  Configure configure;
  configure.backend = "synthetic";
  configure.lanes = 2;
  configure.cores.assign(2, Machine::here().cores.back());
  configure.reserved_priority = kReservedLanePriority;
  return configure;
}

TEST_F(UrgentLane, OrdinaryWorkTakesNoCoreFromAReservedBlock) {
  if (!start(two_lanes_on_one_core())) GTEST_SKIP() << Machine::here().no_real_time;
  const auto [reserved, ordinary] = run_beside(1, Reserved::yes);
  EXPECT_GE(ordinary.end, reserved.end);
}

TEST_F(UrgentLane, OrdinaryBlocksShareTheirCore) {  // the negative control
  start(two_lanes_on_one_core());
  const auto [slow, quick] = run_beside(1);
  EXPECT_LT(quick.end, slow.end);
}

TEST_F(UrgentLane, ABaseLaneIsAtRealTimeRankOnlyForReservedWorkAndWhileItWaits) {
  if (!start(configuration())) GTEST_SKIP() << Machine::here().no_real_time;
  wait_for_policy(kBase, SCHED_FIFO);
  EXPECT_EQ(policy_during_block(Reserved::no), SCHED_OTHER);
  wait_for_policy(kBase, SCHED_FIFO);
  EXPECT_EQ(policy_during_block(Reserved::yes), SCHED_FIFO);
  EXPECT_EQ(policy(kUrgent), SCHED_FIFO);
}

TEST_F(UrgentLane, ARaisedBaseLaneIsOrdinaryAgainFromItsNextBoundaryOnUnlessReservedWorkWaits) {
  if (!start(configuration())) GTEST_SKIP() << Machine::here().no_real_time;
  for (const Reserved waits : {Reserved::no, Reserved::yes}) {
    EXPECT_EQ(policy_after_raised_block(waits), waits == Reserved::yes ? SCHED_FIFO : SCHED_OTHER);
  }
}

TEST_F(UrgentLane, AWorkerThatCannotHaveItsCoresSaysSoAndRunsAllTheSame) {
  Configure configure = configuration();
  configure.cores = {60000};
  configure.urgent_lanes = false;
  configure.reserved_priority = configure.urgent_priority = 0;
  worker.emplace(std::move(configure));
  EXPECT_NE(worker->receive<LogLine>().text.find("cannot be pinned to its cores"), std::string::npos);
  EXPECT_EQ(worker->receive<Ready>().places, Places::missing);
  worker->load(kQuick, test::write_synthetic_package(folder.path(), one_block("quick", kQuickTime)));
  post(kBase, kQuick);
  EXPECT_EQ(worker->finish().back().finished, End::done);
}

}  // namespace
}  // namespace einet::lane
