// The trace: lines are what docs/trace.md says, nothing is lost silently, and adding never waits.
#include "daemon/einetd/trace.h"

#include <filesystem>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/files.h"

namespace einet {
namespace {

using testing::HasSubstr;
using Kind = TraceEvent::Kind;

const TraceNames kNames{.tenants = {"camera", "batch"}, .models = {"digits"}, .devices = {"cpu", "cpu"}};

TEST(Trace, WritesOnlyTheFieldsOfTheEvent) {
  TraceEvent e{.kind = Kind::block,
               .at = TimePoint{Duration{9}},
               .job = JobId{4},
               .tenant = TenantId{1},
               .priority = -2,
               .lane = LaneId{1},
               .grant = GrantNumber{7},
               .block = 3};
  e.start = TimePoint{Duration{5}};
  e.end = TimePoint{Duration{8}};
  e.granted = TimePoint{Duration{2}};
  const std::string head =
      "{\"event\":\"block\",\"at_ns\":9,\"lane\":1,\"device\":\"cpu\",\"job\":4,\"tenant\":\"batch\","
      "\"model\":\"digits\",\"priority\":-2,\"grant\":7,\"block\":3,\"start_ns\":5,\"end_ns\":8,"
      "\"granted_ns\":2";
  EXPECT_EQ(format_trace(e, kNames), head + "}");
  e.answer = {.exit = 3, .top_class = 1, .confidence = 0.5f};
  EXPECT_EQ(format_trace(e, kNames), head + ",\"exit\":3,\"class\":1,\"confidence\":0.5}");
  EXPECT_EQ(format_trace({.kind = Kind::lane_lost, .lane = LaneId{0}}, kNames),
            "{\"event\":\"lane_lost\",\"at_ns\":0,\"lane\":0,\"device\":\"cpu\"}");
  EXPECT_THAT(format_trace({.kind = Kind::submit, .deadline = kNever}, kNames),
              HasSubstr("\"deadline_ns\":0"));
}

TEST(Trace, EveryEventIsWrittenOrCounted) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("einet-trace-" + std::to_string(::getpid()));
  constexpr std::size_t kEvents = 3 * Trace::kBufferedEvents;  // more than the buffer holds
  {
    auto trace = Trace::open(path);
    ASSERT_TRUE(trace) << trace.error().message;
    (*trace)->set_names(kNames);
    for (std::size_t i = 0; i < kEvents; ++i) (*trace)->add({.kind = Kind::submit, .job = JobId{i}});
  }
  const std::string text = *read_file(path, ByteCount{1u << 30});
  std::filesystem::remove(path);
  std::size_t counted = 0;
  for (std::size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
    const std::string line = text.substr(at, end - at);
    const std::string lost = "{\"event\":\"lost\",\"count\":";
    counted += line.starts_with(lost) ? std::stoul(line.substr(lost.size())) : 1;
  }
  EXPECT_EQ(counted, kEvents);
}

TEST(Trace, AFileThatCannotBeWrittenIsNamed) {
  const auto trace = Trace::open("/nowhere/trace");
  ASSERT_FALSE(trace);
  EXPECT_THAT(trace.error().message, HasSubstr("/nowhere/trace: cannot write the trace"));
}

}  // namespace
}  // namespace einet
