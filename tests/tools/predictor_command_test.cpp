// einet-model predictor, on profiles and a package of a network that was never trained.
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/files.h"
#include "models/package.h"
#include "predictor.h"
#include "synthetic_package.h"
#include "synthetic_profiles.h"
#include "temporary_folder.h"

namespace einet {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
using namespace std::chrono_literals;

class PredictorCommandTest : public testing::Test {
 protected:
  PredictorCommandTest() {
    const auto ok = write_profiles(profiles_, test::make_synthetic_profiles({}));
    EXPECT_TRUE(ok) << ok.error().message;
  }

  std::filesystem::path package(const std::string& name, std::size_t blocks) {
    return test::write_synthetic_package(folder_.path(), {.name = name,
                                                          .trunk = std::vector<Duration>(blocks, 1ms),
                                                          .exit = std::vector<Duration>(blocks, 1ms),
                                                          .accuracy = {}});
  }
  // What was printed; an error's message is in said_.
  std::string run(const PredictorCommand& command) {
    testing::internal::CaptureStdout();
    const auto done = einet::run(command);
    said_ = done ? "" : done.error().message;
    return testing::internal::GetCapturedStdout();
  }

  test::TemporaryFolder folder_;
  const std::filesystem::path profiles_ = folder_.path() / "synthetic-5.profiles";
  std::string said_;
};

TEST_F(PredictorCommandTest, PrintsHowGoodItIsAndWritesItIntoThePackage) {
  const auto path = package("synthetic-5", 5);
  const std::string printed = run({profiles_, path, 1});
  EXPECT_EQ(said_, "");
  EXPECT_THAT(
      printed,
      StartsWith("synthetic-5 on made-up: trained on 200 validation samples, judged on 300 test samples"));
  EXPECT_THAT(printed, AllOf(HasSubstr("calibration error: before   after  temperature"),
                             HasSubstr("static prior"), HasSubstr("predictor"), HasSubstr("gain")));
  const auto read = read_package(path);
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_TRUE(read->info.predictor);
  EXPECT_EQ(read->info.predictor->exits(), 5);
  EXPECT_FALSE(read->info.predictor->layers.empty());
  EXPECT_TRUE(read->info.predictor->lookalikes);
  EXPECT_THAT(printed, HasSubstr("\n  answers: the "));

  EXPECT_EQ(run({profiles_, path, 1}), printed);
  EXPECT_EQ(read_package_info(path)->digest, read->info.digest);
  run({profiles_, path, 2});
  EXPECT_NE(read_package_info(path)->digest, read->info.digest);
}

TEST_F(PredictorCommandTest, WithoutAPackageWritesNothing) {
  EXPECT_THAT(run({profiles_, std::nullopt, 1}), HasSubstr("predictor"));
  EXPECT_EQ(said_, "");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 1);
}

TEST_F(PredictorCommandTest, WithoutATestSplitIsJudgedOnSamplesThatTrainedNothing) {
  ASSERT_TRUE(
      write_profiles(profiles_, test::make_synthetic_profiles({.samples = {{Split::validation, 300}}})));
  EXPECT_THAT(run({profiles_, std::nullopt, 1}),
              HasSubstr("trained on 240 validation samples, judged on 60 other validation samples"));
}

TEST_F(PredictorCommandTest, RefusesThePackageOfAnotherNetworkAndLeavesItAlone) {
  for (const auto& path : {package("synthetic-5", 4), package("other", 5)}) {
    const std::string before = read_package_info(path)->digest;
    EXPECT_EQ(run({profiles_, path, 1}), "");
    EXPECT_THAT(said_, AllOf(StartsWith(path.string()),
                             HasSubstr("the profiles are of \"synthetic-5\" with 5 blocks and 10 classes")));
    EXPECT_EQ(read_package_info(path)->digest, before);
  }
  run({profiles_, folder_.path() / "none.einet", 1});
  EXPECT_THAT(said_, HasSubstr("none.einet"));
}

// Its CS-profile says what these profiles say, but for rounding.
std::filesystem::path with_answers(const std::filesystem::path& path, const ProfileRecord& record) {
  const auto set = ProfileSet::parse(format_profiles(record), "profiles");
  auto package = read_package(path);
  const ProfileSplit& validation = *set->split(Split::validation);
  CsProfile& own = package->info.confidences;
  own = {validation.samples(), validation.exits(), {}, {}};
  for (int s = 0; s < own.samples; ++s) {
    for (int e = 0; e < own.exits; ++e) {
      own.confidence.push_back(validation.confidence(s, e) * 0.9997F);
      own.correct.push_back(validation.right(s, e) ? 1 : 0);
    }
  }
  EXPECT_TRUE(write_package(path, *package));
  return path;
}

TEST_F(PredictorCommandTest, RefusesProfilesOfAnotherTraining) {
  using test::make_synthetic_profiles;
  const auto path = with_answers(package("synthetic-5", 5), make_synthetic_profiles({.seed = 2}));
  const std::string before = read_package_info(path)->digest;
  EXPECT_EQ(run({profiles_, path, 1}), "");
  EXPECT_THAT(said_, AllOf(StartsWith(profiles_.string() + " is of another training than " + path.string()),
                           HasSubstr(" of 1000 answers to the validation images differ; make profiles")));
  with_answers(path, make_synthetic_profiles({.samples = {{Split::validation, 100}}}));
  EXPECT_EQ(run({profiles_, path, 1}), "");
  EXPECT_THAT(said_, HasSubstr(" has 200 validation samples, and the CS-profile of "));
  with_answers(path, make_synthetic_profiles({.seed = 2}));
  EXPECT_EQ(read_package_info(path)->digest, before);

  with_answers(path, make_synthetic_profiles({}));
  EXPECT_NE(run({profiles_, path, 1}), "");
  EXPECT_EQ(said_, "");
  EXPECT_TRUE(read_package_info(path)->predictor);
}

TEST_F(PredictorCommandTest, RefusesProfilesThatItCannotLearnFrom) {
  ASSERT_TRUE(write_profiles(profiles_, test::make_synthetic_profiles({.samples = {{Split::test, 300}}})));
  EXPECT_EQ(run({profiles_, std::nullopt, 1}), "");
  EXPECT_THAT(said_, AllOf(StartsWith(profiles_.string()), HasSubstr("has no validation split")));
  ASSERT_TRUE(
      write_profiles(profiles_, test::make_synthetic_profiles({.samples = {{Split::validation, 60}}})));
  EXPECT_EQ(run({profiles_, std::nullopt, 1}), "");
  EXPECT_THAT(said_, HasSubstr("validation: found 48 samples; a predictor needs at least 50"));
  ASSERT_TRUE(write_file(profiles_, "no profiles"));
  EXPECT_EQ(run({profiles_, std::nullopt, 1}), "");
  EXPECT_THAT(said_, StartsWith(profiles_.string()));
  run({folder_.path() / "none.profiles", std::nullopt, 1});
  EXPECT_THAT(said_, HasSubstr("none.profiles"));
}

}  // namespace
}  // namespace einet
