// How much longer a block takes for several jobs at once, on this device: what the daemon needs to know
// before it lets jobs run as a batch.
#pragma once

#include <vector>

#include "config/result.h"
#include "config/time.h"
#include "models/executor.h"

namespace einet {

// Entry n - 1: the most that any block, with its exit, takes for n jobs at once over what it takes for one,
// medians, with the contents of these states, one per job, at least one. It begins with 1 and never falls; at
// most n, for they could run one by one. Runs the whole network a few times for each power of two up to
// states.size(), between which batches take what the next larger one takes. The thread of the lane. Error: it
// cannot be run.
Result<std::vector<double>> measure_batches(const Program&, LaneModel&, std::span<TrunkState* const> states,
                                            const Clock&);

}  // namespace einet
