// What einet-load reads from files.
#include <gtest/gtest.h>

#include "tools/load/tenant.h"

namespace einet::load {
namespace {

using namespace std::chrono_literals;

TEST(Due, AreTimesThatNeverFall) {
  EXPECT_EQ(parse_due("0ns\n1ms\n1ms\n2.5ms\n", "f").value(), (std::vector<Duration>{0ms, 1ms, 1ms, 2500us}));
}

TEST(Due, NamesTheLineThatIsWrong) {
  const auto refusal = [](std::string_view text) {
    const auto due = parse_due(text, "the\nfile");
    return due ? "" : due.error().message;
  };
  EXPECT_EQ(refusal(""), "the\\x0afile: found no times; expected a duration per line");
  EXPECT_EQ(refusal("1ms\n3ms\n2ms\n"),
            "the\\x0afile:3: found 2ms after 3ms; expected times that never fall");
  EXPECT_TRUE(refusal("1ms\n-2ms\n").starts_with("the\\x0afile:2: "));
}

}  // namespace
}  // namespace einet::load
