// How much of its device's memory a worker's models and jobs hold, and how much they may hold. Counts only;
// the memory itself is the backend's.
#pragma once

#include <atomic>
#include <string>

#include <boost/system/result.hpp>

#include "config/bytes.h"

namespace einet {

// Why memory is not taken.
struct LackOfMemory {
  std::string message;
  ByteCount lacks;  // so much would have to be given back first; at least one byte
};

// Any thread; nobody waits.
class DeviceMemory {
 public:
  // Zero: as much as there is.
  explicit DeviceMemory(ByteCount limit) : limit_(limit) {}

  // Error: what is left of the limit is less; nothing is taken.
  boost::system::result<void, LackOfMemory> take(ByteCount);
  // Precondition: taken.
  void give_back(ByteCount n) { taken_ -= n.value; }

 private:
  const ByteCount limit_;
  std::atomic<std::uint64_t> taken_ = 0;  // never more than the limit, if there is one
};

}  // namespace einet
