// Random planning problems for property tests: mostly small whole numbers, so that equal times, zero times
// and equal accuracies are common, with every kind of survival function.
#pragma once

#include <ostream>
#include <vector>

#include <rapidcheck.h>

#include "planner/planner.h"

namespace einet {

enum class SurvivalKind { uniform, late_uniform, step, exponential, normal, sample, points };

struct Instance {
  std::vector<double> trunk_ns, exit_ns, accuracy;
  double held = 0;
  int first_block = 0;
  SurvivalKind kind{};
  std::vector<double> a, b;  // parameters of the survival function, by kind

  PlanProblem problem() const { return {trunk_ns, exit_ns, accuracy, held, first_block}; }
  Survival survival() const;
};

std::ostream& operator<<(std::ostream&, const Instance&);

// Problems with 1 to max_blocks blocks.
rc::Gen<Instance> instances(int max_blocks);

// The best expected accuracy over every subset of the exits, with expected_accuracy as the only judge. For
// few blocks: 2^n subsets.
double brute_force(const Instance&);

}  // namespace einet
