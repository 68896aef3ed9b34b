#include "ipc/client/frame_channel.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>

#include "config/check.h"

namespace einet {
namespace {

constexpr std::size_t kControlBytes = CMSG_SPACE(sizeof(int) * kMaxFrameFds);
// The sent front of the queue is dropped once it is this long.
constexpr std::size_t kCompactBytes = 64 << 10;

}  // namespace

FrameChannel::FrameChannel(UniqueFd socket, ByteCount max_body)
    : socket_(std::move(socket)), decoder_(max_body) {
  EINET_CHECK(socket_, "a connected socket");
  const int flags = ::fcntl(socket_.get(), F_GETFL);
  EINET_CHECK(flags >= 0 && ::fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK) == 0, "flags of a socket");
}

Result<FrameChannel::Receive> FrameChannel::receive() {
  const std::span<char> space = decoder_.space();
  iovec data{space.data(), space.size()};
  alignas(cmsghdr) std::array<char, kControlBytes> control;
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t n = 0;
  do {
    n = ::recvmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Receive::nothing;
  if (n < 0) return error(std::string("the connection broke: ") + std::strerror(errno));

  const std::size_t before = received_fds_.size();
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      received_fds_.emplace_back(fd);
    }
  }
  const bool cut = (header.msg_flags & MSG_CTRUNC) != 0;
  // The system gives as many as there is room for, or as the process may have.
  if (cut && received_fds_.size() - before < kMaxFrameFds) {
    return error(
        "file descriptors came and the process that receives them may have no more; raise its limit "
        "(LimitNOFILE=, `ulimit -n`), or close some");
  }
  if (cut || received_fds_.size() > kMaxFrameFds) {
    return error("more file descriptors came than the " + std::to_string(kMaxFrameFds) +
                 " that a frame may bring");
  }
  if (n == 0) {
    if (decoder_.buffered() > 0) {
      return error("the connection ended within a frame, after " + std::to_string(decoder_.buffered()) +
                   " of its bytes");
    }
    return Receive::closed;
  }
  decoder_.received(static_cast<std::size_t>(n));
  return Receive::some;
}

Result<std::optional<Message>> FrameChannel::next() {
  auto frame = decoder_.next();
  if (!frame) return frame.error();
  if (!*frame) {
    // Descriptors come with a frame's first byte; with no byte left, they came with none.
    if (!received_fds_.empty() && decoder_.buffered() == 0)
      return error(std::to_string(received_fds_.size()) + " file descriptors came that no frame announced");
    return std::optional<Message>{};
  }
  Message message{(*frame)->header, (*frame)->body, {}};
  if (received_fds_.size() < message.header.fds) {
    return error("a " + std::string(name(message.header.type)) + " frame announces " +
                 std::to_string(message.header.fds) + " file descriptors; " +
                 std::to_string(received_fds_.size()) + " came with it");
  }
  for (std::uint16_t i = 0; i < message.header.fds; ++i) {
    message.fds.push_back(std::move(received_fds_.front()));
    received_fds_.pop_front();
  }
  return std::optional<Message>(std::move(message));
}

Result<void> FrameChannel::flush() {
  while (unsent() > 0) {
    // A descriptor travels with the first byte of its frame, so what is before that goes out on its own.
    std::size_t end = unsent_.size();
    int fd = -1;
    if (!unsent_fds_.empty()) {
      if (unsent_fds_.front().at > sent_) {
        end = unsent_fds_.front().at;
      } else {
        fd = unsent_fds_.front().fd.get();
        if (unsent_fds_.size() > 1) end = unsent_fds_[1].at;
      }
    }
    iovec data{unsent_.data() + sent_, end - sent_};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr header{};
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    if (fd >= 0) {
      header.msg_control = control.data();
      header.msg_controllen = control.size();
      cmsghdr* c = CMSG_FIRSTHDR(&header);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = CMSG_LEN(sizeof(int));
      std::memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    const ssize_t n = ::sendmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (n < 0) return error(std::string("the connection broke: ") + std::strerror(errno));
    if (fd >= 0) unsent_fds_.pop_front();
    sent_ += static_cast<std::size_t>(n);
  }
  if (unsent() == 0 || sent_ >= kCompactBytes) {
    for (OutgoingFd& outgoing : unsent_fds_) outgoing.at -= sent_;
    unsent_.erase(0, sent_);
    sent_ = 0;
  }
  return {};
}

}  // namespace einet
