#include "ipc/lane/shared_memory.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace einet::lane {

namespace {

Error system_error(const std::string& what) {
  return error(what + ": " + std::strerror(errno));
}

Result<UniqueFd> make_memfd(const char* name) {
  UniqueFd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return system_error(std::string("cannot create shared memory ") + name);
  return fd;
}

Result<SharedMemory> make(const char* name, ByteCount size, int protection, int seals) {
  auto fd = make_memfd(name);
  if (!fd) return fd.error();
  SharedMemory memory;
  memory.fd = std::move(*fd);
  if (::ftruncate(memory.fd.get(), static_cast<off_t>(size.value)) != 0) {
    return system_error("cannot get " + format_bytes(size) + " of shared memory for " + name);
  }
  auto mapping = Mapping::of(memory.fd.get(), protection, size.value);
  if (!mapping) return mapping.error();
  memory.mapping = std::move(*mapping);
  // After mapping: what is mapped for writing already stays so.
  if (::fcntl(memory.fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | seals) != 0) {
    return system_error(std::string("cannot seal shared memory ") + name);
  }
  return memory;
}

Result<Mapping> map_sealed(int fd, int protection, ByteCount at_least) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return system_error("cannot look at the shared memory");
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
    return error("the descriptor is not shared memory of a sealed size");
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size < at_least.value) {
    return error("the shared memory has " + std::to_string(size) + " bytes; expected at least " +
                 std::to_string(at_least.value));
  }
  return Mapping::of(fd, protection, size);
}

}  // namespace

Result<Mapping> Mapping::of(int fd, int protection, std::size_t size) {
  void* data = ::mmap(nullptr, size, protection, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return system_error("cannot map the shared memory");
  Mapping mapping;
  mapping.data_ = static_cast<std::byte*>(data);
  mapping.size_ = size;
  return mapping;
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

Result<SharedMemory> make_readable_by_others(const char* name, ByteCount size) {
  return make(name, size, PROT_READ | PROT_WRITE, F_SEAL_FUTURE_WRITE);
}

Result<SharedMemory> make_writable_by_others(const char* name, ByteCount size) {
  return make(name, size, PROT_READ, 0);
}

Result<UniqueFd> make_to_be_filled(const char* name) {
  return make_memfd(name);
}

Result<Mapping> map_for_filling(int fd, ByteCount size) {
  if (::ftruncate(fd, static_cast<off_t>(size.value)) != 0) {
    return system_error("cannot make the shared memory " + format_bytes(size) + " large");
  }
  return Mapping::of(fd, PROT_READ | PROT_WRITE, size.value);
}

// Not F_SEAL_WRITE, which waits for every processor to let go of new pages: a lane of real-time rank may keep
// its own for long.
Result<void> seal_filled(int fd) {
  if (::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) != 0) {
    return system_error("cannot seal the shared memory");
  }
  return {};
}

Result<Mapping> map_for_reading(int fd, ByteCount at_least) {
  return map_sealed(fd, PROT_READ, at_least);
}

Result<Mapping> map_for_writing(int fd, ByteCount at_least) {
  return map_sealed(fd, PROT_READ | PROT_WRITE, at_least);
}

}  // namespace einet::lane
