// Every error names file, line, column, key, what was found and what is allowed.
#include "config/toml_reader.h"

#include <gtest/gtest.h>

namespace einet {
namespace {

std::string error_of(std::string_view text) {
  TomlDocument doc(text, "f.toml");
  TomlTable root = doc.root();
  const std::string_view policies[] = {"edf", "fifo"};
  root.choice("policy", policies, "edf");
  root.integer("lanes", 1, 64, 1);
  root.duration("horizon", Duration{1}, Duration{1});
  root.number("share", 0, 1, 0.5);
  root.durations("blocks", Duration{1}, 3);
  for (auto& [name, tenant] : root.named_tables("tenant")) {
    tenant.bytes("max_bytes", ByteCount{1});
    tenant.close();
  }
  for (TomlTable task : root.tables("task")) {
    task.text("name");
    task.close();
  }
  root.close();
  const auto ok = doc.finish();
  return ok ? "" : ok.error().message;
}

TEST(TomlReader, AcceptsWhatIsRight) {
  EXPECT_EQ(error_of("policy='fifo'\nlanes=2\nhorizon='1s'\nshare=1\nblocks=['1ms','2us']\n[tenant.a]\nmax_"
                     "bytes='1KiB'\n"
                     "[[task]]\nname='x'\n"),
            "");
}

TEST(TomlReader, NamesPlaceKeyFoundAndAllowed) {
  EXPECT_EQ(error_of("lanes = 0"), "f.toml:1:9: lanes: found 0; expected a whole number from 1 to 64");
  EXPECT_EQ(error_of("\nlanes = 'x'"),
            "f.toml:2:9: lanes: found \"x\"; expected a whole number from 1 to 64");
  EXPECT_EQ(error_of("policy = 'efd'"),
            "f.toml:1:10: policy: found \"efd\"; expected edf or fifo (did you mean \"edf\"?)");
  EXPECT_EQ(error_of("horizon = '0s'"), "f.toml:1:11: horizon: found \"0s\"; expected at least \"1ns\"");
  EXPECT_EQ(error_of("blocks = ['1ms', 4]"),
            "f.toml:1:18: blocks[1]: found 4; expected a duration such as \"1.5ms\"");
  EXPECT_EQ(error_of("share = 1.5"), "f.toml:1:9: share: found 1.500000; expected a number from 0 to 1");
  EXPECT_EQ(error_of("[[task]]\n"), "f.toml:1:1: task[0].name: is missing");
  EXPECT_EQ(error_of("[tenant.cam]\nmax_bytes = 4"),
            "f.toml:2:13: tenant.cam.max_bytes: found 4; expected a size such as \"64MiB\"");
}

TEST(TomlReader, AnUnknownKeyIsAnErrorThatNamesTheNearest) {
  EXPECT_EQ(error_of("polcy = 'edf'"), "f.toml:1:1: polcy: unknown key; did you mean \"policy\"?");
  EXPECT_NE(error_of("zzz = 1").find("unknown key; allowed here: policy, lanes"), std::string::npos);
}

TEST(TomlReader, SaysWhereTheTextIsNotToml) {
  EXPECT_EQ(error_of("a = = 1").rfind("f.toml:1:5: not TOML: ", 0), 0u) << error_of("a = = 1");
}

// toml++ destroys nested tables recursively: without a bound such a key overflows the stack.
TEST(TomlReader, RefusesKeysOfManyPartsAndSurvivesTheDeepestAllowed) {
  const auto key = [](int parts) {
    std::string text = "a";
    for (int i = 1; i < parts; ++i) text += i % 2 == 0 ? ".a" : " . 'a.,='";
    return text;
  };
  const std::string refusal = "f.toml: a key has more than 16 parts";
  EXPECT_NE(error_of(key(16) + " = 1"), refusal);
  EXPECT_NE(error_of("[" + key(16) + "]"), refusal);
  EXPECT_EQ(error_of(key(17) + " = 1"), refusal);
  EXPECT_EQ(error_of("[" + key(1000000) + "]"), refusal);
  // Nothing in front of a key hides it.
  for (const std::string front : {R"(x = ["""a.b.c\"""""", {)", R"(x = ['''a"''''', {)", "y = 1 # \"\nx = [{",
                                  "y = \"a # \\\" \" \nx = [{", "y = ''\nx = [{"}) {
    EXPECT_EQ(error_of(front + key(17) + " = 1}]"), refusal) << front;
    EXPECT_NE(error_of(front + key(16) + " = 1}]"), refusal) << front;
  }
  // Dots elsewhere are not parts of keys.
  std::string numbers = "x = [";
  for (int i = 0; i < 20; ++i) numbers += "0.5, ";
  EXPECT_NE(error_of(numbers + "]\ny = '....................' # ...................."), refusal);
  std::string deepest;
  for (int i = 0; i < 250; ++i) deepest += (i == 0 ? "" : "{") + key(16) + " = ";
  EXPECT_NE(error_of(deepest + "1" + std::string(249, '}')), "");
  EXPECT_NE(error_of(deepest), "");
}

}  // namespace
}  // namespace einet
