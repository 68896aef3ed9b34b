// `einet plan` from its arguments to what it prints, with good and bad problem files.
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include <gtest/gtest.h>

#include "plan.h"
#include "temporary_folder.h"

namespace einet {
namespace {

constexpr const char* kGood = R"(trunk = ["1ms", "0.8ms"]
exit = ["0.2ms", "0.1ms"]
accuracy = [0.5, 0.9]
[survival]
kind = "uniform"
from = "0ms"
to = "4ms"
)";

struct Ran {
  int code;
  std::string out, words;
};

Ran run(const std::string& problem, const std::string& planner = "exact",
        PlanArguments::Output output = PlanArguments::Output::json) {
  const test::TemporaryFolder folder;  // of this test alone: tests run side by side
  const std::filesystem::path path = folder.path() / "problem.toml";
  std::ofstream(path, std::ios::binary) << problem;
  std::ostringstream out, words;
  const int code = run_plan({path, planner, output}, out, words);
  return {code, out.str(), words.str()};
}

std::string with(const std::string& from, const std::string& to) {
  std::string text = kGood;
  return text.replace(text.find(from), from.size(), to);
}

std::string with_survival(const std::string& survival) {
  const std::string text = kGood;
  return text.substr(0, text.find("[survival]")) + "[survival]\n" + survival;
}

TEST(PlanCommand, AnswersInJson) {
  const Ran ran = run(kGood);
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.words, "");
  // Both exits: 0.5 * (1 - 1.2 / 4) + 0.4 * (1 - 2.1 / 4) = 0.54; only the second: 0.9 * (1 - 1.9 / 4) =
  // 0.4725.
  const std::regex shape(
      R"re(\{"planner":"exact","exits":\[0,1\],"expected_accuracy":([0-9.]+),"search_us":[0-9.e+-]+\}\n)re");
  std::smatch found;
  ASSERT_TRUE(std::regex_match(ran.out, found, shape)) << ran.out;
  EXPECT_NEAR(std::stod(found[1]), 0.54, 1e-12);
}

TEST(PlanCommand, AnswersWithoutAnyExitWhenNoneHelps) {
  const Ran ran = run("held = 1\n" + std::string(kGood));
  EXPECT_EQ(ran.code, 0);
  EXPECT_NE(ran.out.find("\"exits\":[],\"expected_accuracy\":1,"), std::string::npos) << ran.out;
}

TEST(PlanCommand, NamesThePlannerAsItWasAskedFor) {
  for (const char* planner :
       {"exact", "all", "static:25", "single", "hybrid", "hybrid:4", "greedy", "random", "random:9"}) {
    const Ran ran = run(kGood, planner);
    EXPECT_EQ(ran.code, 0);
    EXPECT_EQ(ran.out.find("{\"planner\":\"" + std::string(planner) + "\","), 0u) << ran.out;
  }
}

TEST(PlanCommand, PrintsATableForPeople) {
  const Ran ran = run(kGood, "exact", PlanArguments::Output::table);
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out.find("exit      ready  alive then  accuracy\n"
                         "   0     1.20ms      0.7000    0.5000\n"
                         "   1     2.10ms      0.4750    0.9000\n"
                         "expected accuracy 0.5400 (held now: 0.0000), planner exact, found in "),
            0u)
      << ran.out;
}

TEST(PlanCommand, ReadsEveryKindOfSurvival) {
  for (const char* survival :
       {"kind = 'uniform'\nfrom = '1ms'\nto = '1ms'", "kind = 'exponential'\nmean = '2ms'",
        "kind = 'normal'\nmean = '2ms'\nsd = '1ms'", "kind = 'sample'\nkills = ['3ms', '1ms', '1ms']",
        "kind = 'points'\nt = ['0ms', '2ms']\ns = [1, 0.5]"}) {
    const Ran ran = run(with_survival(survival));
    EXPECT_EQ(ran.code, 0) << survival << "\n" << ran.words;
  }
}

TEST(PlanCommand, RefusesABadProblemWithOneLineThatNamesThePlace) {
  std::string long_list = "\"1ms\"";
  for (int k = 0; k < 64; ++k) long_list += ", \"1ms\"";
  const std::pair<std::string, const char*> bad[] = {
      {"", "survival.kind: is missing"},
      {"trunk = ", "not TOML"},
      {with("[\"1ms\", \"0.8ms\"]", "[]"), ":1:9: trunk: found no blocks; expected from 1 to 64"},
      {with("[\"1ms\", \"0.8ms\"]", "[" + long_list + "]"), "trunk: found a list of 65; at most 64"},
      {with("[\"1ms\", \"0.8ms\"]", "[\"1ms\"]"),
       ":2:8: exit: found 2 entries; expected as many as in trunk, 1"},
      {with("[0.5, 0.9]", "[0.5]"), ":3:12: accuracy: found 1 entries"},
      {with("[0.5, 0.9]", "[0.5, 1.1]"), ":3:18: accuracy[1]: found 1.1"},
      {with("[0.5, 0.9]", "[0.5, -0.1]"), "accuracy[1]"},
      {with("[0.5, 0.9]", "[0.5, nan]"), "accuracy[1]"},
      {with("\"0.1ms\"", "\"-0.1ms\""), ":2:18: exit[1]"},
      {with("\"0.1ms\"", "0.1"), ":2:18: exit[1]"},
      {with("accuracy", "acuracy"), ":3:1: acuracy: unknown key; did you mean \"accuracy\"?"},
      {"held = 1.5\n" + std::string(kGood), ":1:8: held: found 1.5"},
      {"first_block = 3\n" + std::string(kGood), ":1:15: first_block: found 3; there are 2 blocks"},
      {"first_block = -1\n" + std::string(kGood), "first_block"},
      {"colour = 1\n" + std::string(kGood), ":1:1: colour: unknown key"},
      {with_survival(""), "survival.kind: is missing"},
      {with("[survival]", "[other]"), "kind"},
      {with_survival("kind = 'unifrom'"), "did you mean \"uniform\"?"},
      {with_survival("kind = 'uniform'\nfrom = '2ms'\nto = '1ms'"),
       ":7:6: survival.to: found 1ms; expected a time at or after `from`"},
      {with_survival("kind = 'uniform'\nfrom = '2ms'"), "survival.to: is missing"},
      {with_survival("kind = 'uniform'\nfrom = '0ms'\nto = '1ms'\nmean = '1ms'"),
       "survival.mean: unknown key"},
      {with_survival("kind = 'exponential'\nmean = '0ms'"), "survival.mean"},
      {with_survival("kind = 'normal'\nmean = '1ms'\nsd = '0ms'"), "survival.sd"},
      {with_survival("kind = 'sample'\nkills = []"), ":6:9: survival.kills: expected at least one"},
      {with_survival("kind = 'points'\nt = ['0ms', '1ms']\ns = [0.4, 0.5]"),
       ":7:5: survival.s: s[1]: found 0.5"},
      {with_survival("kind = 'points'\nt = ['1ms', '1ms']\ns = [0.5, 0.4]"),
       ":6:5: survival.t: t[1]: found 1ms; expected a finite time after"},
      {with_survival("kind = 'points'\nt = ['1ms']\ns = [0.5, 0.4]"), ":7:5: survival.s: found 2 values"},
      {with_survival("kind = 'points'\nt = ['1ms']\ns = [nan]"), "survival.s[0]"},
  };
  for (const auto& [problem, place] : bad) {
    const Ran ran = run(problem);
    EXPECT_EQ(ran.code, 2) << problem;
    EXPECT_EQ(ran.out, "") << problem;
    EXPECT_NE(ran.words.find(place), std::string::npos) << problem << "\nsaid: " << ran.words;
    EXPECT_EQ(ran.words.find('\n'), ran.words.size() - 1) << ran.words;
  }
}

TEST(PlanCommand, RefusesAnUnknownPlannerAndAFileThatIsNotThere) {
  EXPECT_EQ(run(kGood, "best").code, 2);
  EXPECT_NE(run(kGood, "best").words.find("planner: found \"best\""), std::string::npos);
  std::ostringstream out, words;
  EXPECT_EQ(run_plan({"/nonexistent/p.toml", "exact", PlanArguments::Output::json}, out, words), 2);
  EXPECT_EQ(out.str(), "");
  EXPECT_NE(words.str().find("/nonexistent/p.toml"), std::string::npos);
}

}  // namespace
}  // namespace einet
