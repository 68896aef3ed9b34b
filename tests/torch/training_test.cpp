#include "models/torch/training.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/serialize.h>

#include "models/data/digits.h"
#include "temporary_folder.h"

namespace einet {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class TrainingRun : public ::testing::Test {
 protected:
  TrainingRun() : images_(draw_digits(300, 4)), held_out_(draw_digits(20, 5)) { set_training_threads(1); }

  static Recipe recipe() {
    Recipe r;
    r.network = "b-alexnet";
    r.data = "digits";
    r.epochs = 3;
    r.epoch_images = 96;
    r.batch = 32;
    return r;
  }
  Training begun(const Recipe& r) { return Training::begin(r, images_).value(); }
  // Trains until `epochs` epochs are done; returns the mean loss of the last.
  double train(Training& training, int epochs) {
    double loss = 0;
    while (training.epochs_done() < epochs) {
      EXPECT_TRUE(training.run_epoch(images_, held_out_, [&](const Training::Step& s) { loss = s.loss; }));
    }
    return loss;
  }
  std::string saved() {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  test::TemporaryFolder temporary_;
  const fs::path path_ = temporary_.path() / "checkpoint";
  Images images_, held_out_;
};

TEST_F(TrainingRun, GivesTheSameWeightsForTheSameSeedAlone) {
  Recipe other = recipe();
  other.seed = 2;
  Training a = begun(recipe()), b = begun(recipe()), c = begun(other);
  for (Training* t : {&a, &b, &c}) train(*t, 1);
  EXPECT_EQ(a.to_package("x")->weights, b.to_package("x")->weights);
  EXPECT_NE(a.to_package("x")->weights, c.to_package("x")->weights);
}

TEST_F(TrainingRun, GivesTheSameWeightsWhetherInterruptedOrNot) {
  // With all that draws random numbers or keeps state: dropout (in b-alexnet), crops, momentum.
  Recipe everything = recipe();
  everything.optimiser = Optimiser::sgd;
  everything.learning_rate = 0.01;
  everything.augmentation = Augmentation::crop_flip;
  everything.label_smoothing = 0.1;
  everything.distillation = 0.3;
  Training whole = begun(everything);
  train(whole, 3);
  {
    Training first = begun(everything);
    train(first, 1);
    ASSERT_TRUE(first.save(path_));
    train(first, 2);  // lost: not saved
  }
  auto resumed = Training::load(path_);
  ASSERT_TRUE(resumed) << resumed.error().message;
  EXPECT_EQ(resumed->recipe(), everything);
  EXPECT_EQ(resumed->epochs_done(), 1);
  train(*resumed, 3);
  EXPECT_EQ(whole.to_package("x")->weights, resumed->to_package("x")->weights);
  EXPECT_EQ(whole.history(), resumed->history());
}

// The control: the same weights with a fresh optimiser and schedule go elsewhere, so the test above sees
// both.
TEST_F(TrainingRun, OfOtherEpochsGivesOtherWeights) {
  Recipe shorter = recipe();
  shorter.epochs = 2;
  Training a = begun(recipe()), b = begun(shorter);
  train(a, 2);
  train(b, 2);
  EXPECT_NE(a.to_package("x")->weights, b.to_package("x")->weights);
}

TEST_F(TrainingRun, LowersTheLoss) {
  Training training = begun(recipe());
  const double first = train(training, 1);
  EXPECT_LT(train(training, 3), first);
}

// Each switch of the recipe changes what is learned; none breaks it.
TEST_F(TrainingRun, FollowsEverySwitchOfTheRecipe) {
  Training plain = begun(recipe());
  train(plain, 1);
  for (const auto& change : std::vector<void (*)(Recipe&)>{
           [](Recipe& r) { r.optimiser = Optimiser::sgd; }, [](Recipe& r) { r.weight_decay = 0.5; },
           [](Recipe& r) { r.augmentation = Augmentation::crop; },
           [](Recipe& r) { r.augmentation = Augmentation::crop_flip; },
           [](Recipe& r) { r.label_smoothing = 0.2; }, [](Recipe& r) { r.distillation = 0.5; }}) {
    Recipe changed = recipe();
    changed.learning_rate = 0.01;
    change(changed);
    Training training = begun(changed);
    const double first = train(training, 1);
    EXPECT_LT(train(training, 3), first);
    EXPECT_NE(training.to_package("x")->weights, plain.to_package("x")->weights);
  }
}

TEST_F(TrainingRun, LearnsInMixedPrecisionToo) {
  Training training =
      Training::begin(recipe(), images_, {Compute::Device::cpu, Compute::Precision::bf16}).value();
  Training exact = begun(recipe());
  const double first = train(training, 1);
  EXPECT_LT(train(training, 3), first);
  train(exact, 3);
  EXPECT_NE(training.to_package("x")->weights, exact.to_package("x")->weights);
}

TEST_F(TrainingRun, RemembersWhatEveryEpochReached) {
  Training training = begun(recipe());
  const double loss = train(training, 2);
  ASSERT_EQ(training.history().size(), 2u);
  EXPECT_EQ(training.history()[1].loss, loss);
  const auto answers = training.answers(held_out_).value();
  EXPECT_EQ(training.history()[1].accuracy,
            (std::vector<double>{answers.accuracy(0), answers.accuracy(1), answers.accuracy(2)}));
}

TEST(Recipes, AreStandardForEachNetworkAndSet) {
  EXPECT_EQ(standard_recipe("vgg-16-single", "cifar-10").optimiser, Optimiser::sgd);
  EXPECT_EQ(standard_recipe("msdnet-40", "cifar-100").epochs, 300);
  EXPECT_EQ(standard_recipe("b-alexnet", "mnist").augmentation, Augmentation::none);
  EXPECT_EQ(standard_recipe("b-alexnet", "cifar-100").augmentation, Augmentation::crop_flip);
}

TEST_F(TrainingRun, AnswersEveryImageAtEveryExit) {
  const auto answers = begun(recipe()).answers(images_);
  ASSERT_TRUE(answers);
  EXPECT_EQ(answers->samples, 300);
  EXPECT_EQ(answers->exits, 3);
  EXPECT_THAT(answers->confidence,
              ::testing::Each(::testing::AllOf(::testing::Ge(0.1F), ::testing::Le(1.F))));
  EXPECT_THAT(answers->correct, ::testing::Contains(0));
}

TEST_F(TrainingRun, GivesTheScoresBehindItsAnswers) {
  const Training training = begun(recipe());
  const CsProfile answers = training.answers(images_).value();
  std::size_t next = 0;
  ASSERT_TRUE(training.answer(images_, [&](std::span<const float> scores) {
    ASSERT_LT(next, answers.confidence.size());
    ASSERT_EQ(scores.size(), 10u);
    const auto top = std::max_element(scores.begin(), scores.end());
    EXPECT_EQ(*top, answers.confidence[next]);
    EXPECT_EQ(top - scores.begin() == images_.labels[next / 3], answers.correct[next] == 1);
    EXPECT_NEAR(std::accumulate(scores.begin(), scores.end(), 0.0), 1, 1e-5);
    ++next;
  }));
  EXPECT_EQ(next, answers.confidence.size());
}

TEST_F(TrainingRun, OnCudaSaysWhyWhereThereIsNone) {
  const auto training = Training::begin(recipe(), images_, {.device = Compute::Device::cuda});
  if (training) GTEST_SKIP() << "there is a CUDA device here";
  EXPECT_THAT(training.error().message, HasSubstr("no CUDA device can be used here ("));
  EXPECT_THAT(training.error().message, HasSubstr("use --device cpu"));
}

TEST_F(TrainingRun, ThatDivergesSaysSo) {
  Recipe wild = recipe();
  wild.learning_rate = 1e30;
  Training training = begun(wild);
  const auto done = training.run_epoch(images_, held_out_, [](const Training::Step&) {});
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("learning rate below"));
}

TEST_F(TrainingRun, RefusesImagesOfAnotherShape) {
  Training training = begun(recipe());
  Images other = images_;
  other.shape = {1, 14, 56};
  const auto done = training.run_epoch(other, held_out_, [](const Training::Step&) {});
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("the network was made for [1, 28, 28]"));
  EXPECT_FALSE(training.answers(other));
}

TEST_F(TrainingRun, RefusesRecipesThatCannotBe) {
  for (const auto& spoil : std::vector<void (*)(Recipe&)>{
           [](Recipe& r) { r.epochs = 0; }, [](Recipe& r) { r.batch = 1; }, [](Recipe& r) { r.batch = 1000; },
           [](Recipe& r) { r.learning_rate = 0; }, [](Recipe& r) { r.network = "vgg"; },
           [](Recipe& r) { r.weight_decay = -1; }, [](Recipe& r) { r.label_smoothing = 1; },
           [](Recipe& r) { r.distillation = NAN; }}) {
    Recipe bad = recipe();
    spoil(bad);
    EXPECT_FALSE(Training::begin(bad, images_));
  }
}

TEST_F(TrainingRun, RefusesADamagedCheckpoint) {
  ASSERT_TRUE(begun(recipe()).save(path_));
  const std::string whole = saved();
  for (std::size_t part = 0; part < 20; ++part) {
    const std::string cut = whole.substr(0, whole.size() * part / 20);
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << cut;
    const auto loaded = Training::load(path_);
    ASSERT_FALSE(loaded) << part;
    EXPECT_THAT(loaded.error().message, HasSubstr("cannot be read as a checkpoint"));
  }
  std::ofstream(path_, std::ios::trunc) << "no checkpoint at all";
  EXPECT_FALSE(Training::load(path_));
  fs::remove(path_);
  EXPECT_FALSE(Training::load(path_));
}

TEST_F(TrainingRun, RemembersItsPrecision) {
  for (const auto precision : {Compute::Precision::fp32, Compute::Precision::bf16}) {
    const Training training = Training::begin(recipe(), images_, {.precision = precision}).value();
    EXPECT_EQ(training.precision(), std::nullopt);
    ASSERT_TRUE(training.save(path_));
    EXPECT_EQ(Training::load(path_)->precision(), precision);
  }
}

void copy_without(torch::serialize::InputArchive& from, const std::string& left_out,
                  torch::serialize::OutputArchive& to) {
  for (const std::string& key : from.keys()) {
    if (key == left_out) continue;
    torch::serialize::InputArchive part;
    torch::Tensor tensor;
    if (from.try_read(key, part)) {
      torch::serialize::OutputArchive copy;
      copy_without(part, left_out, copy);
      to.write(key, copy);
    } else if (from.try_read(key, tensor)) {
      to.write(key, tensor);
    } else {
      c10::IValue value;
      from.read(key, value);
      to.write(key, value);
    }
  }
}

TEST_F(TrainingRun, ReadsCheckpointsThatDoNotSayTheirPrecision) {
  ASSERT_TRUE(begun(recipe()).save(path_));
  torch::serialize::InputArchive there;
  there.load_from(path_.string());
  torch::serialize::OutputArchive older;
  copy_without(there, "precision", older);
  older.save_to(path_.string());
  const auto loaded = Training::load(path_);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->precision(), std::nullopt);
  EXPECT_EQ(loaded->recipe(), recipe());
}

TEST_F(TrainingRun, ReadsCheckpointsAsLargeAsPackagesAllow) {
  std::ofstream(path_, std::ios::trunc) << "";
  fs::resize_file(path_, std::uintmax_t{16} << 30);  // no block of it is on the disk
  const auto loaded = Training::load(path_);
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().message, HasSubstr("has 16GiB; at most 15GiB are allowed"));
}

TEST_F(TrainingRun, KeepsTheLastTenthToValidate) {
  const TrainingSplit split = split_training(images_);
  EXPECT_EQ(split.learn.size(), 270u);
  EXPECT_EQ(split.validate.size(), 30u);
  EXPECT_EQ(split.validate.labels[0], images_.labels[270]);
}

}  // namespace
}  // namespace einet
