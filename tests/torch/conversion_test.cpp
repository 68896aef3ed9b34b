// A single-exit network becomes a multi-exit one: where it is cut, what it keeps, and that what is trained is
// what runs.
#include "models/torch/conversion.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/data/digits.h"
#include "models/onednn/onednn_backend.h"
#include "models/torch/training.h"
#include "temporary_folder.h"

namespace einet {
namespace {

using ::testing::HasSubstr;

Recipe small(const std::string& network) {
  Recipe r;
  r.network = network;
  r.epochs = 2;
  r.epoch_images = 64;
  r.batch = 32;
  return r;
}

class ConvertedNetworks : public ::testing::Test {
 protected:
  ConvertedNetworks() : images_(draw_digits(200, 4)) { set_training_threads(1); }

  // The package of a network that has seen a few images.
  Package source(const std::string& network) {
    Training training = Training::begin(small(network), images_).value();
    train(training);
    return training.to_package("source").value();
  }
  void train(Training& training) {
    while (training.epochs_done() < training.recipe().epochs) {
      ASSERT_TRUE(training.run_epoch(images_, images_, [](const Training::Step&) {}));
    }
  }
  Training converted(const Package& package, CutAt at, Learn learn) {
    Recipe recipe = small("converted");
    recipe.learn = learn;
    return Training::convert(recipe, {package, find_cuts(package, at, 4).value()}, images_).value();
  }
  // Of the exit, for all images, by a CPU lane.
  std::vector<float> lane_confidences(const Package& package, int exit) {
    const auto backend = make_onednn_backend({});
    backend->enter_lane();
    const auto model = backend->load(package).value();
    const auto lane = model->make_lane().value();
    TrunkState state(model->state_bytes());
    std::vector<float> scores(10), out;
    for (std::size_t i = 0; i < images_.size(); ++i) {
      EXPECT_TRUE(lane->begin({ElementType::u8, std::as_bytes(images_.image(i))}, state));
      for (int b = 0; b <= exit; ++b) EXPECT_TRUE(lane->run_trunk(b, state));
      EXPECT_TRUE(lane->run_exit(exit, state, scores));
      out.push_back(*std::max_element(scores.begin(), scores.end()));
    }
    return out;
  }
  static std::vector<float> column(const CsProfile& profile, int exit) {
    std::vector<float> out;
    for (int i = 0; i < profile.samples; ++i) {
      out.push_back(profile.confidence[static_cast<std::size_t>(i * profile.exits + exit)]);
    }
    return out;
  }
  // No number, which is neither less nor greater than any, where one of them is none.
  static double difference(const std::vector<float>& a, const std::vector<float>& b) {
    double most = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      const double apart = std::abs(double{a[i]} - double{b[i]});
      if (std::isnan(apart)) return apart;
      most = std::max(most, apart);
    }
    return most;
  }

  test::TemporaryFolder temporary_;
  Images images_;
};

TEST_F(ConvertedNetworks, ThatAnswerNoNumberAreToldFromOthers) {
  const float none = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(difference({0.5F, 0.25F, 0.25F}, {0.5F, none, 0.25F})));
}

TEST_F(ConvertedNetworks, KeepTheAnswersOfTheirSourceWhileBranchesAreTrained) {
  const Package package = source("b-alexnet-single");
  const std::vector<float> before = lane_confidences(package, 0);
  Training branches = converted(package, CutAt::convolutions, Learn::branches);
  const CsProfile untrained = branches.answers(images_).value();
  ASSERT_EQ(untrained.exits, 5);
  train(branches);
  const CsProfile trained = branches.answers(images_).value();
  EXPECT_LT(difference(column(trained, 4), before), 1e-5);
  EXPECT_GT(difference(column(trained, 0), column(untrained, 0)), 1e-3);
  // The control: trained as a whole, the last exit moves too.
  Training all = converted(package, CutAt::convolutions, Learn::all);
  train(all);
  EXPECT_GT(difference(column(all.answers(images_).value(), 4), before), 1e-3);
}

TEST_F(ConvertedNetworks, AnswerInALaneAsTheyDidInTraining) {
  // A residual network: its state at some cuts is several maps.
  Training training = converted(source("fine-resnet-single"), CutAt::convolutions, Learn::branches);
  train(training);
  const Package package = training.to_package("x").value();
  const CsProfile answers = training.answers(images_).value();
  ASSERT_EQ(package.info.program.block_count(), answers.exits);
  std::size_t most = 0;
  for (int b = 0; b < answers.exits; ++b) most = std::max(most, package.info.program.state_after(b).size());
  EXPECT_GT(most, 1u);
  for (int e = 0; e < answers.exits; e += 4) {
    EXPECT_LT(difference(lane_confidences(package, e), column(answers, e)), 1e-4) << e;
  }
}

TEST_F(ConvertedNetworks, AreResumedFromTheirCheckpointAlone) {
  const auto path = temporary_.path() / "checkpoint";
  Training whole = converted(source("b-alexnet-single"), CutAt::stages, Learn::branches);
  ASSERT_TRUE(whole.run_epoch(images_, images_, [](const Training::Step&) {}));
  ASSERT_TRUE(whole.save(path));
  auto resumed = Training::load(path);
  ASSERT_TRUE(resumed) << resumed.error().message;
  EXPECT_EQ(resumed->recipe(), whole.recipe());
  train(whole);
  train(*resumed);
  EXPECT_EQ(whole.to_package("x")->weights, resumed->to_package("x")->weights);
}

TEST_F(ConvertedNetworks, AreCutAtConvolutionsStagesAndEqualTimes) {
  const Package package = source("fine-resnet-single");
  // Ten residual blocks of two convolutions, one shortcut and the first layer; a branch before each but the
  // first.
  EXPECT_EQ(find_cuts(package, CutAt::convolutions, 0)->size(), 21u);
  EXPECT_EQ(find_cuts(package, CutAt::stages, 0)->size(), 1u);
  const auto thirds = find_cuts(package, CutAt::times, 3).value();
  ASSERT_EQ(thirds.size(), 2u);
  EXPECT_LT(thirds[0], thirds[1]);
}

TEST_F(ConvertedNetworks, MustHaveAPlaceForABranch) {
  const Package package = source("b-alexnet-single");
  EXPECT_THAT(find_cuts(package, CutAt::times, 1).error().message, HasSubstr("allowed: 2 to 64"));
  EXPECT_THAT(find_cuts(package, CutAt::times, 65).error().message, HasSubstr("exits is 65"));
  EXPECT_FALSE(Training::convert(small("x"), {package, {0}}, images_));
  EXPECT_FALSE(Training::convert(small("x"), {package, {3, 3}}, images_));
  EXPECT_FALSE(Training::convert(small("x"), {package, {1000}}, images_));

  ProgramBuilder net({1, 28, 28}, 10);
  net.begin_block();
  const Register x = net.add(MaxPool{{2, 2, 2, 2, 0, 0}}, {net.input()});
  net.begin_exit();
  net.add(Softmax{}, {net.add(Linear{10, false, "w", "b"}, {net.add(Flatten{}, {x})})});
  Package without = package;
  without.info.program = std::move(net).finish().value();
  without.weights = {{"w", {{10, 196}, std::vector<float>(1960)}}, {"b", {{10}, std::vector<float>(10)}}};
  EXPECT_THAT(find_cuts(without, CutAt::stages, 0).error().message, HasSubstr("no place for a branch"));

  Images other = images_;
  other.shape = {1, 14, 56};
  EXPECT_THAT(Training::convert(small("x"), {package, find_cuts(package, CutAt::stages, 0).value()}, other)
                  .error()
                  .message,
              HasSubstr("the network was made for [1, 28, 28]"));
}

}  // namespace
}  // namespace einet
