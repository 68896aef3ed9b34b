// The frame codec: what it accepts, what it refuses and when, and that cutting a stream anywhere changes
// nothing.
#include "ipc/client/frame.h"

#include <cstring>

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace einet {
namespace {

std::string frame(MessageType type, std::string_view body, std::uint64_t request = 1, std::uint16_t fds = 0) {
  std::string out;
  encode_header({type, static_cast<std::uint32_t>(body.size()), fds, request}, out);
  return out + std::string(body);
}

std::string with(std::string bytes, std::size_t offset, char value) {
  bytes.at(offset) = value;
  return bytes;
}

std::string error_of(std::string_view bytes, ByteCount max_body = kMaxBody) {
  const auto decoded = decode_frame(bytes, max_body);
  return decoded ? "" : decoded.error().message;
}

// Feeds the decoder `piece` bytes at a time.
Result<std::optional<Frame>> feed(FrameDecoder& decoder, std::string_view bytes) {
  const auto space = decoder.space();
  EXPECT_GE(space.size(), bytes.size());
  std::memcpy(space.data(), bytes.data(), bytes.size());
  decoder.received(bytes.size());
  return decoder.next();
}

const std::string kGood = frame(MessageType::submit, "body", 0x0102030405060708, 1);

TEST(Frame, HasTheDocumentedBytes) {
  EXPECT_EQ(kGood, std::string("EINT\x01\0\x04\0\x04\0\0\0\x01\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01"
                               "body",
                               28));
}

TEST(Frame, ReadsBackWhatWasWritten) {
  const std::string bytes = kGood + "the next frame";
  const auto decoded = decode_frame(bytes, kMaxBody);
  ASSERT_TRUE(decoded && *decoded);
  EXPECT_EQ((*decoded)->header.type, MessageType::submit);
  EXPECT_EQ((*decoded)->header.request, 0x0102030405060708u);
  EXPECT_EQ((*decoded)->header.fds, 1);
  EXPECT_EQ((*decoded)->body, "body");
  EXPECT_EQ((*decoded)->size(), kGood.size());
}

TEST(Frame, CutShortAtEveryByteAsksForMore) {
  for (std::size_t n = 0; n < kGood.size(); ++n) {
    const auto decoded = decode_frame(std::string_view(kGood).substr(0, n), kMaxBody);
    ASSERT_TRUE(decoded) << n << ": " << decoded.error().message;
    EXPECT_FALSE(*decoded) << n;
  }
}

TEST(Frame, RefusesWrongFieldsInWords) {
  EXPECT_EQ(error_of("GET / HTTP/1.1"),
            "a frame begins with \"GET \"; expected \"EINT\": this is not the einetd protocol, or an earlier "
            "frame had the wrong length");
  EXPECT_EQ(error_of(with(kGood, 4, 2)), "frame version is 2; this side speaks 1");
  EXPECT_EQ(error_of(with(kGood, 5, 1)), "frame version is 257; this side speaks 1");
  EXPECT_EQ(error_of(with(kGood, 6, 77)), "frame type 77 is unknown");
  EXPECT_EQ(error_of(with(kGood, 6, 0)), "frame type 0 is unknown");
  EXPECT_EQ(error_of(with(kGood, 12, 5)),
            "a submit frame announces 5 file descriptors; at most 4 are allowed");
  EXPECT_EQ(error_of(with(kGood, 14, 9)), "the reserved field of a submit frame is 9; it must be 0");
  EXPECT_EQ(error_of(with(kGood, 15, 1)), "the reserved field of a submit frame is 256; it must be 0");
  EXPECT_EQ(error_of(with(kGood, 11, '\xff')),
            "a submit frame announces a body of 4278190084 bytes; at most 16777216 are allowed (send large "
            "inputs through a region)");
}

TEST(Frame, RefusesAtTheFirstByteThatShowsIt) {
  EXPECT_NE(error_of("G"), "");
  EXPECT_NE(error_of("EIN\xff"), "");
  EXPECT_NE(error_of(std::string("EINT\x02\0", 6)), "");
  // Before the header is complete there is nothing to say about its later fields.
  EXPECT_EQ(error_of(with(kGood, 11, '\xff').substr(0, kFrameHeaderBytes - 1)), "");
}

TEST(Frame, TheBodyLimitIsInclusive) {
  const std::string at = frame(MessageType::submit, std::string(100, 'x'));
  EXPECT_EQ(error_of(at, ByteCount{100}), "");
  EXPECT_NE(error_of(at, ByteCount{99}), "");
}

TEST(Frame, EveryTypeHasANameAndADirection) {
  int known = 0;
  for (int type = 0; type < 65536; ++type) {
    const auto t = static_cast<MessageType>(type);
    if (name(t).empty()) continue;
    ++known;
    EXPECT_EQ(is_request(t), type < 128);
  }
  EXPECT_EQ(known, 27);
}

TEST(FrameDecoder, GivesTheSameFramesHoweverTheStreamIsCut) {
  EXPECT_TRUE(rc::check([](const std::vector<std::string>& bodies) {
    std::string stream;
    for (std::size_t i = 0; i < bodies.size(); ++i) stream += frame(MessageType::event, bodies[i], i + 1);
    FrameDecoder decoder;
    std::size_t got = 0;
    std::size_t sent = 0;
    while (sent < stream.size()) {
      const auto piece = std::min(*rc::gen::inRange<std::size_t>(1, 40), stream.size() - sent);
      auto next = feed(decoder, std::string_view(stream).substr(sent, piece));
      sent += piece;
      for (; next && *next; next = decoder.next()) {
        RC_ASSERT((*next)->body == bodies.at(got));
        RC_ASSERT((*next)->header.request == got + 1);
        ++got;
      }
      RC_ASSERT(next.has_value());
    }
    RC_ASSERT(got == bodies.size());
    RC_ASSERT(decoder.buffered() == 0u);
  }));
}

TEST(FrameDecoder, ABrokenStreamStaysBroken) {
  FrameDecoder decoder;
  EXPECT_FALSE(feed(decoder, "nonsense"));
  const auto after = feed(decoder, kGood);
  ASSERT_FALSE(after);
  EXPECT_EQ(after.error().message, error_of("nons"));
}

TEST(FrameDecoder, TrailingGarbageIsAnErrorAfterTheGoodFrame) {
  FrameDecoder decoder;
  const auto first = feed(decoder, kGood + "x");
  ASSERT_TRUE(first && *first);
  EXPECT_EQ((*first)->body, "body");
  EXPECT_FALSE(decoder.next());
}

TEST(FrameDecoder, AnAnnouncedSizeCostsNoMemoryUntilItComes) {
  FrameDecoder decoder;
  std::string header;
  encode_header({MessageType::submit, static_cast<std::uint32_t>(kMaxBody.value), 0, 1}, header);
  ASSERT_TRUE(feed(decoder, header));
  EXPECT_LT(decoder.space().size(), 100'000u);
}

TEST(FrameDecoder, TakesTheLargestFrame) {
  const std::string big = frame(MessageType::submit, std::string(kMaxBody.value, 'x'));
  FrameDecoder decoder;
  std::size_t sent = 0;
  while (sent < big.size()) {
    const auto space = decoder.space();
    const std::size_t n = std::min(space.size(), big.size() - sent);
    std::memcpy(space.data(), big.data() + sent, n);
    decoder.received(n);
    sent += n;
    const auto next = decoder.next();
    ASSERT_TRUE(next);
    EXPECT_EQ(next->has_value(), sent == big.size());
    if (*next) {
      EXPECT_EQ((*next)->body.size(), kMaxBody.value);
    }
  }
}

}  // namespace
}  // namespace einet
