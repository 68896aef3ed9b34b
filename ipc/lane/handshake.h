// The one memory-ordering argument that the lane channel rests on, in one function (Dekker's handshake). Four
// places use it: doorbell against sleeping lane, withdrawal against taking, arming against a new record, and
// the stop word against the start of a block.
#pragma once

#include <atomic>

namespace einet::lane {

// `none` exists for the tests' negative control alone.
enum class Fence { full, none };

// Stores what I say, then reads what the other side says. When both sides do this on the same two words, at
// least one of them sees the other's store: it can not happen that both read the old value. Without the full
// fence it does happen, because a processor may read ahead of its own stores.
template <Fence kFence = Fence::full, class T, class U>
U store_then_load(std::atomic<T>& mine, T value, const std::atomic<U>& theirs) {
  mine.store(value, std::memory_order_release);
  if constexpr (kFence == Fence::full) std::atomic_thread_fence(std::memory_order_seq_cst);
  return theirs.load(std::memory_order_acquire);
}

}  // namespace einet::lane
