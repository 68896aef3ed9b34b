// What planning learns from the samples that were held out from training: between profiles and the planner's
// own types. The test split is only ever judged with it, never learned from.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "config/result.h"
#include "evaluation/forecast.h"
#include "models/profiles.h"
#include "planner/predictor.h"
#include "planner/predictor_training.h"
#include "planner/survival.h"

namespace einet {

// The split's answers as calibration and training take them: at most kTopScores scores of each.
ExitAnswers exit_answers(const ProfileSplit&);

// The calibration of every exit and its mean accuracy, and no network: what is to come is the mean.
Predictor learn_calibration(const ProfileSplit& validation);

// The same with a trained network. Error: too few samples to train on.
Result<Predictor> learn_predictor(const ProfileSplit& validation, std::uint64_t seed);

// Samples x exits: the probability that the answer is right, judged by its own confidence.
std::vector<float> calibrated_confidences(const Predictor&, const ProfileSplit&);

// One per exit.
std::vector<double> temperatures(const Predictor&);

// One per exit: the accuracy of the answer that is held once the exit is executed after those of `before`
// that come before it. `calibrated`: samples x exits.
std::vector<double> held_accuracies(const ProfileSplit&, std::span<const float> calibrated, const Pooling&,
                                    ExitMask before);

// When exits are ready and how long jobs live; views.
struct KillSetting {
  const Survival& survival;
  std::span<const double> trunk_ns, exit_ns;
};

// The plan that is best for the mean of all samples.
struct UsualPlan {
  ExitMask exits = 0;
  std::vector<double> accuracy;  // held_accuracies() of its exits
  double worth = 0;              // expected_accuracy() with these
};

// For Aggregation::last the best plan there is. For others the accuracies depend on the plan and the best
// plan on them: the best of those that are found by planning for the accuracies of the last one found.
UsualPlan usual_plan(const ProfileSplit&, std::span<const float> calibrated, const Pooling&,
                     const KillSetting&);

// The discount of Aggregation::discounted under which the best of two plans is worth most: all exits, and the
// usual ones where the last answer counts.
double learn_discount(const ProfileSplit&, std::span<const float> calibrated,
                      std::span<const double> temperature, const KillSetting&);

// All that a package holds of how a sample's answers are judged: the trained predictor; the aggregation,
// last, product or discounted, whose best plan for the mean is the best; and the lookalikes for that.
Result<PredictorParameters> learn_judgement(PredictorParameters trained, const ProfileSplit& validation,
                                            const KillSetting&);

}  // namespace einet
