// The two files of `einet simulate --csv OUT.csv`, for a task set and for a recording.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <string_view>

#include "config/result.h"

namespace einet {

// Writes `jobs` to OUT.csv.jobs and `blocks` to OUT.csv; if one cannot be written, neither is there. Where
// OUT.csv is a device or a FIFO, only the blocks are written, and a line to `words` says so. Error: names the
// path and the reason.
Result<void> write_csv(const std::filesystem::path& csv, std::string_view blocks, std::string_view jobs,
                       std::ostream& words);

}  // namespace einet
