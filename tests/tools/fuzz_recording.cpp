// libFuzzer: any bytes as a recording; what is accepted is replayed under every policy.
#include <sstream>

#include "tools/einet/recording.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::istringstream in(std::string(reinterpret_cast<const char*>(data), size));
  auto read = einet::read_recording(in, "file");
  if (!read) return 0;
  for (std::size_t policy = 0; policy < einet::policy_words().size(); ++policy) {
    read->recording.options.policy = static_cast<einet::Policy>(policy);
    (void)einet::replay(read->recording);
  }
  return 0;
}
