// `einet evaluate` from its arguments to what it prints and draws, with good and bad profiles.
#include "tools/einet/evaluate.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "config/files.h"
#include "synthetic_profiles.h"
#include "temporary_folder.h"
#include "tools/einet/command_line.h"
#include "tools/einet/image.h"
#include "tools/plot/plot.h"

namespace einet::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct Ran {
  int code;
  std::string out, words;
};

class EvaluateTest : public testing::Test {
 protected:
  EvaluateTest() {
    const auto ok = write_profiles(path_, test::make_synthetic_profiles({.blocks = 4}));
    EXPECT_TRUE(ok);
  }

  // "einet evaluate" with these arguments.
  static Ran run_einet(const std::vector<std::string>& arguments) {
    std::vector<const char*> argv{"einet", "evaluate"};
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    std::ostringstream out, words;
    const int code = run(static_cast<int>(argv.size()), argv.data(), out, words);
    return {code, out.str(), words.str()};
  }
  Ran run_here(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), path_.string());
    return run_einet(arguments);
  }

  test::TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "net.profiles";
};

TEST_F(EvaluateTest, PrintsATableForPeople) {
  const Ran ran = run_here({"--expect", "statistics"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.words, "");
  EXPECT_THAT(ran.out,
              StartsWith("synthetic-4 on made-up: 300 test samples, 4 exits, 520us with all of them on cpu\n"
                         "killed: uniform; answers: last; expectations: statistics, learned from 200 "
                         "validation samples in "));
  for (const char* planner : {"exact", "hybrid", "greedy", "random", "statistics", "static:25", "static:50",
                              "all", "confidence:90", "confidence:95", "confidence:99", "single", "oracle"}) {
    EXPECT_THAT(ran.out, HasSubstr("\n" + std::string(planner) + " "));
  }
  EXPECT_THAT(ran.out, HasSubstr("+0.00 to +0.00"));  // the base over itself
}

TEST_F(EvaluateTest, AnswersInJson) {
  const Ran ran =
      run_here({"--kill", "uniform", "--kill", "normal:40%,10%", "--planner", "exact+product+predictor",
                "static:50", "oracle", "--base", "static:50", "--seed", "7", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.words;
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 1);
  const auto json = nlohmann::json::parse(ran.out).at("evaluations");
  ASSERT_EQ(json.size(), 2u);
  EXPECT_EQ(json[1].at("kill"), "normal:40%,10%");
  EXPECT_EQ(json[0].at("network"), "synthetic-4");
  EXPECT_EQ(json[0].at("base"), "static:50");
  EXPECT_EQ(json[0].at("expectations"), "lookalikes");
  EXPECT_EQ(json[0].at("whole"), "520us");
  EXPECT_EQ(json[0].at("exit_accuracy").size(), 2u);
  EXPECT_EQ(json[0].at("exit_accuracy").at("test").size(), 4u);
  EXPECT_DOUBLE_EQ(json[0].at("exit_accuracy").at("test")[2],
                   ProfileSet::read(path_)->split(Split::test)->accuracy(2));
  const auto& rows = json[0].at("planners");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].at("planner"), "exact+product+predictor");
  EXPECT_GT(rows[0].at("search").at("count"), 300);
  EXPECT_EQ(rows[1].at("gain").at("value"), 0);
  EXPECT_TRUE(rows[1].at("search").is_null());
  EXPECT_LT(rows[2].at("accuracy").at("low"), rows[2].at("accuracy").at("value"));
  EXPECT_LE(rows[2].at("accuracy").at("value"), rows[2].at("answered"));
}

TEST_F(EvaluateTest, FindsTheSameAgainForTheSameSeed) {
  const auto figures = [&](const std::string& seed) {
    auto json = nlohmann::json::parse(run_here({"--json", "--seed", seed, "--planner", "exact", "all"}).out);
    for (auto& row : json["evaluations"][0]["planners"]) row.erase("search");  // times differ
    return json["evaluations"][0]["planners"].dump();
  };
  EXPECT_EQ(figures("3"), figures("3"));
  EXPECT_NE(figures("3"), figures("4"));
}

TEST_F(EvaluateTest, ReadsCompressedProfiles) {
  const auto packed = folder_.path() / "net.profiles.zst";
  ASSERT_TRUE(write_profiles(packed, test::make_synthetic_profiles({.blocks = 4})));
  const auto figures = [](const Ran& ran) {
    auto json = nlohmann::json::parse(ran.out).at("evaluations")[0];
    for (auto& row : json["planners"]) row.erase("search");
    json.erase("profiles");
    return json.dump();
  };
  EXPECT_EQ(figures(run_einet({packed.string(), "--planner", "exact", "all", "--json"})),
            figures(run_here({"--planner", "exact", "all", "--json"})));
}

TEST_F(EvaluateTest, PutsAnotherNetworkBeside) {
  const auto classic = folder_.path() / "classic.profiles";
  ProfileRecord record = test::make_synthetic_profiles({.blocks = 4});
  record.network = "classic";
  ASSERT_TRUE(write_profiles(classic, record));
  const Ran ran =
      run_here({"--planner", "single", "all", "--beside", classic.string(), "--base", "classic", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.words;
  const auto json = nlohmann::json::parse(ran.out).at("evaluations")[0];
  EXPECT_EQ(json.at("base"), "classic");
  const auto& rows = json.at("planners");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_FALSE(rows[1].contains("profiles"));
  EXPECT_EQ(rows[2].at("planner"), "classic");
  EXPECT_EQ(rows[2].at("profiles"), classic.string());
  EXPECT_EQ(rows[0].at("gain").at("value"), 0);  // the same answers at the same time
}

TEST_F(EvaluateTest, JudgesByValidationSamplesWhereTheChoiceIsStillOpen) {
  const auto validation_only = folder_.path() / "v.profiles";
  ASSERT_TRUE(write_profiles(validation_only,
                             test::make_synthetic_profiles({.samples = {{Split::validation, 103}}})));
  const Ran ran =
      run_einet({validation_only.string(), "--judge", "validation", "--planner", "exact", "all", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.words;
  const auto json = nlohmann::json::parse(ran.out).at("evaluations")[0];
  EXPECT_EQ(json.at("judged_by"), "validation");
  EXPECT_EQ(json.at("samples"), 103);
  const Ran table = run_here({"--judge", "validation", "--planner", "all"});
  EXPECT_THAT(table.out, HasSubstr(": 200 validation samples, "));
  EXPECT_THAT(table.out, HasSubstr("learned from four fifths of 200 validation samples"));
}

TEST_F(EvaluateTest, ReadsASurvivalFile) {
  const auto file = folder_.path() / "kill.toml";
  std::ofstream(file) << "[survival]\nkind = 'sample'\nkills = ['100us', '300us']\n";
  EXPECT_EQ(run_here({"--kill", file.string()}).code, 0);
  std::ofstream(file) << "[survival]\nkind = 'points'\nt = ['0ms', '1ms']\ns = [0.4, 0.5]\n";
  const Ran ran = run_here({"--kill", file.string()});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.words, HasSubstr("s[1]: found 0.5"));
  EXPECT_THAT(ran.words, HasSubstr("kill.toml:4:5: survival.s: s[1]: found 0.5"));
}

TEST_F(EvaluateTest, ReadsMeasuredKillTimes) {
  const auto file = folder_.path() / "kills";
  const auto accuracy = [&](const std::string& kills) {
    std::ofstream(file) << kills;
    const Ran ran = run_here({"--kill", "sample:" + file.string(), "--planner", "all", "--json"});
    EXPECT_EQ(ran.code, 0) << ran.words;
    return nlohmann::json::parse(ran.out)["evaluations"][0]["planners"][0]["accuracy"]["value"].get<double>();
  };
  // Half of the jobs are stopped before anything is ready.
  EXPECT_NEAR(2 * accuracy("0ns\n1s\n"), accuracy("1s\n"), 1e-6);
  std::ofstream(file) << "1ms\n2mm\n";
  const Ran ran = run_here({"--kill", "sample:" + file.string()});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.words, HasSubstr("kills:2: "));
  EXPECT_EQ(run_here({"--kill", "sample:/nonexistent/x"}).code, 2);
}

TEST_F(EvaluateTest, TakesBlockTimesOfAnotherMachine) {
  const auto file = folder_.path() / "et.profile";
  const auto whole = [&](const std::string& times) {
    std::ofstream(file)
        << "[[device]]\nkind = \"cpu\"\nmachine = \"m\"\nmethod = \"m\"\n[device.trunk]\np50 = " << times
        << "\np99 = " << times << "\nmax = " << times << "\n[device.exit]\np50 = " << times
        << "\np99 = " << times << "\nmax = " << times << "\n";
    return run_here({"--times", file.string(), "--planner", "all", "--json"});
  };
  const Ran ran = whole(R"(["1us", "2us", "3us", "4us"])");
  ASSERT_EQ(ran.code, 0) << ran.words;
  EXPECT_THAT(ran.out, HasSubstr(R"("whole":"20us")"));
  EXPECT_THAT(whole(R"(["1us", "2us"])").words, HasSubstr("et.profile:"));  // a network of other blocks
  EXPECT_EQ(run_here({"--times", "/nonexistent/x"}).code, 2);
}

TEST_F(EvaluateTest, SaysTheExitsOfPlansThatAreTheSameForAll) {
  const Ran ran = run_here({"--planner", "exits:0,3", "all", "single", "confidence:90", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.words;
  const auto rows = nlohmann::json::parse(ran.out)["evaluations"][0]["planners"];
  EXPECT_EQ(rows[0]["plan"].dump(), "[0,3]");
  EXPECT_EQ(rows[1]["plan"].dump(), "[0,1,2,3]");
  EXPECT_EQ(rows[2]["plan"].dump(), "[3]");
  EXPECT_TRUE(rows[3]["plan"].is_null());
}

TEST_F(EvaluateTest, DrawsOnePanelPerTable) {
  const auto png = folder_.path() / "x.png";
  const Ran ran = run_here({"--kill", "uniform", "exponential", "--plot", png.string()});
  ASSERT_EQ(ran.code, 0) << ran.words;
  const auto image = decode_png(*read_file(png, ByteCount{1 << 24}));
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->width, 1200u);
  EXPECT_EQ(image->height, 2u * 620);
}

TEST_F(EvaluateTest, RefusesWhatItCannotEvaluateInOneLine) {
  const auto validation_only = folder_.path() / "v.profiles";
  ASSERT_TRUE(
      write_profiles(validation_only, test::make_synthetic_profiles({.samples = {{Split::validation, 9}}})));
  const auto test_only = folder_.path() / "t.profiles";
  ASSERT_TRUE(write_profiles(test_only, test::make_synthetic_profiles({.samples = {{Split::test, 9}}})));
  const auto few = folder_.path() / "few.profiles";
  ASSERT_TRUE(write_profiles(
      few, test::make_synthetic_profiles({.samples = {{Split::test, 9}, {Split::validation, 9}}})));
  const auto other = folder_.path() / "other.profiles";
  ASSERT_TRUE(write_profiles(other, test::make_synthetic_profiles({.blocks = 4, .seed = 2})));
  const auto written = [&](const char* name, const std::function<void(ProfileRecord&)>& change) {
    ProfileRecord record = test::make_synthetic_profiles({.blocks = 4});
    record.network = "other";
    change(record);
    const auto path = folder_.path() / name;
    EXPECT_TRUE(write_profiles(path, record));
    return path.string();
  };
  const std::string other_data = written("data", [](ProfileRecord& r) { r.data = "others"; });
  const std::string other_machine =
      written("machine", [](ProfileRecord& r) { r.times.front().machine = "fast machine"; });
  const std::string other_device =
      written("device", [](ProfileRecord& r) { r.times.erase(r.times.begin()); });
  const std::string no_test = written("no-test", [](ProfileRecord& r) { r.splits.erase(Split::test); });
  const std::string cut_short = folder_.path() / "cut.profiles.zst";
  const auto packed = folder_.path() / "packed.profiles.zst";
  ASSERT_TRUE(write_profiles(packed, test::make_synthetic_profiles({.blocks = 4})));
  const std::string bytes = *read_file(packed, ByteCount{1 << 20});
  ASSERT_TRUE(write_file(cut_short, std::string_view(bytes).substr(0, bytes.size() / 2)));
  const std::pair<Ran, const char*> bad[] = {
      {run_here({"--beside", other.string()}), "other.profiles: is of other test samples (made-up) than"},
      {run_here({"--beside", other_data}), "is of other test samples (others) than synthetic-4 (made-up)"},
      {run_here({"--beside", other_machine}), "was timed on \"fast machine\", synthetic-4 on"},
      {run_here({"--beside", other_device}), "has no times on cpu, as synthetic-4 has"},
      {run_here({"--beside", no_test}), "no-test: has no test split; it is needed to judge it"},
      {run_here({"--beside", path_.string(), path_.string()}), "\"synthetic-4\" is there twice"},
      {run_here({"--beside", "/nonexistent/x.profiles"}), "/nonexistent/x.profiles: cannot open"},
      {run_einet({cut_short}), "cut.profiles.zst: is cut short: the compressed data ends early"},
      {run_einet({"/nonexistent/x.profiles"}), "/nonexistent/x.profiles: cannot open"},
      {run_einet({folder_.path().string()}), "is not a regular file"},
      {run_einet({validation_only.string()}), "v.profiles: has no test split; it is needed to judge plans"},
      {run_einet({test_only.string()}), "t.profiles: has no validation split; it is needed to plan"},
      {run_einet({few.string(), "--expect", "predictor"}), "few.profiles: cannot train a predictor: "},
      {run_here({"--planner", "exakt"}), "did you mean \"exact\"?"},
      {run_here({"--planner", "exact+best"}), "planner \"exact+best\": found \"best\""},
      {run_here({"--planner", "exact", "exact"}), "planner: \"exact\" is there twice"},
      {run_here({"--base", "hybrid:2"}), "base: found \"hybrid:2\""},
      {run_here({"--kill", "gamma"}), "kill \"gamma\": expected uniform, exponential or normal"},
      {run_here({"--planner", "exits:1,4"}), "planner \"exits:1,4\": the network has exits 0 to 3"},
      {run_here({"--kill", "/nonexistent/s.toml"}), "/nonexistent/s.toml"},
      {run_here({"--aggregation", "mean"}), "aggregation: found \"mean\""},
      {run_here({"--expect", "luck"}), "expectations: found \"luck\""},
      {run_here({"--device", "tpu"}), "device: found \"tpu\"; the profiles have times of cpu or cuda"},
      {run_here({"--plot", "/nonexistent/x.png"}), "/nonexistent/x.png"},
      {run_here({"--plot",        "x",
                 "--kill",        "uniform:1%,1%",
                 "uniform:1%,2%", "uniform:1%,3%",
                 "uniform:1%,4%", "uniform:1%,5%",
                 "uniform:1%,6%", "uniform:1%,7%",
                 "uniform:1%,8%", "uniform:1%,9%",
                 "uniform:2%,2%", "uniform:2%,3%",
                 "uniform:2%,4%", "uniform:2%,5%",
                 "uniform:2%,6%", "uniform:2%,7%",
                 "uniform:2%,8%", "uniform:2%,9%"}),
       "at most 16 tables fit into one"},
  };
  for (const auto& [ran, place] : bad) {
    EXPECT_EQ(ran.code, 2) << place;
    EXPECT_EQ(ran.out, "") << place;
    EXPECT_THAT(ran.words, StartsWith("einet evaluate: "));
    EXPECT_THAT(ran.words, HasSubstr(place));
    EXPECT_EQ(ran.words.find('\n'), ran.words.size() - 1) << ran.words;
  }
  EXPECT_EQ(run_here({"--judge", "train"}).code, 2);
  EXPECT_EQ(run_einet({}).code, 2);
  EXPECT_EQ(run_here({"--seed", "-1"}).code, 2);
}

TEST(Plot, DrawsCurvesInsideTheirAxes) {
  const auto png = draw_png({{"title ~", "x", "y", 3, {{"flat", {0.5, 0.5}}, {"steep", {0, 1, 0.25}}}}});
  ASSERT_TRUE(png);
  const auto image = decode_png(*png);
  ASSERT_TRUE(image);
  const auto dot = [&](int x, int y) { return image->pixels[static_cast<std::size_t>((y * 1200 + x) * 3)]; };
  EXPECT_EQ(dot(0, 0), 255);
  EXPECT_EQ(dot(1199, 619), 255);
  // Halfway up: the first curve's blue has no red in it.
  const int middle = 620 - 80 - (620 - 50 - 80 - 20) / 2;
  EXPECT_EQ(dot(300, middle), 0);
  EXPECT_EQ(dot(300, middle - 30), 255);
}

TEST(Plot, DrawsNothingRightWhereThereIsNothingToSee) {
  EXPECT_TRUE(draw_png({{"", "", "", 1e-9, {}}, {"all are zero", "x", "y", 1e12, {{"none", {0, 0, 0}}}}}));
}

}  // namespace
}  // namespace einet::cli
