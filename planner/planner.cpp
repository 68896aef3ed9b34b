// The planning problem: its ranges, and the worth of a plan.
#include "planner/planner.h"

#include <string>

namespace einet {
namespace {

Result<void> check_entries(const char* list, std::span<const double> values, double max,
                           const char* allowed) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] >= 0 && values[i] <= max) continue;
    return error(std::string(list) + "[" + std::to_string(i) + "]: found " + std::to_string(values[i]) +
                 "; expected " + allowed);
  }
  return {};
}

Result<void> check_length(const char* list, std::size_t found, std::size_t expected) {
  if (found == expected) return {};
  return error(std::string(list) + ": found " + std::to_string(found) +
               " entries; expected as many as in trunk, " + std::to_string(expected));
}

}  // namespace

Result<void> check(const PlanProblem& p) {
  const std::size_t n = p.trunk_ns.size();
  if (n < 1 || n > kMaxBlocks) {
    return error("trunk: found " + std::to_string(n) + " blocks; expected from 1 to " +
                 std::to_string(kMaxBlocks));
  }
  if (auto ok = check_length("exit", p.exit_ns.size(), n); !ok) return ok;
  if (auto ok = check_length("accuracy", p.accuracy.size(), n); !ok) return ok;
  constexpr double kLongest = 4611686018427387904.0;  // 2^62 ns, as for every duration (config/time.h)
  constexpr const char* kTime = "nanoseconds from 0 to 2^62";
  if (auto ok = check_entries("trunk", p.trunk_ns, kLongest, kTime); !ok) return ok;
  if (auto ok = check_entries("exit", p.exit_ns, kLongest, kTime); !ok) return ok;
  if (auto ok = check_entries("accuracy", p.accuracy, 1, "a number from 0 to 1"); !ok) return ok;
  if (!(p.held >= 0 && p.held <= 1)) {
    return error("held: found " + std::to_string(p.held) + "; expected a number from 0 to 1");
  }
  if (p.first_block < 0 || p.first_block > p.blocks()) {
    return error("first_block: found " + std::to_string(p.first_block) + "; expected a block from 0 to " +
                 std::to_string(n));
  }
  return {};
}

double expected_accuracy(const PlanProblem& p, const Survival& survival, ExitMask plan) {
  double t = 0;
  double answer = p.held;
  double expected = p.held;
  for (int k = p.first_block; k < p.blocks() && plan >> k != 0; ++k) {
    t += p.trunk_ns[k];
    if ((plan & exit_bit(k)) == 0) continue;
    t += p.exit_ns[k];
    expected += (p.accuracy[k] - answer) * survival(t);
    answer = p.accuracy[k];
  }
  return expected;
}

}  // namespace einet
