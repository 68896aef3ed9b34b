// The forecasts that an evaluation compares (planner/forecast.h): what is expected of a sample's answers to
// come. Nothing here has seen the samples that plans are evaluated on.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "evaluation/held_answer.h"
#include "models/profiles.h"
#include "planner/forecast.h"
#include "planner/lookalikes.h"
#include "planner/predictor.h"

namespace einet {

// The kinds of forecast.
enum class Expectation : std::uint8_t { lookalikes, predictor, statistics };
inline constexpr std::size_t kExpectations = 3;

// "lookalikes", "predictor" or "statistics". Error: anything else.
Result<Expectation> parse_expectation(std::string_view name);
std::string_view name(Expectation);

// One forecast for each kind of expectation and each aggregation; null where nobody needs it.
class Forecasts {
 public:
  void set(Expectation expectation, Aggregation aggregation, const Forecast& forecast) {
    of_[static_cast<std::size_t>(expectation)][static_cast<std::size_t>(aggregation)] = &forecast;
  }
  const Forecast* get(Expectation expectation, Aggregation aggregation) const {
    return of_[static_cast<std::size_t>(expectation)][static_cast<std::size_t>(aggregation)];
  }

 private:
  std::array<std::array<const Forecast*, kAggregations>, kExpectations> of_{};
};

// Every sample is like the mean of all held-out samples.
class StatisticsForecast final : public Forecast {
 public:
  // `accuracy`: one per exit, of the answer held after it.
  explicit StatisticsForecast(std::vector<double> accuracy) : accuracy_(std::move(accuracy)) {}

  double expect(const Seen& seen, std::span<double> accuracy) const override;

 private:
  std::vector<double> accuracy_;
};

// The groups of lookalikes, from held-out samples: about equally many each, and no fewer than 50.
// `calibrated`: samples x exits, as Seen::calibrated. `usual`: the exits that are usually executed; the
// lookalikes' answers after an exit are made of those among them that come before it, and of itself.
// `pooling` is read here only.
Lookalikes find_lookalikes(const ProfileSplit& validation, std::span<const float> calibrated,
                           const Pooling& pooling, ExitMask usual);

// Every sample is what a trained predictor makes of its answers so far. The predictor judges every exit by
// itself; of most_confident, no answer that is to come is worth less than the one that is held.
class PredictorForecast final : public Forecast {
 public:
  PredictorForecast(Predictor predictor, Aggregation aggregation)
      : predictor_(std::move(predictor)), aggregation_(aggregation) {}

  double expect(const Seen& seen, std::span<double> accuracy) const override;

 private:
  Predictor predictor_;
  Aggregation aggregation_;
};

}  // namespace einet
