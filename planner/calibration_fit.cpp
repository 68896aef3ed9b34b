// Temperature by the likelihood of the labels, and the isotonic curve.
#include <algorithm>
#include <cmath>
#include <utility>

#include "config/check.h"
#include "planner/log_scores.h"
#include "planner/predictor_training.h"

namespace einet {
namespace {

// Negative log likelihood is convex in 1 / temperature, so golden section finds its minimum.
float fit_temperature(const ExitAnswers& answers, int exit) {
  std::vector<LogScores> scores;
  for (int s = 0; s < answers.samples; ++s) scores.emplace_back(answers.scores(s, exit), answers.classes);
  const auto unlikely = [&](double log_temperature) {
    const double power = std::exp(-log_temperature);
    double sum = 0;
    for (int s = 0; s < answers.samples; ++s) {
      const LogScores& answer = scores[static_cast<std::size_t>(s)];
      sum += std::log(answer.sum(power)) - power * answer.log_ratio(answers.rank[answers.answer(s, exit)]);
    }
    return sum;
  };
  constexpr double kGolden = 0.6180339887498949;
  double low = std::log(Calibration::kMinTemperature);
  double high = std::log(Calibration::kMaxTemperature);
  double left = high - kGolden * (high - low);
  double right = low + kGolden * (high - low);
  double at_left = unlikely(left);
  double at_right = unlikely(right);
  while (high - low > 1e-3) {
    if (at_left <= at_right) {
      high = right;
      right = std::exchange(left, high - kGolden * (high - low));
      at_right = std::exchange(at_left, unlikely(left));
    } else {
      low = left;
      left = std::exchange(right, low + kGolden * (high - low));
      at_left = std::exchange(at_right, unlikely(right));
    }
  }
  return std::clamp(static_cast<float>(std::exp((low + high) / 2)), Calibration::kMinTemperature,
                    Calibration::kMaxTemperature);
}

struct Judged {
  double confidence;
  bool right;
};

}  // namespace

std::vector<double> isotonic(std::span<const double> values, std::span<const double> weights) {
  EINET_CHECK(values.size() == weights.size(), "one weight per value");
  struct Pool {
    double sum, weight;
    std::size_t count;
    double mean() const { return sum / weight; }
  };
  std::vector<Pool> pools;
  for (std::size_t i = 0; i < values.size(); ++i) {
    Pool pool{values[i] * weights[i], weights[i], 1};
    for (; !pools.empty() && pools.back().mean() >= pool.mean(); pools.pop_back()) {
      pool = {pools.back().sum + pool.sum, pools.back().weight + pool.weight,
              pools.back().count + pool.count};
    }
    pools.push_back(pool);
  }
  std::vector<double> result;
  for (const Pool& pool : pools) result.insert(result.end(), pool.count, pool.mean());
  return result;
}

Calibration fit_calibration(const ExitAnswers& answers, int exit) {
  EINET_CHECK(answers.samples > 0, "there is something to fit to");
  Calibration calibration;
  calibration.temperature = fit_temperature(answers, exit);
  std::vector<Judged> judged;
  double right = 0;
  for (int s = 0; s < answers.samples; ++s) {
    judged.push_back({tempered_confidence(answers.scores(s, exit), answers.classes, calibration.temperature),
                      answers.right(s, exit)});
    right += answers.right(s, exit);
  }
  std::sort(judged.begin(), judged.end(),
            [](const Judged& a, const Judged& b) { return a.confidence < b.confidence; });

  // Groups of equally many, but for samples of the same confidence, which stay together.
  const double mean_accuracy = right / answers.samples;
  const std::size_t size = judged.size() / Calibration::kMaxKnots + 1;
  std::vector<double> confidence, accuracy, weight;
  for (std::size_t from = 0; from < judged.size();) {
    double sum = 0;
    double correct = mean_accuracy;
    std::size_t to = from;
    for (; to < judged.size() && (to - from < size || judged[to].confidence == judged[to - 1].confidence);
         ++to) {
      sum += judged[to].confidence;
      correct += judged[to].right;
    }
    confidence.push_back(sum / static_cast<double>(to - from));
    weight.push_back(static_cast<double>(to - from) + 1);
    accuracy.push_back(correct / weight.back());
    from = to;
  }

  const std::vector<double> rising = isotonic(accuracy, weight);
  for (std::size_t from = 0; from < rising.size();) {
    double sum = 0;
    double total = 0;
    std::size_t to = from;
    for (; to < rising.size() && rising[to] == rising[from]; ++to) {
      sum += weight[to] * confidence[to];
      total += weight[to];
    }
    const auto knot = std::clamp(static_cast<float>(sum / total), 0.0F, 1.0F);
    const auto height = static_cast<float>(rising[from]);
    // Two knots that are one in single precision: the later one counts.
    if (!calibration.confidence.empty() && calibration.confidence.back() >= knot) {
      calibration.accuracy.back() = height;
    } else {
      calibration.confidence.push_back(knot);
      calibration.accuracy.push_back(height);
    }
    from = to;
  }
  return calibration;
}

}  // namespace einet
