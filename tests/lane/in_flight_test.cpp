// Several blocks of a grant in flight, step by step. The lane runs on the test's own thread; its program
// writes down what it is told to do, and in the middle of it does what a daemon might do.
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness.h"

namespace einet::lane::test {
namespace {

using testing::ElementsAre;

constexpr ExitMask kLast = exit_bit(kBlocks - 1);

// The jobs of a batch by their numbers; "" for one alone.
std::string in_words(LaneProgram::Jobs jobs) {
  if (jobs == 1) return "";
  std::string text = "[";
  for (int n = 0; n < kMaxBatch; ++n) {
    if ((jobs >> n & 1) != 0) text += std::to_string(n);
  }
  return text + "]";
}

class Script final : public LaneProgram {
 public:
  // What else happens in a step.
  std::map<std::string, std::function<void()>> at;
  // The jobs for which a step fails.
  std::map<std::string, Jobs> fails;
  std::vector<std::string> steps;
  std::function<void()> when_over;

  End begin(const GrantMessage&, std::size_t) override { return End::none; }
  bool trunk(int block, Jobs jobs) override { return take("trunk", block, jobs) != 0; }
  Jobs exit(int block, Jobs jobs) override { return take("exit", block, jobs); }
  bool launch(int block, Jobs jobs, Jobs answers) override {
    return take("launch", block, jobs, answers == 0 ? "" : " with exit" + in_words(answers)) != 0;
  }
  Jobs await(int block, Jobs jobs, Jobs) override { return take("await", block, jobs); }
  std::span<const float> scores(std::size_t) const override { return scores_; }
  void end(std::size_t n, int next_block) override {
    steps.push_back("end " + std::to_string(n) + " before " + std::to_string(next_block));
    if (n == 0) when_over();
  }

 private:
  Jobs take(const char* what, int block, Jobs jobs, const std::string& with = "") {
    const std::string step = what + (" " + std::to_string(block)) + in_words(jobs);
    steps.push_back(step + with);
    if (at.contains(step)) at[step]();
    return fails.contains(step) ? jobs & ~fails[step] : jobs;
  }

  const std::array<float, kClasses> scores_{1};
};

class InFlight : public testing::Test {
 protected:
  // A grant, and one that rides with it, as number 1 of its batch.
  static constexpr GrantNumber kRides{1}, kLeads{2};

  void post(ExitMask exits, int reserved_blocks = 0) {
    GrantMessage message = grant(kLeads.value, 0, exits);
    message.reserved_blocks = reserved_blocks;
    daemon.post(0, message);
  }
  void post_rider(ExitMask exits) {
    GrantMessage message = grant(kRides.value, 0, exits);
    message.with = kLeads;
    daemon.post(0, message);
  }

  // Runs what was posted to its end.
  void run(int in_flight) {
    const WorkerEnd worker = worker_of(daemon);
    LaneEnd lane = worker.lane(0, clock);
    program.when_over = [this] { daemon.close(); };
    run_lane(lane, program, in_flight);
    const auto drained = daemon.drain(clock, [&](const Report& report) {
      std::string text = report.grant == kLeads ? "leader" : "rider";
      if (report.block >= 0) text += " " + std::to_string(report.block);
      if (report.answer) text += " with exit";
      if (report.finished == End::done) text += ", done";
      if (report.finished == End::stopped) text += ", stopped";
      if (report.finished == End::failed) text += ", failed";
      reports.push_back(text);
    });
    EXPECT_TRUE(drained.has_value()) << drained.error().message;
    EXPECT_EQ(daemon.outstanding(0), 0U);
  }

  SystemClock clock;
  DaemonEnd daemon = make_channel(1);
  Script program;
  std::vector<std::string> reports;
};

TEST_F(InFlight, TheNextBlockIsLaunchedBeforeTheOldestIsAwaited) {
  post(exit_bit(1) | kLast);
  run(2);
  EXPECT_THAT(program.steps, ElementsAre("launch 0", "launch 1 with exit", "await 0", "launch 2", "await 1",
                                         "launch 3", "await 2", "launch 4", "await 3", "launch 5 with exit",
                                         "await 4", "await 5", "end 0 before 6"));
  EXPECT_THAT(reports, ElementsAre("leader 0", "leader 1 with exit", "leader 2", "leader 3", "leader 4",
                                   "leader 5 with exit, done"));
}

TEST_F(InFlight, AsManyAsMayBeButNoMore) {
  post(kLast);
  run(kMaxInFlight);
  EXPECT_THAT(program.steps, ElementsAre("launch 0", "launch 1", "launch 2", "launch 3", "await 0",
                                         "launch 4", "await 1", "launch 5 with exit", "await 2", "await 3",
                                         "await 4", "await 5", "end 0 before 6"));
}

TEST_F(InFlight, OneAtATimeReadsTheExitsBehindTheTrunk) {
  post(kLast);
  program.at["trunk 0"] = [&] { daemon.set_exits(0, kLeads, exit_bit(0) | exit_bit(1)); };
  run(1);
  EXPECT_THAT(program.steps, ElementsAre("trunk 0", "exit 0", "trunk 1", "exit 1", "end 0 before 2"));
}

// Exits that end before the last block say: make room there. Who is past it has only the last exit left.
TEST_F(InFlight, TheLastBlockExecutesItsExitWhateverIsToldWhileItsTrunkRuns) {
  post(kLast);
  program.at["trunk 5"] = [&] { daemon.set_exits(0, kLeads, exit_bit(4)); };
  run(1);
  EXPECT_THAT(program.steps, ElementsAre("trunk 0", "trunk 1", "trunk 2", "trunk 3", "trunk 4", "trunk 5",
                                         "exit 5", "end 0 before 6"));
}

TEST_F(InFlight, BehindAStopWhatIsInFlightRunsToItsEnd) {
  post(kLast);
  program.at["await 1"] = [&] { daemon.stop(0, kLeads); };
  run(3);
  EXPECT_THAT(program.steps, ElementsAre("launch 0", "launch 1", "launch 2", "await 0", "launch 3", "await 1",
                                         "await 2", "await 3", "end 0 before 4"));
  EXPECT_THAT(reports, ElementsAre("leader 0", "leader 1", "leader 2", "leader 3, stopped"));
}

TEST_F(InFlight, ExitsCountAsTheyAreWhenABlockIsLaunched) {
  post(kLast);
  program.at["await 0"] = [&] { daemon.set_exits(0, kLeads, exit_bit(1) | exit_bit(2)); };
  run(2);
  EXPECT_THAT(program.steps, ElementsAre("launch 0", "launch 1", "await 0", "launch 2 with exit", "await 1",
                                         "await 2", "end 0 before 3"));
  EXPECT_THAT(reports, ElementsAre("leader 0", "leader 1", "leader 2 with exit, done"));
}

TEST_F(InFlight, ReservedBlocksRunOneAtATime) {
  post(kLast, 2);
  run(3);
  EXPECT_THAT(program.steps, ElementsAre("launch 0", "await 0", "launch 1", "await 1", "launch 2", "launch 3",
                                         "launch 4", "await 2", "launch 5 with exit", "await 3", "await 4",
                                         "await 5", "end 0 before 6"));
}

TEST_F(InFlight, ExitsAddedWhileSomethingIsInFlightLetTheGrantGoOn) {
  post(kLast);
  program.at["await 0"] = [&] { daemon.set_exits(0, kLeads, exit_bit(1)); };
  program.at["await 1"] = [&] { daemon.set_exits(0, kLeads, exit_bit(2)); };
  run(2);
  EXPECT_THAT(reports, ElementsAre("leader 0", "leader 1", "leader 2 with exit, done"));
}

TEST_F(InFlight, ARiderThatIsDoneEarlierEndsWithItsLastBlockAndDoesNotComeBack) {
  post_rider(exit_bit(0));
  post(exit_bit(3));
  program.at["launch 1"] = [&] { daemon.set_exits(0, kRides, kLast); };
  run(2);
  EXPECT_THAT(program.steps, ElementsAre("launch 0[01] with exit[1]", "launch 1", "await 0[01]", "launch 2",
                                         "end 1 before 1", "await 1", "launch 3 with exit", "await 2",
                                         "await 3", "end 0 before 4"));
  EXPECT_THAT(reports, ElementsAre("rider 0 with exit, done", "leader 0", "leader 1", "leader 2",
                                   "leader 3 with exit, done"));
}

TEST_F(InFlight, ARiderThatIsStoppedEndsBehindItsBlocksInFlight) {
  post_rider(kLast);
  post(exit_bit(3));
  program.at["await 0[01]"] = [&] { daemon.stop(0, kRides); };
  run(2);
  EXPECT_THAT(program.steps,
              ElementsAre("launch 0[01]", "launch 1[01]", "await 0[01]", "launch 2", "await 1[01]",
                          "launch 3 with exit", "end 1 before 2", "await 2", "await 3", "end 0 before 4"));
  EXPECT_THAT(reports, ElementsAre("rider 0", "leader 0", "rider 1, stopped", "leader 1", "leader 2",
                                   "leader 3 with exit, done"));
}

TEST_F(InFlight, WhatRidesEndsWithTheLeader) {
  post_rider(kLast);
  post(exit_bit(1));
  run(2);
  EXPECT_THAT(reports, ElementsAre("rider 0", "leader 0", "rider 1, stopped", "leader 1 with exit, done"));
}

TEST_F(InFlight, BehindABlockThatFailsNothingIsReported) {
  post(kLast);
  program.fails["await 1"] = 1;
  run(3);
  EXPECT_THAT(program.steps, ElementsAre("launch 0", "launch 1", "launch 2", "await 0", "launch 3", "await 1",
                                         "await 2", "await 3", "end 0 before 1"));
  EXPECT_THAT(reports, ElementsAre("leader 0", "leader, failed"));
}

TEST_F(InFlight, BeforeABlockThatCannotBeLaunchedAllIsReported) {
  post_rider(kLast);
  post(kLast);
  program.fails["launch 2[01]"] = 0b11;
  run(2);
  EXPECT_THAT(program.steps, ElementsAre("launch 0[01]", "launch 1[01]", "await 0[01]", "launch 2[01]",
                                         "await 1[01]", "end 1 before 2", "end 0 before 2"));
  EXPECT_THAT(reports,
              ElementsAre("rider 0", "leader 0", "rider 1", "leader 1", "rider, failed", "leader, failed"));
}

TEST_F(InFlight, ARiderThatFailsEndsWhenItsBlocksInFlightAreDoneAndTheOthersGoOn) {
  post_rider(kLast);
  post(kLast);
  program.fails["await 1[01]"] = 0b10;
  run(3);
  EXPECT_THAT(program.steps,
              ElementsAre("launch 0[01]", "launch 1[01]", "launch 2[01]", "await 0[01]", "launch 3[01]",
                          "await 1[01]", "launch 4", "await 2[01]", "launch 5 with exit", "await 3[01]",
                          "end 1 before 1", "await 4", "await 5", "end 0 before 6"));
  EXPECT_THAT(reports, ElementsAre("rider 0", "leader 0", "leader 1", "leader 2", "rider, failed", "leader 3",
                                   "leader 4", "leader 5 with exit, done"));
}

TEST_F(InFlight, WhatRidesWithAGrantThatFailsStopsBehindItsBlocksInFlight) {
  post_rider(kLast);
  post(kLast);
  program.fails["await 1[01]"] = 0b01;
  run(2);
  EXPECT_THAT(program.steps, ElementsAre("launch 0[01]", "launch 1[01]", "await 0[01]", "launch 2[01]",
                                         "await 1[01]", "await 2[01]", "end 1 before 3", "end 0 before 1"));
  EXPECT_THAT(reports, ElementsAre("rider 0", "leader 0", "rider 1", "rider 2, stopped", "leader, failed"));
}

}  // namespace
}  // namespace einet::lane::test
