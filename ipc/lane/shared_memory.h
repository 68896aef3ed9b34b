// Sealed shared memory: a memfd that one process writes and others can only read, of a size that never
// changes, so that nobody can take pages away under anybody's feet. The lane channel's two halves, the
// daemon's arena and what carries a job's state to another worker are made of it.
#pragma once

#include <cstddef>
#include <span>

#include "config/bytes.h"
#include "config/result.h"
#include "config/unique_fd.h"

namespace einet::lane {

// A mapping; unmapped with its owner.
class Mapping {
 public:
  Mapping() = default;
  // mmap, shared. `protection`: PROT_READ, PROT_WRITE. Error: not allowed, or no memory.
  static Result<Mapping> of(int fd, int protection, std::size_t size);
  Mapping(Mapping&&) noexcept;
  Mapping& operator=(Mapping&&) noexcept;
  ~Mapping();

  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  // Precondition: mapped for writing.
  std::byte* writable_data() const { return data_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

struct SharedMemory {
  UniqueFd fd;
  Mapping mapping;
};

// Zeroed memory that this process writes and whoever gets the descriptor can map only for reading
// (F_SEAL_FUTURE_WRITE). `name` shows in /proc. Error: the system has no more.
Result<SharedMemory> make_readable_by_others(const char* name, ByteCount size);
// Zeroed memory that this process maps for reading and whoever gets the descriptor can write.
Result<SharedMemory> make_writable_by_others(const char* name, ByteCount size);

// Memory whose size and content are another process's to give, by map_for_filling, before it is sealed.
// Error: the system has no more.
Result<UniqueFd> make_to_be_filled(const char* name);
// Gives it exactly this size and maps it for writing. Precondition: not zero. Error: it is sealed, or the
// system has no more.
Result<Mapping> map_for_filling(int fd, ByteCount size);
// From here on it can only be read, but by who has it mapped for writing. Error: not such memory.
Result<void> seal_filled(int fd);

// Maps what another process made. Error: not memory of a sealed size (F_SEAL_SHRINK: its pages cannot go
// away), or smaller than `at_least`.
Result<Mapping> map_for_reading(int fd, ByteCount at_least);
Result<Mapping> map_for_writing(int fd, ByteCount at_least);

}  // namespace einet::lane
