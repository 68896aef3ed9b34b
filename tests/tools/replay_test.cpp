// Recordings: every line is checked, whatever is accepted can be replayed, and a replay says what the core
// would have done beside what happened.
#include "tools/einet/replay.h"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <rapidcheck/gtest.h>

#include "config/files.h"
#include "temporary_folder.h"
#include "tools/einet/command_line.h"
#include "tools/einet/recording.h"

namespace einet {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr const char* kHeader =
    R"({"event":"header","at_ns":100,"format":1,"version":"1","policy":"edf","max_jobs":10,"promote_at_laxity_ns":0,"devices":[{"name":"cpu","lanes":2}]})";
// Two blocks of 10 and 20 ns, each with an exit of 5 ns.
constexpr const char* kModel =
    R"({"event":"model","at_ns":100,"model":"m","device":"cpu","accuracy":[0.5,0.75],"blocks_ns":[[10,5,12,6],[20,5,22,6]]})";
constexpr const char* kLane = R"({"event":"lane_up","at_ns":101,"lane":0,"device":"cpu"})";

std::string submit(int job, int at, int deadline, const std::string& more = "") {
  return R"({"event":"submit","at_ns":)" + std::to_string(at) + R"(,"job":)" + std::to_string(job) +
         R"(,"tenant":"t","model":"m","priority":0,"release_ns":)" + std::to_string(at) +
         R"(,"deadline_ns":)" + std::to_string(deadline) + R"(,"plan":"all")" + more + "}";
}
std::string block(int job, int block, int start, int end, const std::string& more = "") {
  return R"({"event":"block","at_ns":)" + std::to_string(end) + R"(,"lane":0,"device":"cpu","job":)" +
         std::to_string(job) + R"(,"grant":1,"block":)" + std::to_string(block) + R"(,"start_ns":)" +
         std::to_string(start) + R"(,"end_ns":)" + std::to_string(end) + more + "}";
}
std::string outcome(int job, int at, const std::string& what, const std::string& more = "") {
  return R"({"event":"outcome","at_ns":)" + std::to_string(at) + R"(,"job":)" + std::to_string(job) +
         R"(,"outcome":")" + what + R"(","reason":"plan_finished")" + more + "}";
}

std::string residence(int at, const std::string& what) {
  return R"({"event":"residence","at_ns":)" + std::to_string(at) +
         R"(,"model":"m","device":"cpu","residence":")" + what + "\"}";
}

std::string lines(const std::vector<std::string>& all) {
  std::string text;
  for (const std::string& line : all) text += line + '\n';
  return text;
}

// Job 1 completes; job 2 came too late to be whole, and truly missed. Job 3 was cancelled.
std::vector<std::string> sample() {
  return {
      kHeader,
      kModel,
      kLane,
      residence(101, "out"),
      residence(102, "in"),
      R"({"event":"lane_up","at_ns":101,"lane":2,"device":"cpu","base":0,"preemption":"as-needed"})",
      R"({"event":"share","at_ns":102,"tenant":"t","weight":2,"budget_ns":5,"period_ns":50,"lane":0})",
      R"({"event":"reserve","at_ns":102,"task":1,"name":"belt","tenant":"t","model":"m","period_ns":100,)"
      R"("relative_deadline_ns":90,"priority":3,"mandatory_exit":0,"budget_ns":20,"lane":0,"patience_ns":3})",
      submit(1, 200, 300),
      R"({"event":"grant","at_ns":201,"lane":0,"device":"cpu","job":1,"grant":1,"first_block":0,"exits":3})",
      submit(2, 210, 260),
      block(1, 0, 205, 225, R"(,"used_ns":18,"exit":0,"class":4,"confidence":0.6)"),
      block(1, 1, 225, 255, R"(,"used_ns":30,"exit":1,"class":4,"confidence":0.9)"),
      outcome(1, 256, "completed", R"(,"exit":1,"class":4,"confidence":0.9,"preemptions":0)"),
      outcome(2, 260, "missed"),
      submit(3, 300, 0, R"(,"task":1)"),
      R"({"event":"cancel","at_ns":305,"job":3})",
      outcome(3, 305, "cancelled"),
      R"({"event":"unreserve","at_ns":310,"task":1})",
      R"({"event":"reject","at_ns":320,"job":4,"tenant":"u","model":"m","priority":0,"release_ns":320,)"
      R"("deadline_ns":310,"plan":"exact","target_confidence":0.5,"reason":"deadline_before_release"})",
      R"({"event":"lane_lost","at_ns":400,"lane":0,"device":"cpu","loss":"for-good"})",
      R"({"event":"lane_lost","at_ns":400,"lane":2,"device":"cpu","loss":"for-good"})"};
}

Result<ReadRecording> read(const std::string& text) {
  std::istringstream in(text);
  return read_recording(in, "file");
}

class ReplayFiles : public testing::Test {
 protected:
  struct Ran {
    int code = 0;
    std::string out, err;
  };
  Ran replay(const std::string& text, std::vector<std::string> more = {}) {
    EXPECT_TRUE(write_file(file_, text));
    std::vector<const char*> argv{"einet", "simulate", "--replay", file_.c_str()};
    for (const std::string& a : more) argv.push_back(a.c_str());
    std::ostringstream out, err;
    const int code = cli::run(static_cast<int>(argv.size()), argv.data(), out, err);
    return {code, out.str(), err.str()};
  }
  test::TemporaryFolder folder_;
  const std::filesystem::path file_ = folder_.path() / "r.jsonl";
};

TEST(Recording, HoldsWhatWentIntoTheCoreAndWhatLanesDid) {
  const auto read_back = read(lines(sample()));
  ASSERT_TRUE(read_back) << read_back.error().message;
  const Recording& r = read_back->recording;
  EXPECT_EQ(read_back->policy, "edf");
  EXPECT_EQ(r.options.max_jobs, 10u);
  EXPECT_EQ(r.devices, std::vector<std::string>{"cpu"});
  EXPECT_EQ(r.tenants, (std::vector<std::string>{"t", "u"}));
  ASSERT_EQ(r.jobs.size(), 4u);
  EXPECT_EQ(r.jobs[0].spec.deadline, TimePoint{Duration{300}});
  EXPECT_EQ(r.jobs[0].answers.size(), 2u);
  EXPECT_EQ(r.jobs[0].end->best.exit, 1);
  EXPECT_EQ(r.jobs[2].spec.deadline, kNever);
  EXPECT_EQ(r.jobs[2].spec.task, TaskId{1});
  EXPECT_EQ(r.jobs[3].spec.target_confidence, 0.5);
  EXPECT_EQ(r.jobs[3].end->outcome, Outcome::rejected);
  ASSERT_EQ(r.blocks.size(), 2u);
  EXPECT_EQ(r.blocks[0].used, Duration{18});
  ASSERT_EQ(r.inputs.size(), 14u);
  EXPECT_EQ(std::get<input::SetResidence>(r.inputs[1].what).residence, Residence::out);
  const auto& reserve = std::get<input::Reserve>(r.inputs[5].what);
  EXPECT_EQ(reserve.reservation.patience, Duration{3});
  EXPECT_EQ(std::get<input::SetShare>(r.inputs[4].what).share.budget->period, Duration{50});
  EXPECT_EQ(std::get<input::UrgentLaneUp>(r.inputs[3].what).base, LaneId{0});
  EXPECT_EQ(std::get<input::LaneLost>(r.inputs.back().what).loss, LaneLoss::for_good);
}

TEST(Recording, OfAKilledDaemonIsReadUpToItsLastWholeLine) {
  const std::string whole = lines({kHeader, kModel, kLane, submit(1, 200, 300), submit(2, 210, 310)});
  const std::size_t one_job = lines({kHeader, kModel, kLane, submit(1, 200, 300)}).size();
  for (std::size_t length = one_job; length < whole.size(); ++length) {
    const auto r = read(whole.substr(0, length));
    ASSERT_TRUE(r) << length << ": " << r.error().message;
    EXPECT_EQ(r->recording.jobs.size(), 1u);
    EXPECT_EQ(r->cut_off, length > one_job);
  }
}

TEST(Recording, AfterLostEventsWhatRefersToThemIsPassedOver) {
  const std::string lost = R"({"event":"lost","count":3})";
  const std::string early = lines({kHeader, kModel, kLane, outcome(7, 300, "completed")});
  EXPECT_FALSE(read(early));
  const auto r = read(lines({kHeader, kModel, kLane, lost, outcome(7, 300, "completed"), block(7, 0, 1, 2)}));
  ASSERT_TRUE(r) << r.error().message;
  EXPECT_EQ(r->lost, 5u);
}

TEST(Recording, BadLinesAreNamedWithWhatIsAllowed) {
  struct Case {
    std::vector<std::string> after;  // the header, the model and a lane
    std::string words;
  };
  const std::string job = submit(1, 200, 300);
  for (
      const Case& c : std::vector<Case>{
          {{"{"}, "file:4: no JSON object; expected one per line"},
          {{"[1]"}, "file:4: no JSON object"},
          {{""}, "file:4: no JSON object"},
          {{R"({"event":"begin"})"}, "file:4: event: found \"begin\"; allowed: header, model, "},
          {{R"({"at_ns":1})"}, "file:4: event: found nothing; allowed: "},
          {{R"({"event":"cancel","job":1})"},
           "file:4: at_ns: found nothing; allowed: a whole number from 0 to "},
          {{R"({"event":"cancel","at_ns":-1,"job":1})"}, "file:4: at_ns: found -1; allowed"},
          {{R"({"event":"cancel","at_ns":1e30,"job":1})"}, "file:4: at_ns: found 1e+30; allowed"},
          {{R"({"event":"cancel","at_ns":1152921504606846977,"job":1})"},
           "file:4: at_ns: found 1152921504606846977"},
          {{R"({"event":"cancel","at_ns":1,"job":9})"},
           "file:4: job: found 9; allowed: a job that was submitted"},
          {{R"({"event":"cancel","at_ns":1,"job":0})"},
           "file:4: job: found 0; allowed: a whole number from 1"},
          {{kHeader}, "file:4: a second header"},
          {{job, job}, "file:5: job: 1 was there before"},
          {{submit(1, 200, 300, R"(,"mandatory_exit":2)")},
           "file:4: mandatory_exit: found 2; allowed: an exit of"},
          {{submit(1, 200, 300, R"(,"target_confidence":1.5)")},
           "file:4: target_confidence: found 1.5; allowed: a number from 0.0 to 1.0"},
          {{submit(1, 200, 300, R"(,"model":"x")")},
           "file:4: model: found \"x\"; allowed: a model that a line"},
          {{submit(1, 200, 300, R"(,"plan":"none")")},
           "file:4: plan: found \"none\"; allowed: exact, all or last"},
          {{submit(1, 200, 300, R"(,"exits":4)")}, "file:4: exits: found 4; allowed: some of the model's"},
          {{submit(1, 200, 300, R"(,"exits":-1)")},
           "file:4: exits: found -1; allowed: a whole number from 1"},
          {{job, block(1, 2, 1, 2)}, "file:5: block: found 2; allowed: less than the 2 of"},
          {{job, block(1, 0, 2, 1)}, "file:5: end_ns: found 1; allowed: not before start_ns"},
          {{job, block(1, 0, 1, 2, R"(,"exit":1,"class":0,"confidence":0)")},
           "file:5: exit: found 1; allowed: that of"},
          {{job, block(1, 0, 1, 2, R"(,"device":"gpu")")},
           "file:5: device: found \"gpu\"; allowed: a device of"},
          {{job, outcome(1, 1, "won")}, "file:5: outcome: found \"won\"; allowed: completed, "},
          {{job, outcome(1, 1, "missed"), outcome(1, 1, "missed")}, "file:6: job: 1 has an outcome already"},
          {{kLane}, "file:4: lane: found 0; allowed: a lane that is not up"},
          {{residence(1, "gone")}, "file:4: residence: found \"gone\"; allowed: in, out, lost or no-room"},
          {{R"({"event":"lane_lost","at_ns":1,"lane":1})"},
           "file:4: lane: found 1; allowed: a lane that is up"},
          {{R"({"event":"lane_up","at_ns":1,"lane":1024,"device":"cpu"})"},
           "file:4: lane: found 1024; allowed: "},
          {{R"({"event":"lane_up","at_ns":1,"lane":1,"device":"cpu","base":3,"preemption":"instant"})"},
           "file:4: base: found 3; allowed: a base lane of the same device that is up"},
          {{R"({"event":"lane_up","at_ns":1,"lane":1,"device":"cpu","base":0,"preemption":"boundary"})"},
           "file:4: preemption: found \"boundary\"; allowed: as-needed or instant"},
          {{R"({"event":"share","at_ns":1,"tenant":"t","weight":0})"}, "file:4: weight: found 0; allowed: "},
          {{R"({"event":"share","at_ns":1,"tenant":"t","weight":1,"budget_ns":2,"period_ns":1,"lane":0})"},
           "file:4: budget_ns: found 2; allowed: at most period_ns"},
          {{R"({"event":"unreserve","at_ns":1,"task":1})"},
           "file:4: task: found 1; allowed: a task that is reserved"},
          {{R"({"event":"reserve","at_ns":1,"task":1,"model":"m","period_ns":0,"relative_deadline_ns":1,)"
            R"("priority":0,"budget_ns":1,"lane":0})"},
           "file:4: period_ns: found 0; allowed: "},
          {{R"({"event":"reserve","at_ns":1,"task":1,"model":"m","period_ns":1,"relative_deadline_ns":1,)"
            R"("priority":0,"budget_ns":1,"lane":0})"},
           "file:4: mandatory_exit: found nothing; allowed: an exit of the model"},
          {{R"({"event":"reserve","at_ns":1,"task":1,"model":"m","period_ns":1,"relative_deadline_ns":1,)"
            R"("priority":0,"mandatory_exit":0,"budget_ns":1,"lane":1})"},
           "file:4: lane: found 1; allowed: a base lane that was up once"},
          {{R"({"event":"model","at_ns":1,"model":"n","device":"cpu","accuracy":[2],"blocks_ns":[[1,1,1,1]]})"},
           "file:4: accuracy: found [2]; allowed: numbers from 0 to 1"},
          {{R"({"event":"model","at_ns":1,"model":"n","device":"cpu","accuracy":[],"blocks_ns":[[2,1,1,1]]})"},
           "file:4: blocks_ns: found [[2,1,1,1]]; allowed: [trunk, exit, worst trunk, worst exit] per block"},
          {{R"({"event":"model","at_ns":1,"model":"n","device":"cpu","accuracy":[1],"blocks_ns":[[1,1,1,1],[1,1,1,1]]})"},
           "file:4: accuracy has 1 entries and blocks_ns 2"},
      }) {
    std::vector<std::string> all{kHeader, kModel, kLane};
    all.insert(all.end(), c.after.begin(), c.after.end());
    const auto r = read(lines(all));
    ASSERT_FALSE(r) << c.words;
    EXPECT_EQ(r.error().message.substr(0, c.words.size()), c.words);
    EXPECT_EQ(r.error().message.find('\n'), std::string::npos);
  }
  EXPECT_THAT(read("").error().message, HasSubstr("file:1: the file ends before its header"));
  EXPECT_THAT(read(lines({kLane})).error().message, HasSubstr("file:1: the first line is no header"));
  EXPECT_THAT(read(std::string(RecordingLimits::kLine + 1, ' ')).error().message,
              HasSubstr("a line of more than"));
  EXPECT_THAT(read(lines({kHeader, kModel, std::string(10'000, '[')})).error().message,
              HasSubstr("file:3: no JSON"));
}

// Takes lines away, doubles, swaps and changes them; every number may become any other.
std::string damaged(const std::vector<std::string>& good) {
  std::vector<std::string> all = good;
  const int changes = *rc::gen::inRange(0, 6);
  for (int i = 0; i < changes; ++i) {
    const auto at = *rc::gen::inRange<std::size_t>(0, all.size());
    const auto other = *rc::gen::inRange<std::size_t>(0, all.size());
    switch (*rc::gen::inRange(0, 6)) {
      case 0:
        all.erase(all.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      case 1:
        all.insert(all.begin() + static_cast<std::ptrdiff_t>(at), all[other]);
        break;
      case 2:
        std::swap(all[at], all[other]);
        break;
      default: {
        const std::size_t digit =
            all[at].find_first_of("0123456789", *rc::gen::inRange<std::size_t>(0, all[at].size() + 1));
        if (digit == std::string::npos) break;
        const std::size_t end = std::min(all[at].find_first_not_of("0123456789", digit), all[at].size());
        const auto number =
            *rc::gen::element<std::string>("0", "1", "2", "3", "64", "250", "1125899906842624", "-1",
                                           "1152921504606846976", "99999999999999999999", "0.5", "\"x\"");
        all[at].replace(digit, end - digit, number);
      }
    }
    if (all.empty()) break;
  }
  return lines(all);
}

RC_GTEST_PROP(Recording, WhatIsAcceptedCanBeReplayedAndWhatIsNotNamesItsLine, ()) {
  const std::string text = damaged(sample());
  const auto r = read(text);
  if (!r) {
    RC_ASSERT(r.error().message.starts_with("file:"));
    RC_ASSERT(r.error().message.find('\n') == std::string::npos);
    return;
  }
  for (const Policy policy : {Policy::edf, Policy::fixed_priority, Policy::fifo, Policy::imprecise}) {
    Recording recording = r->recording;
    recording.options.policy = policy;
    const ReplayedRecording played = replay(recording);
    RC_ASSERT(played.jobs.size() == recording.jobs.size());
    for (const ReplayedBlock& b : played.blocks) RC_ASSERT(b.finish > b.start);
  }
}

TEST(Replay, KeepsToAStaticPlan) {
  const auto r = read(lines({kHeader, kModel, kLane, submit(1, 200, 300, R"(,"exits":2)")}));
  ASSERT_TRUE(r) << r.error().message;
  const ReplayedRecording played = replay(r->recording);
  EXPECT_EQ(played.jobs[0]->best.exit, 1);
  EXPECT_EQ(played.jobs[0]->at, TimePoint{Duration{235}}) << "10, and 20 + 5";
}

TEST(Replay, RunsTheRecordedArrivalsWithProfiledTimes) {
  const auto r = read(lines(sample()));
  ASSERT_TRUE(r) << r.error().message;
  const ReplayedRecording played = replay(r->recording);
  ASSERT_EQ(played.jobs.size(), 4u);
  // Job 2 has the earlier deadline: it takes the lane at the end of block 0 of job 1 (10 + 5) and runs all.
  EXPECT_EQ(played.jobs[0]->outcome, Outcome::completed);
  EXPECT_EQ(played.jobs[1]->outcome, Outcome::completed);
  EXPECT_EQ(played.jobs[1]->at, TimePoint{Duration{255}});
  EXPECT_EQ(played.jobs[0]->at, TimePoint{Duration{280}});
  EXPECT_EQ(played.jobs[0]->best.top_class, 4);   // as recorded
  EXPECT_EQ(played.jobs[1]->best.top_class, -1);  // not known
  EXPECT_EQ(played.jobs[1]->best.confidence, 0.75f);
  EXPECT_EQ(played.jobs[2]->outcome, Outcome::cancelled);
  EXPECT_EQ(played.jobs[3]->outcome, Outcome::rejected);
  EXPECT_EQ(played.jobs[3]->reason, Reason::deadline_before_release);
}

TEST(Replay, AnswersOfUnknownExitsAreAsConfidentAsTheyAreAccurate) {
  const auto r = read(lines({kHeader, kModel, kLane, submit(1, 200, 0, R"(,"target_confidence":0.5)"),
                             submit(2, 300, 0, R"(,"target_confidence":0.51)")}));
  ASSERT_TRUE(r) << r.error().message;
  const ReplayedRecording played = replay(r->recording);
  EXPECT_EQ(played.jobs[0]->best.exit, 0);
  EXPECT_EQ(played.jobs[1]->best.exit, 1);
}

TEST(Replay, JobsThatWaitForALaneForEverHaveNoEnd) {
  const auto r = read(
      lines({kHeader, kModel, kLane, R"({"event":"lane_lost","at_ns":150,"lane":0})", submit(1, 200, 0)}));
  ASSERT_TRUE(r) << r.error().message;
  EXPECT_FALSE(replay(r->recording).jobs[0]);
}

TEST(Replay, JobsWaitForAModelThatWasEvicted) {
  const auto ends = [](const std::vector<std::string>& more) {
    std::vector<std::string> all = {kHeader, kModel, kLane};
    all.insert(all.end(), more.begin(), more.end());
    const auto r = read(lines(all));
    EXPECT_TRUE(r) << r.error().message;
    return r ? replay(r->recording).jobs : std::vector<std::optional<JobEnd>>(1);
  };
  const auto back = ends({residence(150, "out"), submit(1, 200, 0), residence(300, "in")});
  ASSERT_TRUE(back[0]);
  EXPECT_EQ(back[0]->at, TimePoint{Duration{340}}) << "10 + 5, 20 + 5";
  const auto refused = ends({residence(150, "out"), submit(1, 200, 0), residence(300, "no-room")});
  ASSERT_TRUE(refused[0]);
  EXPECT_EQ(refused[0]->reason, Reason::out_of_device_memory);
  // It had ended then, and has not here.
  const auto needed = ends({submit(1, 200, 0), residence(210, "out"), residence(220, "lost")});
  ASSERT_TRUE(needed[0]);
  EXPECT_EQ(needed[0]->outcome, Outcome::completed);
}

TEST_F(ReplayFiles, PredictedStandsBesideActual) {
  const Ran ran = replay(lines(sample()), {"--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const json out = json::parse(ran.out);
  EXPECT_EQ(out["jobs"], 4);
  EXPECT_EQ(out["same_outcome"], 3);
  EXPECT_EQ(out["same_exit"], 3);
  EXPECT_EQ(out["outcomes"]["completed"], (json{{"predicted", 2}, {"actual", 1}, {"both", 1}}));
  EXPECT_EQ(out["outcomes"]["missed"], (json{{"predicted", 0}, {"actual", 1}, {"both", 0}}));
  // 0.75 of one answered job of four, against two.
  EXPECT_EQ(out["expected_accuracy"], (json{{"predicted", 0.375}, {"actual", 0.1875}}));
  EXPECT_EQ(out["blocks"][0]["median"], "15ns");
  EXPECT_EQ(out["blocks"][0]["worst"], "18ns");
  EXPECT_EQ(out["blocks"][0]["actual"]["p50"], "18ns");
  EXPECT_EQ(out["blocks"][0]["over_worst"], 0);
  EXPECT_EQ(out["blocks"][1]["over_worst"], 1);
  EXPECT_EQ(out["responses"][0]["predicted"]["max"], "80ns");
  EXPECT_EQ(out["responses"][0]["actual"]["max"], "56ns");
}

TEST_F(ReplayFiles, ThePolicyMayBeAnother) {
  const Ran ran = replay(lines(sample()), {"--policy", "fifo", "--csv", folder_.path() / "out.csv"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("recorded: 4 jobs in 300ns under edf; replayed under fifo"));
  EXPECT_THAT(ran.out, HasSubstr("the same outcome: 3 of 4 (75.0%)"));
  EXPECT_THAT(
      *read_file(folder_.path() / "out.csv", ByteCount{10'000}),
      testing::StartsWith("job,model,block,lane,start_ns,finish_ns\n1,m,0,0,200,215\n1,m,1,0,215,240\n"));
  EXPECT_THAT(*read_file(folder_.path() / "out.csv.jobs", ByteCount{10'000}),
              HasSubstr("\n1,t,m,200,300,completed,1,240,completed,1,256\n"));
}

TEST_F(ReplayFiles, BadInputExitsWithTwo) {
  EXPECT_EQ(replay("{}\n").code, 2);
  EXPECT_EQ(replay(lines(sample()), {"--policy", "best"}).code, 2);
  EXPECT_EQ(replay(lines(sample()), {"set.toml"}).code, 2);
  EXPECT_EQ(replay(lines(sample()), {"--csv", "/nowhere/out.csv"}).code, 2);
  const Ran bad = replay(lines({kHeader, "x"}));
  EXPECT_EQ(bad.code, 2);
  EXPECT_EQ(bad.out, "");
  EXPECT_THAT(bad.err, HasSubstr("r.jsonl:2: no JSON object"));
  std::filesystem::remove(file_);
  std::ostringstream out, err;
  EXPECT_EQ(run_replay({.recording = file_, .csv = {}, .policy = {}}, out, err), 2);
  EXPECT_THAT(err.str(), HasSubstr("cannot be read"));
}

}  // namespace
}  // namespace einet
