// libFuzzer: any packet on the control socket is refused or understood; what is understood can be said again.
#include <cstdlib>
#include <string_view>

#include "ipc/lane/control.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace einet::lane;
  const std::string_view packet(reinterpret_cast<const char*>(data), size);
  const auto from_worker = decode_from_worker(packet);
  if (from_worker) {
    const auto again = encode(*from_worker);
    if (!again || !decode_from_worker(*again)) std::abort();
  }
  const auto to_worker = decode_to_worker(packet, {});
  if (to_worker && !encode(*to_worker)) std::abort();
  return 0;
}
