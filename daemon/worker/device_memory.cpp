#include "daemon/worker/device_memory.h"

namespace einet {

Result<void> DeviceMemory::take(ByteCount n) {
  const std::uint64_t before = taken_.fetch_add(n.value);
  if (limit_.value == 0 || (before <= limit_.value && n.value <= limit_.value - before)) return {};
  taken_ -= n.value;
  const ByteCount left{before < limit_.value ? limit_.value - before : 0};
  return error(format_bytes(n) + " is more than the " + format_bytes(left) + " left of this device's `memory`, " +
               format_bytes(limit_));
}

}  // namespace einet
