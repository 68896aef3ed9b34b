#include "evaluation/held_answer.h"

namespace einet {

HeldAnswer::HeldAnswer(const Pooling& pooling, int classes)
    : pooling_(pooling),
      product_(multiplies() ? classes : 0,
               pooling.aggregation == Aggregation::discounted ? pooling.discount : 1) {
  if (!multiplies()) return;
  classes_.reserve(static_cast<std::size_t>(classes));
  scores_.reserve(static_cast<std::size_t>(classes));
}

bool HeldAnswer::multiplies() const {
  return pooling_.aggregation == Aggregation::product || pooling_.aggregation == Aggregation::discounted;
}

void HeldAnswer::clear() {
  answer_ = -1;
  confidence_ = 0;
  product_.clear();
}

void HeldAnswer::add(const ProfileSplit& split, int sample, int exit, double calibrated) {
  if (pooling_.aggregation == Aggregation::most_confident && calibrated < confidence_) return;
  if (!multiplies()) {
    answer_ = split.top(sample, exit);
    confidence_ = calibrated;
    return;
  }
  classes_.clear();
  scores_.clear();
  for (int k = 0; k < split.kept(); ++k) {
    classes_.push_back(static_cast<std::uint16_t>(split.top(sample, exit, k)));
    scores_.push_back(split.score(sample, exit, k));
  }
  const float others = split.kept() == split.classes() ? 0 : split.score_of_others(sample, exit);
  product_.multiply({classes_, scores_, others}, pooling_.temperature[static_cast<std::size_t>(exit)]);
  answer_ = product_.answer();
  confidence_ = product_.confidence();
}

}  // namespace einet
