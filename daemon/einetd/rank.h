// The daemon thread must run at once when a client or a lane calls: at equal rank its replies waited for
// whole scheduler slices (milliseconds). So it takes a low real-time rank where it may, else a better nice
// value, and the lanes step back where that is all there is. And every answer wakes it: on a lane's core it
// would interrupt a block each time, so it keeps to the others where there are some.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

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

// The cores of the thread that makes it, from then on. Threads that it starts inherit them.
class DaemonCores {
 public:
  // Without those of `lanes`, unless none is left.
  explicit DaemonCores(std::span<const int> lanes);

  // While it lives, the thread may use the cores that it had at first: processes that it starts inherit
  // those.
  class All {
   public:
    explicit All(const DaemonCores&);
    ~All();
    All(const All&) = delete;
    All& operator=(const All&) = delete;

   private:
    const DaemonCores& cores_;
  };

  // "0, 1"; "all" where it keeps off none.
  std::string words() const;

 private:
  std::vector<int> all_, own_;  // ascending; the same: it keeps off none
};

}  // namespace einet
