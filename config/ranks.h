// The real-time priorities (SCHED_FIFO) of einetd's and einet-worker's threads, in one place, for they only
// mean something beside each other. Who takes which when is not decided here.
#pragma once

namespace einet {

// Above every ordinary thread, below interrupt threads (50) and audio.
inline constexpr int kDaemonPriority = 10;       // the daemon decides: it must run at once when anybody calls
inline constexpr int kUrgentLanePriority = 5;    // an urgent lane takes the core from its base lane
inline constexpr int kReservedLanePriority = 3;  // a lane with reserved work, or waiting for work

}  // namespace einet
