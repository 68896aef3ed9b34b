#include "daemon/einetd/job_answer.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace einet {

JobAnswer::JobAnswer(std::shared_ptr<const Predictor> judge, int classes) : judge_(std::move(judge)) {
  if (judge_ == nullptr || judge_->parameters().aggregation == Aggregation::last) return;
  product_.emplace(classes, judge_->parameters().discount);
}

const ExitAnswer& JobAnswer::add(int exit, std::span<const float> scores) {
  if (exit <= held_.exit) return held_;
  held_.exit = exit;
  scores_.assign(scores.begin(), scores.end());
  if (product_) {
    std::vector<std::uint16_t> classes(scores.size());
    std::iota(classes.begin(), classes.end(), std::uint16_t{0});
    product_->multiply({classes, scores}, judge_->temperature(exit));
    // If every class is out, the exit's answer counts alone.
    if (!product_->scores(scores_)) scores_.assign(scores.begin(), scores.end());
  }
  const auto top = std::max_element(scores_.begin(), scores_.end());
  held_.top_class = static_cast<int>(top - scores_.begin());
  held_.confidence = *top;
  held_.calibrated = held_.sure =
      judge_ == nullptr ? held_.confidence : static_cast<float>(judge_->calibrated(exit, scores));
  if (product_) held_.sure = static_cast<float>(product_->confidence());
  return held_;
}

}  // namespace einet
