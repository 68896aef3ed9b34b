#include "tools/einet/csv.h"

#include <ostream>
#include <system_error>

#include "config/files.h"
#include "config/text.h"

namespace einet {

Result<void> write_csv(const std::filesystem::path& csv, std::string_view blocks, std::string_view jobs,
                       std::ostream& words) {
  if (is_special(csv)) {
    words << "einet: " << escape(csv.string())
          << " is no regular file: it gets the blocks, and the jobs are not written\n";
    return write_file(csv, blocks);
  }
  const std::filesystem::path beside = csv.string() + ".jobs";
  if (auto ok = write_file(beside, jobs); !ok) return ok;
  auto written = write_file(csv, blocks);
  if (!written && !is_special(beside)) {
    std::error_code ignored;
    std::filesystem::remove(beside, ignored);
  }
  return written;
}

}  // namespace einet
