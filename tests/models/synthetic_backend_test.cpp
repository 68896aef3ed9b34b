// The synthetic backend follows the profiles and nothing else.
#include "models/synthetic/synthetic_backend.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "synthetic_package.h"

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
    lane_ = std::move(*model_->make_lane());
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

TEST(Synthetic, RefusesAPackageWithoutTimes) {
  Package package = test::make_synthetic_package({.trunk = {1ms}, .exit = {1ms}, .accuracy = {}});
  package.info.times[0].device = "cuda";
  EXPECT_THAT(make_synthetic_backend()->load(std::move(package)).error().message,
              HasSubstr("no et.profile for \"cpu\""));
}

}  // namespace
}  // namespace einet
