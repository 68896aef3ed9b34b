// The best plan for any survival function: labels that no other dominates, and of these only the ones that
// could still beat the best plan known. A template over the domination rule, so that tests can show what a
// wrong rule does.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "planner/chain.h"

namespace einet {

// A chain's first part, up to its last exit so far.
struct Label {
  double exits_ns;  // time of its exits; with the trunks up to the last one, the time of its result
  double gain;      // sum of (C_k - C_prev) * S(t_k)
  ExitMask exits;   // numbers in the network
};

// Among labels with the same last exit: `a`, which is no later than `b`, makes b useless.
//
// Whatever chain extends b extends a as well, at times no later: the same positive factors times an S no
// smaller (chain.h). So a's best end is worth at least b's, if a's gain so far is at least b's. Without the
// lemma this would be wrong: an exit that lowers the accuracy loses more where S is larger.
struct EarlierWithAtLeastTheGain {
  // A gain this much smaller counts as equal; over kMaxBlocks exits that adds up to less than 1e-10.
  static constexpr double kRounding = 1e-12;
  bool operator()(const Label& a, const Label& b) const { return a.gain >= b.gain - kRounding; }
};

// A search in three steps.
// 1. Backwards, an upper bound of what can still be gained after exit k, on a grid of the time that exits
// took
//    so far: bound_[k][cell] >= V_k(t) for every t in the cell. It is the exact recursion with all times
//    rounded down to the cell's start, and rounding down never lowers V (chain.h).
// 2. Forwards, one plan that follows the bound greedily: usually the best plan or close to it.
// 3. Forwards, for each exit the labels that end with it, from those of all less accurate exits before it.
//    A label is dropped if its gain plus its bound does not exceed the best plan known by kTolerance, or if
//    another one dominates it.
template <class Domination = EarlierWithAtLeastTheGain>
class LabelSearch {
 public:
  static constexpr double kTolerance = 1e-10;

  explicit LabelSearch(std::size_t max_labels, Domination dominates = {}) : dominates_(dominates) {
    labels_.reserve(max_labels);
    fresh_.reserve(max_labels);
  }

  struct Found {
    ExitMask exits = 0;
    double gain = 0;
    double gap = 0;  // no plan gains more than gain + gap
  };
  Found best(const Chain& chain, const Survival& survival) {
    Found found;
    if (chain.count == 0) return found;
    lay_grid(chain, survival);
    found = follow_bound(chain, survival);
    double dropped = 0;  // the most that a label could have gained that found no place
    labels_.clear();
    for (int k = 0; k < chain.count; ++k) {
      first_[k] = labels_.size();
      fresh_.clear();
      add_if_promising(chain, survival, k, Label{0, 0, 0}, chain.held, found, dropped);
      for (int j = 0; j < k; ++j) {
        const double rise = chain.accuracy[k] - chain.accuracy[j];
        if (rise <= 0 || first_[j] == first_[j + 1]) continue;
        // Labels are in the order of time and of gain: all at once, by the earliest time and the largest
        // gain.
        const double gain = labels_[first_[j + 1] - 1].gain;
        if (gain + most(k, rise, cell(labels_[first_[j]].exits_ns)) <= found.gain + kTolerance) continue;
        for (std::size_t i = first_[j]; i < first_[j + 1]; ++i) {
          add_if_promising(chain, survival, k, labels_[i], chain.accuracy[j], found, dropped);
        }
      }
      keep_undominated(k, found, dropped);
      first_[k + 1] = labels_.size();
    }
    found.gap = std::max(kTolerance, dropped - found.gain);
    return found;
  }

 private:
  // More cells make the bound tighter and slower to compute; this many keep the slowest searches short.
  static constexpr int kCellsPerExit = 4;
  static constexpr int kMaxCells = kCellsPerExit * kMaxBlocks;
  // What is rounded down here must stay down under the rounding of floating-point sums, which is far smaller.
  static constexpr double kDown = 1 - 1e-12;

  int cell(double exits_ns) const { return static_cast<int>(exits_ns * cells_per_ns_); }

  void lay_grid(const Chain& chain, const Survival& survival) {
    double total = 0;
    for (int k = 0; k < chain.count; ++k) total += chain.exit[k];
    // A little narrower than the total divided evenly, so that equal exits that fill whole cells do not fall
    // just short.
    cells_per_ns_ = total >= 1 ? (1 + 1e-9) * kCellsPerExit * chain.count / total : 0;
    const double cell_ns = total >= 1 ? kDown / cells_per_ns_ : 0;
    double until = 0;
    for (int k = 0; k < chain.count; ++k) {
      shift_[k] = cell(chain.exit[k] * kDown);
      for (int i = 0; i <= cell(until); ++i) {
        alive_[k][i] = survival((chain.trunks[k] + i * cell_ns + chain.exit[k]) * kDown);
      }
      until += chain.exit[k];
      last_cell_[k] = cell(until);
    }
    for (int k = chain.count; k-- > 0;) {
      double* bound = bound_[k].data();
      const int cells = last_cell_[k] + 1;  // a local: rows could alias it, and nothing would be vectorised
      std::fill_n(bound, cells, 0.0);
      for (int q = k + 1; q < chain.count; ++q) {
        const double rise = chain.accuracy[q] - chain.accuracy[k];
        if (rise <= 0) continue;
        const double* alive = alive_[q].data();
        const double* after = bound_[q].data() + shift_[q];
        for (int i = 0; i < cells; ++i) {
          const double worth = rise * alive[i] + after[i];
          bound[i] = bound[i] > worth ? bound[i] : worth;
        }
      }
    }
  }

  Found follow_bound(const Chain& chain, const Survival& survival) const {
    Found found;
    double exits_ns = 0;
    double answer = chain.held;
    for (int k = -1;;) {
      const int now = cell(exits_ns);
      double most = 0;
      int next = -1;
      for (int q = k + 1; q < chain.count; ++q) {
        if (chain.accuracy[q] <= answer) continue;
        const double worth =
            (chain.accuracy[q] - answer) * alive_[q][now] + between(q, exits_ns + chain.exit[q]);
        if (worth > most) {
          most = worth;
          next = q;
        }
      }
      if (next < 0) return found;
      exits_ns += chain.exit[next];
      found.gain += (chain.accuracy[next] - answer) * survival(chain.trunks[next] + exits_ns);
      found.exits |= exit_bit(chain.number[next]);
      answer = chain.accuracy[next];
      k = next;
    }
  }

  // The bound interpolated between its cells: a guess, no bound.
  double between(int k, double exits_ns) const {
    const int i = cell(exits_ns);
    if (i == last_cell_[k]) return bound_[k][i];
    return bound_[k][i] + (bound_[k][i + 1] - bound_[k][i]) * (exits_ns * cells_per_ns_ - i);
  }

  // Bound of what going on with exit k can gain in all, for labels in a cell before it.
  double most(int k, double rise, int now) const {
    return rise * alive_[k][now] + bound_[k][now + shift_[k]];
  }

  void add_if_promising(const Chain& chain, const Survival& survival, int k, const Label& from, double answer,
                        Found& found, double& dropped) {
    const double rise = chain.accuracy[k] - answer;
    const double least = found.gain + kTolerance;
    // With the bound for S first: it spares most evaluations of S itself.
    if (from.gain + most(k, rise, cell(from.exits_ns)) <= least) return;
    Label label{from.exits_ns + chain.exit[k], from.gain, from.exits | exit_bit(chain.number[k])};
    label.gain += rise * survival(chain.trunks[k] + label.exits_ns);
    const double total = label.gain + bound_[k][cell(label.exits_ns)];
    if (label.gain > found.gain) {
      found.gain = label.gain;
      found.exits = label.exits;
    }
    if (total <= least) return;
    if (fresh_.size() == fresh_.capacity()) {
      dropped = std::max(dropped, total);
      return;
    }
    fresh_.push_back(label);
  }

  void keep_undominated(int k, const Found& found, double& dropped) {
    std::sort(fresh_.begin(), fresh_.end(), [](const Label& a, const Label& b) {
      return a.exits_ns != b.exits_ns ? a.exits_ns < b.exits_ns : a.gain > b.gain;
    });
    for (const Label& label : fresh_) {
      if (labels_.size() > first_[k] && dominates_(labels_.back(), label)) continue;
      const double total = label.gain + bound_[k][cell(label.exits_ns)];
      if (total <= found.gain + kTolerance) continue;
      if (labels_.size() == labels_.capacity()) {
        dropped = std::max(dropped, total);
        continue;
      }
      labels_.push_back(label);
    }
  }

  template <class T>
  using PerExit = std::array<T, kMaxBlocks>;

  Domination dominates_;
  double cells_per_ns_ = 0;
  PerExit<int> shift_;      // cells that an exit's own time covers, rounded down
  PerExit<int> last_cell_;  // the last cell that a label of this exit can lie in
  PerExit<std::array<double, kMaxCells + 1>>
      alive_;  // bound of S at this exit's result, by the cell before it
  PerExit<std::array<double, kMaxCells + 1>> bound_;  // bound of V_k, by the cell after exit k
  std::array<std::size_t, kMaxBlocks + 1> first_;     // labels_[first_[k] .. first_[k + 1]) end with exit k
  std::vector<Label> labels_;                         // their places are reserved once
  std::vector<Label> fresh_;                          // labels of one exit, before domination
};

}  // namespace einet
