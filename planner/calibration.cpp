// Temperature scaling of the best scores, and the lookup of a curve.
#include "planner/calibration.h"

#include <algorithm>
#include <string>

#include "config/check.h"
#include "planner/log_scores.h"

namespace einet {
namespace {

Error refused(const char* list, std::size_t i, float found, const char* allowed) {
  return error(std::string(list) + "[" + std::to_string(i) + "]: found " + std::to_string(found) +
               "; expected " + allowed);
}

}  // namespace

double tempered_confidence(std::span<const float> scores, int classes, double temperature) {
  EINET_CHECK(!scores.empty() && temperature > 0, "an answer has scores");
  return 1 / LogScores(scores, classes).sum(1 / temperature);
}

double Calibration::operator()(double c) const {
  const auto next = std::lower_bound(confidence.begin(), confidence.end(), c);
  if (next == confidence.begin()) return accuracy.front();
  if (next == confidence.end()) return accuracy.back();
  const auto i = static_cast<std::size_t>(next - confidence.begin());
  const double low = accuracy[i - 1];
  const double high = accuracy[i];
  const double share = (c - confidence[i - 1]) / (static_cast<double>(confidence[i]) - confidence[i - 1]);
  // Clamped: rounding must not carry a value past its neighbours.
  return std::clamp(low + share * (high - low), low, high);
}

Result<void> check(const Calibration& c) {
  if (!(c.temperature >= Calibration::kMinTemperature && c.temperature <= Calibration::kMaxTemperature)) {
    return error("temperature: found " + std::to_string(c.temperature) +
                 "; expected a number from 0.05 to 20");
  }
  if (c.confidence.empty() || c.confidence.size() > Calibration::kMaxKnots) {
    return error("confidence: found " + std::to_string(c.confidence.size()) + " knots; expected from 1 to " +
                 std::to_string(Calibration::kMaxKnots));
  }
  if (c.accuracy.size() != c.confidence.size()) {
    return error("accuracy: found " + std::to_string(c.accuracy.size()) +
                 " knots; expected as many as of confidence, " + std::to_string(c.confidence.size()));
  }
  for (std::size_t i = 0; i < c.confidence.size(); ++i) {
    constexpr const char* kUnit = "a number from 0 to 1";
    if (!(c.confidence[i] >= 0 && c.confidence[i] <= 1))
      return refused("confidence", i, c.confidence[i], kUnit);
    if (!(c.accuracy[i] >= 0 && c.accuracy[i] <= 1)) return refused("accuracy", i, c.accuracy[i], kUnit);
    if (i == 0) continue;
    if (c.confidence[i] <= c.confidence[i - 1]) {
      return refused("confidence", i, c.confidence[i], "more than the knot before: knots rise");
    }
    if (c.accuracy[i] < c.accuracy[i - 1]) {
      return refused("accuracy", i, c.accuracy[i], "at least the knot before: a calibration never falls");
    }
  }
  return {};
}

}  // namespace einet
