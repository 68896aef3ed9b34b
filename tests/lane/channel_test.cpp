// The channel as a whole: random sequences of what a daemon may do, against lanes that run beside it. Every
// grant ends once, every block runs once, nothing of a stopped or withdrawn grant starts afterwards, and
// nobody sleeps through a wake-up.
#include <algorithm>
#include <map>
#include <random>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "harness.h"
#include "sanitized.h"

namespace einet::lane::test {
namespace {

// Throws, so that it fails a property and a test alike.
void require(bool condition, const char* words) {
  if (!condition) throw std::runtime_error(std::string("not so: ") + words);
}

enum class Act : std::uint8_t { post, post_batch, join, stop, withdraw, set_exits, drain, pause };

struct Step {
  Act act;
  std::uint32_t choice;  // which lane, which grant, which exits
};

// What the daemon did to a grant and heard of it.
struct History {
  GrantMessage message;
  int lane = 0;
  bool exits_changed = false;
  bool withdrawn = false;
  bool told_taken = false;
  std::optional<TimePoint> stopped_at;
  std::vector<Report> reports;
  bool ended = false;
};

class Driver {
 public:
  Driver(DaemonEnd& daemon, Log* logs, int in_flight) : daemon_(daemon), logs_(logs), in_flight_(in_flight) {}

  void run(const std::vector<Step>& steps) {
    for (const Step& step : steps) perform(step);
    // Now sleep until everything has ended, as the daemon does.
    while (any_outstanding()) {
      daemon_.disarm();
      drain();
      if (!any_outstanding() || daemon_.arm() == Arm::reports_waiting) continue;
      if (!wait_for_ring(daemon_)) throw std::runtime_error("nobody rang though grants are outstanding");
    }
  }

  void check() const {
    std::map<std::pair<std::uint64_t, int>, std::pair<int, int>> executed;  // job, block -> times, exits
    for (int lane = 0; lane < daemon_.lanes(); ++lane) {
      const Log& log = logs_[lane];
      for (std::size_t i = 0; i < log.size.load(); ++i) {
        auto& [times, exits] = executed[{log.entries[i].job, log.entries[i].block}];
        ++times;
        exits += log.entries[i].exit;
      }
    }
    for (const auto& [key, history] : grants_) {
      check(history);
      for (const Report& report : history.reports) {
        if (report.block < 0) continue;
        if (history.message.with != GrantNumber{}) check_together(report, history);
        const auto it = executed.find({report.job.value, report.block});
        require(it != executed.end(), "it != executed.end()");
        require(it->second.first == 1, "it->second.first == 1");
        require(it->second.second == (report.answer ? 1 : 0), "it->second.second == (report.answer ? 1 : 0)");
        executed.erase(it);
      }
    }
    require(executed.empty(), "executed.empty()");  // nothing ran that was not reported
  }

 private:
  void perform(const Step& step) {
    const int lane = static_cast<int>(step.choice % static_cast<std::uint32_t>(daemon_.lanes()));
    const ExitMask exits = (step.choice / 7) & (exit_bit(kBlocks) - 1);
    switch (step.act) {
      case Act::post:
        return post(lane, first_block(step), exits, {});
      case Act::post_batch: {
        const std::uint64_t riders = step.choice / 5 % kMaxBatch;
        if (daemon_.outstanding(lane) + riders >= kSlots) return;
        const GrantNumber leader{number_ + riders + 1};
        for (std::uint64_t i = 0; i < riders; ++i) post(lane, first_block(step), exits >> i, leader);
        post(lane, first_block(step), exits, {});
        return;
      }
      case Act::join: {  // perhaps too late
        for (auto it = grants_.rbegin(); it != grants_.rend(); ++it) {
          const GrantMessage& leader = it->second.message;
          if (it->second.lane != lane || leader.with != GrantNumber{} || it->second.withdrawn) continue;
          return post(lane, leader.first_block, exits, leader.number);
        }
        return;
      }
      case Act::stop:
        if (History* history = some_outstanding(step.choice)) {
          daemon_.stop(history->lane, history->message.number);
          if (!history->stopped_at) history->stopped_at = clock_.now();
        }
        return;
      case Act::withdraw:
        if (History* history = some_outstanding(step.choice)) {
          for (auto& [key, other] : grants_) {
            const bool rides = other.lane == history->lane && other.message.with == history->message.number;
            if (rides && !other.ended && !other.told_taken) withdraw(other);
          }
          withdraw(*history);
        }
        return;
      case Act::set_exits:
        if (History* history = some_outstanding(step.choice)) {
          history->exits_changed = true;
          daemon_.set_exits(history->lane, history->message.number, exits);
        }
        return;
      case Act::drain:
        drain();
        return;
      case Act::pause:
        std::this_thread::yield();
        return;
    }
  }

  static int first_block(const Step& step) { return static_cast<int>(step.choice / 3 % kBlocks); }

  void post(int lane, int first, ExitMask exits, GrantNumber with) {
    if (daemon_.outstanding(lane) >= kSlots) return;
    GrantMessage message = grant(++number_, first, exits | exit_bit(kBlocks - 1));
    message.with = with;
    History& history = grants_[{lane, number_}];
    history.message = message;
    history.lane = lane;
    daemon_.post(lane, message);
  }

  void withdraw(History& history) {
    if (daemon_.withdraw(history.lane, history.message.number) == Withdrawal::withdrawn) {
      history.withdrawn = history.ended = true;
    } else {
      history.told_taken = true;
    }
  }

  // A block of a grant that rides is one with that of the grant that it rides with.
  void check_together(const Report& report, const History& history) const {
    const History& leader = grants_.at({history.lane, history.message.with.value});
    const bool together = std::any_of(leader.reports.begin(), leader.reports.end(), [&](const Report& other) {
      return other.block == report.block && other.start == report.start && other.end == report.end;
    });
    require(together, "a block of a batch is the same for all");
  }

  void drain() {
    const auto handed_over = daemon_.drain(clock_, [&](const Report& report) {
      History& history = grants_.at({report.lane, report.grant.value});
      require(!history.ended, "!history.ended");
      history.reports.push_back(report);
      history.reports.back().scores = {};
      history.ended = report.finished != End::none;
    });
    if (!handed_over) throw std::runtime_error(handed_over.error().message);
  }

  void check(const History& history) const {
    require(history.ended, "history.ended");
    if (history.withdrawn) {
      require(history.reports.empty(), "history.reports.empty()");
      return;
    }
    int next = history.message.first_block;
    int started_late = 0;
    for (const Report& report : history.reports) {
      require(report.job == history.message.job, "report.job == history.message.job");
      if (report.block >= 0) {
        require(report.block == next++, "report.block == next++");
        require(report.start <= report.end, "report.start <= report.end");
        started_late += history.stopped_at && report.start >= *history.stopped_at;
        if (!history.exits_changed) {
          require(report.answer.has_value() == ((history.message.exits & exit_bit(report.block)) != 0),
                  "report.answer.has_value() == ((history.message.exits & exit_bit(report.block)) != 0)");
        }
      }
    }
    require(started_late < in_flight_, "after a stop only what was in flight starts");
    const End end = history.reports.back().finished;
    require(end == End::done || end == End::stopped, "end == End::done || end == End::stopped");
    if (end == End::stopped)
      require(history.stopped_at || history.told_taken || history.message.with != GrantNumber{},
              "history.stopped_at || history.told_taken, or it rides");
    if (end == End::done && !history.exits_changed) require(next == kBlocks, "next == kBlocks");
  }

  bool any_outstanding() const {
    for (int lane = 0; lane < daemon_.lanes(); ++lane) {
      if (daemon_.outstanding(lane) != 0) return true;
    }
    return false;
  }

  // One that may be stopped or withdrawn (not withdrawn before).
  History* some_outstanding(std::uint32_t choice) {
    std::vector<History*> candidates;
    for (auto it = grants_.rbegin(); it != grants_.rend() && candidates.size() < 2 * kSlots; ++it) {
      if (!it->second.ended && !it->second.told_taken) candidates.push_back(&it->second);
    }
    return candidates.empty() ? nullptr : candidates[choice % candidates.size()];
  }

  DaemonEnd& daemon_;
  Log* logs_;
  const int in_flight_;
  SystemClock clock_;
  std::uint64_t number_ = 0;
  std::map<std::pair<int, std::uint64_t>, History> grants_;
};

template <class Lanes>
void play(const std::vector<Step>& steps, int in_flight) {
  const Shared<std::array<Log, 2>> logs;
  DaemonEnd daemon = make_channel(2);
  Driver driver(daemon, logs->data(), in_flight);
  {
    const Lanes lanes(daemon, logs->data(), in_flight);
    driver.run(steps);
  }
  driver.check();
}

rc::Gen<std::vector<Step>> some_steps() {
  // Weighted towards what happens often.
  const auto act = rc::gen::weightedElement<Act>({{4, Act::post},
                                                  {2, Act::post_batch},
                                                  {2, Act::join},
                                                  {3, Act::stop},
                                                  {3, Act::withdraw},
                                                  {2, Act::set_exits},
                                                  {3, Act::drain},
                                                  {1, Act::pause}});
  const auto step = rc::gen::map(rc::gen::pair(act, rc::gen::arbitrary<std::uint32_t>()), [](auto pair) {
    return Step{pair.first, pair.second};
  });
  return rc::gen::container<std::vector<Step>>(step);
}

void showValue(const Step& step, std::ostream& out) {
  out << static_cast<int>(step.act) << ":" << step.choice;
}

RC_GTEST_PROP(LaneChannel, EveryGrantEndsOnceAndEveryBlockRunsOnceOnThreads, ()) {
  play<ThreadLanes>(*some_steps(), *rc::gen::element(1, 2, kMaxInFlight));
}

RC_GTEST_PROP(LaneChannel, EveryGrantEndsOnceAndEveryBlockRunsOnceInProcesses, ()) {
  play<ProcessLanes>(*some_steps(), *rc::gen::element(1, 2, kMaxInFlight));
}

std::vector<Step> many_steps(int count) {
  std::mt19937 random(7);
  const std::array acts{Act::post,     Act::post,     Act::post_batch, Act::join,  Act::stop, Act::stop,
                        Act::withdraw, Act::withdraw, Act::set_exits,  Act::drain, Act::drain};
  std::vector<Step> steps(static_cast<std::size_t>(count));
  for (Step& step : steps) step = {acts[random() % acts.size()], static_cast<std::uint32_t>(random())};
  return steps;
}

TEST(LaneChannel, KeepsItsPromisesOverALongRunOnThreads) {
  for (const int in_flight : {1, 2, kMaxInFlight})
    play<ThreadLanes>(many_steps(einet::test::cases(15'000)), in_flight);
}

TEST(LaneChannel, KeepsItsPromisesOverALongRunInProcesses) {
  for (const int in_flight : {1, 2, kMaxInFlight})
    play<ProcessLanes>(many_steps(einet::test::cases(15'000)), in_flight);
}

TEST(LaneChannel, RunsFromTheFirstBlockToTheHighestExit) {
  OneLane one;
  one.daemon.post(0, grant(1, 1, exit_bit(2) | exit_bit(4)));
  const auto reports = drain_until(one.daemon, [&] { return one.daemon.outstanding(0) == 0; });
  ASSERT_EQ(reports.size(), 4U);
  for (int i = 0; i < 4; ++i) {
    const Report& report = reports[static_cast<std::size_t>(i)];
    EXPECT_EQ(report.block, i + 1);
    EXPECT_EQ(report.answer.has_value(), i == 1 || i == 3);
    EXPECT_EQ(report.finished, i == 3 ? End::done : End::none);
  }
  EXPECT_EQ(reports[1].answer->top_class, 2);
  EXPECT_EQ(reports[1].answer->confidence, 0.5F);
  // A boundary is one instant.
  EXPECT_EQ(reports[1].start, reports[0].end);
  EXPECT_EQ(reports[1].previous, reports[0].end);
  EXPECT_FALSE(reports[0].previous.has_value());
}

TEST(LaneChannel, WhatRidesIsRunWithItAndEndsWithIt) {
  OneLane one;
  const auto rider = [](std::uint64_t number, ExitMask exits) {
    GrantMessage message = grant(number, 0, exits);
    message.with = GrantNumber{3};
    return message;
  };
  one.daemon.post(0, rider(1, exit_bit(0)));
  one.daemon.post(0, rider(2, exit_bit(kBlocks - 1)));
  one.daemon.post(0, grant(3, 0, exit_bit(2)));
  const auto reports = drain_until(one.daemon, [&] { return one.daemon.outstanding(0) == 0; });
  ASSERT_EQ(reports.size(), 1U + 3U + 3U);
  std::map<std::uint64_t, std::vector<Report>> of;
  for (const Report& report : reports) of[report.grant.value].push_back(report);
  EXPECT_EQ(of[1].back().finished, End::done) << "its last exit";
  EXPECT_EQ(of[2].back().finished, End::stopped) << "that which it rides with ends";
  EXPECT_EQ(of[3].back().finished, End::done);
  for (const std::uint64_t number : {1U, 2U}) {
    for (std::size_t b = 0; b < of[number].size(); ++b) {
      EXPECT_EQ(of[number][b].start, of[3][b].start);
      EXPECT_EQ(of[number][b].end, of[3][b].end);
    }
  }
  EXPECT_EQ(one.daemon.ran(0), of[3].back().end - of[3].front().start) << "a batch counts once";
}

TEST(LaneChannel, WhatComesTooLateToRideEndsWithoutABlock) {
  OneLane one;
  one.daemon.post(0, grant(1));
  drain_until(one.daemon, [&] { return one.daemon.outstanding(0) == 0; });
  GrantMessage late = grant(2);
  late.with = GrantNumber{1};
  one.daemon.post(0, late);
  const auto reports = drain_until(one.daemon, [&] { return one.daemon.outstanding(0) == 0; });
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].finished, End::stopped);
  EXPECT_EQ(reports[0].block, -1);
}

TEST(LaneChannel, AStoppedGrantThatHasNotBegunEndsWithoutABlock) {
  // No lane yet: what is posted waits for it.
  const Shared<Log> log;
  DaemonEnd daemon = make_channel(1);
  daemon.post(0, grant(1));
  daemon.post(0, grant(2));
  daemon.stop(0, GrantNumber{1});
  const ThreadLanes lanes(daemon, &*log);
  const auto reports = drain_until(daemon, [&] { return daemon.outstanding(0) == 0; });
  ASSERT_EQ(reports.size(), 1U + kBlocks);
  EXPECT_EQ(reports[0].grant, GrantNumber{1});
  EXPECT_EQ(reports[0].block, -1);
  EXPECT_EQ(reports[0].finished, End::stopped);
}

TEST(LaneChannel, AGrantMayBeWithdrawnAndPostedAnewWithoutEnd) {
  // Many more times than there are slots, while no lane looks.
  const Shared<Log> log;
  DaemonEnd daemon = make_channel(1);
  daemon.post(0, grant(1));
  for (std::uint64_t n = 2; n < 1000; ++n) {
    daemon.post(0, grant(n));
    EXPECT_EQ(daemon.withdraw(0, GrantNumber{n}), Withdrawal::withdrawn);
  }
  daemon.post(0, grant(1000));
  const ThreadLanes lanes(daemon, &*log);
  const auto reports = drain_until(daemon, [&] { return daemon.outstanding(0) == 0; });
  ASSERT_EQ(reports.size(), 2U * kBlocks);
  EXPECT_EQ(reports.back().grant, GrantNumber{1000});
}

TEST(LaneChannel, AGrantThatTheWorkerCannotRunFailsAndTheLaneLives) {
  OneLane one;
  GrantMessage elsewhere = grant(1);
  elsewhere.model = ModelId{7};
  one.daemon.post(0, elsewhere);
  one.daemon.post(0, grant(2));
  const auto reports = drain_until(one.daemon, [&] { return one.daemon.outstanding(0) == 0; });
  ASSERT_EQ(reports.size(), 1U + kBlocks);
  EXPECT_EQ(reports[0].finished, End::failed);
  EXPECT_EQ(reports[0].block, -1);
  EXPECT_EQ(reports.back().finished, End::done);
}

TEST(LaneChannel, ADaemonThatDoesNotDrainMakesTheLaneWaitAndLosesNothing) {
  // Six grants of 64 blocks are more records than the ring holds.
  OneLane one;
  for (std::uint64_t n = 1; n <= 6; ++n) {
    GrantMessage message = grant(n, 0, exit_bit(63));
    message.blocks = kMaxBlocks;
    message.classes = kClasses;
    one.daemon.post(0, message);
  }
  while (one.log->size.load() < kRing) std::this_thread::yield();
  std::size_t blocks = 0;
  for (const Report& report : drain_until(one.daemon, [&] { return one.daemon.outstanding(0) == 0; })) {
    blocks += report.block >= 0;
  }
  EXPECT_EQ(blocks, 6U * kMaxBlocks);
}

// The negative control of the next test: a lane that never looks at its stop word.
void run_deaf_lane(LaneEnd& lane, LaneProgram& program) {
  while (const auto grant = lane.next_grant()) {
    TimePoint boundary = lane.at_boundary().now;
    program.begin(*grant, 0);
    for (int block = grant->first_block; block < kBlocks; ++block) {
      program.trunk(block, 1);
      BlockDone done;
      done.block = block;
      done.start = boundary;
      done.end = boundary = lane.at_boundary().now;
      lane.report(done, block + 1 == kBlocks ? End::done : End::none);
    }
    program.end(0, kBlocks);
  }
}

// A program whose block 0 lasts until the grant was stopped.
class GatedProgram final : public LaneProgram {
 public:
  explicit GatedProgram(const std::atomic<bool>& stopped) : stopped_(stopped) {}
  End begin(const GrantMessage&, std::size_t) override { return End::none; }
  bool trunk(int, Jobs) override {
    while (!stopped_.load()) std::this_thread::yield();
    return true;
  }
  Jobs exit(int, Jobs jobs) override { return jobs; }
  bool launch(int, Jobs, Jobs) override { return true; }
  Jobs await(int block, Jobs jobs, Jobs) override { return trunk(block, jobs) ? jobs : 0; }
  std::span<const float> scores(std::size_t) const override { return {}; }
  void end(std::size_t, int) override {}

 private:
  const std::atomic<bool>& stopped_;
};

// Blocks that began after their grant was stopped.
template <class Run>
int count_late_starts(Run&& run) {
  const SystemClock clock;
  std::atomic<bool> stopped{false};
  DaemonEnd daemon = make_channel(1);
  const std::jthread lane([&] {
    const WorkerEnd worker = worker_of(daemon);
    LaneEnd end = worker.lane(0, clock);
    GatedProgram program(stopped);
    run(end, program);
  });
  daemon.post(0, grant(1));
  while (!daemon.running_since(0)) std::this_thread::yield();
  daemon.stop(0, GrantNumber{1});
  const TimePoint stopped_at = clock.now();
  stopped.store(true);
  int late = 0;
  for (const Report& report : drain_until(daemon, [&] { return daemon.outstanding(0) == 0; })) {
    late += report.block >= 0 && report.start >= stopped_at;
  }
  daemon.close();
  return late;
}

TEST(LaneChannel, NoBlockStartsAfterItsGrantWasStopped) {
  EXPECT_EQ(count_late_starts([](auto& lane, auto& program) { run_lane(lane, program); }), 0);
}

TEST(LaneChannel, OnlyBlocksInFlightStartAfterTheirGrantWasStopped) {
  for (int in_flight = 2; in_flight <= kMaxInFlight; ++in_flight) {
    EXPECT_LT(count_late_starts([&](auto& lane, auto& program) { run_lane(lane, program, in_flight); }),
              in_flight);
  }
}

TEST(LaneChannel, BlocksOfALaneThatDoesNotLookStartAfterTheStop) {
  EXPECT_EQ(count_late_starts(run_deaf_lane), kBlocks - 1);
}

}  // namespace
}  // namespace einet::lane::test
