#include "config/text.h"

#include <gtest/gtest.h>

#include "config/bytes.h"

namespace einet {
namespace {

TEST(Escape, KeepsOnlyWhatIsPrintable) {
  EXPECT_EQ(escape("plain text"), "plain text");
  EXPECT_EQ(escape("a\nb\x1b[31m\"\\\x7f"), "a\\x0ab\\x1b[31m\\x22\\x5c\\x7f");
  EXPECT_EQ(escape("0123456789", 4), "0123…");
  EXPECT_EQ(escape("0123", 4), "0123");
}

TEST(Escape, KeepsPrintableUtf8) {
  for (const char* text : {"größe ü.png", "…", "\u00a0", "\ud7ff", "\ue000", "日本", "😀", "\U0010ffff"}) {
    EXPECT_EQ(escape(text), text);
    EXPECT_EQ(printable(text), text);
  }
}

TEST(Escape, ShowsTheBytesOfWhatIsNotUtf8) {
  EXPECT_EQ(escape("gr\xf6\xdf\x65"), "gr\\xf6\\xdfe");
  EXPECT_EQ(escape("\xc3"), "\\xc3") << "cut off";
  EXPECT_EQ(escape("\xe2\x80"), "\\xe2\\x80");
  EXPECT_EQ(escape("\xe2\x80\xc3\xbc"), "\\xe2\\x80ü");
  EXPECT_EQ(escape("\x80"), "\\x80");
  EXPECT_EQ(escape("\xc0\xaf"), "\\xc0\\xaf") << "longer than it need be";
  EXPECT_EQ(escape("\xe0\x82\xa9"), "\\xe0\\x82\\xa9");
  EXPECT_EQ(escape("\xf0\x80\x82\xa9"), "\\xf0\\x80\\x82\\xa9");
  EXPECT_EQ(escape("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "half of a surrogate pair";
  EXPECT_EQ(escape("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "beyond the last";
  EXPECT_EQ(escape("\xf8\x88\x80\x80\x80"), "\\xf8\\x88\\x80\\x80\\x80");
}

TEST(Escape, ShowsControlsAndWhatTurnsTextAround) {
  EXPECT_EQ(escape("\xc2\x80\xc2\x9b\xc2\x9f"), "\\xc2\\x80\\xc2\\x9b\\xc2\\x9f");
  EXPECT_EQ(escape("\u061c"), "\\xd8\\x9c");
  EXPECT_EQ(escape("\u200d"), "\u200d");
  EXPECT_EQ(escape("\u200e\u200f"), "\\xe2\\x80\\x8e\\xe2\\x80\\x8f");
  EXPECT_EQ(escape("\u2028\u202a\u202e\u202f"), "\\xe2\\x80\\xa8\\xe2\\x80\\xaa\\xe2\\x80\\xae\u202f");
  EXPECT_EQ(escape("\u2065\u2066\u2069\u206a"), "\u2065\\xe2\\x81\\xa6\\xe2\\x81\\xa9\u206a");
}

TEST(Escape, CutsBetweenCharacters) {
  EXPECT_EQ(escape("aü", 2), "a…");
  EXPECT_EQ(escape("aü", 3), "aü");
  EXPECT_EQ(escape("aüb", 3), "aü…");
  EXPECT_EQ(escape("a", 0), "…");
  EXPECT_EQ(escape("", 0), "");
}

TEST(Printable, KeepsTheQuotesOfASentence) {
  EXPECT_EQ(printable("model \"x\" is\nnew \x1b[31m \\"), "model \"x\" is\\x0anew \\x1b[31m \\");
}

TEST(PlainName, HasOneTo64LettersDigitsOrThese) {
  for (const std::string& name : {std::string("a"), std::string("Z9_.-"), std::string(64, 'x')})
    EXPECT_TRUE(is_plain_name(name)) << name;
  for (const std::string& name : {std::string(), std::string("a b"), std::string("a/b"), std::string("ü"),
                                  std::string(65, 'x'), std::string("a\0b", 3)}) {
    EXPECT_FALSE(is_plain_name(name)) << name;
  }
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
