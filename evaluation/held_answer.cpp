#include "evaluation/held_answer.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "config/text.h"

namespace einet {
namespace {

constexpr std::array<std::string_view, 3> kNames{"last", "most-confident", "product"};

}  // namespace

Result<Aggregation> parse_aggregation(std::string_view text) {
  const auto found = std::find(kNames.begin(), kNames.end(), text);
  if (found != kNames.end()) return static_cast<Aggregation>(found - kNames.begin());
  return error("aggregation: found \"" + escape(text, 60) + "\"; expected " + one_of(kNames));
}

std::string_view name(Aggregation aggregation) {
  return kNames[static_cast<std::size_t>(aggregation)];
}

HeldAnswer::HeldAnswer(Aggregation aggregation, int classes, std::span<const double> temperature)
    : aggregation_(aggregation), temperature_(temperature) {
  if (aggregation == Aggregation::product) {
    products_.resize(static_cast<std::size_t>(classes));
    named_.reserve(static_cast<std::size_t>(classes));
  }
}

void HeldAnswer::clear() {
  answer_ = -1;
  confidence_ = 0;
  for (const int c : named_) products_[static_cast<std::size_t>(c)] = {};
  named_.clear();
  zeros_ = 0;
}

void HeldAnswer::add(const ProfileSplit& split, int sample, int exit, double calibrated) {
  if (aggregation_ == Aggregation::most_confident && calibrated < confidence_) return;
  answer_ = split.top(sample, exit);
  confidence_ = calibrated;
  if (aggregation_ == Aggregation::product) multiply(split, sample, exit);
}

void HeldAnswer::multiply(const ProfileSplit& split, int sample, int exit) {
  const double power = 1 / temperature_[static_cast<std::size_t>(exit)];
  // What the exit gives to a class that it does not name divides the product of those that it names.
  const float others = split.kept() == split.classes() ? 1 : split.score_of_others(sample, exit);
  const int others_zero = others > 0 ? 0 : 1;
  const double others_log = others > 0 ? power * std::log(others) : 0;
  for (int k = 0; k < split.kept(); ++k) {
    const int c = split.top(sample, exit, k);
    Product& product = products_[static_cast<std::size_t>(c)];
    // A class that was not named before has what every exit gave to those that it did not name: nothing here.
    if (!product.named) named_.push_back(c);
    product.named = true;
    const float score = split.score(sample, exit, k);
    product.log += (score > 0 ? power * std::log(score) : 0) - others_log;
    product.zeros += (score > 0 ? 0 : 1) - others_zero;
  }
  zeros_ += others_zero;

  double best = 0;
  double second = 0;
  int in = 0;  // classes that no exit has put out
  for (const int c : named_) {
    const Product& product = products_[static_cast<std::size_t>(c)];
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
  const double ahead = best - second;
  confidence_ = in == 1 ? 1 : ahead / (1 + ahead);
}

}  // namespace einet
