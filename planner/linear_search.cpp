#include "planner/linear_search.h"

namespace einet {

LinearSearch::Found LinearSearch::best(const Chain& c, Line line) {
  // The contribution of k after p, sorted by what depends on what:
  //   [C_k * now - delay * C_L]  +  C_p * (delay - now),   now = line at trunks_k, delay = b * exit_k.
  const auto before = [&](int k) { return line.fall * c.exit[k] - line.at(c.trunks[k]); };

  Found found;
  int last = -1;
  const int count = c.count;  // a local: rows could alias it, and nothing would be vectorised
  for (int k = 0; k < count; ++k) {
    std::array<double, kMaxBlocks>& row = best_[k];
    const double slope = before(k);
    for (int end = k; end < count; ++end) row[end] = c.held * slope;
    for (int p = 0; p < k; ++p) {
      if (c.accuracy[p] >= c.accuracy[k]) continue;
      const double* from = best_[p].data();
      const double step = c.accuracy[p] * slope;
      for (int end = k; end < count; ++end) {
        const double sum = from[end] + step;
        row[end] = row[end] > sum ? row[end] : sum;
      }
    }
    const double own = c.accuracy[k] * line.at(c.trunks[k]);
    const double delay = line.fall * c.exit[k];
    for (int end = k; end < count; ++end) row[end] += own - delay * c.accuracy[end];
    if (row[k] > found.gain) {
      found.gain = row[k];
      last = k;
    }
  }

  // Back along the choices: the exit before k is the one that the recursion took.
  for (int k = last; k >= 0;) {
    found.exits |= exit_bit(c.number[k]);
    const double slope = before(k);
    double largest = c.held * slope;
    int previous = -1;
    for (int p = 0; p < k; ++p) {
      const double sum = best_[p][last] + c.accuracy[p] * slope;
      if (c.accuracy[p] < c.accuracy[k] && sum > largest) {
        largest = sum;
        previous = p;
      }
    }
    k = previous;
  }
  return found;
}

}  // namespace einet
