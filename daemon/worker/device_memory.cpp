#include "daemon/worker/device_memory.h"

namespace einet {

Result<void> DeviceMemory::take(ByteCount n) {
  const std::uint64_t before = taken_.fetch_add(n.value);
  if (limit_.value == 0 || n.value <= left(before)) return {};
  taken_ -= n.value;
  return out_of_memory(format_bytes(n) + " is more than the " + format_bytes(ByteCount{left(before)}) +
                       " left of this device's `memory`, " + format_bytes(limit_));
}

ByteCount DeviceMemory::lacks(ByteCount n) const {
  const std::uint64_t rest = left(taken_);
  return ByteCount{limit_.value == 0 || n.value <= rest ? 0 : n.value - rest};
}

}  // namespace einet
