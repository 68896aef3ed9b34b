#include "evaluation/lesson.h"

#include <algorithm>
#include <numeric>

#include "config/check.h"
#include "evaluation/learning.h"

namespace einet {
bool Choices::needs(Expectation what, Aggregation how) const {
  return std::any_of(contenders.begin(), contenders.end(), [&](const Contender& c) {
    return c.kind == Contender::Kind::online && c.expectation.value_or(expectation) == what &&
           c.aggregation.value_or(aggregation) == how;
  });
}

bool Choices::needs(Expectation what) const {
  return std::any_of(kEveryAggregation.begin(), kEveryAggregation.end(),
                     [&](Aggregation how) { return needs(what, how); });
}

bool Choices::needs(Aggregation how) const {
  return std::any_of(contenders.begin(), contenders.end(),
                     [&](const Contender& c) { return c.aggregation.value_or(aggregation) == how; });
}

std::vector<Fold> cross_validation(const ProfileSplit& split) {
  EINET_CHECK(split.samples() >= kFolds, "a sample for every fold");
  std::vector<Fold> folds;
  for (int i = 0; i < kFolds; ++i) {
    const auto bound = [&](int k) {
      return static_cast<int>(static_cast<std::int64_t>(split.samples()) * k / kFolds);
    };
    const int first = bound(i);
    const int count = bound(i + 1) - first;
    folds.push_back({split.without(first, count), split.slice(first, count)});
  }
  return folds;
}

double BlockTimes::whole_ns() const {
  return einet::whole_ns(trunk_ns, exit_ns);
}

double BlockTimes::last_ns() const {
  return std::accumulate(trunk_ns.begin(), trunk_ns.end(), exit_ns.back());
}

BlockTimes median_times(const EtProfile& profile) {
  BlockTimes times;
  for (const PartTime& part : profile.trunk) times.trunk_ns.push_back(static_cast<double>(part.p50.count()));
  for (const PartTime& part : profile.exit) times.exit_ns.push_back(static_cast<double>(part.p50.count()));
  return times;
}

Lesson::Lesson(const Fold& fold, Predictor predictor)
    : fold_(fold),
      predictor_(std::move(predictor)),
      temperature_(temperatures(predictor_)),
      learned_calibrated_(calibrated_confidences(predictor_, fold.learn)),
      judged_calibrated_(calibrated_confidences(predictor_, fold.judge)) {
  for (const Aggregation aggregation : kEveryAggregation) predicted_.emplace_back(predictor_, aggregation);
}

Result<Lesson> Lesson::learn(const Fold& fold, const Choices& choices, std::uint64_t seed) {
  auto predictor = choices.needs(Expectation::predictor) ? learn_predictor(fold.learn, seed)
                                                         : Result<Predictor>(learn_calibration(fold.learn));
  if (!predictor) return within("cannot train a predictor", predictor.error());
  return Lesson(fold, std::move(*predictor));
}

const Lesson::Plans& Lesson::learn_plans(const Choices& choices, const Survival& survival,
                                         const BlockTimes& times) {
  Plans& plans = plans_.emplace_back();
  const KillSetting kill{survival, times.trunk_ns, times.exit_ns};
  if (choices.needs(Aggregation::discounted)) {
    plans.discount = learn_discount(fold_.learn, learned_calibrated_, temperature_, kill);
  }
  for (const Aggregation aggregation : kEveryAggregation) {
    if (!choices.needs(aggregation)) continue;
    const Pooling pooling{aggregation, temperature_, plans.discount};
    const UsualPlan usual = usual_plan(fold_.learn, learned_calibrated_, pooling, kill);
    plans.forecasts.set(Expectation::statistics, aggregation, statistics_.emplace_back(usual.accuracy));
    plans.forecasts.set(Expectation::predictor, aggregation,
                        predicted_[static_cast<std::size_t>(aggregation)]);
    if (!choices.needs(Expectation::lookalikes, aggregation)) continue;
    plans.forecasts.set(
        Expectation::lookalikes, aggregation,
        lookalikes_.emplace_back(find_lookalikes(fold_.learn, learned_calibrated_, pooling, usual.exits)));
  }
  return plans;
}

}  // namespace einet
