// A client that may say anything: bytes out, frames in. For bad input only; everybody else uses the client
// library.
#pragma once

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <vector>

#include "config/unique_fd.h"
#include "ipc/client/message.h"
#include "running_daemon.h"

namespace einet::test {

template <class Body>
std::string frame(std::uint64_t request, const Body& body) {
  std::string out;
  EINET_CHECK(encode_message(request, body, 0, kMaxBody, out).has_value(), "a small message");
  return out;
}

template <class Body>
std::string frame_with_fd(std::uint64_t request, const Body& body) {
  std::string out;
  EINET_CHECK(encode_message(request, body, 1, kMaxBody, out).has_value(), "a small message");
  return out;
}

inline wire::Hello hello_as(const std::string& tenant) {
  wire::Hello hello;
  hello.set_min_version(1);
  hello.set_max_version(1);
  hello.set_tenant(tenant);
  return hello;
}

inline wire::Submit submit_of(const SyntheticPackage& model) {
  const client::JobRequest job = job_of(model);
  wire::Submit s;
  s.set_model(job.model);
  s.set_dtype(job.dtype);
  for (const std::uint32_t n : job.shape) s.add_shape(n);
  s.set_inline_bytes(std::string(64, '\0'));
  return s;
}

class RawClient {
 public:
  explicit RawClient(const std::filesystem::path& path)
      : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    EINET_CHECK(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0,
                "the daemon listens");
  }

  // False: the daemon has closed the connection.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  // With a descriptor.
  void send_with(std::string_view bytes, int fd) {
    iovec data{const_cast<char*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)]{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    EINET_CHECK(::sendmsg(socket_.get(), &message, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()),
                "a small message");
  }
  void end_sending() { ::shutdown(socket_.get(), SHUT_WR); }
  void close() { socket_.reset(); }

  // The next frame; nothing at the end of the connection, or of patience.
  struct Received {
    FrameHeader header;
    std::string body;
  };
  std::optional<Received> next() {
    for (;;) {
      const auto message = decoder_.next();
      EINET_CHECK(message.has_value(), "the daemon speaks the protocol");
      if (*message) return Received{(*message)->header, std::string((*message)->body)};
      pollfd wait{socket_.get(), POLLIN, 0};
      if (::poll(&wait, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) <= 0)
        return std::nullopt;
      const auto space = decoder_.space();
      const ssize_t n = ::recv(socket_.get(), space.data(), space.size(), 0);
      if (n <= 0) return std::nullopt;
      decoder_.received(static_cast<std::size_t>(n));
    }
  }
  template <class Body>
  std::optional<Body> next_as() {
    const auto received = next();
    if (!received) return std::nullopt;
    auto body = parse_body<Body>(received->header, received->body);
    return body ? std::optional(std::move(*body)) : std::nullopt;
  }
  // Reads until the daemon closes; the last thing that it said, if that was an error.
  std::optional<wire::Error> last_error() {
    std::optional<Received> last;
    while (auto received = next()) last = std::move(received);
    if (!last || last->header.type != MessageType::error) return std::nullopt;
    return *parse_body<wire::Error>(last->header, last->body);
  }

 private:
  UniqueFd socket_;
  FrameDecoder decoder_;
};

}  // namespace einet::test
