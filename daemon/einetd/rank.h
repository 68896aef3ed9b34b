// The daemon thread must run at once when a client or a lane calls: at equal rank its replies waited for
// whole scheduler slices (milliseconds). So it takes a low real-time rank where it may, else a better nice
// value, and the lanes step back where that is all there is.
#pragma once

#include <cstdint>
#include <string>

namespace einet {

struct Rank {
  enum class RealTime : std::uint8_t { no, yes };
  RealTime real_time = RealTime::no;
  std::string words;    // "fifo 10", "nice -10", "nice 0"
  std::string warning;  // empty, or a sentence: which rank could not be had, and how to allow it
  int lane_nice = 0;    // the nice value that the lanes should take so that this thread outranks them
};

// Raises the calling thread as far as the system allows. Threads and processes that it starts later do not
// inherit the rank.
Rank take_daemon_rank();

}  // namespace einet
