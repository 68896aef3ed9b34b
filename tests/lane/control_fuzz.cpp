// libFuzzer: any packet on the control socket is refused or understood; what is understood can be said again.
#include <cstdlib>
#include <string_view>
#include <vector>

#include "ipc/lane/control.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace einet::lane;
  const std::string_view packet(reinterpret_cast<const char*>(data), size);
  const auto from_worker = decode_from_worker(packet);
  if (from_worker) {
    const auto again = encode(*from_worker);
    if (!again || !decode_from_worker(*again)) std::abort();
  }
  // Descriptors are none that are open: whoever decodes only passes them on.
  for (const std::size_t descriptors : {0, 1, 4}) {
    const auto to_worker = decode_to_worker(packet, std::vector<einet::UniqueFd>(descriptors));
    if (!to_worker) continue;
    const auto again = encode(*to_worker);
    if (!again || !decode_to_worker(*again, std::vector<einet::UniqueFd>(descriptors))) std::abort();
  }
  return 0;
}
