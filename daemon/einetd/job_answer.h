// The answer that one job holds: that of its deepest executed exit or, where its package says so, one made of
// all executed exits' answers. How good it is expected to be is the core's to know.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "planner/predictor.h"
#include "scheduler/job.h"

namespace einet {

class JobAnswer {
 public:
  JobAnswer() = default;
  // `judge`: the package's; null: it has none, and exits' confidences are taken as they are.
  explicit JobAnswer(std::shared_ptr<const Predictor> judge) : judge_(std::move(judge)) {}

  // An exit has answered. `scores`: its softmax, one per class. Returns the answer that is held now. An exit
  // that is not deeper than those before (after a lost lane) changes nothing.
  const ExitAnswer& add(int exit, std::span<const float> scores);

  // Of the answer held; one per class. Precondition: some exit has answered.
  std::span<const float> scores() const { return scores_; }

 private:
  std::shared_ptr<const Predictor> judge_;
  std::optional<ProductAnswer> product_;  // from the first answer on, where the package says so
  ExitAnswer held_;
  std::vector<float> scores_;
};

}  // namespace einet
