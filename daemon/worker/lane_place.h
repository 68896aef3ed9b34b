// Where a lane's thread runs and how hard it holds its core: its cores, its nice value, its real-time rank.
// Which rank is right when is not decided here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ipc/lane/control.h"
#include "ipc/lane/grant.h"
#include "models/executor.h"

namespace einet {

LaneKind kind_of(const lane::Configure&, int lane);

// Of one lane. One thread: the one that called take().
class LanePlace {
 public:
  // Precondition: lane < all_lanes().
  LanePlace(const lane::Configure&, int lane);

  // Pins the calling thread and gives it its rank: an urgent lane's for good, another lane's as while it
  // waits for work. "" or what cannot be had, with the system's words; the lane runs all the same.
  std::string take();

  // Rank::reserved: the real-time rank, so that no ordinary process takes the core. Rank::ordinary also ends
  // what WorkerProcess::raise began. At most two system calls, none from reserved to reserved. Does nothing
  // on an urgent lane, nor where take() could not have the rank.
  void take_rank(lane::Rank);

  LaneKind kind() const { return kind_; }

 private:
  bool become(int policy) const;
  static bool is_real_time();

  LaneKind kind_;
  std::vector<int> cores_;  // empty: not pinned
  int nice_;
  int priority_;                    // SCHED_FIFO; 0: none
  std::optional<lane::Rank> rank_;  // taken last; empty: it does not change
};

}  // namespace einet
