// The oneDNN executor agrees with plain loops on random programs of every operation, also when jobs change
// places.
#include <algorithm>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "models/onednn/onednn_backend.h"
#include "random_package.h"
#include "reference_executor.h"
#include "synthetic_package.h"

namespace einet {
namespace {

using Scores = std::vector<std::vector<float>>;

std::vector<float> random_input(const Program& program) {
  test::Noise noise(static_cast<std::uint32_t>(test::draw(0, 1 << 30)));
  std::vector<float> input(static_cast<std::size_t>(program.input().elements()));
  for (float& v : input) v = noise.next();
  return input;
}

InputView view(const std::vector<float>& input) {
  return {ElementType::f32, std::as_bytes(std::span(input))};
}

std::vector<float> normalised(const PackageInfo& info, std::vector<float> input) {
  const std::size_t pixels = static_cast<std::size_t>(info.program.input().pixels());
  for (std::size_t i = 0; i < input.size(); ++i) {
    input[i] = (input[i] - info.normalisation.mean[i / pixels]) / info.normalisation.deviation[i / pixels];
  }
  return input;
}

// Also makes the calling thread a lane's.
std::unique_ptr<LoadedModel> load(const Package& package, int threads = 1) {
  const auto backend = make_onednn_backend({threads});
  backend->enter_lane();
  auto model = backend->load(package);
  EINET_CHECK(model.has_value(), model ? "" : model.error().message.c_str());
  return std::move(*model);
}

std::unique_ptr<LaneModel> make_lane(const LoadedModel& model) {
  auto lane = model.make_lane();
  EINET_CHECK(lane.has_value(), lane ? "" : lane.error().message.c_str());
  return std::move(*lane);
}

std::vector<float> run_block(const LoadedModel& model, LaneModel& lane, int block, TrunkState& state) {
  std::vector<float> scores(static_cast<std::size_t>(model.info().program.classes()));
  EINET_CHECK(lane.run_trunk(block, state).has_value(), "the trunk runs");
  EINET_CHECK(lane.run_exit(block, state, scores).has_value(), "the exit runs");
  return scores;
}

Scores run_all(const LoadedModel& model, LaneModel& lane, const std::vector<float>& input) {
  TrunkState state(model.state_bytes());
  EINET_CHECK(lane.begin(view(input), state).has_value(), "the input fits");
  Scores answers;
  for (int b = 0; b < model.info().program.block_count(); ++b)
    answers.push_back(run_block(model, lane, b, state));
  return answers;
}

// Within 1e-5 of the largest score of each exit.
bool agree(const Scores& found, const std::vector<std::vector<double>>& expected) {
  for (std::size_t b = 0; b < expected.size(); ++b) {
    const double largest = *std::max_element(expected[b].begin(), expected[b].end());
    for (std::size_t c = 0; c < expected[b].size(); ++c) {
      const double difference = std::abs(static_cast<double>(found[b][c]) - expected[b][c]);
      if (!(difference <= 1e-5 * largest)) return false;
    }
  }
  return found.size() == expected.size();
}

RC_GTEST_PROP(OneDnn, AgreesWithPlainLoopsOnEveryOperation, ()) {
  const Package package = test::random_package();
  const auto model = load(package);
  const std::vector<float> input = random_input(package.info.program);
  const auto expected = test::ReferenceExecutor(package).run(normalised(package.info, input));
  RC_ASSERT(agree(run_all(*model, *make_lane(*model), input), expected));
}

// Preemption: two jobs of one model take turns at every block and change lanes; exits are skipped at random.
RC_GTEST_PROP(OneDnn, JobsThatInterleaveChangeLanesAndSkipExitsAnswerAsAlone, ()) {
  const Package package = test::random_package();
  const auto model = load(package);
  const std::unique_ptr<LaneModel> lanes[] = {make_lane(*model), make_lane(*model)};
  const std::vector<float> inputs[] = {random_input(package.info.program),
                                       random_input(package.info.program)};
  const Scores alone[] = {run_all(*model, *lanes[0], inputs[0]), run_all(*model, *lanes[0], inputs[1])};
  TrunkState states[] = {TrunkState(model->state_bytes()), TrunkState(model->state_bytes())};
  for (int job = 0; job < 2; ++job) RC_ASSERT(lanes[job]->begin(view(inputs[job]), states[job]).has_value());
  for (int b = 0; b < package.info.program.block_count(); ++b) {
    for (int job = 0; job < 2; ++job) {
      LaneModel& lane = *lanes[test::draw(0, 1)];
      if (test::draw(0, 1) == 0) {
        RC_ASSERT(lane.run_trunk(b, states[job]).has_value());
      } else {
        RC_ASSERT(run_block(*model, lane, b, states[job]) == alone[job][static_cast<std::size_t>(b)]);
      }
    }
  }
}

// As between two workers: after every block the state goes to another instance of the model, into memory that
// holds nothing of use.
RC_GTEST_PROP(OneDnn, JobsThatMoveToAnotherInstanceOfTheModelAnswerAsAlone, ()) {
  const Package package = test::random_package();
  const std::unique_ptr<LoadedModel> models[] = {load(package), load(package)};
  const std::unique_ptr<LaneModel> lanes[] = {make_lane(*models[0]), make_lane(*models[1])};
  TrunkState states[] = {TrunkState(models[0]->state_bytes()), TrunkState(models[1]->state_bytes())};
  const std::vector<float> input = random_input(package.info.program);
  const Scores alone = run_all(*models[0], *lanes[0], input);
  RC_ASSERT(lanes[0]->begin(view(input), states[0]).has_value());
  for (int b = 0; b < package.info.program.block_count(); ++b) {
    const int here = b % 2, there = 1 - here;
    if (b > 0) {
      std::vector<std::byte> carried(models[there]->carried_bytes(b).value);
      RC_ASSERT(models[there]->save_state(b, states[there], carried).has_value());
      std::fill_n(states[here].data(), states[here].size().value, std::byte{0xff});  // not a number
      RC_ASSERT(models[here]->load_state(b, carried, states[here]).has_value());
    }
    RC_ASSERT(run_block(*models[here], *lanes[here], b, states[here]) == alone[static_cast<std::size_t>(b)]);
  }
}

TEST(OneDnnLanes, SaveMapsInChannelRowColumnOrder) {
  ProgramBuilder net({2, 2, 3}, 4);
  net.begin_block();
  const Register map = net.add(Relu{}, {net.input()});
  const Register means = net.add(GlobalMean{}, {map});
  net.begin_exit();
  net.add(Softmax{}, {net.add(Linear{4, false, "weight", "bias"}, {means})});
  net.begin_block();
  net.begin_exit();
  net.add(Softmax{}, {net.add(Linear{4, false, "weight", "bias"}, {net.add(GlobalMean{}, {map})})});
  Package package{{"maps", "1", std::move(net).finish().value(), {{0, 0}, {1, 1}}, {}, {}, {}, {}},
                  {{"weight", {{4, 2}, std::vector<float>(8)}}, {"bias", {{4}, std::vector<float>(4)}}}};
  const auto model = load(package);
  const auto lane = make_lane(*model);
  TrunkState state(model->state_bytes());
  const std::vector<float> input{1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 50, 60};
  ASSERT_TRUE(lane->begin(view(input), state));
  ASSERT_TRUE(lane->run_trunk(0, state));
  std::vector<float> carried(model->carried_bytes(1).value / sizeof(float));
  ASSERT_TRUE(model->save_state(1, state, std::as_writable_bytes(std::span(carried))));
  std::vector<float> expected = input;
  expected.insert(expected.end(), {3.5F, 35});
  EXPECT_EQ(carried, expected);
}

// Negative control of the comparison with plain loops: one weight off by a thousandth is seen.
TEST(OneDnnLanes, DisagreeWithPlainLoopsOfOtherWeights) {
  Package package =
      test::make_synthetic_package({.trunk = {Duration{}}, .exit = {Duration{}}, .accuracy = {}});
  const auto model = load(package);
  const std::vector<float> input(64, 0.5F);
  const Scores found = run_all(*model, *make_lane(*model), input);
  EXPECT_TRUE(agree(found, test::ReferenceExecutor(package).run(input)));
  package.weights.at("block0.weight").values[5] += 1e-3F;
  EXPECT_FALSE(agree(found, test::ReferenceExecutor(package).run(input)));
}

TEST(OneDnnLanes, ThreadsRunOneModelAtTheSameTime) {
  test::SyntheticPackage want;
  want.trunk = want.exit = std::vector<Duration>(3);
  want.input = {4, 16, 16};
  const Package package = test::make_synthetic_package(want);
  const auto model = load(package);
  const std::vector<float> input(4 * 16 * 16, 0.75F);
  const Scores alone = run_all(*model, *make_lane(*model), input);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (int& count : wrong) {
    threads.emplace_back([&] {
      make_onednn_backend({})->enter_lane();
      const auto lane = make_lane(*model);
      for (int i = 0; i < 200; ++i) count += run_all(*model, *lane, input) != alone;
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_THAT(wrong, testing::Each(0));
}

TEST(OneDnnLanes, TwoThreadsPerLaneAnswerAsOne) {
  const Package package =
      test::make_synthetic_package({.trunk = {Duration{}}, .exit = {Duration{}}, .accuracy = {}});
  const std::vector<float> input(64, 0.5F);
  const auto model = load(package, 2);
  const Scores found = run_all(*model, *make_lane(*model), input);
  make_onednn_backend({})->enter_lane();
  EXPECT_TRUE(agree(found, test::ReferenceExecutor(package).run(input)));
}

TEST(OneDnnLanes, ScoresThatAreNotFiniteAreAnError) {
  Package package =
      test::make_synthetic_package({.trunk = {Duration{}}, .exit = {Duration{}}, .accuracy = {}});
  for (float& w : package.weights.at("block0.weight").values) w = 3e38F;
  const auto model = load(package);
  const auto lane = make_lane(*model);
  TrunkState state(model->state_bytes());
  std::vector<float> scores(10);
  ASSERT_TRUE(lane->begin(view(std::vector<float>(64, 100)), state));
  ASSERT_TRUE(lane->run_trunk(0, state));
  EXPECT_THAT(lane->run_exit(0, state, scores).error().message,
              testing::HasSubstr("scores that are not finite"));
}

TEST(OneDnnLanes, BytesAndFloatsOfTheSamePictureAgree) {
  test::SyntheticPackage want;
  want.trunk = want.exit = std::vector<Duration>(1);
  want.input = {3, 5, 4};
  const Package package = test::make_synthetic_package(want);
  const auto model = load(package);
  const auto lane = make_lane(*model);
  std::vector<std::byte> bytes;
  std::vector<float> floats;
  for (int i = 0; i < 60; ++i) {
    bytes.push_back(static_cast<std::byte>(i * 4));
    floats.push_back(static_cast<float>(i * 4) / 255);
  }
  TrunkState state(model->state_bytes());
  ASSERT_TRUE(lane->begin({ElementType::u8, bytes}, state));
  const auto from_bytes = run_block(*model, *lane, 0, state);
  ASSERT_TRUE(lane->begin(view(floats), state));
  const auto from_floats = run_block(*model, *lane, 0, state);
  for (std::size_t c = 0; c < from_bytes.size(); ++c) EXPECT_NEAR(from_bytes[c], from_floats[c], 1e-6);
  EXPECT_FALSE(lane->begin({ElementType::u8, std::span(bytes).first(59)}, state));
}

}  // namespace
}  // namespace einet
