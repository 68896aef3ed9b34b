// Frames of the client protocol: a fixed header of 24 bytes, then a protobuf body (protocol.proto). Here are
// only bytes: no sockets, no protobuf, no knowledge of what a message means.
//
//   offset  bytes  field, little-endian
//        0      4  magic: "EINT"
//        4      2  version: 1
//        6      2  type: MessageType
//        8      4  body_bytes
//       12      2  fds: file descriptors sent along with this frame's first byte (SCM_RIGHTS)
//       14      2  reserved: 0
//       16      8  request: chosen by the client, not 0; replies repeat it
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/bytes.h"
#include "config/result.h"

namespace einet {

inline constexpr std::string_view kFrameMagic = "EINT";
inline constexpr std::uint16_t kProtocolVersion = 1;
inline constexpr std::size_t kFrameHeaderBytes = 24;
// No body is longer; a daemon may allow clients less (Limits.max_body_bytes).
inline constexpr ByteCount kMaxBody{16u << 20};
inline constexpr std::uint16_t kMaxFrameFds = 4;

// Requests come from the client; replies (128 and up) from the daemon. The comment names the body.
enum class MessageType : std::uint16_t {
  hello = 1,
  register_region = 2,
  unregister_region = 3,
  submit = 4,
  cancel = 5,
  watch = 6,
  list_jobs = 7,
  list_models = 8,
  get_status = 9,
  add_task = 10,
  remove_task = 11,
  list_tasks = 12,

  hello_reply = 128,
  error = 129,
  done = 130,
  region_registered = 131,
  accepted = 132,
  rejected = 133,
  exit_result = 134,
  outcome = 135,
  event = 136,
  job_list = 137,
  model_list = 138,
  status = 139,
  task_added = 140,
  task_refused = 141,
  task_list = 142,
};

// "hello", "exit_result", …; "" for a number that is no type.
std::string_view name(MessageType);
constexpr bool is_request(MessageType type) {
  return static_cast<std::uint16_t>(type) < 128;
}

struct FrameHeader {
  MessageType type = MessageType::hello;
  std::uint32_t body_bytes = 0;
  std::uint16_t fds = 0;
  std::uint64_t request = 0;
};

struct Frame {
  FrameHeader header;
  std::string_view body;  // a view into the decoded bytes

  std::size_t size() const { return kFrameHeaderBytes + body.size(); }
};

// The frame at the start of `bytes`; nothing if more bytes are needed. Error (found as early as the bytes
// show it): wrong magic, version, type or reserved field, a body longer than `max_body`, more than
// kMaxFrameFds fds. Pure; looks at no byte beyond the frame.
Result<std::optional<Frame>> decode_frame(std::string_view bytes, ByteCount max_body);

// Appends the header to `out`; header.body_bytes of body must follow. Precondition: the header's numbers are
// within their limits.
void encode_header(const FrameHeader& header, std::string& out);

// Cuts a stream of bytes into frames. Call next() until it gives nothing, then receive again: so it holds at
// most one frame and what one receive brought behind it, and never more than twice what was sent. One thread;
// no I/O.
class FrameDecoder {
 public:
  // Precondition: max_body <= kMaxBody.
  explicit FrameDecoder(ByteCount max_body = kMaxBody);

  // Room for the next bytes (never empty): write into it, then say how many. Ends the life of earlier frames'
  // bodies.
  std::span<char> space();
  void received(std::size_t bytes);

  // The next whole frame; nothing if more bytes are needed. The body is valid until space() is called.
  // Error: as decode_frame; the stream is beyond repair, and every later call gives the same error.
  Result<std::optional<Frame>> next();

  // Bytes received and not yet returned as frames. Not 0 at the end of a stream: it was cut off.
  std::size_t buffered() const { return end_ - begin_; }

 private:
  ByteCount max_body_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;  // of the first byte not yet returned
  std::size_t end_ = 0;    // of the received bytes
  std::optional<Error> broken_;
};

}  // namespace einet
