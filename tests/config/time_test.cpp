// Durations: exact parsing, and text that reads back.
#include "config/time.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace einet {
namespace {

using std::chrono::nanoseconds;

TEST(Duration, ParsesEveryUnitExactly) {
  EXPECT_EQ(parse_duration("7ns").value(), nanoseconds(7));
  EXPECT_EQ(parse_duration("1.5us").value(), nanoseconds(1500));
  EXPECT_EQ(parse_duration("0.000001ms").value(), nanoseconds(1));
  EXPECT_EQ(parse_duration("2.000000001s").value(), nanoseconds(2'000'000'001));
  EXPECT_EQ(parse_duration("1.500000000000ms").value(), nanoseconds(1'500'000));
  EXPECT_EQ(parse_duration("4611686018427387903ns").value(), nanoseconds(4611686018427387903));
}

TEST(Duration, RefusesWhatIsNotADuration) {
  for (const char* text :
       {"", "5", "ms", ".5ms", "5.ms", "-1ms", "+1ms", "1 ms", "1ms ", "1e3ms", "1min", "0.5ns",
        "1.0000001ms", "4611686018427387904ns", "99999999999999999999999999999s", "1..5ms"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(Durations, AreOnePerLine) {
  const std::vector<Duration> both{nanoseconds(1'500'000), nanoseconds(0)};
  EXPECT_EQ(parse_durations("1.5ms\n0ns\n", "f").value(), both);
  EXPECT_EQ(parse_durations("1.5ms\n0ns", "f").value(), both);
  EXPECT_TRUE(parse_durations("", "f").value().empty());
  for (const char* text : {"1ms\n\n", "1ms\n2", "1ms\n2ms 3ms", "1ms\n#", "1ms\n2ms\r\n"}) {
    const auto durations = parse_durations(text, "a\nfile");
    ASSERT_FALSE(durations) << text;
    EXPECT_TRUE(durations.error().message.starts_with("a\\x0afile:2: ")) << durations.error().message;
  }
}

TEST(Duration, FormatReadsBack) {
  EXPECT_TRUE(rc::check([](std::int64_t n) {
    const Duration d{n & ((std::int64_t{1} << 62) - 1)};
    RC_ASSERT(parse_duration(format_duration(d)).value() == d);
  }));
  EXPECT_EQ(format_duration(nanoseconds(1'500'000)), "1.5ms");
  EXPECT_EQ(format_duration(nanoseconds(0)), "0ns");
  EXPECT_EQ(format_duration_short(nanoseconds(12'345'678)), "12.3ms");
  EXPECT_EQ(format_duration_short(nanoseconds(1'534)), "1.53us");
}

TEST(VirtualClock, MovesOnlyForward) {
  VirtualClock clock;
  clock.advance_to(TimePoint{nanoseconds(5)});
  EXPECT_EQ(clock.now().time_since_epoch(), nanoseconds(5));
  EXPECT_DEATH(clock.advance_to(TimePoint{nanoseconds(4)}), "time is monotone");
}

}  // namespace
}  // namespace einet
