// What both exact searches work on: the exits that can be in a best plan, with the trunk times summed up. And
// why a best plan is a chain of rising accuracies, on which everything else here rests.
#pragma once

#include <array>

#include "planner/planner.h"

namespace einet {

// Lemma. Of the best plans, one executes only exits more accurate than every answer before them (`held` too).
//
// Proof. Let a plan have accuracies C_1..C_r, C_0 = held, and s_i = S(t_i); s never rises along the plan.
// With s_{r+1} = 0, summing by parts gives
//   sum_i (C_i - C_{i-1}) s_i  =  sum_i C_i (s_i - s_{i+1})  -  C_0 s_1,
// and every s_i - s_{i+1} is >= 0. So replacing each C_i by M_i = max(C_0..C_i) >= C_i lowers nothing, and
// summing back gives sum_i (M_i - M_{i-1}) s_i, where an exit that is not a new maximum contributes 0.
// Dropping those exits makes the others' results no later, so their s no smaller, and their factors are
// positive. []
//
// So searches only go from an exit to a later, more accurate one: a gain is never negative. It follows that
// what can still be gained after exit k, V_k(t) = max over chains of sum (C_i - C_{i-1}) S(t + d_i), never
// rises with t: every chain's factors are positive and S never rises.
struct Chain {
  Chain(const PlanProblem&, const Survival&);

  int count = 0;                               // exits that can be in a chain, in the network's order
  double held = 0;                             // C_0
  std::array<double, kMaxBlocks> trunks;       // trunk times from first_block to this exit's block, summed
  std::array<double, kMaxBlocks> exit;         // time of this exit
  std::array<double, kMaxBlocks> accuracy;     // all > held
  std::array<std::int8_t, kMaxBlocks> number;  // the exit's number in the network
};

}  // namespace einet
