#include "planner/aggregation.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "config/check.h"
#include "config/text.h"

namespace einet {
namespace {

constexpr std::array<std::string_view, kAggregations> kNames{"last", "most-confident", "product",
                                                             "discounted"};

}  // namespace

Result<Aggregation> parse_aggregation(std::string_view text) {
  const auto found = std::find(kNames.begin(), kNames.end(), text);
  if (found != kNames.end()) return static_cast<Aggregation>(found - kNames.begin());
  return error("aggregation: found \"" + escape(text, 60) + "\"; expected " + one_of(kNames));
}

std::string_view name(Aggregation aggregation) {
  return kNames[static_cast<std::size_t>(aggregation)];
}

ProductAnswer::ProductAnswer(int classes, double discount)
    : classes_(static_cast<std::size_t>(classes)), discount_(discount) {
  EINET_CHECK(discount > 0 && discount <= 1, "a discount in (0, 1]");
  named_.reserve(classes_.size());
}

ProductAnswer::ProductAnswer(const ProductAnswer& other)
    : ProductAnswer(static_cast<int>(other.classes_.size()), other.discount_) {
  *this = other;
}

ProductAnswer& ProductAnswer::operator=(const ProductAnswer& other) {
  if (this == &other) return *this;
  clear();
  classes_.resize(other.classes_.size());
  named_.reserve(classes_.size());
  named_.assign(other.named_.begin(), other.named_.end());
  for (const int c : named_)
    classes_[static_cast<std::size_t>(c)] = other.classes_[static_cast<std::size_t>(c)];
  zeros_ = other.zeros_;
  discount_ = other.discount_;
  weight_ = other.weight_;
  answer_ = other.answer_;
  confidence_ = other.confidence_;
  return *this;
}

void ProductAnswer::clear() {
  for (const int c : named_) classes_[static_cast<std::size_t>(c)] = {};
  named_.clear();
  zeros_ = 0;
  weight_ = 0;
  answer_ = -1;
  confidence_ = 0;
}

void ProductAnswer::multiply(const NamedScores& given, double temperature) {
  weight_ = weight_ * discount_ + 1;
  for (const int c : named_) classes_[static_cast<std::size_t>(c)].log *= discount_;
  const double power = 1 / temperature;
  // What the exit gives to a class that it does not name divides the product of those that it names.
  const bool all_named = given.classes.size() == classes_.size();
  const float others = all_named ? 1 : given.others;
  const int others_zero = others > 0 ? 0 : 1;
  const double others_log = others > 0 ? power * std::log(others) : 0;
  for (std::size_t k = 0; k < given.classes.size(); ++k) {
    const int c = given.classes[k];
    Class& product = classes_[static_cast<std::size_t>(c)];
    // A class that was not named before has what every exit gave to those that it did not name: nothing here.
    if (!product.named) named_.push_back(c);
    product.named = true;
    const float score = given.scores[k];
    product.log += (score > 0 ? power * std::log(score) : 0) - others_log;
    product.zeros += (score > 0 ? 0 : 1) - others_zero;
  }
  zeros_ += others_zero;

  const auto surest = std::max_element(given.scores.begin(), given.scores.end());
  answer_ = given.classes[static_cast<std::size_t>(surest - given.scores.begin())];
  double best = 0;
  double second = 0;
  int in = 0;  // classes that no exit has put out
  for (const int c : named_) {
    const Class& product = classes_[static_cast<std::size_t>(c)];
    if (product.zeros + zeros_ > 0) continue;
    ++in;
    if (in == 1 || product.log > best) {
      second = best;
      best = product.log;
      answer_ = c;
    } else if (in == 2 || product.log > second) {
      second = product.log;
    }
  }
  if (in > 0 && zeros_ == 0 && named_.size() < classes_.size()) {
    // Classes that were never named are rivals too: equal ones, whose logarithm is 0.
    ++in;
    second = std::max(second, 0.0);
  }
  const double ahead = std::max(best - second, 0.0);
  confidence_ = in == 1 ? 1 : ahead / (1 + ahead);
}

bool ProductAnswer::scores(std::span<float> into) const {
  const double best = classes_[static_cast<std::size_t>(answer_)].log;
  double sum = 0;
  for (std::size_t c = 0; c < classes_.size(); ++c) {
    const double score = classes_[c].zeros > 0 ? 0 : std::exp((classes_[c].log - best) / weight_);
    into[c] = static_cast<float>(score);
    sum += score;
  }
  if (sum == 0) return false;
  for (float& score : into) score = static_cast<float>(score / sum);
  return true;
}

}  // namespace einet
