#include "scheduler/policy.h"

#include <array>

namespace einet {

std::span<const std::string_view> policy_words() {
  static constexpr std::array<std::string_view, 4> kWords{"edf", "fixed-priority", "fifo", "imprecise"};
  return kWords;
}

std::span<const std::string_view> preemption_words() {
  static constexpr std::array<std::string_view, 3> kWords{"boundary", "as-needed", "instant"};
  return kWords;
}

std::string_view name(Policy policy) {
  return policy_words()[static_cast<std::size_t>(policy)];
}

std::string_view name(Preemption preemption) {
  return preemption_words()[static_cast<std::size_t>(preemption)];
}

}  // namespace einet
