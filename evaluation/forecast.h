// What a planner may know about a sample: the expected accuracy of answers still to come, given what the
// executed exits answered. Nothing here has seen the samples that plans are evaluated on.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "config/ids.h"
#include "config/result.h"
#include "evaluation/held_answer.h"
#include "models/profiles.h"
#include "planner/predictor.h"

namespace einet {

// What the executed exits of one sample have answered.
struct Seen {
  ExitMask executed = 0;
  // One per exit; those in `executed` count: the probability that the answer is right, judged by its own
  // confidence.
  std::span<const double> calibrated;
  double held = 0;  // HeldAnswer::confidence(): how sure the answer is that is held
};

// Immutable; any number of threads.
class Forecast {
 public:
  virtual ~Forecast() = default;

  // For every exit after the deepest executed one, writes to `accuracy` (one per exit) the expected accuracy
  // of the answer that is held once it is executed; leaves the others as they are. Returns that of the answer
  // held now; 0 if no exit was executed. All in [0, 1].
  virtual double expect(const Seen& seen, std::span<double> accuracy) const = 0;
};

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
  // Every exit's own accuracy.
  explicit StatisticsForecast(const ProfileSplit& validation);
  // One per exit: of the answer held after it.
  explicit StatisticsForecast(std::vector<double> accuracy) : accuracy_(std::move(accuracy)) {}

  double expect(const Seen& seen, std::span<double> accuracy) const override;

 private:
  std::vector<double> accuracy_;
};

// A sample is like those held-out samples whose held answer was about as sure after the same exit: what an
// exit will make of it is what it made of theirs. The held answer and all that could follow are judged by the
// same samples, so that what these have in common cancels out of the differences that planning is about.
class LookalikeForecast final : public Forecast {
 public:
  // `calibrated`: samples x exits, as expect() will be given them. `usual`: the exits that are usually
  // executed; the lookalikes' answers after an exit are made of those among them that come before it, and of
  // itself. `temperature` as for HeldAnswer, read here only.
  LookalikeForecast(const ProfileSplit& validation, std::span<const float> calibrated,
                    Aggregation aggregation, std::span<const double> temperature, ExitMask usual);

  double expect(const Seen& seen, std::span<double> accuracy) const override;

 private:
  // Samples that were about as sure after one exit.
  struct Group {
    double held;                   // their mean
    std::vector<double> accuracy;  // of the answers held now (at this exit) and once a later exit is executed
  };
  std::vector<double> mean_;                // over all samples: after every exit and the usual ones before it
  std::vector<std::vector<Group>> groups_;  // per exit, rising
};

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
