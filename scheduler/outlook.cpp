#include "scheduler/outlook.h"

#include <algorithm>
#include <bit>

namespace einet {

Outlook::Outlook(const ModelTimes& times) {
  std::copy(times.accuracy.begin(), times.accuracy.end(), worth_.begin());
  if (times.forecast != nullptr) expect(times, 0);
}

void Outlook::take(const ExitAnswer& answer, const ModelTimes& times) {
  const auto exit = static_cast<std::size_t>(answer.exit);
  executed_ |= exit_bit(answer.exit);
  if (times.forecast == nullptr) {
    held_ = worth_[exit];
    return;
  }
  worth_[exit] = answer.calibrated;
  expect(times, answer.sure);
}

void Outlook::expect(const ModelTimes& times, double sure) {
  const std::size_t exits = times.accuracy.size();
  std::array<double, kMaxBlocks> seen;
  std::copy_n(worth_.begin(), exits, seen.begin());
  std::array<double, kMaxBlocks> expected = seen;
  const auto next = static_cast<std::size_t>(std::bit_width(executed_));
  held_ = static_cast<float>(
      times.forecast->expect({executed_, {seen.data(), exits}, sure}, {expected.data(), exits}));
  std::copy(expected.begin() + next, expected.begin() + exits, worth_.begin() + next);
}

}  // namespace einet
