// How long the urgent lane beside a GPU's lane has had the device: for that time the lane's own block stands
// still, and does not pay. (On a CPU the lane's thread loses its core meanwhile, and its processor time
// stands still by itself.)
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "config/time.h"

namespace einet {

// One urgent lane's; `now` is Backend::lane_time(). Nobody ever waits.
class UrgentTime {
 public:
  // The urgent lane's thread: a part of a block begins, and has ended.
  void begin(Duration now) { since_ = now.count(); }
  void end(Duration now) {
    total_ += now.count() - since_;
    since_ = kIdle;
  }
  // All in all until now. Any thread.
  Duration until(Duration now) const {
    for (;;) {
      const std::int64_t since = since_;
      const std::int64_t total = total_;
      if (since != since_ || total != total_) continue;  // it began or ended in between
      const std::int64_t running = since == kIdle ? 0 : now.count() - since;
      return Duration{total + std::max(running, std::int64_t{0})};
    }
  }

 private:
  static constexpr std::int64_t kIdle = 0;
  std::atomic<std::int64_t> since_ = kIdle;  // ns
  std::atomic<std::int64_t> total_ = 0;      // ns
};

}  // namespace einet
