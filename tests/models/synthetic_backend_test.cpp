// The synthetic backend follows the profiles and nothing else.
#include "models/synthetic/synthetic_backend.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <filesystem>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/files.h"
#include "synthetic_package.h"
#include "temporary_folder.h"

namespace einet {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

class SyntheticTest : public testing::Test {
 protected:
  SyntheticTest() {
    auto loaded = make_synthetic_backend()->load(test::make_synthetic_package(
        {.trunk = {100us, 0us}, .exit = {0us, 300us}, .accuracy = {0.25, 0.75}}));
    model_ = std::move(*loaded);
    lane_ = *model_->make_lane();
    state_ = std::make_unique<TrunkState>(model_->state_bytes());
  }

  // The scores of every exit for an input filled with a number.
  std::vector<std::vector<float>> run(std::uint64_t seed) {
    std::vector<std::byte> input(64);
    for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<std::byte>(seed >> (i % 8) * 8);
    label_ = synthetic_label(input, 10);
    EXPECT_TRUE(lane_->begin({ElementType::u8, input}, *state_));
    std::vector<std::vector<float>> answers(2, std::vector<float>(10));
    for (int b = 0; b < 2; ++b) {
      EXPECT_TRUE(lane_->run_trunk(b, *state_));
      EXPECT_TRUE(lane_->run_exit(b, *state_, answers[static_cast<std::size_t>(b)]));
    }
    return answers;
  }

  std::unique_ptr<LoadedModel> model_;
  std::unique_ptr<LaneModel> lane_;
  std::unique_ptr<TrunkState> state_;
  int label_ = -1;
};

TEST_F(SyntheticTest, AnswersAreRightAsOftenAsTheProfileSays) {
  int right[2] = {0, 0};
  constexpr int kInputs = 400;
  for (std::uint64_t seed = 0; seed < kInputs; ++seed) {
    const auto answers = run(seed * 0x9e3779b97f4a7c15);
    for (int b = 0; b < 2; ++b) {
      const auto& scores = answers[static_cast<std::size_t>(b)];
      right[b] += std::max_element(scores.begin(), scores.end()) - scores.begin() == label_;
    }
  }
  // Five standard deviations of a fixed set of inputs: no chance is involved when this runs again.
  EXPECT_NEAR(right[0], 0.25 * kInputs, 45);
  EXPECT_NEAR(right[1], 0.75 * kInputs, 45);
}

TEST_F(SyntheticTest, TheSameInputHasTheSameAnswer) {
  EXPECT_EQ(run(7), run(7));
}

TEST_F(SyntheticTest, JobsOfABatchAnswerAsTheyWouldAlone) {
  const auto first = run(7), second = run(8);
  std::vector<std::unique_ptr<TrunkState>> memory;
  std::vector<TrunkState*> states;
  for (const std::uint64_t seed : {7U, 8U}) {
    run(seed);
    memory.push_back(std::exchange(state_, std::make_unique<TrunkState>(model_->state_bytes())));
    states.push_back(memory.back().get());
  }
  std::vector<float> a(10), b(10);
  ASSERT_TRUE(lane_->run_trunks(0, states));
  ASSERT_TRUE(lane_->run_exits(0, states, std::array<std::span<float>, 2>{a, std::span<float>()}));
  EXPECT_EQ(a, first[0]);
  EXPECT_EQ(b, std::vector<float>(10)) << "it skips the exit";
  ASSERT_TRUE(lane_->run_trunks(1, states));
  ASSERT_TRUE(lane_->run_exits(1, states, std::array<std::span<float>, 2>{a, b}));
  EXPECT_EQ(a, first[1]);
  EXPECT_EQ(b, second[1]);
}

TEST_F(SyntheticTest, BurnsTheProfilesMedianOfCpuTime) {
  const auto cpu = [] {
    timespec t{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return std::chrono::seconds(t.tv_sec) + Duration(t.tv_nsec);
  };
  const Duration begin = cpu();
  run(1);
  EXPECT_GE(cpu() - begin, 400us);
}

TEST_F(SyntheticTest, RefusesInputsOfTheWrongSizeAndNotFinite) {
  const std::vector<std::byte> small(63);
  EXPECT_THAT(lane_->begin({ElementType::u8, small}, *state_).error().message,
              HasSubstr("63 bytes; the model synthetic takes [1, 8, 8] u8, which is 64 bytes"));
  const std::vector<float> nan(64, std::numeric_limits<float>::quiet_NaN());
  EXPECT_THAT(lane_->begin({ElementType::f32, std::as_bytes(std::span(nan))}, *state_).error().message,
              HasSubstr("not finite"));
}

TEST_F(SyntheticTest, GoesOnWithAStateThatWasSavedAndLoadedAgain) {
  const auto answers = run(7);
  std::vector<std::byte> carried(model_->carried_bytes(1).value);
  ASSERT_TRUE(model_->save_state(1, *state_, carried));
  run(8);  // the lane's next job
  ASSERT_TRUE(model_->load_state(1, carried, *state_));
  std::vector<float> scores(10);
  ASSERT_TRUE(lane_->run_trunk(1, *state_));
  ASSERT_TRUE(lane_->run_exit(1, *state_, scores));
  EXPECT_EQ(scores, answers[1]);
}

// Blocks of 2 and 4 ms on the GPU.
class SyntheticGpuTest : public testing::Test {
 protected:
  static constexpr Duration kBlock[] = {2ms, 4ms};

  void load(std::string_view faults = {}) {
    backend_ = *make_synthetic_gpu_backend(faults);
    model_ = *backend_->load(
        test::make_synthetic_package({.trunk = {5ms, 20ms}, .exit = {5ms, 0ms}, .accuracy = {0.25, 0.75}}));
    base_ = *model_->make_lane({.kind = LaneKind::base, .largest_batch = 2, .in_flight = 2});
    for (std::size_t job = 0; job < 2; ++job) {
      const std::vector<std::byte> input(64, std::byte(job));
      states_.push_back(memory_.emplace_back(std::make_unique<TrunkState>(model_->state_bytes())).get());
      ASSERT_TRUE(base_->begin({ElementType::u8, input}, *states_.back()));
    }
  }

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<LoadedModel> model_;
  std::unique_ptr<LaneModel> base_;
  std::vector<std::unique_ptr<TrunkState>> memory_;
  std::vector<TrunkState*> states_;
  SystemClock clock_;
};

TEST_F(SyntheticGpuTest, BlocksInFlightAnswerAsThoseOneByOne) {
  load();
  using Answers = std::array<std::vector<float>, 4>;
  Answers one_by_one, in_flight;
  const auto wanted = [](Answers& all, std::size_t block) {
    for (auto& of : all) of.resize(10);
    return std::array<std::span<float>, 2>{all[2 * block], all[2 * block + 1]};
  };
  for (std::size_t b = 0; b < 2; ++b) {
    ASSERT_TRUE(base_->run_trunks(static_cast<int>(b), states_));
    ASSERT_TRUE(base_->run_exits(static_cast<int>(b), states_, wanted(one_by_one, b)));
  }
  for (std::size_t b = 0; b < 2; ++b) {
    ASSERT_TRUE(base_->launch(static_cast<int>(b), states_, wanted(in_flight, b)));
  }
  for (std::size_t b = 0; b < 2; ++b) ASSERT_TRUE(base_->await());
  EXPECT_EQ(in_flight, one_by_one);
}

TEST_F(SyntheticGpuTest, ABlockInFlightBeginsWhenTheOneBeforeItHasEnded) {
  load();
  std::vector<float> scores(10);
  const auto alone = std::span(states_).first(1);
  const TimePoint start = clock_.now();
  for (const int block : {0, 1}) {
    ASSERT_TRUE(base_->launch(block, alone, std::array<std::span<float>, 1>{scores}));
  }
  ASSERT_TRUE(base_->await());
  EXPECT_GE(clock_.now() - start, kBlock[0]);
  ASSERT_TRUE(base_->await());
  EXPECT_GE(clock_.now() - start, kBlock[0] + kBlock[1]);
}

TEST_F(SyntheticGpuTest, BlocksInFlightStandStillWhileAnUrgentLaneRuns) {
  load();
  const auto urgent = *model_->make_lane({.kind = LaneKind::urgent});
  const std::array<std::span<float>, 1> none{};
  const auto alone = std::span(states_).first(1);
  const TimePoint start = clock_.now();
  ASSERT_TRUE(base_->launch(1, alone, none));
  ASSERT_TRUE(urgent->run_trunk(1, *states_[1]));
  ASSERT_TRUE(base_->await());
  EXPECT_GE(clock_.now() - start, 2 * kBlock[1]);
}

TEST_F(SyntheticGpuTest, OfALostDeviceNothingIsInFlight) {
  load("lost-after=2");
  const std::array<std::span<float>, 2> none{};
  ASSERT_TRUE(base_->launch(0, states_, none));
  EXPECT_THAT(base_->launch(1, states_, none).error().message, HasSubstr("fell off the bus"));
  EXPECT_TRUE(base_->await());
  EXPECT_NE(backend_->why_lost(), "");
}

TEST(SyntheticGpu, HoldsAsManyModelsAsItsMemoryDoes) {
  const auto package = [] {
    return test::make_synthetic_package({.trunk = {1ms}, .exit = {1ms}, .accuracy = {}});
  };
  test::TemporaryFolder folder;
  const std::filesystem::path others = folder.path() / "others";
  const std::uint64_t weights = size_of(package().weights).value;
  const auto backend =
      *make_synthetic_gpu_backend("memory=" + std::to_string(2 * weights) + " others=" + others.string());
  auto first = backend->load(package()), second = backend->load(package());
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(backend->load(package()).error().out_of_memory);
  first->reset();
  EXPECT_TRUE(backend->load(package())) << "and goes again";
  ASSERT_TRUE(write_file(others, "x"));
  const auto full = backend->load(package());
  ASSERT_FALSE(full);
  EXPECT_TRUE(full.error().out_of_memory);
  EXPECT_EQ(backend->why_lost(), "");
}

TEST_F(SyntheticTest, WithoutADeviceOfItsOwnABlockRunsWhereItIsLaunched) {
  const auto answers = run(7);
  std::vector<float> scores(10);
  for (int b = 0; b < 2; ++b) {
    ASSERT_TRUE(lane_->launch(b, std::array{state_.get()}, std::array<std::span<float>, 1>{scores}));
    EXPECT_EQ(scores, answers[static_cast<std::size_t>(b)]);
    EXPECT_TRUE(lane_->await());
  }
}

TEST(Synthetic, RefusesAPackageWithoutTimes) {
  Package package = test::make_synthetic_package({.trunk = {1ms}, .exit = {1ms}, .accuracy = {}});
  package.info.times[0].device = "cuda";
  EXPECT_THAT(make_synthetic_backend()->load(std::move(package)).error().message,
              HasSubstr("no et.profile for \"cpu\""));
}

}  // namespace
}  // namespace einet
