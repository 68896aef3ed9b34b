// What a job's answers are worth, as far as the answers that it has tell: the accuracy to expect of the one
// that it holds, and of those still to come. Book-keeping; planning is exit_planner.h's.
#pragma once

#include <array>

#include "scheduler/job.h"

namespace einet {

// One job's. Never allocates.
class Outlook {
 public:
  Outlook() = default;
  // Before the first answer. A model without exits has none.
  explicit Outlook(const ModelTimes&);

  // An exit was executed, deeper than all before it. Without a forecast its answer is worth what the exit's
  // answers are worth on average; so are those to come.
  void take(const ExitAnswer&, const ModelTimes&);

  // An exit behind all executed ones is as good as executed: what it is expected to be worth is held.
  void count_on(int exit) { held_ = worth_[static_cast<std::size_t>(exit)]; }

  // Expected accuracy of the answer that is held; 0: none is.
  double held() const { return held_; }
  // Of the answer that is held once `exit`, deeper than all executed ones, is executed.
  double after(int exit) const { return worth_[static_cast<std::size_t>(exit)]; }

 private:
  void expect(const ModelTimes&, double sure);

  // Of executed exits how sure the answer was; of those after the deepest of them, its expected accuracy.
  std::array<float, kMaxBlocks> worth_{};
  ExitMask executed_ = 0;
  float held_ = 0;
};

}  // namespace einet
