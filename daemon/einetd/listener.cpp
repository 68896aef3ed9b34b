#include "daemon/einetd/listener.h"

#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

namespace einet {
namespace {

constexpr int kBacklog = 128;
// When the process has no descriptor left for a client, look again after this long instead of at once.
constexpr auto kPause = std::chrono::milliseconds(100);

UniqueFd make_socket() {
  return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

// Whether there is a socket file that may be replaced, or none. Error: the path is taken.
Result<void> make_room(const std::filesystem::path& path, const sockaddr_un& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return error(path.string() + ": " + std::strerror(errno));
  }
  if (!S_ISSOCK(status.st_mode)) {
    return error(path.string() +
                 ": exists and is not a socket; remove it, or choose another path for the socket");
  }
  const UniqueFd probe = make_socket();
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno == EAGAIN) {
    return error(path.string() + ": another daemon listens on this socket; stop it, or choose another path");
  }
  if (errno != ECONNREFUSED)
    return error(path.string() + ": cannot tell whether it is in use: " + std::strerror(errno));
  ::unlink(path.c_str());
  return {};
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::open(boost::asio::io_context& io,
                                                 const std::filesystem::path& path, unsigned mode) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.native().size() >= sizeof address.sun_path)
    return error(path.string() + ": too long for a socket's path");
  std::memcpy(address.sun_path, path.c_str(), path.native().size());
  if (auto ok = make_room(path, address); !ok) return ok.error();

  const auto failed = [&](const char* what) {
    return error(path.string() + ": " + what + ": " + std::strerror(errno));
  };
  UniqueFd socket = make_socket();
  if (!socket) return failed("cannot make a socket");
  // The file never exists with another mode, not even for an instant.
  const mode_t old = ::umask(~static_cast<mode_t>(mode) & 0777);
  const int bound = ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int bind_errno = errno;
  ::umask(old);
  errno = bind_errno;
  if (bound != 0)
    return failed("cannot create the socket (does its folder exist, and may this user write there?)");
  if (::listen(socket.get(), kBacklog) != 0) return failed("cannot listen");
  return std::unique_ptr<Listener>(new Listener(io, std::move(socket), path));
}

Listener::Listener(boost::asio::io_context& io, UniqueFd socket, std::filesystem::path path)
    : socket_(std::move(socket)), path_(std::move(path)), readable_(io, socket_.get()), pause_(io) {
  struct stat status {};
  if (::lstat(path_.c_str(), &status) == 0) {
    device_ = status.st_dev;
    inode_ = status.st_ino;
  }
}

Listener::~Listener() {
  readable_.release();  // socket_ closes it
  struct stat status {};
  if (::lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_) {
    ::unlink(path_.c_str());
  }
}

void Listener::accept(OnClient on_client) {
  on_client_ = std::move(on_client);
  wait();
}

void Listener::wait() {
  readable_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                       [this](boost::system::error_code ended) {
                         if (!ended) accept_all();
                       });
}

void Listener::accept_all() {
  for (int i = 0; i < kBacklog; ++i) {
    UniqueFd client(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        pause_.expires_after(kPause);
        pause_.async_wait([this](boost::system::error_code ended) {
          if (!ended) wait();
        });
        return;
      }
      break;  // nobody is waiting, or who was has gone again
    }
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) continue;
    on_client_(std::move(client), peer.uid);
  }
  wait();
}

}  // namespace einet
