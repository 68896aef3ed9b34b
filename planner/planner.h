// Exit plans: which exits of a multi-exit network to execute, so that the answer held when the job is stopped
// is as accurate as it can be in expectation. The exact search lives here; searches to compare it with are in
// planner/baselines.h. No clock, no I/O.
#pragma once

#include <memory>
#include <span>

#include "config/ids.h"
#include "config/result.h"
#include "planner/survival.h"

namespace einet {

// A planning problem; a view, its arrays belong to the caller. Times are double nanoseconds: the planner's
// arithmetic is analysis, not accounting. Sums of whole nanoseconds are exact in it, up to 2^53 (104 days).
struct PlanProblem {
  std::span<const double> trunk_ns;  // n of them, 1 <= n <= kMaxBlocks; from 0 to 2^62
  std::span<const double> exit_ns;   // n; from 0 to 2^62
  std::span<const double> accuracy;  // n, in [0, 1]: expected accuracy of the answer after exit k
  double held = 0;                   // accuracy of the answer already held, in [0, 1]
  int first_block = 0;               // blocks before it are done; from 0 to n (n: nothing is left to plan)

  int blocks() const { return static_cast<int>(trunk_ns.size()); }
};

// Whether the problem keeps the ranges above. Error: names the array and the entry.
Result<void> check(const PlanProblem&);

struct Plan {
  ExitMask exits = 0;            // never an exit before first_block
  double expected_accuracy = 0;  // einet::expected_accuracy of `exits`
};

// E(P) = held + sum over k in P of (C_k - C_prev(k)) * S(t_k), where C is the accuracy, C_prev that of the
// answer held before, and t_k counts the trunks first_block..k and the exits of P up to k (docs/planner.md;
// "Elastic DNN Inference with Unpredictable Exit in Edge Computing", ICDCS 2023).
// Preconditions: check(problem) holds; no exit of `plan` lies outside first_block..n-1.
double expected_accuracy(const PlanProblem&, const Survival&, ExitMask plan);

// Finds the best plan. Owns all the memory that a search needs, allocated at construction: a search allocates
// nothing. One thread per object.
class PlanSearch {
 public:
  // Labels kept at once at most (32 bytes each); ordinary problems need a few thousand.
  static constexpr std::size_t kDefaultLabels = std::size_t{1} << 16;

  explicit PlanSearch(std::size_t max_labels = kDefaultLabels);
  ~PlanSearch();
  PlanSearch(PlanSearch&&) noexcept;
  PlanSearch& operator=(PlanSearch&&) noexcept;

  // A plan whose expected accuracy no other exceeds by more than 1e-9, as long as gap() says so.
  // Precondition: check(problem) holds.
  Plan exact(const PlanProblem&, const Survival&);

  // At most this much more expected accuracy than the last search's answer is possible. At most 1e-9, unless
  // the search ran out of labels (an adversary's problem: the number of useful labels has no polynomial
  // bound).
  double gap() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace einet
