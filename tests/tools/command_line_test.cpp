// `einet` from its arguments to its exit code and output, against a scripted daemon: what programs may rely
// on.
#include "tools/einet/command_line.h"

#include <algorithm>
#include <csignal>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "config/files.h"
#include "fake_daemon.h"
#include "ipc/client/client.h"
#include "sample_files.h"
#include "temporary_folder.h"

namespace einet::cli {
namespace {

using nlohmann::json;
using test::after_hello;
using test::FakeDaemon;
using test::Peer;

struct Ran {
  int code = -1;
  std::string out;
  std::string err;
};

// What docs/json.md does not name of all fields; names that the daemon or a configuration chooses are none.
void find_undocumented(const json& value, const std::string& document, std::set<std::string>& found) {
  for (const auto& [key, inner] : value.items()) {
    if (value.is_object() && document.find('`' + key + '`') == std::string::npos) found.insert(key);
    if (key == "counters") continue;
    if (key == "devices") {
      for (const json& blocks : inner) find_undocumented(blocks, document, found);
    } else if (inner.is_structured()) {
      find_undocumented(inner, document, found);
    }
  }
}

void expect_documented(const std::string& lines) {
  static const std::string document = *read_file(EINET_SOURCE_DIR "/docs/json.md", ByteCount{1 << 20});
  std::set<std::string> found;
  std::istringstream in(lines);
  for (std::string line; std::getline(in, line);) find_undocumented(json::parse(line), document, found);
  EXPECT_THAT(found, testing::IsEmpty()) << "docs/json.md names all fields";
}

Ran einet(std::vector<std::string> arguments) {
  std::vector<const char*> argv{"einet"};
  for (const std::string& a : arguments) argv.push_back(a.c_str());
  std::ostringstream out;
  std::ostringstream err;
  Ran ran;
  ran.code = run(static_cast<int>(argv.size()), argv.data(), out, err);
  ran.out = out.str();
  ran.err = err.str();
  if (std::find(arguments.begin(), arguments.end(), "--json") != arguments.end()) expect_documented(ran.out);
  return ran;
}

wire::ModelList one_model() {
  wire::ModelList list;
  wire::ModelInfo& model = *list.add_models();
  model.set_name("digits");
  model.set_version("1");
  model.set_loaded(true);
  for (std::uint32_t d : {1u, 2u, 2u}) model.add_shape(d);
  model.set_classes(10);
  model.add_accuracy(0.5);
  model.add_accuracy(0.975);
  wire::ModelOnDevice& device = *model.add_devices();
  device.set_device("cpu");
  for (int i = 0; i < 2; ++i) {
    wire::BlockTimes& times = *device.add_blocks();
    times.set_trunk_ns(1'000'000);
    times.set_exit_ns(500'000);
  }
  wire::ModelInfo& bad = *list.add_models();
  bad.set_name("broken");
  bad.set_reason("model.toml: \x1b[31mno such file");
  return list;
}

class CommandLine : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(write_file(image_, test::png_file(2, 2, PNG_FORMAT_GRAY, {1, 2, 3, 4})));
  }
  Ran with_daemon(FakeDaemon::Script script, std::vector<std::string> arguments) {
    FakeDaemon daemon(socket_, {after_hello(std::move(script))});
    arguments.insert(arguments.begin(), {"--socket", socket_});
    return einet(std::move(arguments));
  }
  // A daemon that takes one job and lets it end so.
  static FakeDaemon::Script job_ends(wire::OutcomeKind kind) {
    return [kind](Peer& peer) {
      peer.expect<wire::ListModels>();
      peer.reply(one_model());
      const auto submit = peer.expect<wire::Submit>();
      EXPECT_EQ(submit.inline_bytes(), std::string("\1\2\3\4"));
      if (kind == wire::REJECTED) {
        wire::Rejected rejected;
        rejected.set_reason(wire::Rejected::PRIORITY_CEILING);
        rejected.set_words("priority 9; tenant \"a\" may use at most 5");
        return peer.reply(rejected);
      }
      peer.accept(3);
      if (submit.stream_exits()) {
        wire::ExitResult exit;
        exit.mutable_answer()->set_top_class(7);
        exit.mutable_answer()->set_confidence(0.9F);
        peer.reply(exit);
      }
      wire::Outcome outcome;
      outcome.set_job(3);
      outcome.set_kind(kind);
      outcome.set_reason("some_reason");
      if (kind == wire::COMPLETED || kind == wire::DEADLINE) {
        outcome.mutable_best()->set_exit(1);
        outcome.mutable_best()->set_top_class(7);
        outcome.mutable_best()->set_confidence(0.75F);
        outcome.mutable_best()->add_scores(0.25F);
        outcome.set_first_block_ns(1'000'500);
        outcome.set_executed_exits(0b11);
      }
      outcome.set_received_ns(1'000'000);
      outcome.set_released_ns(1'000'000);
      outcome.set_finished_ns(2'500'000);
      outcome.set_lane_time_ns(1'400'000);
      outcome.set_preemptions(2);
      peer.reply(outcome);
    };
  }

  test::TemporaryFolder folder_;
  std::string socket_ = folder_.path() / "s";
  std::string image_ = folder_.path() / "seven.png";
};

TEST_F(CommandLine, WrongArgumentsExitWithTwoAndSayWhatToDo) {
  struct Case {
    std::vector<std::string> arguments;
    std::string words;
  };
  for (const Case& c : std::vector<Case>{
           {{},
            "einet: name a command: status, models, submit, jobs, watch, cancel, task, plan, simulate, "
            "evaluate or "
            "analyze"},
           {{"task"}, "einet: name a command: add, remove or list"},
           {{"task", "ad"}, "einet: \"ad\" is no command; did you mean \"add\"?"},
           {{"task", "add"}, "einet: NAME is required"},
           {{"task", "add", "x", "--model", "m"}, "einet: --period is required"},
           {{"task", "add", "x", "--model", "m", "--period", "5"},
            "einet: --period: \"5\" is not a duration"},
           {{"task", "remove"}, "einet: NAME is required"},
           {{"sumbit"}, "einet: \"sumbit\" is no command; did you mean \"submit\"?"},
           {{"frobnicate"}, "einet: \"frobnicate\" is no command; allowed: status, models"},
           {{"\x1b[31m"}, "einet: \"\\x1b[31m\" is no command; allowed"},
           {{"submit"}, "einet: MODEL is required"},
           {{"submit", "digits"}, "einet: INPUT is required"},
           {{"submit", "digits", "x", "--deadline", "10"},
            "einet: --deadline: \"10\" is not a duration: write"},
           {{"submit", "digits", "x", "--deadline", "+10ms"},
            "einet: --deadline: \"+10ms\" is not a duration"},
           {{"submit", "digits", "x", "--release", "++1ms"}, "einet: --release: \"+1ms\" is not a duration"},
           {{"submit", "digits", "x", "--plan", "best"},
            "einet: --plan: found \"best\"; expected exact, all, last, or exits: 0,2"},
           {{"submit", "digits", "x", "--mandatory-exit", "64"},
            "einet: --mandatory-exit: found \"64\"; expected a whole number from 0 to 63"},
           {{"submit", "digits", "x", "--target-confidence", "1.5"},
            "einet: --target-confidence: found \"1.5\"; expected a number from 0 to 1"},
           {{"submit", "digits", "x", "--priority", "high"},
            "einet: --priority: found \"high\"; expected a whole number from -1000000 to 1000000"},
           {{"cancel"}, "einet: JOB is required"},
           {{"cancel", "-5"}, "einet: JOB: found \"-5\"; expected a whole number from 1 to "},
           {{"status", "--nonsense"}, "einet: there is no option \"--nonsense\"\n"},
           {{"submit", "digits", "x", "--dedline", "5ms"},
            "einet: there is no option \"--dedline\"; did you mean \"--deadline\"?"},
           {{"submit", "--dedline=5ms"},
            "einet: there is no option \"--dedline\"; did you mean \"--deadline\"?"},
           {{"task", "list", "--tenat", "x"},
            "einet: there is no option \"--tenat\"; did you mean \"--tenant\"?"},
           {{"evaluate", "x", "--judge", "tset"},
            "einet: --judge: found \"tset\"; expected test or validation"},
           {{"simulate", "x.toml", "--json"},
            "einet: --json: goes with --replay alone; what a task set does"},
           {{"simulate", "--random", "5", "--json"},
            "einet: --json: goes with --replay alone; the exit code says whether all worlds hold"},
           {{"simulate", "--random", "5", "--csv", "x.csv"},
            "einet: --csv: goes with a task set or with --replay"},
           {{"simulate", "--random", "--seconds", "0"},
            "einet: --seconds: found \"0\"; expected a number from 0.001 to 1e+09"},
           {{"--timeout", "x", "status"}, "einet: --timeout: \"x\" is not a duration"},
           {{"simulate"}, "einet: SET, --replay or --random is required"},
           {{"simulate", "--random"}, "einet: --random: a number of worlds or --seconds is needed"},
           {{"simulate", "--random", "0"},
            "einet: --random: found \"0\"; expected a whole number from 1 to "},
           {{"simulate", "--random", "5", "x.toml"}, "einet: "},
           {{"simulate", "x.toml", "--seed", "3"}, "einet: --seed requires --random"},
           {{"simulate", "--random", "5", "--seed", "-3"},
            "einet: --seed: found \"-3\"; expected a whole number"},
       }) {
    const Ran ran = einet(c.arguments);
    EXPECT_EQ(ran.code, 2) << c.words;
    EXPECT_EQ(ran.out, "") << c.words;
    EXPECT_EQ(ran.err.substr(0, c.words.size()), c.words);
    EXPECT_NE(ran.err.find("see: einet "), std::string::npos);
  }
}

TEST_F(CommandLine, HelpNamesEveryCommandAndExitCode) {
  const Ran ran = einet({"--help"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.err, "");
  for (const char* word :
       {"status", "models", "submit", "jobs", "watch", "cancel", "plan", "simulate", "analyze", "  0  ",
        "  1  ", "  2  ", "  3  ", "  4  ", "  5  ", "  6  ", "  7  ", "EINET_SOCKET"}) {
    EXPECT_NE(ran.out.find(word), std::string::npos) << word;
  }
  EXPECT_NE(einet({"submit", "--help"}).out.find("--mandatory-exit"), std::string::npos);
}

TEST_F(CommandLine, HelpNamesTheWordsThatAnOptionTakes) {
  const std::string help = einet({"evaluate", "--help"}).out;
  EXPECT_NE(help.find("--judge {test,validation}"), std::string::npos) << help;
}

TEST_F(CommandLine, ASimulatedTaskSetNeedsAFileForWhatRan) {
  const std::string set = folder_.path() / "größe.toml";
  ASSERT_TRUE(write_file(set, "lanes = 1\n"));
  const Ran ran = einet({"simulate", set});
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "einet: " + set + " is a task set: say with --csv OUT.csv where what ran is written\n");
}

TEST_F(CommandLine, AScenarioWritesNoCsv) {
  const std::string scenario = folder_.path() / "scenario.toml", csv = folder_.path() / "out.csv";
  ASSERT_TRUE(write_file(scenario, "scenario = 1\n"));
  const Ran ran = einet({"simulate", scenario, "--csv", csv});
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "einet: " + scenario + " is a scenario: --csv goes with a task set or with --replay\n");
  EXPECT_FALSE(std::filesystem::exists(csv));
}

TEST_F(CommandLine, WorldsHoldOnlyIfTheyWereChecked) {
  EXPECT_THAT(einet({"simulate", "--random", "3"}).out, testing::StartsWith("3 worlds from seed 1 hold, "));
  EXPECT_THAT(einet({"simulate", "--random", "3", "--no-check"}).out,
              testing::StartsWith("3 worlds from seed 1 were run, unchecked, "));
}

TEST_F(CommandLine, AnInterruptOfWorldsSaysWhereToGoOn) {
  // Blocked here, so that it does not end the test once the worlds let it through.
  sigset_t interrupt, before, none;
  ::sigemptyset(&interrupt);
  ::sigaddset(&interrupt, SIGINT);
  ::sigprocmask(SIG_BLOCK, &interrupt, &before);
  ::raise(SIGINT);
  const Ran ran = einet({"simulate", "--random", "5", "--seed", "7"});
  EXPECT_EQ(ran.out,
            "0 worlds from seed 7: none was run, 0 events, 0 per second\n"
            "interrupted; go on with --seed 7\n");
  ::sigpending(&none);
  EXPECT_EQ(::sigismember(&none, SIGINT), 1) << "it takes effect once the worlds have ended";
  const timespec now{};
  ::sigtimedwait(&interrupt, nullptr, &now);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
}

TEST_F(CommandLine, ARefusedTenantIsSeven) {
  FakeDaemon daemon(socket_, {[](Peer& peer) {
                      peer.expect<wire::Hello>();
                      wire::Error no;
                      no.set_words("user 1000 may act as: camera");
                      peer.reply(no, 0);  // the last that it says
                      peer.until_closed();
                    }});
  const Ran ran = einet({"--socket", socket_, "--tenant", "wrong", "status"});
  EXPECT_EQ(ran.code, 7);
  EXPECT_EQ(ran.err, "einet: " + socket_ + ": einetd refuses: user 1000 may act as: camera\n");
}

TEST_F(CommandLine, AnAbsentDaemonIsThree) {
  for (const char* command : {"status", "models", "jobs", "watch"}) {
    const Ran ran = einet({"--socket", socket_, command});
    EXPECT_EQ(ran.code, 3) << command;
    EXPECT_EQ(ran.out, "");
    EXPECT_NE(ran.err.find("there is no such socket; start it with: "), std::string::npos);
  }
}

TEST_F(CommandLine, TheSocketMayComeFromTheEnvironment) {
  ::setenv("EINET_SOCKET", (folder_.path() / "elsewhere").c_str(), 1);
  const Ran ran = einet({"status"});
  ::unsetenv("EINET_SOCKET");
  EXPECT_NE(ran.err.find("elsewhere"), std::string::npos);
}

TEST_F(CommandLine, EveryOutcomeHasItsExitCode) {
  const std::vector<std::pair<wire::OutcomeKind, int>> codes{{wire::COMPLETED, 0}, {wire::DEADLINE, 0},
                                                             {wire::MISSED, 5},    {wire::CANCELLED, 6},
                                                             {wire::REJECTED, 4},  {wire::FAILED, 7}};
  for (const auto& [kind, code] : codes) {
    std::filesystem::remove(socket_);
    const Ran ran = with_daemon(job_ends(kind), {"submit", "digits", image_});
    EXPECT_EQ(ran.code, code) << client::name(kind) << ran.err;
    EXPECT_NE(ran.out.find(client::name(kind)), std::string::npos);
    EXPECT_EQ(ran.err.empty(), code == 0) << ran.err;
  }
}

TEST_F(CommandLine, ARejectionSaysWhy) {
  const Ran ran = with_daemon(job_ends(wire::REJECTED), {"submit", "digits", image_, "--priority", "9"});
  EXPECT_EQ(ran.err, "einet: " + image_ +
                         ": rejected (priority_ceiling): priority 9; tenant \"a\" may use at most 5\n");
}

TEST_F(CommandLine, ALostConnectionIsThree) {
  const auto leave = [](Peer& peer) {
    peer.expect<wire::ListModels>();
    peer.reply(one_model());
    peer.expect<wire::Submit>();
    peer.accept(1);
  };
  const Ran ran = with_daemon(leave, {"submit", "digits", image_});
  EXPECT_EQ(ran.code, 3);
  EXPECT_NE(ran.err.find("the connection to einetd is lost"), std::string::npos);
}

TEST_F(CommandLine, SubmitPrintsATable) {
  const Ran ran = with_daemon(job_ends(wire::COMPLETED), {"submit", "digits", image_, "--follow"});
  EXPECT_EQ(ran.out, image_ + ": exit 0 says class 7 with confidence 90.0%\n" + "INPUT" +
                         std::string(image_.size() - 5, ' ') +
                         "  OUTCOME    CLASS  CONFIDENCE  EXIT  RESPONSE  LANE TIME  PREEMPTED\n" + image_ +
                         "  completed  7      75.0%       1     1.50ms    1.40ms     2\n");
}

TEST_F(CommandLine, TablesCountCharactersNotBytes) {
  std::filesystem::rename(image_, folder_.path() / "größe ü.png");
  image_ = folder_.path() / "größe ü.png";
  const Ran ran = with_daemon(job_ends(wire::COMPLETED), {"submit", "digits", image_});
  EXPECT_EQ(ran.out, "INPUT" + std::string(image_.size() - 3 - 5, ' ') +
                         "  OUTCOME    CLASS  CONFIDENCE  EXIT  RESPONSE  LANE TIME  PREEMPTED\n" + image_ +
                         "  completed  7      75.0%       1     1.50ms    1.40ms     2\n");
}

TEST_F(CommandLine, AJobThatEndedBeforeItsReleaseHasNoResponseTime) {
  const auto cancelled = [](Peer& peer) {
    peer.expect<wire::ListModels>();
    peer.reply(one_model());
    peer.expect<wire::Submit>();
    peer.accept(3);
    wire::Outcome outcome;
    outcome.set_job(3);
    outcome.set_kind(wire::CANCELLED);
    outcome.set_received_ns(1'000'000);
    outcome.set_released_ns(9'000'000);
    outcome.set_finished_ns(2'500'000);
    peer.reply(outcome);
  };
  Ran ran = with_daemon(cancelled, {"submit", "digits", image_});
  EXPECT_THAT(ran.out, testing::EndsWith("  cancelled  -      -           -     -         0ns        0\n"));
  std::filesystem::remove(socket_);
  ran = with_daemon(cancelled, {"submit", "digits", image_, "--json"});
  EXPECT_EQ(json::parse(ran.out)["response"], nullptr);
}

TEST_F(CommandLine, SubmitPrintsOneJsonObjectPerLine) {
  const Ran ran = with_daemon(job_ends(wire::COMPLETED), {"submit", "digits", image_, "--follow", "--json"});
  std::istringstream lines(ran.out);
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(json::parse(line), (json{{"event", "exit"},
                                     {"input", image_},
                                     {"job", 3},
                                     {"exit", 0},
                                     {"class", 7},
                                     {"confidence", 0.9},
                                     {"scores", json::array()}}));
  std::getline(lines, line);
  EXPECT_EQ(json::parse(line),
            (json{{"event", "outcome"},
                  {"input", image_},
                  {"job", 3},
                  {"outcome", "completed"},
                  {"reason", "some_reason"},
                  {"words", ""},
                  {"answer", {{"exit", 1}, {"class", 7}, {"confidence", 0.75}, {"scores", {0.25}}}},
                  {"preemptions", 2},
                  {"exits", {0, 1}},
                  {"lane_time", "1.4ms"},
                  {"response", "1.5ms"},
                  {"waited", "500ns"}}));
  EXPECT_FALSE(std::getline(lines, line));
}

TEST_F(CommandLine, SubmitSaysWhatWasAskedFor) {
  const auto check = [](Peer& peer) {
    peer.expect<wire::ListModels>();
    peer.reply(one_model());
    const auto submit = peer.expect<wire::Submit>();
    EXPECT_EQ(submit.release_in_ns(), 5'000'000);
    EXPECT_EQ(submit.deadline_in_ns(), 10'000'000);
    EXPECT_EQ(submit.priority(), -3);
    EXPECT_EQ(submit.mandatory_exit(), 1u);
    EXPECT_FLOAT_EQ(submit.target_confidence(), 0.9F);
    EXPECT_EQ(submit.plan(), wire::LAST);
    EXPECT_EQ(submit.task(), "detector");
    EXPECT_EQ(submit.inline_bytes(), std::string("\xfe\xfd\xfc\xfb"));
    peer.reply(wire::Rejected{});
  };
  with_daemon(check, {"submit", "digits", image_, "--release", "+5ms", "--deadline", "10ms", "--priority",
                      "-3", "--mandatory-exit", "1", "--target-confidence", "0.9", "--plan", "last",
                      "--invert", "--task", "detector"});
}

TEST_F(CommandLine, AnUnknownModelIsRejectedWithTheNearestName) {
  const auto models = [](Peer& peer) {
    peer.expect<wire::ListModels>();
    peer.reply(one_model());
  };
  Ran ran = with_daemon(models, {"submit", "digit", image_});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.err, "einet: there is no model \"digit\"; did you mean \"digits\"?\n");
  std::filesystem::remove(socket_);
  ran = with_daemon(models, {"submit", "broken", image_});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.err, "einet: model \"broken\" cannot be used: model.toml: \\x1b[31mno such file\n");
  std::filesystem::remove(socket_);
  ran = with_daemon(models, {"submit", "digit", image_, "other.png", "--json", "--follow"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.err, "einet: there is no model \"digit\"; did you mean \"digits\"?\n");
  std::istringstream lines(ran.out);
  std::string line;
  for (const std::string& input : {image_, std::string("other.png")}) {
    ASSERT_TRUE(std::getline(lines, line));
    EXPECT_EQ(json::parse(line), (json{{"event", "outcome"},
                                       {"input", input},
                                       {"job", 0},
                                       {"outcome", "rejected"},
                                       {"reason", "unknown_model"},
                                       {"words", "there is no model \"digit\"; did you mean \"digits\"?"},
                                       {"answer", nullptr},
                                       {"preemptions", 0},
                                       {"exits", json::array()},
                                       {"lane_time", "0ns"},
                                       {"response", nullptr},
                                       {"waited", nullptr}}));
  }
  EXPECT_FALSE(std::getline(lines, line));
  std::filesystem::remove(socket_);
  ran = with_daemon(models, {"submit", "broken", image_, "--json"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(json::parse(ran.out)["reason"], "model_refused");
}

TEST_F(CommandLine, AnInputThatCannotBeReadIsTwoAndSubmitsNothing) {
  const auto models = [](Peer& peer) {
    peer.expect<wire::ListModels>();
    peer.reply(one_model());
  };
  const Ran ran = with_daemon(models, {"submit", "digits", image_, folder_.path() / "none.png"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("none.png: cannot open"), std::string::npos);
}

TEST_F(CommandLine, StatusIsATableForPeopleAndADocumentForPrograms) {
  const auto status = [](Peer& peer) {
    peer.expect<wire::GetStatus>();
    wire::Status s;
    s.set_version("0.1.0");
    s.set_uptime_ns(2'000'000'000);
    s.set_pid(12);
    s.set_policy("edf");
    wire::LaneInfo& lane = *s.add_lanes();
    lane.set_device("cpu");
    lane.set_rank("nice 5");
    lane.set_state("idle");
    lane.set_busy_ns(500'000'000);
    lane.set_promised(0.25);
    wire::TenantInfo& tenant = *s.add_tenants();
    tenant.set_name("camera");
    tenant.set_jobs(1);
    tenant.set_tasks(2);
    tenant.set_max_tasks(16);
    tenant.set_max_jobs(8);
    tenant.set_max_bytes(1 << 20);
    const auto rejected = [&](wire::Rejected::Reason reason, std::uint64_t jobs) {
      wire::RejectedJobs& r = *tenant.add_rejected();
      r.set_reason(reason);
      r.set_jobs(jobs);
    };
    rejected(wire::Rejected::BAD_ARGUMENT, 1);
    rejected(wire::Rejected::QUOTA_JOBS, 30);
    wire::Counter& counter = *s.add_counters();
    counter.set_name("blocks");
    counter.set_value(77);
    s.add_warnings("no real-time rank: run as root\n");
    peer.reply(s);
  };
  Ran ran = with_daemon(status, {"status"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.err, "warning: no real-time rank: run as root\\x0a\n");
  EXPECT_EQ(ran.out,
            "einetd 0.1.0, up 2.00s, policy edf, pid 12\n"
            "\n"
            "LANE   CORES  RANK    STATE  JOB  MODEL  BUSY   BLOCKS  WORKER  RESTARTS\n"
            "cpu/0  any    nice 5  idle   -    -      25.0%  0       0       0\n"
            "\n"
            "TENANT  CONNECTIONS  JOBS  MEMORY   TASKS  MAX PRIORITY  REJECTED\n"
            "camera  0/0          1/8   0B/1MiB  2/16   0             1 bad_argument, 30 quota_jobs\n"
            "\n"
            "COUNTER  VALUE\n"
            "blocks   77\n");
  std::filesystem::remove(socket_);
  ran = with_daemon(status, {"status", "--json"});
  EXPECT_EQ(ran.err, "");
  const json document = json::parse(ran.out);
  EXPECT_EQ(document["uptime"], "2s");
  EXPECT_EQ(document["policy"], "edf");
  EXPECT_EQ(document["lanes"][0]["device"], "cpu");
  EXPECT_EQ(document["lanes"][0]["job"], nullptr);
  EXPECT_EQ(document["lanes"][0]["busy"], "500ms");
  EXPECT_EQ(document["lanes"][0]["promised"], 0.25);
  EXPECT_EQ(document["tenants"][0]["max_jobs"], 8);
  EXPECT_EQ(document["tenants"][0]["rejected"], (json{{"bad_argument", 1}, {"quota_jobs", 30}}));
  EXPECT_EQ(document["counters"]["blocks"], 77);
  EXPECT_EQ(document["warnings"][0], "no real-time rank: run as root\n");
}

wire::TaskInfo a_task() {
  wire::TaskInfo task;
  task.set_task(3);
  task.set_tenant("camera");
  task.set_name("detector");
  task.set_model("digits");
  task.set_period_ns(20'000'000);
  task.set_deadline_ns(10'000'000);
  task.set_priority(5);
  task.set_mandatory_exit(1);
  task.mutable_bound()->set_device("cpu");
  task.mutable_bound()->set_response_ns(8'200'000);
  task.mutable_bound()->set_blocking_ns(1'999'999);
  task.mutable_bound()->set_slack_ns(1'800'000);
  task.mutable_bound()->set_limit("task \"lane-keeper\"");
  task.set_jobs(12);
  task.set_met(10);
  task.set_missed(1);
  task.set_throttled(4);
  task.set_worst_response_ns(7'500'000);
  return task;
}

TEST_F(CommandLine, AnAcceptedTaskIsToldItsBound) {
  const auto accept = [](Peer& peer) {
    const auto add = peer.expect<wire::AddTask>();
    EXPECT_EQ(add.name(), "detector");
    EXPECT_EQ(add.model(), "digits");
    EXPECT_EQ(add.period_ns(), 20'000'000);
    EXPECT_EQ(add.deadline_ns(), 10'000'000);
    EXPECT_EQ(add.priority(), 5);
    EXPECT_EQ(add.mandatory_exit(), 1u);
    wire::TaskAdded added;
    added.set_task(3);
    *added.mutable_bound() = a_task().bound();
    added.add_warnings("the block times are \x1b[31m");
    peer.reply(added);
  };
  std::vector<std::string> arguments{
      "task",       "add",  "detector",   "--model", "digits",           "--period", "20ms",
      "--deadline", "10ms", "--priority", "5",       "--mandatory-exit", "1"};
  Ran ran = with_daemon(accept, arguments);
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.err, "warning: the block times are \\x1b[31m\n");
  EXPECT_EQ(ran.out,
            "task detector is accepted on lane cpu/0: every job has its mandatory answer by its deadline, "
            "10.0ms after its release\n"
            "with the tasks of now, within 8.20ms, of which 2.00ms is waiting for less urgent blocks; slack "
            "1.80ms\n"
            "limit: task \"lane-keeper\"\n");
  std::filesystem::remove(socket_);
  arguments.emplace_back("--json");
  ran = with_daemon(accept, arguments);
  EXPECT_EQ(json::parse(ran.out), (json{{"task", "detector"},
                                        {"accepted", true},
                                        {"id", 3},
                                        {"device", "cpu"},
                                        {"lane", 0},
                                        {"response", "8.2ms"},
                                        {"blocking", "1.999999ms"},
                                        {"slack", "1.8ms"},
                                        {"limit", "task \"lane-keeper\""},
                                        {"warnings", {"the block times are \x1b[31m"}}}));
}

TEST_F(CommandLine, ARefusedTaskIsFourAndSaysWhatWouldFit) {
  const auto refuse = [](Peer& peer) {
    const auto add = peer.expect<wire::AddTask>();
    EXPECT_FALSE(add.has_deadline_ns());
    wire::TaskRefused refused;
    refused.set_reason(wire::TaskRefused::NOT_SCHEDULABLE);
    refused.set_words("task \"x\" would miss its deadline of 5ms by 2ms; a period of 9ms would fit");
    refused.set_misses("x");
    refused.set_lateness_ns(2'000'000);
    refused.set_smallest_period_ns(9'000'000);
    peer.reply(refused);
  };
  Ran ran = with_daemon(refuse, {"task", "add", "x", "--model", "digits", "--period", "5ms"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err,
            "einet: task x is refused (not_schedulable): task \"x\" would miss its deadline of 5ms by 2ms; a "
            "period of 9ms would fit\n");
  std::filesystem::remove(socket_);
  ran = with_daemon(refuse, {"task", "add", "x", "--model", "digits", "--period", "5ms", "--json"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(json::parse(ran.out),
            (json{{"task", "x"},
                  {"accepted", false},
                  {"reason", "not_schedulable"},
                  {"words", "task \"x\" would miss its deadline of 5ms by 2ms; a period of 9ms would fit"},
                  {"misses", "x"},
                  {"lateness", "2ms"},
                  {"largest_mandatory_exit", nullptr},
                  {"smallest_period", "9ms"}}));
}

TEST_F(CommandLine, TasksAreListedWithTheirBoundAndWhatBecameOfTheirJobs) {
  const auto list = [](Peer& peer) {
    peer.expect<wire::ListTasks>();
    wire::TaskList tasks;
    *tasks.add_tasks() = a_task();
    wire::TaskInfo& suspended = *tasks.add_tasks();
    suspended = a_task();
    suspended.set_name("old");
    suspended.clear_bound();
    suspended.clear_worst_response_ns();
    suspended.set_suspended("model digits was loaded again and refused: \x1b[31m");
    peer.reply(tasks);
  };
  Ran ran = with_daemon(list, {"task", "list"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out,
            "TASK      TENANT  MODEL   PERIOD  DEADLINE  PRIORITY  EXIT  LANE   BOUND   WORST SEEN  JOBS  "
            "MET  MISSED  "
            "THROTTLED  OVERRAN\n"
            "detector  camera  digits  20.0ms  10.0ms    5         1     cpu/0  8.20ms  7.50ms      12    10 "
            "  1       "
            "4          0\n"
            "old       camera  digits  20.0ms  10.0ms    5         1     -      none    -           12    10 "
            "  1       "
            "4          0\n");
  EXPECT_EQ(ran.err, "einet: task old is suspended: model digits was loaded again and refused: \\x1b[31m\n");
  std::filesystem::remove(socket_);
  ran = with_daemon(list, {"--json", "task", "list"});
  const json document = json::parse(ran.out);
  EXPECT_EQ(document["tasks"][0]["bound"]["response"], "8.2ms");
  EXPECT_EQ(document["tasks"][0]["worst_response"], "7.5ms");
  EXPECT_EQ(document["tasks"][0]["throttled"], 4);
  EXPECT_EQ(document["tasks"][1]["bound"], nullptr);
  EXPECT_EQ(document["tasks"][1]["worst_response"], nullptr);
}

TEST_F(CommandLine, ATaskIsRemovedByName) {
  const auto remove = [](Peer& peer) {
    EXPECT_EQ(peer.expect<wire::RemoveTask>().name(), "detector");
    peer.reply(wire::Done{});
  };
  Ran ran = with_daemon(remove, {"task", "remove", "detector"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.err, "einet: task detector is removed\n");
  std::filesystem::remove(socket_);
  ran = with_daemon(remove, {"task", "remove", "detector", "--json"});
  EXPECT_EQ(json::parse(ran.out), (json{{"task", "detector"}, {"removed", true}}));
  EXPECT_EQ(ran.err, "");

  const auto refuse = [](Peer& peer) {
    peer.expect<wire::RemoveTask>();
    wire::Error no;
    no.set_code(wire::Error::NO_SUCH_TASK);
    no.set_words("there is no task \"detector\" of tenant camera");
    peer.reply(no);
    peer.until_closed();
  };
  const std::string words = "einet: einetd refuses: there is no task \"detector\" of tenant camera\n";
  std::filesystem::remove(socket_);
  ran = with_daemon(refuse, {"task", "remove", "detector"});
  EXPECT_EQ(ran.code, 7);
  EXPECT_EQ(ran.err, words);
  std::filesystem::remove(socket_);
  ran = with_daemon(refuse, {"task", "remove", "detector", "--json"});
  EXPECT_EQ(ran.code, 7);
  EXPECT_EQ(json::parse(ran.out), (json{{"task", "detector"}, {"removed", false}}));
  EXPECT_EQ(ran.err, words);
}

TEST_F(CommandLine, ModelsShowWhyOneIsRefused) {
  const auto models = [](Peer& peer) {
    peer.expect<wire::ListModels>();
    peer.reply(one_model());
  };
  Ran ran = with_daemon(models, {"models"});
  EXPECT_EQ(ran.out,
            "MODEL   VERSION  STATE    INPUT  CLASSES  BLOCKS  TIME    ACCURACY OF EACH EXIT\n"
            "digits  1        loaded   1x2x2  10       2       3.00ms  50.0% 97.5%\n"
            "broken  -        refused  -      -        -       -       -\n");
  EXPECT_EQ(ran.err, "einet: broken is refused: model.toml: \\x1b[31mno such file\n");
  std::filesystem::remove(socket_);
  ran = with_daemon(models, {"models", "--json"});
  const json document = json::parse(ran.out);
  EXPECT_EQ(document["models"][0]["shape"], (json{1, 2, 2}));
  EXPECT_EQ(document["models"][0]["accuracy"], (json{0.5, 0.975}));
  EXPECT_EQ(document["models"][0]["devices"]["cpu"][1]["trunk"], "1ms");
  EXPECT_EQ(document["models"][1]["loaded"], false);
  EXPECT_EQ(document["models"][0]["evicted"], json::array());
}

TEST_F(CommandLine, ModelsShowWhereTheyAreEvicted) {
  const auto models = [](Peer& peer) {
    peer.expect<wire::ListModels>();
    wire::ModelList list = one_model();
    wire::ModelInfo& model = *list.mutable_models(0);
    model.set_weight_bytes(5000);
    model.mutable_devices(0)->set_evicted(true);
    wire::ModelInfo& other = *list.mutable_models(1);
    other = model;
    *other.add_devices() = other.devices(0);
    other.mutable_devices(0)->set_evicted(false);
    other.mutable_devices(1)->set_device("cuda:0");
    peer.reply(list);
  };
  Ran ran = with_daemon(models, {"models"});
  EXPECT_EQ(ran.out,
            "MODEL   VERSION  STATE                INPUT  CLASSES  BLOCKS  TIME    ACCURACY OF EACH EXIT\n"
            "digits  1        evicted              1x2x2  10       2       3.00ms  50.0% 97.5%\n"
            "digits  1        evicted from cuda:0  1x2x2  10       2       3.00ms  50.0% 97.5%\n");
  std::filesystem::remove(socket_);
  ran = with_daemon(models, {"models", "--json"});
  const json document = json::parse(ran.out)["models"];
  EXPECT_EQ(document[0]["weight_bytes"], 5000);
  EXPECT_EQ(document[0]["evicted"], json{"cpu"});
  EXPECT_EQ(document[1]["evicted"], json{"cuda:0"});
}

TEST_F(CommandLine, JobsAreListed) {
  const auto jobs = [](Peer& peer) {
    peer.expect<wire::ListJobs>();
    wire::JobList list;
    wire::JobInfo& job = *list.add_jobs();
    job.set_job(5);
    job.set_tenant("camera");
    job.set_model("digits");
    job.set_state("ready");
    job.set_blocks(3);
    job.set_next_block(1);
    job.set_best_exit(0);
    job.set_confidence(0.5F);
    wire::JobInfo& other = *list.add_jobs();
    other = job;
    other.set_job(6);
    other.set_awaits("cuda:0");
    wire::JobInfo& third = *list.add_jobs();
    third = other;
    third.set_job(7);
    third.set_awaits_memory(true);
    peer.reply(list);
  };
  Ran ran = with_daemon(jobs, {"jobs"});
  EXPECT_EQ(
      ran.out,
      "JOB  TENANT  MODEL   STATE  PRIORITY  RELEASE  DEADLINE  BLOCK  BEST EXIT  LANE                     "
      "PREEMPTED\n"
      "5    camera  digits  ready  0         -        -         1/3    0          -                        "
      "0\n"
      "6    camera  digits  ready  0         -        -         1/3    0          awaits cuda:0            "
      "0\n"
      "7    camera  digits  ready  0         -        -         1/3    0          awaits memory of cuda:0  "
      "0\n");
  std::filesystem::remove(socket_);
  ran = with_daemon(jobs, {"jobs", "--json"});
  const json job = json::parse(ran.out)["jobs"][0];
  EXPECT_EQ(job["job"], 5);
  EXPECT_EQ(job["best_exit"], 0);
  EXPECT_EQ(job["lane"], nullptr);
  EXPECT_EQ(job["awaits"], nullptr);
  EXPECT_EQ(job["deadline_ns"], nullptr);
  EXPECT_EQ(json::parse(ran.out)["jobs"][1]["awaits"], "cuda:0");
  EXPECT_EQ(json::parse(ran.out)["jobs"][1]["awaits_memory"], false);
  EXPECT_EQ(json::parse(ran.out)["jobs"][2]["awaits_memory"], true);
}

TEST_F(CommandLine, JobsPlansAreExplained) {
  const auto jobs = [](Peer& peer) {
    EXPECT_TRUE(peer.expect<wire::ListJobs>().explain());
    wire::JobList list;
    list.add_jobs()->set_job(4);  // its network has no exits to choose
    wire::JobInfo& job = *list.add_jobs();
    job.set_job(5);
    job.set_model("digits");
    wire::PlanBasis& basis = *job.mutable_plan();
    job.set_awaits("cuda:0");
    job.set_awaits_memory(true);
    basis.set_to_deadline_ns(5'000'000);
    basis.set_ahead_ns(1'500'000);
    basis.set_lives(211.6);
    basis.set_held(0.5);
    basis.set_expected(0.625);
    for (const int exit : {1, 2}) {
      wire::PlanExit& e = *basis.add_exits();
      e.set_exit(static_cast<std::uint32_t>(exit));
      e.set_ready_ns(exit * 1'000'000);
      e.set_accuracy(0.25 * exit + 0.25);
      e.set_alive(1.0 / exit);
      e.set_planned(exit == 2);
    }
    peer.reply(list);
  };
  Ran ran = with_daemon(jobs, {"jobs", "--explain"});
  EXPECT_THAT(
      ran.out,
      testing::EndsWith(
          "\njob 5 (digits): its next block starts 5.00ms before its deadline, of which more "
          "urgent work that is known takes 1.50ms; 212 such jobs that ended before are counted.\n"
          "The answer that it holds is expected to be right with 50.0%; with its plan, the one "
          "that it will hold when it is stopped, with 62.5%.\n"
          "Its model is not in the memory of cuda:0: it comes back when others there have no jobs and "
          "can go.\n"
          "EXIT  READY IN  RIGHT WITH  STILL ALIVE  PLANNED\n"
          "1     1.00ms    50.0%       100.0%       no\n"
          "2     2.00ms    75.0%       50.0%        yes\n"));
  std::filesystem::remove(socket_);
  ran = with_daemon(jobs, {"jobs", "--explain", "--json"});
  const json document = json::parse(ran.out)["jobs"];
  EXPECT_FALSE(document[0].contains("plan"));
  EXPECT_EQ(document[1]["plan"]["to_deadline_ns"], 5'000'000);
  EXPECT_EQ(document[1]["plan"]["exits"][1]["planned"], true);
}

TEST_F(CommandLine, AJobWithoutAPlanIsSaidToHaveNone) {
  const auto jobs = [](Peer& peer) {
    peer.expect<wire::ListJobs>();
    wire::JobList list;
    wire::JobInfo& job = *list.add_jobs();
    job.set_job(5);
    job.set_model("digits");
    job.set_state("waiting");
    wire::PlanBasis& basis = *job.mutable_plan();
    basis.set_to_deadline_ns(5'000'000);
    wire::PlanExit& exit = *basis.add_exits();
    exit.set_ready_ns(1'000'000);
    exit.set_accuracy(0.5);
    exit.set_alive(1);
    peer.reply(list);
  };
  Ran ran = with_daemon(jobs, {"jobs", "--explain"});
  EXPECT_THAT(ran.out, testing::EndsWith(
                           "\nThe answer that it holds is expected to be right with 0.0%; it is not planned "
                           "yet.\n"
                           "EXIT  READY IN  RIGHT WITH  STILL ALIVE  PLANNED\n"
                           "0     1.00ms    50.0%       100.0%       -\n"));
  std::filesystem::remove(socket_);
  ran = with_daemon(jobs, {"jobs", "--explain", "--json"});
  EXPECT_EQ(json::parse(ran.out)["jobs"][0]["plan"]["expected"], nullptr);
}

TEST_F(CommandLine, WatchShowsAnAnswerOnlyWhereThereIsOne) {
  const auto events = [](Peer& peer) {
    peer.expect<wire::Watch>();
    peer.reply(wire::Done{});
    wire::Event event;
    event.set_kind(wire::Event::BLOCK);
    event.set_job(4);
    event.set_tenant("camera");
    event.set_model("digits");
    event.set_block(2);
    event.set_exit(2);
    event.set_end_ns(1'500'000);
    peer.reply(event);
    event.set_kind(wire::Event::EXIT);
    event.set_top_class(7);
    event.set_confidence(0.75F);
    peer.reply(event);
  };
  Ran ran = with_daemon(events, {"watch", "--blocks", "--events", "2", "--json"});
  std::istringstream lines(ran.out);
  std::string line;
  std::getline(lines, line);
  const json block = json::parse(line);
  EXPECT_EQ(block["exit"], 2);
  EXPECT_FALSE(block.contains("class"));
  EXPECT_FALSE(block.contains("confidence"));
  std::getline(lines, line);
  const json exit = json::parse(line);
  EXPECT_EQ(exit["exit"], 2);
  EXPECT_EQ(exit["class"], 7);
  EXPECT_EQ(exit["confidence"], 0.75);
  std::filesystem::remove(socket_);
  ran = with_daemon(events, {"watch", "--blocks", "--events", "2"});
  EXPECT_EQ(ran.out,
            "    0.000000  job 4       block      camera digits block 2 took 1.50ms\n"
            "    0.000000  job 4       exit       camera digits exit 2 class 7 (75.0%)\n");
}

TEST_F(CommandLine, WatchPrintsEventsAsTheyComeAndEndsWhenTold) {
  const auto events = [](Peer& peer) {
    EXPECT_TRUE(peer.expect<wire::Watch>().blocks());
    peer.reply(wire::Done{});
    wire::Event event;
    event.set_kind(wire::Event::STARTED);
    event.set_job(4);
    event.set_tenant("camera");
    event.set_model("digits");
    event.set_device("cpu");
    event.set_lane(1);
    event.set_at_ns(1'000'000'000);
    peer.reply(event);
    event.set_kind(wire::Event::ENDED);
    event.set_device("");
    event.set_at_ns(1'001'500'000);
    event.set_outcome(wire::MISSED);
    event.set_reason("deadline_passed");
    peer.reply(event);
    event = {};
    event.set_kind(wire::Event::LOST);
    event.set_lost(9);
    peer.reply(event);
  };
  Ran ran = with_daemon(events, {"watch", "--blocks", "--events", "3"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out,
            "    0.000000  job 4       started    camera digits on cpu/1\n"
            "    0.001500  job 4       ended      camera digits missed (deadline_passed)\n"
            "9 events were left out\n");
  std::filesystem::remove(socket_);
  ran = with_daemon(events, {"watch", "--blocks", "--json"});
  EXPECT_EQ(ran.code, 3) << "the daemon left before it was told to";
  std::istringstream lines(ran.out);
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(json::parse(line)["event"], "started");
  EXPECT_EQ(json::parse(line)["device"], "cpu");
  std::getline(lines, line);
  EXPECT_EQ(json::parse(line)["outcome"], "missed");
  std::getline(lines, line);
  EXPECT_EQ(json::parse(line), (json{{"event", "lost"}, {"at_ns", 0}, {"lost", 9}}));
}

TEST_F(CommandLine, EveryFieldOfAnEventIsDocumented) {
  constexpr std::uint64_t kKinds = wire::Event::Kind_ARRAYSIZE - 1;
  const auto events = [](Peer& peer) {
    peer.expect<wire::Watch>();
    peer.reply(wire::Done{});
    for (std::uint64_t kind = 1; kind <= kKinds; ++kind) {
      wire::Event event;
      event.set_kind(static_cast<wire::Event::Kind>(kind));
      event.set_device("cpu");
      event.set_exit(1);
      event.set_task(1);
      event.set_by(2);
      event.set_reason("some_reason");
      peer.reply(event);
    }
  };
  // einet() looks for them in docs/json.md.
  const Ran ran = with_daemon(events, {"watch", "--blocks", "--events", std::to_string(kKinds), "--json"});
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), kKinds);
}

TEST_F(CommandLine, CancelSaysWhichJobCouldNotBe) {
  const auto cancels = [](Peer& peer) {
    EXPECT_EQ(peer.expect<wire::Cancel>().job(), 1u);
    peer.reply(wire::Done{});
    EXPECT_EQ(peer.expect<wire::Cancel>().job(), 2u);
    wire::Error no;
    no.set_words("tenant \"a\" has no job 2");
    peer.reply(no);
    peer.until_closed();
  };
  Ran ran = with_daemon(cancels, {"cancel", "1", "2", "--json"});
  EXPECT_EQ(ran.code, 7);
  EXPECT_EQ(ran.out, "{\"job\":1,\"cancelled\":true}\n{\"job\":2,\"cancelled\":false}\n");
  std::filesystem::remove(socket_);
  ran = with_daemon(cancels, {"cancel", "1", "2"});
  EXPECT_EQ(ran.code, 7);
  EXPECT_EQ(ran.err,
            "einet: job 1 is being cancelled\neinet: job 2: einetd refuses: tenant \"a\" has no job 2\n");
}

TEST_F(CommandLine, ADaemonThatSaysNothingIsATimeoutNotAHang) {
  std::filesystem::remove(socket_);
  FakeDaemon daemon(socket_, {[](Peer& peer) {
                      peer.expect<wire::Hello>();
                      peer.until_closed();
                    }});
  const Ran ran = einet({"--socket", socket_, "--timeout", "1ms", "status"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_NE(ran.err.find("did not answer a hello request within 1.00ms"), std::string::npos);
}

}  // namespace
}  // namespace einet::cli
