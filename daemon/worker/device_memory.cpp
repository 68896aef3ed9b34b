#include "daemon/worker/device_memory.h"

namespace einet {

Result<void> DeviceMemory::take(ByteCount n) {
  const std::uint64_t before = taken_.fetch_add(n.value);
  if (limit_.value == 0 || (before <= limit_.value && n.value <= limit_.value - before)) return {};
  taken_ -= n.value;
  const ByteCount left{before < limit_.value ? limit_.value - before : 0};
  return error(format_bytes(n) + " is more than the " + format_bytes(left) +
               " left of this device's `memory`, " + format_bytes(limit_));
}

ByteCount DeviceMemory::lacks(ByteCount n) const {
  const std::uint64_t taken = taken_;
  const std::uint64_t left = taken < limit_.value ? limit_.value - taken : 0;
  return ByteCount{limit_.value == 0 || n.value <= left ? 0 : n.value - left};
}

}  // namespace einet
