// What was compressed comes back; what is cut short, damaged or too large is refused, and costs no more
// memory than is allowed.
#include "models/compression.h"

#include <gmock/gmock.h>
#include <rapidcheck/gtest.h>

namespace einet {
namespace {

using testing::HasSubstr;

constexpr ByteCount kPlenty{1 << 24};

// Neither random nor all the same.
std::string text_of(std::size_t size) {
  std::string text;
  for (std::size_t i = 0; text.size() < size; ++i) text += std::to_string(i * i) + (i % 3 == 0 ? "\n" : " ");
  return text.substr(0, size);
}

std::string refusal(const std::string& bytes, ByteCount limit = kPlenty) {
  const auto out = decompress(bytes, limit);
  return out ? "" : out.error().message;
}

RC_GTEST_PROP(Compression, GivesBackWhatWasCompressed, (const std::string& bytes)) {
  const std::string packed = compress(bytes);
  RC_ASSERT(is_compressed(packed));
  RC_ASSERT(*decompress(packed, kPlenty) == bytes);
}

TEST(Compression, GivesBackWhatIsLargerThanItsBuffers) {
  for (const std::size_t size : {65535u, 65536u, 65537u, 131072u, 400001u}) {
    EXPECT_EQ(*decompress(compress(text_of(size)), kPlenty), text_of(size)) << size;
  }
}

TEST(Compression, HoldsToItsLimitToTheByte) {
  for (const std::size_t size : {0u, 1u, 65536u, 100000u}) {
    const std::string packed = compress(text_of(size));
    EXPECT_EQ(refusal(packed, ByteCount{size}), "");
    if (size == 0) continue;
    EXPECT_THAT(refusal(packed, ByteCount{size - 1}), HasSubstr("unpacks to more than")) << size;
  }
}

TEST(Compression, RefusesABombWhateverItClaims) {
  std::string bomb = compress(std::string(std::size_t{1} << 26, 'x'));
  ASSERT_LT(bomb.size(), 10000u);
  EXPECT_THAT(refusal(bomb), HasSubstr("unpacks to more than 16MiB"));
  // The same with a smaller size in its header: four bytes behind magic number, descriptor and window.
  ASSERT_EQ(bomb.substr(6, 4), std::string("\0\0\0\x04", 4));
  bomb[8] = 1;
  bomb[9] = 0;
  EXPECT_THAT(refusal(bomb), HasSubstr("is damaged"));
}

TEST(Compression, RefusesFramesCutShortAnywhere) {
  const std::string packed = compress(text_of(100000));
  for (std::size_t size = 4; size < packed.size(); size += size < 64 ? 1 : 997) {
    EXPECT_THAT(refusal(packed.substr(0, size)), HasSubstr("is cut short")) << size;
  }
}

TEST(Compression, RefusesDamagedFrames) {
  const std::string packed = compress(text_of(5000));
  std::size_t refused = 0;
  for (std::size_t at = 0; at < packed.size(); ++at) {
    std::string damaged = packed;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    const auto out = decompress(damaged, kPlenty);
    EXPECT_TRUE(!out || *out == text_of(5000)) << at;  // some bits say nothing
    refused += out ? 0 : 1;
  }
  EXPECT_GT(refused, packed.size() * 99 / 100);
  EXPECT_THAT(refusal(packed + "x"), HasSubstr("bytes behind its compressed data"));
  EXPECT_THAT(refusal(packed + packed), HasSubstr("expected one Zstandard frame"));
  EXPECT_THAT(refusal(""), HasSubstr("is cut short"));
}

TEST(Compression, KnowsItsFramesByTheirBeginning) {
  EXPECT_TRUE(is_compressed(compress("")));
  EXPECT_FALSE(is_compressed(""));
  EXPECT_FALSE(is_compressed("\x28\xb5\x2f"));
  EXPECT_FALSE(is_compressed("profiles"));
}

}  // namespace
}  // namespace einet
