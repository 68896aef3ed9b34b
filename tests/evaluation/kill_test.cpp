// Kill distributions as people write them.
#include "evaluation/kill.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace einet {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

double alive(std::string_view text, Duration at, Duration whole = 10ms) {
  const auto survival = parse_kill(text, whole);
  EXPECT_TRUE(survival) << survival.error().message;
  return survival ? (*survival)(static_cast<double>(at.count())) : -1;
}

TEST(Kill, TakesTimesAndSharesOfTheWholeNetwork) {
  EXPECT_DOUBLE_EQ(alive("uniform", 5ms), 0.5);
  EXPECT_DOUBLE_EQ(alive("uniform", 5ms, 20ms), 0.75);
  EXPECT_DOUBLE_EQ(alive("uniform:50%,100%", 6ms), 0.8);
  EXPECT_DOUBLE_EQ(alive("uniform:2ms,4ms", 3ms, 1s), 0.5);
  EXPECT_DOUBLE_EQ(alive("uniform:0ms,12.5%", 1ms, 16ms), 0.5);
  EXPECT_DOUBLE_EQ(alive("exponential", 5ms), std::exp(-1));
  EXPECT_DOUBLE_EQ(alive("exponential:5ms", 5ms, 1s), std::exp(-1));
  EXPECT_DOUBLE_EQ(alive("normal", 5ms), 0.5);
  EXPECT_NEAR(alive("normal", 7500us), 0.1587, 1e-4);
  EXPECT_NEAR(alive("normal:3ms,1ms", 4ms, 1s), 0.1587, 1e-4);
}

TEST(Kill, SaysWhatIsWrong) {
  const auto refusal = [](std::string_view text) {
    const auto survival = parse_kill(text, 10ms);
    return survival ? "" : survival.error().message;
  };
  EXPECT_EQ(refusal("unifrm"),
            "kill \"unifrm\": expected uniform, exponential or normal, sample:FILE, or a file SURVIVAL.toml");
  EXPECT_THAT(refusal(""), HasSubstr("expected uniform"));
  EXPECT_THAT(refusal("uniform:1ms"), HasSubstr("found 1 times; uniform takes FROM,TO"));
  EXPECT_THAT(refusal("normal:1ms,2ms,3ms"), HasSubstr("found 3 times; normal takes MEAN,SD"));
  EXPECT_THAT(refusal("exponential:1ms,2ms"), HasSubstr("exponential takes MEAN"));
  EXPECT_THAT(refusal("exponential:0ms"), HasSubstr("mean: found 0ns"));
  EXPECT_EQ(refusal("uniform:5ms,1ms"),
            "kill \"uniform:5ms,1ms\": to: found 1ms; expected a time at or after `from`");
  EXPECT_THAT(refusal("uniform:2ms,1ms"), HasSubstr("at or after `from`"));
  for (const char* text : {"uniform:", "uniform:,", "uniform:1,2", "uniform:-1ms,2ms", "uniform:nan%,5%",
                           "uniform:-5%,5%", "uniform:%,5%", "uniform:1e99%,5%", "uniform:0x1%,5%",
                           "normal:1ms,0ms", "normal:1ms,inf%", "exponential:99999999999s"}) {
    EXPECT_THAT(refusal(text), HasSubstr("kill \"")) << text;
    EXPECT_EQ(refusal(text).find('\n'), std::string::npos) << text;
  }
}

TEST(KillSample, IsTheShareOfMeasuredTimesThatAreNotEarlier) {
  for (const char* text : {"1ms\n0ns\n2.5ms\n1ms\n", "1ms\n0ns\n2.5ms\n1ms"}) {
    const auto survival = parse_kill_sample(text, "kills");
    ASSERT_TRUE(survival) << survival.error().message;
    EXPECT_DOUBLE_EQ((*survival)(0), 1);
    EXPECT_DOUBLE_EQ((*survival)(1), 0.75);
    EXPECT_DOUBLE_EQ((*survival)(1e6), 0.75);
    EXPECT_DOUBLE_EQ((*survival)(1e6 + 1), 0.25);
    EXPECT_DOUBLE_EQ((*survival)(2.6e6), 0);
  }
}

TEST(KillSample, NamesTheLineThatIsWrong) {
  const auto refusal = [](std::string_view text) {
    const auto survival = parse_kill_sample(text, "the\nkills");
    return survival ? "" : survival.error().message;
  };
  EXPECT_EQ(refusal(""), "the\\x0akills: found no kill times; expected a duration per line");
  EXPECT_THAT(refusal("\n"), HasSubstr("kills:1: "));
  EXPECT_THAT(refusal("1ms\n2\n3ms\n"), HasSubstr("kills:2: "));
  for (const char* bad :
       {"nan", "-1ms", "1ms 2ms", " 1ms", "1ms\r", "1,5ms", "0.1ns", "99999999999999s", "#"}) {
    EXPECT_THAT(refusal("1ms\n2ms\n" + std::string(bad)), HasSubstr("kills:3: ")) << bad;
    EXPECT_EQ(refusal("1ms\n" + std::string(bad)).find('\n'), std::string::npos) << bad;
  }
}

}  // namespace
}  // namespace einet
