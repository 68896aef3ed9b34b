// Reading, mapping and writing whole files. Reading is bounded; writing is all or nothing. And what a program
// owes its stdout at its end.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "config/bytes.h"
#include "config/result.h"

namespace einet {

// The file's bytes. Error: cannot be read, not a regular file, or larger than `limit`; names the path.
Result<std::string> read_file(const std::filesystem::path& path, ByteCount limit);

// A file's bytes, read-only, in memory as they are touched. They stay those of the file that was opened if
// another is renamed into its place; cutting the file short while it is mapped kills the reader (SIGBUS), so
// this is for files that are replaced and never rewritten.
class MappedFile {
 public:
  // Error: as read_file.
  static Result<MappedFile> open(const std::filesystem::path& path, ByteCount limit);

  MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~MappedFile();

  // Valid while this object, or one that it was moved into, lives.
  std::string_view bytes() const { return bytes_; }

 private:
  explicit MappedFile(std::string_view bytes) : bytes_(bytes) {}
  std::string_view bytes_;
};

// Whether `path` is there, links followed, and is neither a regular file nor a directory: a device, a FIFO.
bool is_special(const std::filesystem::path& path);

// Writes to a temporary file beside `path`, syncs and renames it, so that `path` is the old file or the new
// one, never half of either. A link stays, and what it leads to is written so. What is_special() is written
// into as it is, never replaced; a FIFO's writer waits for a reader. Error: names the path and the reason.
Result<void> write_file(const std::filesystem::path& path, std::string_view bytes);

// Whether write_file could begin, for those who have long work to do first. Error: as write_file.
Result<void> check_can_write(const std::filesystem::path& path);

// For the end of main: writes what stdout, and so std::cout, still buffers. Error: some of all that the
// program wrote there is lost; but not if only its reader has gone, as head does.
Result<void> flush_stdout();

}  // namespace einet
