// The worst case of several identical lanes that share all work: at every boundary a lane takes the most
// urgent ready job. A test that is sufficient only: what it accepts is safe; what it does not accept may be,
// too. No exact test is known that ends in reasonable time.
#pragma once

#include "scheduler/admission/lane_analysis.h"

namespace einet {

// One bound per task, in their order; never `misses` or `overload` alone: where no bound within the deadline
// is found, `unknown` or `overload`. Precondition: lanes >= 1; no servers and no less urgent work in the
// load, which describes all lanes together; every task waits for boundaries.
//
// The interval from a job's release to the start of its last block, which nothing interrupts, is looked at:
// the job does not run only while all lanes are busy with other work. That is: work that is more urgent, with
// what was carried into the interval, under the assumption that no deadline was missed before (Bertogna,
// Cirinei, Lipari, "Schedulability analysis of global scheduling algorithms on multiprocessor platforms",
// IEEE TPDS 20, 2009); and blocks of less urgent work in progress: on all lanes at the release, and on all
// but one whenever a more urgent job takes the lane at one of the job's boundaries (Thekkilakattil, Davis,
// Dobrin, Punnekkat, Bertogna, "Multiprocessor fixed priority scheduling with limited preemptions", RTNS
// 2015).
std::vector<LaneBound> analyse_global(const LaneLoad&, int lanes, Effort&);

}  // namespace einet
