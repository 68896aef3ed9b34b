// Reading and writing whole files. Reading is bounded; writing is all or nothing.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "config/bytes.h"
#include "config/result.h"

namespace einet {

// The file's bytes. Error: cannot be read, not a regular file, or larger than `limit`; names the path.
Result<std::string> read_file(const std::filesystem::path& path, ByteCount limit);

// Writes to a temporary file beside `path`, syncs and renames it, so that `path` is the old file or the new
// one, never half of either. Error: names the path and the reason.
Result<void> write_file(const std::filesystem::path& path, std::string_view bytes);

}  // namespace einet
