// How long the urgent lane beside a GPU's lane has had the device: for that time the lane's own block stands
// still, and does not pay. (On a CPU the lane's thread loses its core meanwhile, and its processor time
// stands still by itself.)
#pragma once

#include <atomic>
#include <cstdint>

#include "config/time.h"

namespace einet {

// One urgent lane's. `clock` is Backend::lane_time(), asked within the call.
class UrgentTime {
 public:
  // The urgent lane's thread: a part of a block begins, and has ended. Never wait.
  template <class Clock>
  void begin(const Clock& clock) {
    change([&] { since_ = clock().count(); });
  }
  template <class Clock>
  void end(const Clock& clock) {
    change([&] {
      total_ += clock().count() - since_;
      since_ = kIdle;
    });
  }
  // What the clock shows, less all urgent time until now: it never goes back, and stands still during a part.
  // Any thread; waits while one begins or ends.
  template <class Clock>
  Duration without(const Clock& clock) const {
    for (;;) {
      const std::uint64_t changes = changes_;
      const std::int64_t since = since_, total = total_, now = clock().count();
      if (changes % 2 == 0 && changes == changes_) return Duration{(since == kIdle ? now : since) - total};
    }
  }

 private:
  static constexpr std::int64_t kIdle = 0;

  template <class F>
  void change(F&& f) {
    ++changes_;
    f();
    ++changes_;
  }

  std::atomic<std::uint64_t> changes_ = 0;   // begun and done: odd in the middle of one
  std::atomic<std::int64_t> since_ = kIdle;  // ns
  std::atomic<std::int64_t> total_ = 0;      // ns, of the parts that have ended
};

}  // namespace einet
