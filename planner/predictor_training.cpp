// Training on random sets of executed exits, and the measure of what came of it.
#include "planner/predictor_training.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <string>

#include "config/check.h"
#include "planner/logit.h"
#include "planner/mlp.h"

namespace einet {
namespace {

constexpr int kBatch = 128;             // samples per step
constexpr double kRate = 3e-3;          // of learning, falling to 0 as half a cosine wave
constexpr double kDecay = 0.3;          // of weights
constexpr int kHeldOut = 5;             // every such sample judges the training of one network
constexpr int kSetsPerSample = 4;       // of executed exits, where a predictor is judged
constexpr std::uint64_t kJudge = 2027;  // seed of these sets: the same for every predictor

// Executed exits as they come: up to any exit, which is executed, and before it each with any one
// probability.
ExitMask random_executed(int exits, RandomBits& random) {
  const int deepest = random.below(exits);
  const double share = random.uniform();
  ExitMask executed = exit_bit(deepest);
  for (int k = 0; k < deepest; ++k) {
    if (random.uniform() < share) executed |= exit_bit(k);
  }
  return executed;
}

// The calibrated confidence of every exit (row) on every sample (column), and whether it was right.
struct Observed {
  Eigen::MatrixXd calibrated;
  Eigen::MatrixXd right;  // 1, or 0
  Eigen::VectorXd prior;  // logits, one per exit

  double surprise(int exit, int sample) const { return logit(calibrated(exit, sample)) - prior(exit); }
};

// These samples, each with exits executed at random.
MlpBatch draw_batch(const Observed& observed, std::span<const int> samples, RandomBits& random) {
  const Eigen::Index exits = observed.prior.size();
  const auto count = static_cast<Eigen::Index>(samples.size());
  MlpBatch batch{Eigen::MatrixXd::Zero(2 * exits, count), observed.prior.replicate(1, count),
                 Eigen::MatrixXd(exits, count), Eigen::MatrixXd::Zero(exits, count)};
  for (Eigen::Index column = 0; column < count; ++column) {
    const int sample = samples[static_cast<std::size_t>(column)];
    const ExitMask executed = random_executed(static_cast<int>(exits), random);
    batch.target.col(column) = observed.right.col(sample);
    const int deepest = static_cast<int>(std::bit_width(executed)) - 1;
    batch.base.col(column).array() += observed.surprise(deepest, sample);
    for (int k = 0; k < exits; ++k) {
      if (executed >> k <= 1)
        batch.weight(k, column) = 1;  // what counts: the answer held and the exits to come
      if ((executed & exit_bit(k)) == 0) continue;
      batch.input(k, column) = observed.surprise(k, sample);
      batch.input(exits + k, column) = 1;
    }
  }
  return batch;
}

PredictorParameters::Layer in_single(const Mlp::Layer& layer) {
  using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  constexpr auto kMax = static_cast<double>(PredictorParameters::kMaxWeight);
  const RowMajor weight = layer.weight.cwiseMin(kMax).cwiseMax(-kMax).cast<float>();
  const Eigen::VectorXf bias = layer.bias.cwiseMin(kMax).cwiseMax(-kMax).cast<float>();
  return {static_cast<int>(weight.cols()),
          static_cast<int>(weight.rows()),
          {weight.data(), weight.data() + weight.size()},
          {bias.data(), bias.data() + bias.size()}};
}

// Trains one network; every kHeldOut-th sample from `fold` on judges it.
Mlp train(const Observed& observed, const PredictorTraining& options, int fold, RandomBits& random) {
  const auto exits = static_cast<int>(observed.prior.size());
  const auto samples = static_cast<int>(observed.right.cols());
  Mlp network = Mlp::make({2 * exits, options.hidden, exits}, random);
  std::vector<int> learn, judge;
  for (int s = 0; s < samples; ++s) (s % kHeldOut == fold ? judge : learn).push_back(s);
  std::vector<int> judged;
  for (int set = 0; set < kSetsPerSample; ++set) judged.insert(judged.end(), judge.begin(), judge.end());
  RandomBits judge_random(kJudge);
  const MlpBatch judgement = draw_batch(observed, judged, judge_random);

  Mlp best = network;
  double least = loss(network, judgement, nullptr);
  int best_epoch = 0;
  Adam adam;
  Mlp gradient;
  for (int epoch = 1; epoch <= options.epochs && epoch - best_epoch <= options.patience; ++epoch) {
    for (std::size_t i = learn.size(); i > 1; --i) {
      std::swap(learn[i - 1], learn[static_cast<std::size_t>(random.below(static_cast<int>(i)))]);
    }
    constexpr double kHalfTurn = 3.14159265358979;
    const double rate = kRate * 0.5 * (1 + std::cos(kHalfTurn * (epoch - 1) / options.epochs));
    for (std::size_t from = 0; from < learn.size(); from += kBatch) {
      const std::size_t count = std::min<std::size_t>(kBatch, learn.size() - from);
      loss(network, draw_batch(observed, std::span(learn).subspan(from, count), random), &gradient);
      adam.step(network, gradient, rate, kDecay);
    }
    const double now = loss(network, judgement, nullptr);
    if (now < least) {
      least = now;
      best = network;
      best_epoch = epoch;
    }
    if (options.progress) options.progress(fold * options.epochs + epoch, kHeldOut * options.epochs);
  }
  return best;
}

// One network that gives the mean of what networks of one hidden layer give: their hidden layers side by
// side.
std::vector<PredictorParameters::Layer> mean_of(const std::vector<Mlp>& networks) {
  const Eigen::Index hidden = networks[0].layers[0].bias.size();
  const Eigen::Index inputs = networks[0].layers[0].weight.cols();
  const Eigen::Index exits = networks[0].layers[1].bias.size();
  const auto count = static_cast<Eigen::Index>(networks.size());
  Mlp::Layer first{Eigen::MatrixXd(count * hidden, inputs), Eigen::VectorXd(count * hidden)};
  Mlp::Layer last{Eigen::MatrixXd(exits, count * hidden), Eigen::VectorXd::Zero(exits)};
  for (Eigen::Index i = 0; i < count; ++i) {
    const std::vector<Mlp::Layer>& layers = networks[static_cast<std::size_t>(i)].layers;
    first.weight.middleRows(i * hidden, hidden) = layers[0].weight;
    first.bias.segment(i * hidden, hidden) = layers[0].bias;
    last.weight.middleCols(i * hidden, hidden) = layers[1].weight / static_cast<double>(count);
    last.bias += layers[1].bias / static_cast<double>(count);
  }
  return {in_single(first), in_single(last)};
}

// Expected calibration error (Naeini et al., AAAI 2015).
class CalibrationError {
 public:
  void add(double confidence, bool right) {
    Bin& bin = bins_[std::min(kBins - 1, static_cast<std::size_t>(confidence * kBins))];
    bin.confidence += confidence;
    bin.right += right;
    ++samples_;
  }
  double value() const {
    double sum = 0;
    for (const Bin& bin : bins_) sum += std::abs(bin.confidence - bin.right);
    return sum / samples_;
  }

 private:
  static constexpr std::size_t kBins = 15;
  struct Bin {
    double confidence = 0;
    double right = 0;
  };
  std::array<Bin, kBins> bins_;
  int samples_ = 0;
};

}  // namespace

ExitAnswersParts divide(const ExitAnswers& answers, int of) {
  ExitAnswersParts parts;
  for (ExitAnswers* part : {&parts.part, &parts.rest}) {
    part->exits = answers.exits;
    part->classes = answers.classes;
    part->kept = answers.kept;
  }
  for (int s = 0; s < answers.samples; ++s) {
    ExitAnswers& to = s % of == 0 ? parts.part : parts.rest;
    ++to.samples;
    for (int k = 0; k < answers.exits; ++k) {
      const std::span<const float> scores = answers.scores(s, k);
      to.score.insert(to.score.end(), scores.begin(), scores.end());
      to.rank.push_back(answers.rank[answers.answer(s, k)]);
    }
  }
  return parts;
}

Result<void> check(const ExitAnswers& a) {
  if (a.samples < 0 || a.exits < 1 || a.exits > kMaxBlocks || a.kept < 1 || a.kept > kTopScores ||
      a.kept > a.classes) {
    return error("found " + std::to_string(a.samples) + " samples of " + std::to_string(a.exits) +
                 " exits with " + std::to_string(a.kept) + " scores of " + std::to_string(a.classes) +
                 " classes; expected 1 to " + std::to_string(kMaxBlocks) + " exits and 1 to " +
                 std::to_string(kTopScores) + " scores, not more than classes");
  }
  const std::size_t answers = static_cast<std::size_t>(a.samples) * static_cast<std::size_t>(a.exits);
  if (a.rank.size() != answers || a.score.size() != answers * static_cast<std::size_t>(a.kept)) {
    return error("found " + std::to_string(a.rank.size()) + " ranks and " + std::to_string(a.score.size()) +
                 " scores; expected as many as samples and exits say");
  }
  for (int s = 0; s < a.samples; ++s) {
    for (int k = 0; k < a.exits; ++k) {
      const std::span<const float> scores = a.scores(s, k);
      const bool good = std::all_of(scores.begin(), scores.end(), [](float p) { return p >= 0 && p <= 1; }) &&
                        std::is_sorted(scores.rbegin(), scores.rend()) && a.rank[a.answer(s, k)] <= a.kept;
      if (good) continue;
      return error("sample " + std::to_string(s) + ", exit " + std::to_string(k) +
                   ": expected scores from 0 to 1, falling, and the label's place among them");
    }
  }
  return {};
}

Result<PredictorParameters> train_predictor(const ExitAnswers& answers, const PredictorTraining& options) {
  EINET_CHECK(options.hidden >= 1 && kHeldOut * options.hidden <= PredictorParameters::kMaxWidth,
              "a layer has this width");
  if (auto ok = check(answers); !ok) return ok.error();
  if (answers.samples < kLeastSamples) {
    return error("found " + std::to_string(answers.samples) + " samples; a predictor needs at least " +
                 std::to_string(kLeastSamples));
  }
  PredictorParameters p;
  p.classes = answers.classes;
  for (int k = 0; k < answers.exits; ++k) {
    p.calibration.push_back(fit_calibration(answers, k));
    double right = 0;
    for (int s = 0; s < answers.samples; ++s) right += answers.right(s, k);
    p.prior.push_back(static_cast<float>(right / answers.samples));
  }
  const Predictor untrained = *Predictor::make(p);
  Observed observed{Eigen::MatrixXd(answers.exits, answers.samples),
                    Eigen::MatrixXd(answers.exits, answers.samples), Eigen::VectorXd(answers.exits)};
  for (int k = 0; k < answers.exits; ++k) {
    observed.prior(k) = logit(p.prior[static_cast<std::size_t>(k)]);
    for (int s = 0; s < answers.samples; ++s) {
      observed.right(k, s) = answers.right(s, k);
      observed.calibrated(k, s) = untrained.calibrated(k, answers.scores(s, k));
    }
  }
  RandomBits random(options.seed);
  std::vector<Mlp> networks;
  for (int fold = 0; fold < kHeldOut; ++fold) networks.push_back(train(observed, options, fold, random));
  p.layers = mean_of(networks);
  return p;
}

PredictorQuality measure(const Predictor& predictor, const ExitAnswers& answers) {
  const int exits = predictor.exits();
  EINET_CHECK(
      answers.exits == exits && answers.classes == predictor.parameters().classes && answers.samples > 0,
      "answers of the predictor's network");
  const auto n = static_cast<std::size_t>(exits);
  PredictorQuality quality;
  quality.exits.resize(n);
  std::vector<CalibrationError> before(n), after(n);
  std::vector<double> calibrated(n), expected(n);
  RandomBits random(kJudge);
  double later = 0;
  const auto square = [](double x) { return x * x; };
  for (int s = 0; s < answers.samples; ++s) {
    for (std::size_t k = 0; k < n; ++k) {
      const int exit = static_cast<int>(k);
      calibrated[k] = predictor.calibrated(exit, answers.scores(s, exit));
      before[k].add(answers.scores(s, exit)[0], answers.right(s, exit));
      after[k].add(calibrated[k], answers.right(s, exit));
      quality.exits[k].accuracy += answers.right(s, exit);
    }
    for (int set = 0; set < kSetsPerSample; ++set) {
      const ExitMask executed = random_executed(exits, random);
      const int deepest = static_cast<int>(std::bit_width(executed)) - 1;
      predictor.predict(calibrated, executed, expected);
      for (int exit = deepest + 1; exit < exits; ++exit, ++later) {
        const auto k = static_cast<std::size_t>(exit);
        const double prior = predictor.parameters().prior[k];
        quality.prior.absolute += std::abs(prior - calibrated[k]);
        quality.predicted.absolute += std::abs(expected[k] - calibrated[k]);
        quality.prior.squared += square(prior - answers.right(s, exit));
        quality.predicted.squared += square(expected[k] - answers.right(s, exit));
      }
    }
  }
  for (std::size_t k = 0; k < n; ++k) {
    quality.exits[k].accuracy /= answers.samples;
    quality.exits[k].ece_before = before[k].value();
    quality.exits[k].ece_after = after[k].value();
  }
  for (PredictorQuality::Error* e : {&quality.prior, &quality.predicted}) {
    e->absolute /= std::max(later, 1.0);
    e->squared /= std::max(later, 1.0);
  }
  return quality;
}

}  // namespace einet
