#include "config/files.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace einet {
namespace {

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

Error failed(const std::filesystem::path& path, const char* what) {
  return error(path.string() + ": " + what + ": " + std::strerror(errno));
}

// The size of the regular file that is opened, at most `limit`.
Result<std::size_t> size_of(const std::filesystem::path& path, const File& file, ByteCount limit) {
  if (file.fd() < 0) return failed(path, "cannot open");
  struct stat status {};
  if (::fstat(file.fd(), &status) != 0) return failed(path, "cannot stat");
  if (!S_ISREG(status.st_mode)) return error(path.string() + ": is not a regular file");
  const ByteCount size{static_cast<std::uint64_t>(status.st_size)};
  if (size > limit) {
    return error(path.string() + ": has " + format_bytes(size) + "; at most " + format_bytes(limit) +
                 " are allowed");
  }
  return static_cast<std::size_t>(size.value);
}

// O_NONBLOCK: opening a FIFO that nobody writes must not hang.
constexpr int kReadOnly = O_RDONLY | O_CLOEXEC | O_NONBLOCK;

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, ByteCount limit) {
  const File file(::open(path.c_str(), kReadOnly));
  const auto size = size_of(path, file, limit);
  if (!size) return size.error();
  std::string bytes(*size, '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::read(file.fd(), bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(path, "cannot read");
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

Result<MappedFile> MappedFile::open(const std::filesystem::path& path, ByteCount limit) {
  const File file(::open(path.c_str(), kReadOnly));
  const auto size = size_of(path, file, limit);
  if (!size) return size.error();
  if (*size == 0) return MappedFile({});  // nothing cannot be mapped
  void* const memory = ::mmap(nullptr, *size, PROT_READ, MAP_PRIVATE, file.fd(), 0);
  if (memory == MAP_FAILED) return failed(path, "cannot map");
  return MappedFile({static_cast<const char*>(memory), *size});
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<char*>(bytes_.data()), bytes_.size());
}

Result<void> write_file(const std::filesystem::path& path, std::string_view bytes) {
  const std::filesystem::path temporary = path.string() + ".tmp." + std::to_string(::getpid());
  {
    const File file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (file.fd() < 0) return failed(temporary, "cannot create");
    std::size_t done = 0;
    bool written = true;
    while (written && done < bytes.size()) {
      const ssize_t n = ::write(file.fd(), bytes.data() + done, bytes.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) written = false;
      if (n > 0) done += static_cast<std::size_t>(n);
    }
    if (!written || ::fsync(file.fd()) != 0) {
      const Error e = failed(temporary, "cannot write");
      ::unlink(temporary.c_str());
      return e;
    }
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const Error e = failed(path, "cannot rename into place");
    ::unlink(temporary.c_str());
    return e;
  }
  return {};
}

}  // namespace einet
