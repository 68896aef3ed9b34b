// Frames and file descriptors over one connected Unix stream socket, for both ends. Never blocks and never
// waits: the owner watches fd() with whatever event loop it has. Knows nothing of what the messages mean.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "config/bytes.h"
#include "config/result.h"
#include "config/unique_fd.h"
#include "ipc/client/frame.h"
#include "ipc/client/message.h"

namespace einet {

// A received frame with the descriptors that came with it.
struct Message {
  FrameHeader header;
  std::string_view body;  // valid until receive() is called
  std::vector<UniqueFd> fds;
};

// One thread.
class FrameChannel {
 public:
  // Takes the socket over and makes it non-blocking. `max_body` bounds what is received.
  FrameChannel(UniqueFd socket, ByteCount max_body);
  // From here on, bodies to send are bounded by this (a limit that the other side named).
  void limit_sending(ByteCount max_body) { max_sent_body_ = max_body; }

  int fd() const { return socket_.get(); }

  enum class Receive {
    some,     // bytes came: call next() until it gives nothing
    nothing,  // would block
    closed,   // the other side ended the connection, at the end of a frame
  };
  // One recvmsg. Error: the connection broke, ended within a frame, or brought more descriptors than any
  // frame may, or than this process has left.
  Result<Receive> receive();

  // The next whole message; nothing if more bytes are needed. Error: not the protocol (see decode_frame), or
  // the descriptors do not match what the frames announce. The connection is then of no further use.
  Result<std::optional<Message>> next();

  // Queues a message behind the unsent ones; flush() sends. Error: the body is too long; nothing was queued.
  template <class Body>
  Result<void> queue(std::uint64_t request, const Body& body, UniqueFd fd = {}) {
    const std::size_t start = unsent_.size();
    auto ok = encode_message(request, body, fd ? 1 : 0, max_sent_body_, unsent_);
    if (ok && fd) unsent_fds_.push_back({start, std::move(fd)});
    return ok;
  }

  // Sends as much as the socket takes now. Error: the connection broke.
  Result<void> flush();

  // Bytes queued and not sent. While not 0, wait for fd() to be writable and flush().
  std::size_t unsent() const { return unsent_.size() - sent_; }

 private:
  struct OutgoingFd {
    std::size_t at;  // index into unsent_ of the frame that it goes with
    UniqueFd fd;
  };

  UniqueFd socket_;
  ByteCount max_sent_body_ = kMaxBody;
  FrameDecoder decoder_;
  std::deque<UniqueFd> received_fds_;  // not yet claimed by a frame
  std::string unsent_;
  std::size_t sent_ = 0;  // so many bytes of unsent_ are gone
  std::deque<OutgoingFd> unsent_fds_;
};

}  // namespace einet
