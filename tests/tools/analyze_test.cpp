// `einet analyze` from the outside: verdicts, words, JSON and exit codes.
#include "tools/einet/analyze.h"

#include <sstream>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "config/files.h"
#include "temporary_folder.h"

namespace einet {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using Output = AnalyzeArguments::Output;

constexpr std::string_view kTasks = R"(horizon = "1s"
[[task]]
name = "ctl"
period = "20ms"
deadline = "15ms"
blocks = ["1.5ms", "2ms"]
[[task]]
name = "camera"
period = "100ms"
blocks = ["9ms", "4ms"]
)";

struct Ran {
  int code;
  std::string out;
  std::string words;
};

Ran analyze(const std::string& head, Output output = Output::table) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "set.toml";
  EXPECT_TRUE(write_file(path, head + std::string(kTasks)));
  std::ostringstream out;
  std::ostringstream words;
  const int code = run_analyze({.set = path, .output = output}, out, words);
  return {code, out.str(), words.str()};
}

TEST(Analyze, PrintsARowPerTaskAndTheWholeVerdictLast) {
  const Ran ran = analyze("policy = \"edf\"\n");
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.words, "");
  EXPECT_EQ(
      ran.out,
      "TASK    VERDICT  LANE  RESPONSE     DEADLINE  SLACK       BLOCKING    WHY\n"
      "ctl     fits     -     12.499999ms  15ms      2.500001ms  8.999999ms  3.5ms own, 8.999999ms blocking "
      "by "
      "\"camera\"\n"
      "camera  fits     -     16.5ms       100ms     83.5ms      0ns         13ms own, 3.5ms of \"ctl\"\n"
      "schedulable: no job of a task misses its deadline (edf, 1 lane, 30.5% used)\n");
}

TEST(Analyze, SaysWhichTaskMissesAndExitsWithOne) {
  const Ran ran = analyze("policy = \"fifo\"\n");
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.out, HasSubstr("ctl     misses   -     16.499999ms"));
  EXPECT_THAT(ran.out, HasSubstr("\nnot schedulable: ctl (fifo, 1 lane, 30.5% used)\n"));
}

TEST(Analyze, PlacesTasksOnLanesAndSaysWhyOneIsRefused) {
  const Ran fits = analyze("policy = \"imprecise\"\nlanes = 2\nplacement = \"partitioned\"\n", Output::json);
  EXPECT_EQ(fits.code, 0);
  const auto json = nlohmann::json::parse(fits.out);
  EXPECT_TRUE(json.at("schedulable").get<bool>());
  EXPECT_EQ(json.at("placement"), "partitioned");
  EXPECT_EQ(json.at("tasks").at(0).at("lane"), 0);
  EXPECT_EQ(json.at("tasks").at(0).at("slack_ns").get<std::int64_t>(),
            15'000'000 - json.at("tasks").at(0).at("response_ns").get<std::int64_t>());

  const Ran refused = analyze("policy = \"fifo\"\nlanes = 2\nplacement = \"partitioned\"\n", Output::json);
  EXPECT_EQ(refused.code, 1);
  const auto row = nlohmann::json::parse(refused.out).at("tasks").at(0);
  EXPECT_EQ(row.at("verdict"), "refused");
  EXPECT_TRUE(row.at("lane").is_null());
  EXPECT_TRUE(row.at("response_ns").is_null());
  EXPECT_THAT(row.at("why").get<std::string>(), HasSubstr("\"fifo\" promises nothing"));
}

TEST(Analyze, KnowsPreemptionInsideBlocks) {
  const Ran instant = analyze("policy = \"edf\"\npreemption = \"instant\"\n");
  EXPECT_EQ(instant.code, 0);
  EXPECT_THAT(instant.out, HasSubstr("ctl     fits     -     3.5ms"));
  // Only where tasks have homes is it known who may take a core.
  const Ran shared = analyze("policy = \"edf\"\nlanes = 2\npreemption = \"instant\"\n");
  EXPECT_EQ(shared.code, 1);
  EXPECT_THAT(shared.out, HasSubstr("not shown to be schedulable: ctl, camera"));
  EXPECT_THAT(shared.out, HasSubstr("placement = \"partitioned\""));
}

TEST(Analyze, AnInvalidSetIsTwoWithOneLine) {
  for (const std::string head : {"policy = \"none\"\n", "policy = \"edf\"\nnonsense = 1\n", "\n\x01["}) {
    const Ran ran = analyze(head);
    EXPECT_EQ(ran.code, 2);
    EXPECT_EQ(ran.out, "");
    EXPECT_THAT(ran.words, StartsWith("einet: "));
    EXPECT_EQ(std::count(ran.words.begin(), ran.words.end(), '\n'), 1);
  }
  std::ostringstream out;
  std::ostringstream words;
  EXPECT_EQ(run_analyze({.set = "/nonexistent"}, out, words), 2);
  EXPECT_THAT(words.str(), HasSubstr("/nonexistent"));
}

}  // namespace
}  // namespace einet
