// All that contenders are told about the samples that judge them, learned from other samples: a network's
// validation split, or for cross-validation a part of it. Between profiles and replays; no files, no
// printing.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "config/result.h"
#include "evaluation/contender.h"
#include "evaluation/forecast.h"
#include "evaluation/held_answer.h"
#include "evaluation/replay.h"
#include "models/profiles.h"
#include "planner/predictor.h"
#include "planner/survival.h"

namespace einet {

// Contenders, and what those without a choice of their own take.
struct Choices {
  std::vector<Contender> contenders;
  Aggregation aggregation = Aggregation::last;
  Expectation expectation = Expectation::lookalikes;

  // Whether any contender plans with it.
  bool needs(Expectation, Aggregation) const;
  bool needs(Expectation) const;
  // Whether any contender makes one answer of several like this.
  bool needs(Aggregation) const;
};

// Samples to learn from and samples to judge; no sample is both.
struct Fold {
  ProfileSplit learn, judge;
};

inline constexpr int kFolds = 5;

// Every sample is in `judge` of one fold, in their order, and in `learn` of the others. Precondition: at
// least kFolds samples.
std::vector<Fold> cross_validation(const ProfileSplit&);

// A network's median times on one device.
struct BlockTimes {
  std::vector<double> trunk_ns, exit_ns;  // one per block, > 0
  double whole_ns() const;                // all blocks with all exits
  double last_ns() const;                 // until the last exit's answer if no other is executed
};
BlockTimes median_times(const EtProfile&);

// What one fold has taught.
class Lesson {
 public:
  // Error: too few samples to train a predictor, if any contender asks for its expectations.
  static Result<Lesson> learn(const Fold&, const Choices&, std::uint64_t seed);

  // What depends on the survival function too; valid while the lesson lives, where it is.
  struct Plans {
    Forecasts forecasts;
    double discount = 1;  // of Aggregation::discounted
  };
  const Plans& learn_plans(const Choices&, const Survival&, const BlockTimes&);

  const ProfileSplit& judged() const { return fold_.judge; }
  const std::vector<float>& calibrated() const { return judged_calibrated_; }  // judged samples x exits
  const std::vector<double>& temperature() const { return temperature_; }

 private:
  Lesson(const Fold& fold, Predictor predictor);

  Fold fold_;
  Predictor predictor_;  // trained, if anybody asks for its expectations; its calibration is everybody's
  std::vector<double> temperature_;
  std::vector<float> learned_calibrated_, judged_calibrated_;
  std::vector<PredictorForecast> predicted_;  // one per aggregation
  // Of all calls of learn_plans().
  std::deque<Plans> plans_;
  std::deque<StatisticsForecast> statistics_;
  std::deque<Lookalikes> lookalikes_;
};

}  // namespace einet
