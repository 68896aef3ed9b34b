#include "models/compression.h"

#include <algorithm>
#include <memory>
#include <zstd.h>

#include "config/check.h"

namespace einet {
namespace {

constexpr std::string_view kMagic{"\x28\xb5\x2f\xfd"};
constexpr int kLevel = 19;
constexpr int kMostWindowLog = 27;  // 128 MiB: what every reader of the format accepts unasked
constexpr std::size_t kFirstChunk = std::size_t{1} << 16;

struct FreeContext {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

Error too_large(ByteCount limit) {
  return error("unpacks to more than " + format_bytes(limit) +
               ", which is not allowed; use the file as it was " + "before it was compressed");
}

}  // namespace

bool is_compressed(std::string_view bytes) {
  return bytes.starts_with(kMagic);
}

Result<std::string> decompress(std::string_view bytes, ByteCount limit) {
  const unsigned long long claimed = ZSTD_getFrameContentSize(bytes.data(), bytes.size());
  if (claimed != ZSTD_CONTENTSIZE_UNKNOWN && claimed != ZSTD_CONTENTSIZE_ERROR && claimed > limit.value) {
    return too_large(limit);
  }
  const std::unique_ptr<ZSTD_DCtx, FreeContext> context(ZSTD_createDCtx());
  EINET_CHECK(context != nullptr, "memory for a decompressor");
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kMostWindowLog);

  std::string out;
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  std::size_t used = 0;
  std::size_t missing = 1;  // 0 at the end of the frame
  while (missing != 0) {
    if (used == out.size()) {
      if (used > limit.value) return too_large(limit);
      // One byte more than is allowed shows that there are more.
      out.resize(std::min(std::max(kFirstChunk, 2 * used), static_cast<std::size_t>(limit.value) + 1));
    }
    ZSTD_outBuffer chunk{out.data(), out.size(), used};
    missing = ZSTD_decompressStream(context.get(), &chunk, &in);
    if (ZSTD_isError(missing) != 0) {
      return error("is damaged (" + std::string(ZSTD_getErrorName(missing)) +
                   "); copy it again from where it came, or make it again");
    }
    used = chunk.pos;
    if (missing != 0 && in.pos == in.size && used < out.size()) {
      return error(
          "is cut short: the compressed data ends early; copy it again from where it came, or make " +
          std::string("it again"));
    }
  }
  if (used > limit.value) return too_large(limit);
  if (in.pos != in.size) return error("has bytes behind its compressed data; expected one Zstandard frame");
  out.resize(used);
  return out;
}

std::string compress(std::string_view bytes) {
  const std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
  EINET_CHECK(context != nullptr, "memory for a compressor");
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  const std::size_t size = ZSTD_compress2(context.get(), out.data(), out.size(), bytes.data(), bytes.size());
  EINET_CHECK(ZSTD_isError(size) == 0, "a frame of at most compressBound bytes");
  out.resize(size);
  return out;
}

}  // namespace einet
