// The predictor: what it computes, what cannot influence it, what it refuses; and its training: gradients
// against finite differences, and what is learned where there is, and where there is not, something to learn.
#include "planner/predictor.h"

#include <functional>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "allocations.h"
#include "answers.h"
#include "planner/logit.h"
#include "planner/mlp.h"
#include "planner/predictor_training.h"

namespace einet {
namespace {

using testing::HasSubstr;
using testing::Not;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

PredictorParameters random_parameters(std::uint64_t seed, int exits, std::vector<int> hidden,
                                      double size = 1) {
  RandomBits random(seed);
  const auto draw = [&] { return static_cast<float>(size * (2 * random.uniform() - 1)); };
  PredictorParameters p;
  p.classes = 10;
  for (int k = 0; k < exits; ++k) {
    p.calibration.push_back({1, {0, 1}, {0, 1}});
    p.prior.push_back(static_cast<float>(random.uniform()));
  }
  hidden.push_back(exits);
  int inputs = 2 * exits;
  for (const int outputs : hidden) {
    PredictorParameters::Layer layer{inputs, outputs, {}, {}};
    for (int i = 0; i < inputs * outputs; ++i) layer.weight.push_back(draw());
    for (int i = 0; i < outputs; ++i) layer.bias.push_back(draw());
    p.layers.push_back(std::move(layer));
    inputs = outputs;
  }
  return p;
}

struct Case {
  std::vector<double> calibrated;
  ExitMask executed;
};

Case random_case(int exits) {
  Case c;
  for (int k = 0; k < exits; ++k) c.calibrated.push_back(*rc::gen::inRange(0, 1001) / 1000.0);
  c.executed = *rc::gen::arbitrary<ExitMask>() & (exit_bit(exits - 1) * 2 - 1);
  return c;
}

// The header's words, in plain loops and double precision.
std::vector<double> plainly(const PredictorParameters& p, const Case& c) {
  const std::size_t n = p.prior.size();
  std::vector<double> x(2 * n);
  std::vector<double> base(n);
  double surprise = 0;  // of the deepest executed exit
  for (std::size_t k = 0; k < n; ++k) {
    base[k] = logit(p.prior[k]);
    if ((c.executed & exit_bit(static_cast<int>(k))) == 0) continue;
    x[k] = logit(c.calibrated[k]) - base[k];
    x[n + k] = 1;
    surprise = x[k];
  }
  for (std::size_t l = 0; l < p.layers.size(); ++l) {
    const PredictorParameters::Layer& layer = p.layers[l];
    std::vector<double> y;
    for (std::size_t o = 0; o < layer.bias.size(); ++o) {
      double sum = layer.bias[o];
      for (std::size_t i = 0; i < x.size(); ++i) sum += layer.weight[o * x.size() + i] * x[i];
      y.push_back(l + 1 < p.layers.size() ? std::max(0.0, sum) : sum);
    }
    x = y;
  }
  for (std::size_t k = 0; k < n; ++k) base[k] = sigmoid(base[k] + surprise + x[k]);
  return base;
}

RC_GTEST_PROP(Predictor, ComputesWhatItsHeaderSays, ()) {
  const int exits = *rc::gen::inRange(1, 20);
  const PredictorParameters p =
      random_parameters(*rc::gen::inRange(1, 1000), exits, {*rc::gen::inRange(1, 9), 7}, 0.5);
  const Case c = random_case(exits);
  std::vector<double> accuracy(static_cast<std::size_t>(exits), -1);
  const double held = Predictor::make(p)->predict(c.calibrated, c.executed, accuracy);
  const std::vector<double> expected = plainly(p, c);
  const int deepest = static_cast<int>(std::bit_width(c.executed)) - 1;
  for (int k = 0; k < exits; ++k) {
    const auto i = static_cast<std::size_t>(k);
    if (k <= deepest) {
      RC_ASSERT(accuracy[i] == -1);
    } else if (c.executed == 0) {
      RC_ASSERT(accuracy[i] == p.prior[i]);
    } else {
      RC_ASSERT(std::abs(accuracy[i] - expected[i]) < 1e-4);
    }
  }
  const double right = c.executed == 0 ? 0 : expected[static_cast<std::size_t>(deepest)];
  RC_ASSERT(std::abs(held - right) < 1e-4);
}

RC_GTEST_PROP(Predictor, IsNotInfluencedByExitsThatWereNotExecuted, ()) {
  const int exits = *rc::gen::inRange(1, 65);
  const Predictor predictor = *Predictor::make(random_parameters(3, exits, {16}));
  Case c = random_case(exits);
  std::vector<double> accuracy(static_cast<std::size_t>(exits), 0);
  std::vector<double> again = accuracy;
  const double held = predictor.predict(c.calibrated, c.executed, accuracy);
  for (int k = 0; k < exits; ++k) {
    if ((c.executed & exit_bit(k)) == 0)
      c.calibrated[static_cast<std::size_t>(k)] = static_cast<double>(kNan);
  }
  RC_ASSERT(predictor.predict(c.calibrated, c.executed, again) == held);
  RC_ASSERT(again == accuracy);
}

// The control: what was executed does influence it.
TEST(Predictor, IsInfluencedByExitsThatWereExecuted) {
  const Predictor predictor = *Predictor::make(random_parameters(3, 4, {16}));
  std::vector<double> high(4), low(4);
  predictor.predict(std::vector<double>{0.9, 0.5, 0.5, 0.5}, 0b11, high);
  predictor.predict(std::vector<double>{0.2, 0.5, 0.5, 0.5}, 0b11, low);
  EXPECT_NE(high[3], low[3]);
}

RC_GTEST_PROP(Predictor, StaysBetweenZeroAndOneWithTheLargestWeights, ()) {
  const int exits = *rc::gen::inRange(1, 65);
  const Predictor predictor = *Predictor::make(
      random_parameters(*rc::gen::inRange(1, 1000), exits, {256, 256, 256}, PredictorParameters::kMaxWeight));
  const Case c = random_case(exits);
  std::vector<double> accuracy(static_cast<std::size_t>(exits), 0);
  const double held = predictor.predict(c.calibrated, c.executed, accuracy);
  RC_ASSERT(held >= 0 && held <= 1);
  for (const double a : accuracy) RC_ASSERT(a >= 0 && a <= 1);
}

TEST(Predictor, WithoutLayersGivesThePriorAndTheCalibratedConfidence) {
  PredictorParameters p = random_parameters(1, 3, {});
  p.layers.clear();
  const Predictor predictor = *Predictor::make(p);
  std::vector<double> accuracy(3, -1);
  EXPECT_EQ(predictor.predict(std::vector<double>{0.25, 0, 0}, 0b1, accuracy), 0.25);
  EXPECT_THAT(accuracy, testing::ElementsAre(-1, p.prior[1], p.prior[2]));
}

TEST(Predictor, CalibratesWithTheExitsOwnTemperatureAndCurve) {
  PredictorParameters p = random_parameters(1, 2, {});
  p.calibration[1] = {2, {0, 1}, {0.5F, 1}};
  const Predictor predictor = *Predictor::make(p);
  const std::vector<float> scores = {0.64F, 0.32F, 0.04F};
  p.classes = 3;
  EXPECT_NEAR(predictor.calibrated(0, scores), tempered_confidence(scores, 10, 1), 1e-6);
  EXPECT_NEAR(predictor.calibrated(1, scores), 0.5 + 0.5 * tempered_confidence(scores, 10, 2), 1e-6);
}

TEST(Predictor, AllocatesNothingWhilePredicting) {
  std::size_t before = allocations();
  const Predictor predictor = *Predictor::make(random_parameters(1, 40, {64}));
  EXPECT_GT(allocations(), before);  // the control: what makes it is counted, Eigen's part too
  const std::vector<double> calibrated(40, 0.5);
  const std::vector<float> scores(100, 0.01F);
  std::vector<double> accuracy(40);
  before = allocations();
  predictor.predict(calibrated, 0b1011, accuracy);
  EXPECT_GT(predictor.calibrated(3, scores), 0);
  EXPECT_EQ(allocations(), before);
}

TEST(Predictor, RefusesParametersThatDoNotFit) {
  const auto said = [](const std::function<void(PredictorParameters&)>& change) {
    PredictorParameters p = random_parameters(1, 3, {5});
    change(p);
    const auto made = Predictor::make(std::move(p));
    return made ? "" : made.error().message;
  };
  using P = PredictorParameters;
  EXPECT_EQ(said([](P&) {}), "");
  EXPECT_THAT(said([](P& p) { p = {}; }), HasSubstr("calibration: found 0 exits; expected from 1 to 64"));
  EXPECT_THAT(said([](P& p) { p.calibration.resize(65, p.calibration[0]); }), HasSubstr("found 65 exits"));
  EXPECT_THAT(said([](P& p) { p.classes = 0; }), HasSubstr("classes: found 0"));
  EXPECT_THAT(
      said([](P& p) {
        p.calibration[2].accuracy = {1, 0};
      }),
      HasSubstr("calibration of exit 2: accuracy[1]: found 0.000000; expected at least the knot before"));
  EXPECT_THAT(said([](P& p) { p.prior.pop_back(); }), HasSubstr("prior: found 2 numbers; expected 3"));
  EXPECT_THAT(said([](P& p) { p.prior[1] = kNan; }),
              HasSubstr("prior[1]: found nan; expected a number from 0 to 1"));
  EXPECT_THAT(said([](P& p) { p.prior[1] = 1.5F; }), HasSubstr("prior[1]: found 1.5"));
  EXPECT_THAT(said([](P& p) { p.layers[0].weight[3] = kNan; }), HasSubstr("layer 0: weight[3]: found nan"));
  EXPECT_THAT(said([](P& p) { p.layers[1].bias[0] = 1e9F; }),
              HasSubstr("layer 1: bias[0]: found 1000000000.000000; expected a number from -10000 to 10000"));
  EXPECT_THAT(said([](P& p) { p.layers[0].weight.pop_back(); }),
              HasSubstr("layer 0: weight: found 29 numbers; expected 30"));
  EXPECT_THAT(said([](P& p) { p.layers[0].bias.pop_back(); }), HasSubstr("layer 0: bias: found 4 numbers"));
  EXPECT_THAT(said([](P& p) { p.layers[0].inputs = 5; }), HasSubstr("layer 0: found 5 inputs; expected 6"));
  EXPECT_THAT(said([](P& p) { p.layers[0].outputs = 257; }), HasSubstr("layer 0: found 257 outputs"));
  EXPECT_THAT(said([](P& p) { p.layers[0].outputs = -1; }), HasSubstr("layer 0: found -1 outputs"));
  EXPECT_THAT(said([](P& p) { p.layers.pop_back(); }),
              HasSubstr("the last layer: found 5 outputs; expected one per exit, 3"));
  EXPECT_THAT(said([](P& p) { p.layers.resize(5, p.layers[0]); }), HasSubstr("layers: found 5; at most 4"));
}

TEST(Mlp, GradientsAgreeWithFiniteDifferences) {
  RandomBits random(5);
  Mlp network = Mlp::make({6, 8, 5, 3}, random);
  const auto draw = [&](double) { return 2 * random.uniform() - 1; };
  for (Mlp::Layer& layer : network.layers) {  // none of them zero
    layer.weight = layer.weight.unaryExpr(draw).eval();
    layer.bias = layer.bias.unaryExpr(draw).eval();
  }
  const auto matrix = [&](int rows) { return Eigen::MatrixXd::Zero(rows, 7).unaryExpr(draw).eval(); };
  const MlpBatch batch{matrix(6), matrix(3), matrix(3).cwiseAbs(), matrix(3).cwiseMax(0.0)};
  Mlp gradient;
  loss(network, batch, &gradient);
  int differ = 0;  // from 0
  const auto compare = [&](double& parameter, double slope) {
    constexpr double kStep = 1e-6;
    const double at = parameter;
    parameter = at + kStep;
    const double above = loss(network, batch, nullptr);
    parameter = at - kStep;
    const double below = loss(network, batch, nullptr);
    parameter = at;
    EXPECT_NEAR(slope, (above - below) / (2 * kStep), 1e-7);
    differ += std::abs(slope) > 1e-4;
  };
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    Mlp::Layer& layer = network.layers[i];
    for (Eigen::Index k = 0; k < layer.weight.size(); ++k) {
      compare(layer.weight.data()[k], gradient.layers[i].weight.data()[k]);
    }
    for (Eigen::Index k = 0; k < layer.bias.size(); ++k) compare(layer.bias[k], gradient.layers[i].bias[k]);
  }
  EXPECT_GT(differ, 60);
}

TEST(Mlp, AdamFindsTheMinimumOfASimpleLoss) {
  RandomBits random(1);
  Mlp network = Mlp::make({1, 1}, random);
  const MlpBatch batch{Eigen::MatrixXd::Ones(1, 1), Eigen::MatrixXd::Zero(1, 1),
                       Eigen::MatrixXd::Constant(1, 1, 0.8), Eigen::MatrixXd::Ones(1, 1)};
  Mlp gradient;
  Adam adam;
  for (int step = 0; step < 2000; ++step) {
    loss(network, batch, &gradient);
    adam.step(network, gradient, 0.01, 0);
  }
  EXPECT_NEAR(sigmoid(network.layers[0].weight(0, 0) + network.layers[0].bias[0]), 0.8, 1e-3);
}

PredictorTraining quick() {
  return {.seed = 1, .hidden = 8, .epochs = 30, .patience = 10};
}

TEST(TrainPredictor, BeatsThePriorOnNewSamplesWhereExitsAreAlike) {
  const auto trained = train_predictor(test::make_answers({.samples = 2000, .sharpened = 2}), quick());
  ASSERT_TRUE(trained) << trained.error().message;
  EXPECT_FALSE(trained->layers.empty());
  const Predictor predictor = *Predictor::make(*trained);
  const PredictorQuality quality =
      measure(predictor, test::make_answers({.samples = 2000, .seed = 2, .sharpened = 2}));
  EXPECT_LT(quality.predicted.absolute, 0.5 * quality.prior.absolute);
  EXPECT_LT(quality.predicted.squared, 0.85 * quality.prior.squared);
  for (const PredictorQuality::Exit& exit : quality.exits) EXPECT_LT(exit.ece_after, 0.5 * exit.ece_before);
}

// The control: nothing is gained, and little lost, where one exit says nothing about the others.
TEST(TrainPredictor, GainsNothingWhereExitsAreUnrelated) {
  const test::AnswersWanted want{.samples = 2000, .exits_are = test::AnswersWanted::Exits::unrelated};
  const auto trained = train_predictor(test::make_answers(want), PredictorTraining{});
  ASSERT_TRUE(trained) << trained.error().message;
  test::AnswersWanted unseen = want;
  unseen.seed = 2;
  const PredictorQuality quality = measure(*Predictor::make(*trained), test::make_answers(unseen));
  EXPECT_GT(quality.predicted.squared, 0.99 * quality.prior.squared);
  EXPECT_LT(quality.predicted.squared, 1.03 * quality.prior.squared);
}

TEST(TrainPredictor, GivesTheSameForTheSameSeedOnly) {
  const ExitAnswers answers = test::make_answers({.samples = 300});
  PredictorTraining options = quick();
  const auto first = train_predictor(answers, options);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(*train_predictor(answers, options), *first);
  options.seed = 2;
  EXPECT_THAT(*train_predictor(answers, options), Not(*first));
}

TEST(TrainPredictor, RefusesWhatIsTooLittleOrNoAnswers) {
  const auto said = [](const std::function<void(ExitAnswers&)>& change) {
    ExitAnswers answers = test::make_answers({.samples = kLeastSamples, .exits = 2});
    change(answers);
    const auto trained = train_predictor(answers, {.seed = 1, .hidden = 2, .epochs = 1, .patience = 1});
    return trained ? "" : trained.error().message;
  };
  using A = ExitAnswers;
  EXPECT_EQ(said([](A&) {}), "");
  EXPECT_THAT(said([](A& a) { a = test::make_answers({.samples = kLeastSamples - 1}); }),
              HasSubstr("found 49 samples; a predictor needs at least 50"));
  EXPECT_THAT(said([](A& a) { a.score[3] = kNan; }),
              HasSubstr("sample 0, exit 0: expected scores from 0 to 1"));
  EXPECT_THAT(said([](A& a) { a.score[20] = 1.5F; }), HasSubstr("sample 1, exit 0"));
  EXPECT_THAT(said([](A& a) { std::swap(a.score[0], a.score[1]); }), HasSubstr("sample 0, exit 0"));
  EXPECT_THAT(said([](A& a) { a.rank[1] = 11; }), HasSubstr("sample 0, exit 1"));
  EXPECT_THAT(said([](A& a) { a.rank.pop_back(); }), HasSubstr("found 99 ranks"));
  EXPECT_THAT(said([](A& a) { a.kept = 11; }), HasSubstr("with 11 scores of 10 classes"));
  EXPECT_THAT(said([](A& a) { a.exits = 0; }), HasSubstr("of 0 exits"));
}

TEST(Divide, GivesEverySampleToOnePart) {
  const ExitAnswers answers = test::make_answers({.samples = 11, .exits = 2});
  const ExitAnswersParts parts = divide(answers, 5);
  EXPECT_EQ(parts.part.samples, 3);
  EXPECT_EQ(parts.rest.samples, 8);
  EXPECT_TRUE(check(parts.part));
  EXPECT_TRUE(check(parts.rest));
  EXPECT_EQ(parts.part.scores(1, 1)[0], answers.scores(5, 1)[0]);
  EXPECT_EQ(parts.rest.rank[0], answers.rank[2]);
}

}  // namespace
}  // namespace einet
