// The daemon's end of the protocol as a script, for tests of clients: what it expects and what it answers, in
// order. No scheduling, no sockets of its own beyond the one it is given.
#pragma once

#include <array>
#include <cstring>
#include <filesystem>
#include <functional>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "config/check.h"
#include "ipc/client/frame_channel.h"
#include "ipc/client/message.h"

namespace einet::test {

// The daemon's end. It runs on a thread of its own, as one blocking script.
class Peer {
 public:
  explicit Peer(UniqueFd socket) : channel_(std::move(socket), kMaxBody) {}

  // The next request, which must be of this type. Keeps its request id, and a descriptor that came along.
  template <class Body>
  Body expect() {
    while (true) {
      auto message = channel_.next();
      EXPECT_TRUE(message) << message.error().message;
      if (!message) return {};
      if (*message) {
        request = (*message)->header.request;
        if (!(*message)->fds.empty()) fd = std::move((*message)->fds.front());
        auto body = parse_body<Body>((*message)->header, (*message)->body);
        EXPECT_TRUE(body) << body.error().message;
        return body ? *body : Body{};
      }
      pollfd poll{channel_.fd(), POLLIN, 0};
      ::poll(&poll, 1, 10'000);
      const auto got = channel_.receive();
      if (!got || *got != FrameChannel::Receive::some) {
        ADD_FAILURE() << "expected a " << name(kTypeOf<Body>) << " message";
        return {};
      }
    }
  }
  template <class Body>
  void reply(const Body& body, std::uint64_t to) {
    EXPECT_TRUE(channel_.queue(to, body));
    EXPECT_TRUE(channel_.flush());
  }
  template <class Body>
  void reply(const Body& body) {
    reply(body, request);
  }
  void send_raw(std::string_view bytes) {
    EXPECT_EQ(::send(channel_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // Waits until the client has closed the connection.
  void until_closed() {
    pollfd poll{channel_.fd(), 0, 0};  // POLLHUP comes unasked
    ::poll(&poll, 1, 10'000);
  }
  void hello() {
    const auto hello = expect<wire::Hello>();
    wire::HelloReply answer;
    answer.set_version(1);
    *answer.mutable_capabilities() = hello.capabilities();
    answer.set_tenant(hello.tenant());
    answer.mutable_limits()->set_max_body_bytes(1 << 20);
    reply(answer);
  }
  wire::Accepted accept(std::uint64_t job) {
    wire::Accepted accepted;
    accepted.set_job(job);
    reply(accepted);
    return accepted;
  }
  void finish(std::uint64_t job, wire::OutcomeKind kind, std::uint64_t to) {
    wire::Outcome outcome;
    outcome.set_job(job);
    outcome.set_kind(kind);
    outcome.set_reason("plan_finished");
    outcome.mutable_best()->set_exit(2);
    outcome.mutable_best()->set_top_class(7);
    outcome.mutable_best()->set_confidence(0.5F);
    outcome.set_first_block_ns(5);
    reply(outcome, to);
  }

  std::uint64_t request = 0;
  UniqueFd fd;

 private:
  FrameChannel channel_;
};

// A peer with a script, at the other end of a socket pair or of a socket that listens. Its script must end
// before the test does: the destructor waits for it.
class FakeDaemon {
 public:
  using Script = std::function<void(Peer&)>;

  // Connected already: take socket().
  explicit FakeDaemon(Script script) {
    std::array<int, 2> fds{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()), 0);
    near_ = UniqueFd(fds[0]);
    thread_ = std::thread([far = fds[1], script = std::move(script)] {
      Peer peer{UniqueFd(far)};
      script(peer);
    });
  }
  // Listens at `path` and plays each script with one connection, in order.
  FakeDaemon(const std::filesystem::path& path, std::vector<Script> scripts) {
    UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    EINET_CHECK(path.string().size() < sizeof address.sun_path, "a short path");
    std::strcpy(address.sun_path, path.c_str());
    EXPECT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener.get(), 8), 0);
    thread_ = std::thread([listener = std::move(listener), scripts = std::move(scripts)] {
      for (const Script& script : scripts) {
        Peer peer{UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC))};
        script(peer);
      }
    });
  }
  ~FakeDaemon() { thread_.join(); }

  UniqueFd socket() { return std::move(near_); }

 private:
  UniqueFd near_;
  std::thread thread_;
};

// A script that says hello first.
inline FakeDaemon::Script after_hello(FakeDaemon::Script script) {
  return [script = std::move(script)](Peer& peer) {
    peer.hello();
    script(peer);
  };
}

}  // namespace einet::test
