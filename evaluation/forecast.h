// What a planner may know about a sample: the expected accuracy of exits still to come, given what the
// executed ones answered. Nothing here has seen the samples that plans are evaluated on.
#pragma once

#include <span>
#include <vector>

#include "config/ids.h"
#include "models/profiles.h"
#include "planner/predictor.h"

namespace einet {

// Immutable; any number of threads.
class Forecast {
 public:
  virtual ~Forecast() = default;

  // Of `calibrated` (one per exit: the probability that its answer is right, judged by its own confidence)
  // the entries in `executed` are read. Writes the expected accuracy of every exit after the deepest executed
  // one to `accuracy` (one per exit), leaves the others as they are, and returns the expected accuracy of the
  // deepest executed exit's answer; 0 if none was executed. All in [0, 1].
  virtual double expect(std::span<const double> calibrated, ExitMask executed,
                        std::span<double> accuracy) const = 0;
};

// Every sample is like the mean of all: an exit's expected accuracy is its accuracy on held-out samples.
class StatisticsForecast final : public Forecast {
 public:
  // One per exit, in [0, 1].
  explicit StatisticsForecast(std::vector<double> accuracy) : accuracy_(std::move(accuracy)) {}
  // From the samples that were held out from training.
  explicit StatisticsForecast(const ProfileSplit& validation);

  double expect(std::span<const double> calibrated, ExitMask executed,
                std::span<double> accuracy) const override;

 private:
  std::vector<double> accuracy_;
};

// Every sample is what a trained predictor makes of its answers so far.
class PredictorForecast final : public Forecast {
 public:
  explicit PredictorForecast(Predictor predictor) : predictor_(std::move(predictor)) {}

  double expect(std::span<const double> calibrated, ExitMask executed,
                std::span<double> accuracy) const override {
    return predictor_.predict(calibrated, executed, accuracy);
  }

 private:
  Predictor predictor_;
};

}  // namespace einet
