// Which work is the most urgent: the keys of the policies (docs/scheduling.md has them as a table). Pure
// functions of what the core knows of a job; no queues in here.
#pragma once

#include "scheduler/job_table.h"

namespace einet {

// How far a job has come: as it is now, or as it will be at its lane's coming boundary.
struct Standing {
  int next_block = 0;
  int best_exit = -1;
  ExitMask plan = 0;  // exits still to execute
};

Standing standing(const JobRecord&);
// After that block, with these exits executed up to there.
Standing standing_after(const JobRecord&, int block, ExitMask exits);

// Whether nothing but refinement is left of it. Never for a job without exits.
bool mandatory_done(const JobRecord&, const Standing&);

// On a device that can run it.
Urgency urgency(Policy, const JobRecord&, const Standing&, DeviceId);

}  // namespace einet
