// libFuzzer: any bytes as an image or array file.
#include "tools/einet/image.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)einet::cli::decode_png(bytes);
  (void)einet::cli::decode_pnm(bytes);
  (void)einet::cli::decode_npy(bytes);
  return 0;
}
