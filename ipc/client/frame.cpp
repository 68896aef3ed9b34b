#include "ipc/client/frame.h"

#include <algorithm>
#include <cstring>

#include "config/check.h"
#include "config/text.h"

namespace einet {
namespace {

// A receive is at least this large, so that many small frames take one system call.
constexpr std::size_t kReceiveBytes = 16 << 10;

template <class T>
T load(std::string_view bytes, std::size_t offset) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    const T byte = static_cast<unsigned char>(bytes[offset + i]);
    value = static_cast<T>(value | static_cast<T>(byte << (8 * i)));
  }
  return value;
}

template <class T>
void append(T value, std::string& out) {
  for (std::size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

}  // namespace

std::string_view name(MessageType type) {
  switch (type) {
    case MessageType::hello:
      return "hello";
    case MessageType::register_region:
      return "register_region";
    case MessageType::unregister_region:
      return "unregister_region";
    case MessageType::submit:
      return "submit";
    case MessageType::cancel:
      return "cancel";
    case MessageType::watch:
      return "watch";
    case MessageType::list_jobs:
      return "list_jobs";
    case MessageType::list_models:
      return "list_models";
    case MessageType::get_status:
      return "get_status";
    case MessageType::add_task:
      return "add_task";
    case MessageType::remove_task:
      return "remove_task";
    case MessageType::list_tasks:
      return "list_tasks";
    case MessageType::hello_reply:
      return "hello_reply";
    case MessageType::error:
      return "error";
    case MessageType::done:
      return "done";
    case MessageType::region_registered:
      return "region_registered";
    case MessageType::accepted:
      return "accepted";
    case MessageType::rejected:
      return "rejected";
    case MessageType::exit_result:
      return "exit_result";
    case MessageType::outcome:
      return "outcome";
    case MessageType::event:
      return "event";
    case MessageType::job_list:
      return "job_list";
    case MessageType::model_list:
      return "model_list";
    case MessageType::status:
      return "status";
    case MessageType::task_added:
      return "task_added";
    case MessageType::task_refused:
      return "task_refused";
    case MessageType::task_list:
      return "task_list";
  }
  return "";
}

Result<std::optional<Frame>> decode_frame(std::string_view bytes, ByteCount max_body) {
  // Each field is checked as soon as it is there: whoever speaks another protocol hears it at the first byte.
  const std::string_view magic = bytes.substr(0, kFrameMagic.size());
  if (!kFrameMagic.starts_with(magic)) {
    return error("a frame begins with \"" + escape(magic) + "\"; expected \"" + std::string(kFrameMagic) +
                 "\": this is not the einetd protocol, or an earlier frame had the wrong length");
  }
  if (bytes.size() >= 6) {
    const auto version = load<std::uint16_t>(bytes, 4);
    if (version != kProtocolVersion) {
      return error("frame version is " + std::to_string(version) + "; this side speaks " +
                   std::to_string(kProtocolVersion));
    }
  }
  if (bytes.size() < kFrameHeaderBytes) return std::optional<Frame>{};

  FrameHeader header;
  header.type = MessageType{load<std::uint16_t>(bytes, 6)};
  header.body_bytes = load<std::uint32_t>(bytes, 8);
  header.fds = load<std::uint16_t>(bytes, 12);
  header.request = load<std::uint64_t>(bytes, 16);
  if (name(header.type).empty())
    return error("frame type " + std::to_string(load<std::uint16_t>(bytes, 6)) + " is unknown");
  if (header.body_bytes > max_body.value) {
    return error("a " + std::string(name(header.type)) + " frame announces a body of " +
                 std::to_string(header.body_bytes) + " bytes; at most " + std::to_string(max_body.value) +
                 " are allowed (send large inputs through a region)");
  }
  if (header.fds > kMaxFrameFds) {
    return error("a " + std::string(name(header.type)) + " frame announces " + std::to_string(header.fds) +
                 " file descriptors; at most " + std::to_string(kMaxFrameFds) + " are allowed");
  }
  if (const auto reserved = load<std::uint16_t>(bytes, 14); reserved != 0) {
    return error("the reserved field of a " + std::string(name(header.type)) + " frame is " +
                 std::to_string(reserved) + "; it must be 0");
  }
  if (bytes.size() - kFrameHeaderBytes < header.body_bytes) return std::optional<Frame>{};
  return std::optional<Frame>(Frame{header, bytes.substr(kFrameHeaderBytes, header.body_bytes)});
}

void encode_header(const FrameHeader& header, std::string& out) {
  EINET_CHECK(header.body_bytes <= kMaxBody.value && header.fds <= kMaxFrameFds,
              "the frame is within limits");
  out += kFrameMagic;
  append(kProtocolVersion, out);
  append(static_cast<std::uint16_t>(header.type), out);
  append(header.body_bytes, out);
  append(header.fds, out);
  append(std::uint16_t{0}, out);
  append(header.request, out);
}

FrameDecoder::FrameDecoder(ByteCount max_body) : max_body_(max_body) {
  EINET_CHECK(max_body <= kMaxBody, "the body limit is within the protocol's");
}

std::span<char> FrameDecoder::space() {
  if (begin_ == end_) begin_ = end_ = 0;
  std::size_t frame_bytes = kFrameHeaderBytes;
  if (buffered() >= kFrameHeaderBytes) {
    const auto body = load<std::uint32_t>({buffer_.data() + begin_, buffered()}, 8);
    frame_bytes += std::min<std::size_t>(body, max_body_.value);
  }
  // Room for the rest of the frame, but at most twice what has really come: an announced size costs nothing.
  const std::size_t missing = frame_bytes > buffered() ? frame_bytes - buffered() : 0;
  const std::size_t wanted = std::max(kReceiveBytes, std::min(missing, buffered()));
  if (buffer_.size() - end_ < wanted) {
    if (begin_ > 0) {
      std::memmove(buffer_.data(), buffer_.data() + begin_, buffered());
      end_ -= begin_;
      begin_ = 0;
    }
    if (buffer_.size() - end_ < wanted) buffer_.resize(end_ + wanted);
  }
  return {buffer_.data() + end_, buffer_.size() - end_};
}

void FrameDecoder::received(std::size_t bytes) {
  EINET_CHECK(bytes <= buffer_.size() - end_, "no more was received than there was room for");
  end_ += bytes;
}

Result<std::optional<Frame>> FrameDecoder::next() {
  if (broken_) return *broken_;
  auto frame = decode_frame({buffer_.data() + begin_, buffered()}, max_body_);
  if (!frame) {
    broken_ = frame.error();
    return frame;
  }
  if (*frame) begin_ += (*frame)->size();
  return frame;
}

}  // namespace einet
