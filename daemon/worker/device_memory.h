// How much of its device's memory a worker's models and jobs hold, and how much they may hold. Counts only;
// the memory itself is the backend's.
#pragma once

#include <atomic>

#include "config/bytes.h"
#include "config/result.h"

namespace einet {

// Any thread; nobody waits.
class DeviceMemory {
 public:
  // Zero: as much as there is.
  explicit DeviceMemory(ByteCount limit) : limit_(limit) {}

  // Error: what is left of the limit is less; nothing is taken.
  Result<void> take(ByteCount);
  // How much more would have to be given back before so much can be taken.
  ByteCount lacks(ByteCount) const;
  // Precondition: taken.
  void give_back(ByteCount n) { taken_ -= n.value; }

 private:
  // Of the limit, when so much is taken.
  std::uint64_t left(std::uint64_t taken) const { return taken < limit_.value ? limit_.value - taken : 0; }

  const ByteCount limit_;
  std::atomic<std::uint64_t> taken_ = 0;
};

}  // namespace einet
