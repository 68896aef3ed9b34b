#include "evaluation/forecast.h"

#include <algorithm>
#include <bit>

namespace einet {

StatisticsForecast::StatisticsForecast(const ProfileSplit& validation) {
  for (int k = 0; k < validation.exits(); ++k) accuracy_.push_back(validation.accuracy(k));
}

double StatisticsForecast::expect(std::span<const double>, ExitMask executed,
                                  std::span<double> accuracy) const {
  const auto next = static_cast<std::size_t>(kMaxBlocks - std::countl_zero(executed));
  std::copy(accuracy_.begin() + static_cast<std::ptrdiff_t>(next), accuracy_.end(),
            accuracy.begin() + static_cast<std::ptrdiff_t>(next));
  return next == 0 ? 0 : accuracy_[next - 1];
}

}  // namespace einet
