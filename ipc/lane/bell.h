// How a lane sleeps and is woken: a futex word that changes with every reason to wake, and a word that says
// whether anybody sleeps, so that ringing for a lane that runs costs no system call.
#pragma once

#include <atomic>
#include <cstdint>

#include "ipc/lane/handshake.h"

namespace einet::lane {

// Both work on words in memory that two processes share, whatever the mappings' protections.
void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t seen);
// Returns how many were woken.
int futex_wake(const std::atomic<std::uint32_t>& word);

// Changes the bell and wakes the sleeper, if there is one. What was stored before is seen by whoever wakes.
// Returns whether it had to wake anybody. One thread rings.
template <Fence kFence = Fence::full>
bool ring_bell(std::atomic<std::uint32_t>& bell, const std::atomic<std::uint32_t>& sleeping) {
  const std::uint32_t next = bell.load(std::memory_order_relaxed) + 1;
  if (store_then_load<kFence>(bell, next, sleeping) == 0) return false;
  futex_wake(bell);
  return true;
}

// Sleeps unless the bell has changed since it was `seen`; look again for the reason afterwards. One thread
// sleeps.
inline void sleep_on_bell(const std::atomic<std::uint32_t>& bell, std::uint32_t seen,
                          std::atomic<std::uint32_t>& sleeping) {
  if (store_then_load(sleeping, std::uint32_t{1}, bell) == seen) futex_wait(bell, seen);
  sleeping.store(0, std::memory_order_relaxed);
}

}  // namespace einet::lane
