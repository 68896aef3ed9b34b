#include "daemon/worker/device_memory.h"

namespace einet {

boost::system::result<void, LackOfMemory> DeviceMemory::take(ByteCount n) {
  ByteCount taken{taken_};
  do {
    const ByteCount left = limit_ - taken;
    if (limit_ > ByteCount{} && n > left) {
      return LackOfMemory{format_bytes(n) + " is more than the " + format_bytes(left) +
                              " left of this device's `memory`, " + format_bytes(limit_),
                          n - left};
    }
  } while (!taken_.compare_exchange_weak(taken.value, taken.value + n.value));
  return {};
}

}  // namespace einet
