#include "daemon/einetd/job_answer.h"

#include <algorithm>
#include <numeric>

namespace einet {

const ExitAnswer& JobAnswer::add(int exit, std::span<const float> scores) {
  if (exit <= held_.exit) return held_;
  held_.exit = exit;
  scores_.resize(scores.size());
  if (!product_ && judge_ != nullptr && judge_->parameters().aggregation != Aggregation::last) {
    product_.emplace(static_cast<int>(scores.size()), judge_->parameters().discount);
  }
  if (product_) {
    std::vector<std::uint16_t> classes(scores.size());
    std::iota(classes.begin(), classes.end(), std::uint16_t{0});
    product_->multiply({classes, scores}, judge_->temperature(exit));
  }
  // If every class is out, the exit's answer counts alone.
  if (!product_ || !product_->scores(scores_)) scores_.assign(scores.begin(), scores.end());
  const auto top = std::max_element(scores_.begin(), scores_.end());
  held_.top_class = static_cast<int>(top - scores_.begin());
  held_.confidence = *top;
  held_.calibrated = held_.sure =
      judge_ == nullptr ? held_.confidence : static_cast<float>(judge_->calibrated(exit, scores));
  if (product_) held_.sure = static_cast<float>(product_->confidence());
  return held_;
}

}  // namespace einet
