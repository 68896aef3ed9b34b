// What a planner may know of the answers still to come, given those of the exits executed so far: the
// interface between what learns and what plans.
#pragma once

#include <span>

#include "config/ids.h"

namespace einet {

// What the executed exits of one sample have answered.
struct Seen {
  ExitMask executed = 0;
  // One per exit; those in `executed` count: the probability that the answer is right, judged by its own
  // confidence.
  std::span<const double> calibrated;
  // The same of the answer that is held: how sure it is. Where answers are replaced, the deepest one's.
  double held = 0;
};

// Immutable; any number of threads. Never allocates.
class Forecast {
 public:
  virtual ~Forecast() = default;

  // For every exit after the deepest executed one, writes to `accuracy` (one per exit) the expected accuracy
  // of the answer that is held once it is executed; leaves the others as they are. Returns that of the answer
  // held now; 0 if no exit was executed. All in [0, 1].
  virtual double expect(const Seen& seen, std::span<double> accuracy) const = 0;
};

}  // namespace einet
