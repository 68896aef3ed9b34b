// A synthetic network with all that a replay needs, and a forecast that listens to the sample.
#pragma once

#include <algorithm>
#include <bit>
#include <deque>
#include <memory>
#include <vector>

#include "evaluation/replay.h"
#include "synthetic_profiles.h"

namespace einet::test {

// One per exit.
inline std::vector<double> accuracies(const ProfileSplit& split) {
  std::vector<double> out;
  for (int k = 0; k < split.exits(); ++k) out.push_back(split.accuracy(k));
  return out;
}

// The exits still to come are better or worse than usual as the deepest executed one is.
class ShiftedForecast final : public Forecast {
 public:
  explicit ShiftedForecast(std::vector<double> mean) : mean_(std::move(mean)) {}
  double expect(const Seen& seen, std::span<double> accuracy) const override {
    const auto next = static_cast<std::size_t>(std::bit_width(seen.executed));
    const double shift = next == 0 ? 0 : 0.7 * (seen.calibrated[next - 1] - mean_[next - 1]);
    for (std::size_t k = next; k < mean_.size(); ++k) accuracy[k] = std::clamp(mean_[k] + shift, 0.0, 1.0);
    return next == 0 ? 0 : seen.calibrated[next - 1];
  }

 private:
  std::vector<double> mean_;
};

struct World {
  explicit World(const SyntheticProfiles& want) : World(make_synthetic_profiles(want)) {}
  explicit World(const ProfileRecord& record)
      : set(*ProfileSet::parse(format_profiles(record), "world")),
        statistics(accuracies(*set.split(Split::validation))),
        shifted(accuracies(*set.split(Split::validation))) {
    const ProfileSplit& test = *set.split(Split::test);
    for (int s = 0; s < test.samples(); ++s) {
      for (int k = 0; k < test.exits(); ++k) calibrated.push_back(test.confidence(s, k));
    }
    for (const PartTime& t : set.times().front().trunk)
      trunk_ns.push_back(static_cast<double>(t.p50.count()));
    for (const PartTime& t : set.times().front().exit) exit_ns.push_back(static_cast<double>(t.p50.count()));
    temperature.resize(exit_ns.size(), 1.0);
    whole_ns = einet::whole_ns(trunk_ns, exit_ns);
  }

  // Of contenders that do not say otherwise, what is expected is `forecast`.
  ReplaySetting setting(const Survival& survival, const Forecast& forecast,
                        Aggregation aggregation = Aggregation::last, int threads = 1) const {
    Forecasts& forecasts = forecasts_.emplace_back();
    for (std::size_t a = 0; a < kAggregations; ++a) {
      forecasts.set(Expectation::statistics, static_cast<Aggregation>(a), statistics);
      forecasts.set(Expectation::predictor, static_cast<Aggregation>(a), forecast);
    }
    return {.samples = *set.split(Split::test),
            .calibrated = calibrated,
            .temperature = temperature,
            .forecasts = forecasts,
            .survival = survival,
            .trunk_ns = trunk_ns,
            .exit_ns = exit_ns,
            .aggregation = aggregation,
            .expectation = Expectation::predictor,
            .clock = clock,
            .threads = threads};
  }

  ProfileSet set;
  StatisticsForecast statistics;
  ShiftedForecast shifted;
  std::vector<float> calibrated;
  std::vector<double> temperature, trunk_ns, exit_ns;
  double whole_ns = 0;
  SystemClock clock;

 private:
  mutable std::deque<Forecasts> forecasts_;  // of all settings that were made
};

}  // namespace einet::test
