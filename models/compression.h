// Zstandard (RFC 8878): one frame of compressed bytes in memory, to and from what they hold. Files and what
// the bytes mean belong elsewhere. Never crashes on foreign bytes.
#pragma once

#include <string>
#include <string_view>

#include "config/bytes.h"
#include "config/result.h"

namespace einet {

// Whether the bytes begin as a Zstandard frame does.
bool is_compressed(std::string_view bytes);

// What the one frame in `bytes` holds. Takes memory for what is really there, never for more than `limit` and
// never for what the frame only claims. Error: more than `limit`, cut short, damaged (the frame's checksum is
// checked, if it has one), or bytes behind the frame.
Result<std::string> decompress(std::string_view bytes, ByteCount limit);

// One frame, as small as it gets in reasonable time (level 19), with a checksum. The same bytes give the same
// frame with the same version of the library.
std::string compress(std::string_view bytes);

}  // namespace einet
