// The best plan for a survival function that is a straight line, by dynamic programming.
#pragma once

#include <array>

#include "planner/chain.h"

namespace einet {

// Over the line a - b * t, a plan's exit k, executed after exit p in a plan that ends with exit L,
// contributes
//   (C_k - C_p) (a - b * trunks_k)  -  b * exit_k * (C_L - C_p):
// its own time delays it and everything after it, whose gains add up to C_L - C_p. For a fixed L that depends
// on p and k alone, so the best plan that ends with L comes from a shortest-path recursion over the exits, in
// O(n^2), and the best of all in O(n^3).
class LinearSearch {
 public:
  // The rising chain with the largest sum of (C_k - C_prev) * line(t_k), and that sum. The line is not cut
  // off at 0 and 1; PlanSearch says when that is the answer for a survival function.
  struct Found {
    ExitMask exits = 0;
    double gain = 0;
  };
  Found best(const Chain&, Line);

 private:
  // best_[k][L]: the largest sum up to and with exit k in plans that end with exit L >= k.
  std::array<std::array<double, kMaxBlocks>, kMaxBlocks> best_;
};

}  // namespace einet
