// Frames and descriptors over a real socket pair: order, back-pressure, the ends of a connection, and a
// sender whose descriptors do not match its frames.
#include "ipc/client/frame_channel.h"

#include <cstring>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <gtest/gtest.h>

namespace einet {
namespace {

struct Pair {
  UniqueFd near;
  UniqueFd far;

  Pair() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    near.reset(fds[0]);
    far.reset(fds[1]);
  }
};

void send_raw(int socket, std::string_view bytes, int fds) {
  iovec data{const_cast<char*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 16)] = {};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (fds > 0) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * static_cast<std::size_t>(fds));
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * static_cast<std::size_t>(fds));
    for (int i = 0; i < fds; ++i)
      std::memcpy(CMSG_DATA(c) + static_cast<std::size_t>(i) * sizeof(int), &socket, sizeof socket);
  }
  ASSERT_EQ(::sendmsg(socket, &header, 0), static_cast<ssize_t>(bytes.size()));
}

std::string header_of(MessageType type, std::uint16_t fds) {
  std::string out;
  encode_header({type, 0, fds, 1}, out);
  return out;
}

// What the channel says to these bytes and descriptors: "" if it takes them.
std::string error_of(std::string_view bytes, int fds) {
  Pair pair;
  FrameChannel channel(std::move(pair.near), kMaxBody);
  send_raw(pair.far.get(), bytes, fds);
  const auto got = channel.receive();
  if (!got) return got.error().message;
  while (true) {
    const auto next = channel.next();
    if (!next) return next.error().message;
    if (!*next) return "";
  }
}

int open_fds() {
  int n = 0;
  for (int fd = 0; fd < 256; ++fd) n += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return n;
}

TEST(FrameChannel, CarriesMessagesAndTheirDescriptorsInOrder) {
  Pair pair;
  FrameChannel from(std::move(pair.near), kMaxBody);
  FrameChannel to(std::move(pair.far), kMaxBody);
  wire::RegisterRegion region;
  for (std::uint64_t i = 1; i <= 6; ++i) {
    region.set_size(i);
    UniqueFd fd;
    if (i % 2 == 0) fd.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(from.queue(i, region, std::move(fd)));
  }
  ASSERT_TRUE(from.flush());
  EXPECT_EQ(from.unsent(), 0u);
  std::uint64_t expected = 1;
  while (expected <= 6) {
    ASSERT_EQ(to.receive().value(), FrameChannel::Receive::some);
    while (true) {
      auto next = to.next();
      ASSERT_TRUE(next) << next.error().message;
      if (!*next) break;
      EXPECT_EQ((*next)->header.request, expected);
      EXPECT_EQ((*next)->fds.size(), expected % 2 == 0 ? 1u : 0u);
      EXPECT_EQ(parse_body<wire::RegisterRegion>((*next)->header, (*next)->body).value().size(), expected);
      ++expected;
    }
  }
  EXPECT_EQ(to.receive().value(), FrameChannel::Receive::nothing);
}

TEST(FrameChannel, KeepsWhatTheSocketDoesNotTake) {
  Pair pair;
  FrameChannel from(std::move(pair.near), kMaxBody);
  FrameChannel to(std::move(pair.far), kMaxBody);
  wire::Submit submit;
  submit.set_inline_bytes(std::string(100'000, 'x'));
  constexpr std::uint64_t kMessages = 50;
  for (std::uint64_t i = 1; i <= kMessages; ++i) ASSERT_TRUE(from.queue(i, submit));
  ASSERT_TRUE(from.flush());
  EXPECT_GT(from.unsent(), 0u) << "more than a socket buffer holds";
  std::uint64_t expected = 1;
  while (expected <= kMessages) {
    ASSERT_TRUE(from.flush());
    const auto got = to.receive();
    ASSERT_TRUE(got);
    while (true) {
      auto next = to.next();
      ASSERT_TRUE(next);
      if (!*next) break;
      EXPECT_EQ((*next)->header.request, expected++);
    }
  }
  EXPECT_EQ(from.unsent(), 0u);
}

TEST(FrameChannel, RefusesToQueueABodyOverTheLimit) {
  Pair pair;
  FrameChannel channel(std::move(pair.near), kMaxBody);
  channel.limit_sending(ByteCount{1000});
  wire::Submit submit;
  submit.set_inline_bytes(std::string(2000, 'x'));
  const auto queued = channel.queue(1, submit);
  ASSERT_FALSE(queued);
  EXPECT_EQ(queued.error().message, "a submit message takes 2.0KiB; at most 1000B are allowed");
  EXPECT_EQ(channel.unsent(), 0u);
}

TEST(FrameChannel, TheLimitOfWhatIsReceivedDoesNotBoundWhatIsSent) {
  Pair pair;
  FrameChannel channel(std::move(pair.near), ByteCount{1000});
  FrameChannel other(std::move(pair.far), kMaxBody);
  wire::Submit submit;
  submit.set_inline_bytes(std::string(2000, 'x'));
  ASSERT_TRUE(channel.queue(1, submit));
  ASSERT_TRUE(channel.flush());
  ASSERT_TRUE(other.receive());
  EXPECT_TRUE(other.next().value());
  ASSERT_TRUE(other.queue(1, submit));
  ASSERT_TRUE(other.flush());
  ASSERT_TRUE(channel.receive());
  EXPECT_FALSE(channel.next());
}

TEST(FrameChannel, TellsAnEndFromACut) {
  for (const bool cut : {false, true}) {
    Pair pair;
    FrameChannel channel(std::move(pair.near), kMaxBody);
    if (cut) send_raw(pair.far.get(), header_of(MessageType::hello, 0).substr(0, 10), 0);
    pair.far.reset();
    auto got = channel.receive();
    if (!cut) {
      EXPECT_EQ(got.value(), FrameChannel::Receive::closed);
      continue;
    }
    ASSERT_EQ(got.value(), FrameChannel::Receive::some);
    ASSERT_FALSE(channel.next().value());
    got = channel.receive();
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().message, "the connection ended within a frame, after 10 of its bytes");
  }
}

TEST(FrameChannel, DescriptorsMustMatchTheFrames) {
  const std::string one = header_of(MessageType::register_region, 1);
  const std::string none = header_of(MessageType::register_region, 0);
  EXPECT_EQ(error_of(one, 1), "");
  EXPECT_EQ(error_of(none, 0), "");
  EXPECT_EQ(error_of(one, 0), "a register_region frame announces 1 file descriptors; 0 came with it");
  EXPECT_EQ(error_of(none, 1), "1 file descriptors came that no frame announced");
  EXPECT_EQ(error_of(one, 2), "1 file descriptors came that no frame announced");
  EXPECT_EQ(error_of(one, 16), "more file descriptors came than the 4 that a frame may bring");
}

TEST(FrameChannel, SaysThatThisProcessMayHaveNoMoreDescriptors) {
  Pair pair;
  FrameChannel channel(std::move(pair.near), kMaxBody);
  send_raw(pair.far.get(), header_of(MessageType::register_region, 1), 1);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const UniqueFd next(::dup(pair.far.get()));  // whose number is the lowest that is free
  const rlimit none{static_cast<rlim_t>(next.get()), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto got = channel.receive();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().message,
            "file descriptors came and the process that receives them may have no more; raise its limit "
            "(LimitNOFILE=, `ulimit -n`), or close some");
}

TEST(FrameChannel, LeaksNoDescriptorOfARefusedMessage) {
  const int before = open_fds();
  for (int fds : {1, 2, 4, 5, 16}) error_of(header_of(MessageType::register_region, 0), fds);
  EXPECT_EQ(open_fds(), before);
}

TEST(FrameChannel, SaysThatTheOtherSideIsGone) {
  Pair pair;
  FrameChannel channel(std::move(pair.near), kMaxBody);
  pair.far.reset();
  ASSERT_TRUE(channel.queue(1, wire::ListJobs{}));
  const auto sent = channel.flush();
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().message, "the connection broke: Broken pipe");
}

}  // namespace
}  // namespace einet
