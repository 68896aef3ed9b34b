// What einet-load reads from files, and what it leaves behind.
#include <array>
#include <cstdio>
#include <sys/wait.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/files.h"
#include "fake_daemon.h"
#include "temporary_folder.h"
#include "tools/load/tenant.h"

namespace einet::load {
namespace {

using namespace std::chrono_literals;

TEST(Due, AreTimesThatNeverFall) {
  EXPECT_EQ(parse_due("0ns\n1ms\n1ms\n2.5ms\n", "f").value(), (std::vector<Duration>{0ms, 1ms, 1ms, 2500us}));
}

TEST(Due, NamesTheLineThatIsWrong) {
  const auto refusal = [](std::string_view text) {
    const auto due = parse_due(text, "the\nfile");
    return due ? "" : due.error().message;
  };
  EXPECT_EQ(refusal(""), "the\\x0afile: found no times; expected a duration per line");
  EXPECT_EQ(refusal("1ms\n3ms\n2ms\n"),
            "the\\x0afile:3: found 2ms after 3ms; expected times that never fall");
  EXPECT_TRUE(refusal("1ms\n-2ms\n").starts_with("the\\x0afile:2: "));
}

using test::after_hello;
using test::FakeDaemon;
using test::Peer;

struct Said {
  int code = -1;
  std::string words;  // on either stream
};

Said einet_load(const std::string& arguments) {
  Said said;
  FILE* const pipe = ::popen((EINET_LOAD_PROGRAM " " + arguments + " 2>&1").c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  std::array<char, 4096> part{};
  while (std::fgets(part.data(), part.size(), pipe) != nullptr) said.words += part.data();
  const int status = ::pclose(pipe);
  if (WIFEXITED(status)) said.code = WEXITSTATUS(status);
  return said;
}

class LoadProgram : public testing::Test {
 protected:
  // With a flood of one job at a time.
  Said with_daemon(FakeDaemon::Script script, const std::string& arguments) {
    FakeDaemon daemon(socket_, {after_hello(std::move(script))});
    return einet_load("--socket '" + socket_ + "' --csv '" + csv_ +
                      "' --model digits --in-flight 1 --jobs 2 " + arguments);
  }

  test::TemporaryFolder folder_;
  std::string socket_ = folder_.path() / "s";
  std::string csv_ = folder_.path() / "out.csv";
};

TEST_F(LoadProgram, WrongUsageIsTwo) {
  const std::string jobs = "--model m --csv '" + csv_ + "' ";
  for (const auto& [arguments, words] : std::vector<std::pair<std::string, std::string>>{
           {jobs + "--length 1", "einet-load: --length: \"1\" is not a duration"},
           {jobs + "--lenght 1s", "einet-load: there is no option \"--lenght\"; did you mean \"--length\"?"},
           {jobs, "einet-load: say when to end"},
           {"--jobs 1 --csv '" + csv_ + "'", "einet-load: say what to run"},
           {"--jobs 1 --model m", "einet-load: --csv is required"},
           {jobs + "--due /nonexistent", "einet-load: /nonexistent: "},
           {jobs + "--jobs 1 --images /nonexistent", "einet-load: \"/nonexistent\" does not hold mnist"},
       }) {
    const Said said = einet_load(arguments);
    EXPECT_EQ(said.code, 2) << arguments;
    EXPECT_THAT(said.words, testing::StartsWith(words));
    EXPECT_FALSE(std::filesystem::exists(csv_)) << arguments;
  }
}

TEST_F(LoadProgram, HelpNamesItsExitCodes) {
  const Said said = einet_load("--help");
  EXPECT_EQ(said.code, 0);
  EXPECT_THAT(said.words, testing::HasSubstr("Exit codes:\n  0  done"));
}

TEST_F(LoadProgram, AnAbsentDaemonIsThree) {
  const Said said = einet_load("--model m --jobs 1 --csv '" + csv_ + "' --socket '" + socket_ + "'");
  EXPECT_EQ(said.code, 3);
  EXPECT_THAT(said.words, testing::HasSubstr("there is no such socket"));
}

TEST_F(LoadProgram, ARefusedTenantIsOne) {
  FakeDaemon daemon(socket_, {[](Peer& peer) {
                      peer.expect<wire::Hello>();
                      peer.reply(wire::Error{});
                      peer.until_closed();
                    }});
  EXPECT_EQ(einet_load("--model m --jobs 1 --csv '" + csv_ + "' --socket '" + socket_ + "'").code, 1);
}

TEST_F(LoadProgram, EveryJobHasARow) {
  const Said said = with_daemon(
      [](Peer& peer) {
        for (const std::uint64_t job : {1u, 2u}) {
          peer.expect<wire::Submit>();
          peer.accept(job);
          peer.finish(job, wire::COMPLETED, peer.request);
        }
        peer.until_closed();
      },
      "");
  EXPECT_EQ(said.code, 0) << said.words;
  EXPECT_EQ(said.words, "");
  EXPECT_THAT(*read_file(csv_, ByteCount{9999}), testing::MatchesRegex("job,.*\n1,.*\n2,.*\n"));
}

// Job 1 is done, and the next one comes.
void run_the_first_job(Peer& peer) {
  peer.expect<wire::Submit>();
  peer.accept(1);
  peer.finish(1, wire::COMPLETED, peer.request);
  peer.expect<wire::Submit>();
}

TEST_F(LoadProgram, ADrainingDaemonLeavesTheRowsSoFar) {
  ASSERT_TRUE(write_file(csv_, "of an older run\n"));
  const Said said = with_daemon(
      [](Peer& peer) {
        run_the_first_job(peer);
        wire::Rejected rejected;
        rejected.set_reason(wire::Rejected::SHUTTING_DOWN);
        rejected.set_words("einetd is shutting down");
        peer.reply(rejected);
        peer.until_closed();
      },
      "");
  EXPECT_EQ(said.code, 1);
  EXPECT_EQ(said.words,
            "einet-load: einetd is shutting down\neinet-load: " + csv_ + " has the jobs so far: 2\n");
  EXPECT_THAT(*read_file(csv_, ByteCount{9999}),
              testing::MatchesRegex("job,.*\n1,.*,completed,.*\n0,.*,rejected,shutting_down,.*\n"));
}

TEST_F(LoadProgram, ALostConnectionLeavesTheRowsSoFar) {
  const Said said = with_daemon(run_the_first_job, "");
  EXPECT_EQ(said.code, 1);
  EXPECT_THAT(said.words, testing::StartsWith("einet-load: the connection to einetd is lost: "));
  EXPECT_THAT(*read_file(csv_, ByteCount{9999}),
              testing::MatchesRegex("job,.*\n1,.*,completed,.*\n0,.*,failed,connection_lost,.*\n"));
}

}  // namespace
}  // namespace einet::load
