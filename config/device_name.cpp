#include "config/device_name.h"

#include <charconv>
#include <string>

namespace einet {

std::optional<int> cuda_index(std::string_view device) {
  constexpr std::string_view kPrefix = "cuda:";
  constexpr int kDevices = 64;
  if (!device.starts_with(kPrefix)) return std::nullopt;
  const std::string_view digits = device.substr(kPrefix.size());
  int index = -1;
  std::from_chars(digits.data(), digits.data() + digits.size(), index);
  // One name for each device: no "cuda:01", nothing behind the number.
  if (index < 0 || index >= kDevices || std::to_string(index) != digits) return std::nullopt;
  return index;
}

}  // namespace einet
