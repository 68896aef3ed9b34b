#include "evaluation/learning.h"

#include <algorithm>
#include <array>

#include "config/check.h"
#include "planner/planner.h"

namespace einet {
namespace {

ExitMask all_exits(const ProfileSplit& split) {
  return ~ExitMask{0} >> (kMaxBlocks - split.exits());
}

}  // namespace

ExitAnswers exit_answers(const ProfileSplit& split) {
  ExitAnswers answers;
  answers.samples = split.samples();
  answers.exits = split.exits();
  answers.classes = split.classes();
  answers.kept = std::min(split.kept(), kTopScores);
  const std::size_t count =
      static_cast<std::size_t>(split.samples()) * static_cast<std::size_t>(split.exits());
  answers.score.reserve(count * static_cast<std::size_t>(answers.kept));
  answers.rank.reserve(count);
  for (int s = 0; s < split.samples(); ++s) {
    for (int e = 0; e < split.exits(); ++e) {
      int rank = answers.kept;
      for (int k = 0; k < answers.kept; ++k) {
        answers.score.push_back(split.score(s, e, k));
        if (split.top(s, e, k) == split.label(s)) rank = k;
      }
      answers.rank.push_back(static_cast<std::uint8_t>(rank));
    }
  }
  return answers;
}

Predictor learn_calibration(const ProfileSplit& validation) {
  const ExitAnswers answers = exit_answers(validation);
  PredictorParameters parameters;
  parameters.classes = validation.classes();
  for (int e = 0; e < validation.exits(); ++e) {
    parameters.calibration.push_back(fit_calibration(answers, e));
    parameters.prior.push_back(static_cast<float>(validation.accuracy(e)));
  }
  auto predictor = Predictor::make(std::move(parameters));
  EINET_CHECK(predictor.has_value(), "a fitted calibration is one that can be used");
  return std::move(*predictor);
}

Result<Predictor> learn_predictor(const ProfileSplit& validation, std::uint64_t seed) {
  PredictorTraining training;
  training.seed = seed;
  auto parameters = train_predictor(exit_answers(validation), training);
  if (!parameters) return parameters.error();
  return Predictor::make(std::move(*parameters));
}

std::vector<float> calibrated_confidences(const Predictor& predictor, const ProfileSplit& split) {
  std::vector<float> out;
  out.reserve(static_cast<std::size_t>(split.samples()) * static_cast<std::size_t>(split.exits()));
  std::array<float, kTopScores> scores{};
  const int kept = std::min(split.kept(), kTopScores);
  for (int s = 0; s < split.samples(); ++s) {
    for (int e = 0; e < split.exits(); ++e) {
      for (int k = 0; k < kept; ++k) scores[static_cast<std::size_t>(k)] = split.score(s, e, k);
      out.push_back(
          static_cast<float>(predictor.calibrated(e, {scores.data(), static_cast<std::size_t>(kept)})));
    }
  }
  return out;
}

std::vector<double> temperatures(const Predictor& predictor) {
  std::vector<double> out;
  for (const Calibration& calibration : predictor.parameters().calibration)
    out.push_back(calibration.temperature);
  return out;
}

std::vector<double> held_accuracies(const ProfileSplit& split, std::span<const float> calibrated,
                                    const Pooling& pooling, ExitMask before) {
  const int exits = split.exits();
  std::vector<int> right(static_cast<std::size_t>(exits));
  HeldAnswer held(pooling, split.classes());
  HeldAnswer then = held;
  for (int s = 0; s < split.samples(); ++s) {
    held.clear();
    for (int k = 0; k < exits; ++k) {
      const bool stays = (before & exit_bit(k)) != 0;
      HeldAnswer& answer = stays ? held : then;
      if (!stays) then = held;
      answer.add(split, s, k, calibrated[static_cast<std::size_t>(s * exits + k)]);
      right[static_cast<std::size_t>(k)] += answer.answer() == split.label(s) ? 1 : 0;
    }
  }
  std::vector<double> out;
  for (const int count : right) out.push_back(static_cast<double>(count) / split.samples());
  return out;
}

UsualPlan usual_plan(const ProfileSplit& split, std::span<const float> calibrated, const Pooling& pooling,
                     const KillSetting& kill) {
  constexpr int kRounds = 8;
  PlanSearch search;
  UsualPlan best;
  // From both ends: what every exit is worth alone, and after all others.
  for (const ExitMask start : {ExitMask{0}, all_exits(split)}) {
    ExitMask exits = start;
    for (int round = 0; round < kRounds; ++round) {
      std::vector<double> accuracy = held_accuracies(split, calibrated, pooling, exits);
      const PlanProblem problem{.trunk_ns = kill.trunk_ns, .exit_ns = kill.exit_ns, .accuracy = accuracy};
      const double worth = expected_accuracy(problem, kill.survival, exits);
      const ExitMask next = search.exact(problem, kill.survival).exits;
      if (best.accuracy.empty() || worth > best.worth) best = {exits, std::move(accuracy), worth};
      if (next == exits) break;
      exits = next;
    }
  }
  return best;
}

double learn_discount(const ProfileSplit& split, std::span<const float> calibrated,
                      std::span<const double> temperature, const KillSetting& kill) {
  constexpr std::array<double, 6> kDiscounts{1, 0.85, 0.7, 0.5, 0.3, 0.1};
  const ExitMask usual = usual_plan(split, calibrated, {Aggregation::last, temperature}, kill).exits;
  double best = 1;
  double best_worth = -1;
  for (const double discount : kDiscounts) {
    for (const ExitMask exits : {usual, all_exits(split)}) {
      const std::vector<double> accuracy =
          held_accuracies(split, calibrated, {Aggregation::discounted, temperature, discount}, exits);
      const double worth = expected_accuracy(
          {.trunk_ns = kill.trunk_ns, .exit_ns = kill.exit_ns, .accuracy = accuracy}, kill.survival, exits);
      if (worth <= best_worth) continue;
      best_worth = worth;
      best = discount;
    }
  }
  return best;
}

Result<PredictorParameters> learn_judgement(PredictorParameters trained, const ProfileSplit& validation,
                                            const KillSetting& kill) {
  const auto predictor = Predictor::make(trained);
  if (!predictor) return predictor.error();
  const std::vector<float> calibrated = calibrated_confidences(*predictor, validation);
  const std::vector<double> temperature = temperatures(*predictor);
  double best = -1;
  for (const Aggregation aggregation : {Aggregation::last, Aggregation::product, Aggregation::discounted}) {
    const double discount = aggregation == Aggregation::discounted
                                ? learn_discount(validation, calibrated, temperature, kill)
                                : 1;
    const Pooling pooling{aggregation, temperature, discount};
    const UsualPlan plan = usual_plan(validation, calibrated, pooling, kill);
    if (plan.worth <= best) continue;
    best = plan.worth;
    trained.aggregation = aggregation;
    trained.discount = static_cast<float>(discount);
    trained.lookalikes = find_lookalikes(validation, calibrated, pooling, plan.exits).parameters();
  }
  return trained;
}

}  // namespace einet
