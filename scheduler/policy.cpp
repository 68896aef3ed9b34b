#include "scheduler/policy.h"

#include <algorithm>
#include <array>

#include "config/check.h"

namespace einet {
namespace {

template <class Enum>
Enum value_of(std::span<const std::string_view> words, std::string_view word) {
  const auto at = std::find(words.begin(), words.end(), word);
  EINET_CHECK(at != words.end(), "the word is one of the list");
  return static_cast<Enum>(at - words.begin());
}

}  // namespace

std::span<const std::string_view> policy_words() {
  static constexpr std::array<std::string_view, 4> kWords{"edf", "fixed-priority", "fifo", "imprecise"};
  return kWords;
}

std::span<const std::string_view> survival_words() {
  static constexpr std::array<std::string_view, 3> kWords{"deadline", "demand", "lived"};
  return kWords;
}

SurvivalParts survival_parts(std::span<const std::string> words) {
  const auto has = [&](std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  return {.deadline = has("deadline"), .demand = has("demand"), .lived = has("lived")};
}

std::span<const std::string_view> preemption_words() {
  static constexpr std::array<std::string_view, 3> kWords{"boundary", "as-needed", "instant"};
  return kWords;
}

std::string_view name(Policy policy) {
  return policy_words()[static_cast<std::size_t>(policy)];
}

Policy policy_named(std::string_view word) {
  return value_of<Policy>(policy_words(), word);
}

std::string_view name(Preemption preemption) {
  return preemption_words()[static_cast<std::size_t>(preemption)];
}

Preemption preemption_named(std::string_view word) {
  return value_of<Preemption>(preemption_words(), word);
}

}  // namespace einet
