#include "config/files.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
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

// Whether all of it was written; if not, errno says why.
bool write_all(const File& file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(file.fd(), bytes.data(), bytes.size());
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

Result<void> write_through(const std::filesystem::path& path, std::string_view bytes) {
  const File file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file.fd() < 0) return failed(path, "cannot open");
  if (!write_all(file, bytes)) return failed(path, "cannot write");
  return {};
}

// Writes a file that nobody knows yet; it is gone again if that fails.
Result<void> write_anew(const std::filesystem::path& path, std::string_view bytes) {
  const File file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (file.fd() < 0) return failed(path, "cannot create");
  if (write_all(file, bytes) && ::fsync(file.fd()) == 0) return {};
  const Error e = failed(path, "cannot write");
  ::unlink(path.c_str());
  return e;
}

// What a link leads to, link by link, even if nothing is there; any other path is itself.
Result<std::filesystem::path> behind_links(std::filesystem::path path) {
  constexpr int kMostLinks = 40;  // as Linux
  std::error_code ignored;
  for (int links = 0; std::filesystem::is_symlink(path, ignored); ++links) {
    if (links == kMostLinks) return error(path.string() + ": is a link in a circle of links");
    path = path.parent_path() / std::filesystem::read_symlink(path, ignored);
  }
  return path;
}

std::filesystem::path temporary_of(const std::filesystem::path& target) {
  return target.string() + ".tmp." + std::to_string(::getpid());
}

}  // namespace

bool is_special(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_other(path, ignored);
}

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
  if (is_special(path)) return write_through(path, bytes);
  const auto target = behind_links(path);
  if (!target) return target.error();
  const std::filesystem::path temporary = temporary_of(*target);
  if (auto ok = write_anew(temporary, bytes); !ok) return ok;
  if (::rename(temporary.c_str(), target->c_str()) != 0) {
    const Error e = failed(*target, "cannot rename into place");
    ::unlink(temporary.c_str());
    return e;
  }
  return {};
}

Result<void> check_can_write(const std::filesystem::path& path) {
  if (is_special(path)) return {};
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return error(path.string() + ": is a directory");
  const auto target = behind_links(path);
  if (!target) return target.error();
  const std::filesystem::path temporary = temporary_of(*target);
  if (auto ok = write_anew(temporary, ""); !ok) return ok;
  ::unlink(temporary.c_str());
  return {};
}

Result<void> flush_stdout() {
  const bool flushed = std::fflush(stdout) == 0;
  const int code = flushed ? 0 : errno;
  if (flushed && std::ferror(stdout) == 0) return {};
  // Of what failed before, no code is left; but a pipe or socket still says that nobody reads it.
  pollfd out{STDOUT_FILENO, POLLOUT, 0};
  if (::poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP)) != 0) return {};
  return error("stdout: cannot write" + (flushed ? std::string() : std::string(": ") + std::strerror(code)));
}

}  // namespace einet
