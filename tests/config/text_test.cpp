#include "config/text.h"

#include <gtest/gtest.h>

#include "config/bytes.h"

namespace einet {
namespace {

TEST(Escape, KeepsOnlyPrintableAscii) {
  EXPECT_EQ(escape("plain text"), "plain text");
  EXPECT_EQ(escape("a\nb\x1b[31m\"\\"), "a\\x0ab\\x1b[31m\\x22\\x5c");
  EXPECT_EQ(escape("0123456789", 4), "0123…");
}

TEST(Printable, KeepsTheQuotesOfASentence) {
  EXPECT_EQ(printable("model \"x\" is\nnew \x1b[31m \\"), "model \"x\" is\\x0anew \\x1b[31m \\");
}

TEST(Nearest, NamesOnlyWhatIsNear) {
  const std::string_view names[] = {"socket", "policy", "model_dir"};
  EXPECT_EQ(nearest("sokcet", names), "socket");
  EXPECT_EQ(nearest("polcy", names), "policy");
  EXPECT_EQ(nearest("zebra", names), "");
}

TEST(Exits, AreNumbersWithCommasBetween) {
  EXPECT_EQ(parse_exits("0").value(), 1u);
  EXPECT_EQ(parse_exits("2,0,63,2").value(), (ExitMask{1} << 63) | 5u);
  for (const std::string_view bad :
       {"", ",", "0,", ",0", "0,,2", "-1", "+1", " 1", "1 ", "64", "1;2", "99999999999999999999", "all"}) {
    const auto exits = parse_exits(bad);
    ASSERT_FALSE(exits) << bad;
    EXPECT_EQ(exits.error().message, "found \"" + std::string(bad) +
                                         "\"; expected exits from 0 to 63 with commas between them: 0,2");
  }
}

TEST(Bytes, ParseAndFormat) {
  EXPECT_EQ(parse_bytes("64MiB").value().value, 64u << 20);
  EXPECT_EQ(format_bytes(ByteCount{64u << 20}), "64MiB");
  EXPECT_EQ(format_bytes(ByteCount{1434}), "1.4KiB");
  for (const char* text : {"", "64", "64MB", "-1B", "1.5MiB", "99999999999GiB", "18446744073709551616B"}) {
    EXPECT_FALSE(parse_bytes(text)) << text;
  }
}

}  // namespace
}  // namespace einet
