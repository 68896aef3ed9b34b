// The safetensors reader on foreign bytes: what it accepts, it writes and reads back the same; and the
// CS-profile reader behind it.
#include <algorithm>
#include <cstdlib>

#include "models/package_files.h"
#include "models/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace einet;
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  const auto tensors = read_safetensors(file);
  if (!tensors) return tensors.error().message.empty() ? std::abort(), 0 : 0;
  const auto metadata = read_safetensors_metadata(file);
  const std::string written = write_safetensors(*tensors, metadata.value());
  const auto again = read_safetensors(written);
  if (read_safetensors_metadata(written).value() != *metadata) std::abort();
  const auto same = [](const auto& a, const auto& b) {
    return a.first == b.first && a.second.dtype == b.second.dtype && a.second.shape == b.second.shape &&
           a.second.bytes == b.second.bytes;
  };
  if (!again || !std::equal(again->begin(), again->end(), tensors->begin(), tensors->end(), same))
    std::abort();
  const auto profile = parse_cs_profile(file, "cs.profile", 2);
  if (profile && parse_cs_profile(format_cs_profile(*profile), "again", 2).value() != *profile) std::abort();
  return 0;
}
