#include "evaluation/forecast.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "config/check.h"
#include "config/text.h"
#include "evaluation/learning.h"

namespace einet {
namespace {

constexpr std::array<std::string_view, kExpectations> kNames{"lookalikes", "predictor", "statistics"};
constexpr std::size_t kLeastLookalikes = 50;  // fewer say too little
constexpr std::size_t kMostGroups = 8;

}  // namespace

Result<Expectation> parse_expectation(std::string_view text) {
  const auto found = std::find(kNames.begin(), kNames.end(), text);
  if (found != kNames.end()) return static_cast<Expectation>(found - kNames.begin());
  return error("expectations: found \"" + escape(text, 60) + "\"; expected " + one_of(kNames));
}

std::string_view name(Expectation expectation) {
  return kNames[static_cast<std::size_t>(expectation)];
}

double StatisticsForecast::expect(const Seen& seen, std::span<double> accuracy) const {
  const auto next = static_cast<std::size_t>(std::bit_width(seen.executed));
  for (std::size_t k = next; k < accuracy_.size(); ++k) accuracy[k] = accuracy_[k];
  return next == 0 ? 0 : accuracy_[next - 1];
}

Lookalikes find_lookalikes(const ProfileSplit& validation, std::span<const float> calibrated,
                           const Pooling& pooling, ExitMask usual) {
  LookalikeParameters parameters;
  const int exits = validation.exits();
  const auto width = static_cast<std::size_t>(exits);
  const auto samples = static_cast<std::size_t>(validation.samples());
  const std::vector<double> mean = held_accuracies(validation, calibrated, pooling, usual);
  parameters.mean.assign(mean.begin(), mean.end());

  const auto add = [&](HeldAnswer& answer, std::size_t s, int k) {
    answer.add(validation, static_cast<int>(s), k, calibrated[s * width + static_cast<std::size_t>(k)]);
  };
  HeldAnswer held(pooling, validation.classes());
  HeldAnswer then = held;
  std::vector<double> sure(samples);
  std::vector<std::uint8_t> right(samples * width);  // samples x exits: once the exit is executed too
  std::vector<std::size_t> order(samples);
  const std::size_t size = std::max(kLeastLookalikes, samples / kMostGroups);
  for (int j = 0; j < exits; ++j) {
    for (std::size_t s = 0; s < samples; ++s) {
      const int label = validation.label(static_cast<int>(s));
      held.clear();
      for (int k = 0; k < j; ++k) {
        if ((usual & exit_bit(k)) != 0) add(held, s, k);
      }
      add(held, s, j);
      sure[s] = held.confidence();
      right[s * width + static_cast<std::size_t>(j)] = held.answer() == label ? 1 : 0;
      for (int k = j + 1; k < exits; ++k) {
        const bool stays = (usual & exit_bit(k)) != 0;
        if (!stays) then = held;
        HeldAnswer& answer = stays ? held : then;
        add(answer, s, k);
        right[s * width + static_cast<std::size_t>(k)] = answer.answer() == label ? 1 : 0;
      }
    }
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return sure[a] != sure[b] ? sure[a] < sure[b] : a < b; });
    auto& groups = parameters.groups.emplace_back();
    for (std::size_t begin = 0; begin < samples;) {
      // Samples that are equally sure stay together, and no few are left for the end.
      std::size_t end = std::min(begin + size, samples);
      while (end < samples && sure[order[end]] == sure[order[end - 1]]) ++end;
      if (samples - end < size) end = samples;
      double held_sum = 0;
      std::vector<int> rights(width - static_cast<std::size_t>(j));
      const auto count = static_cast<double>(end - begin);
      for (; begin < end; ++begin) {
        held_sum += sure[order[begin]];
        for (std::size_t later = 0; later < rights.size(); ++later) {
          rights[later] += right[order[begin] * width + static_cast<std::size_t>(j) + later];
        }
      }
      LookalikeParameters::Group group{static_cast<float>(held_sum / count), {}};
      for (const int n : rights) group.accuracy.push_back(static_cast<float>(n / count));
      groups.push_back(std::move(group));
    }
  }
  auto lookalikes = Lookalikes::make(std::move(parameters));
  EINET_CHECK(lookalikes.has_value(), "shares of samples are probabilities");
  return std::move(*lookalikes);
}

double PredictorForecast::expect(const Seen& seen, std::span<double> accuracy) const {
  const double held = predictor_.predict(seen.calibrated, seen.executed, accuracy);
  return aggregation_ == Aggregation::most_confident ? std::max(held, seen.held) : held;
}

}  // namespace einet
