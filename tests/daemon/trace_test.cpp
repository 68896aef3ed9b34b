// The trace: lines are what docs/trace.md says, nothing is lost silently, and adding never waits.
#include "daemon/einetd/trace.h"

#include <atomic>
#include <filesystem>
#include <sstream>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/files.h"
#include "temporary_folder.h"

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
  e.used = Duration{3};
  e.granted = TimePoint{Duration{2}};
  const std::string head =
      "{\"event\":\"block\",\"at_ns\":9,\"lane\":1,\"device\":\"cpu\",\"job\":4,\"tenant\":\"batch\","
      "\"model\":\"digits\",\"priority\":-2,\"grant\":7,\"block\":3,\"start_ns\":5,\"end_ns\":8,"
      "\"used_ns\":3,\"granted_ns\":2";
  EXPECT_EQ(format_trace(e, kNames), head + "}");
  e.answer = {.exit = 3, .top_class = 1, .confidence = 0.5f};
  EXPECT_EQ(format_trace(e, kNames), head + ",\"exit\":3,\"class\":1,\"confidence\":0.5}");
  EXPECT_EQ(format_trace({.kind = Kind::lane_lost, .lane = LaneId{0}}, kNames),
            "{\"event\":\"lane_lost\",\"at_ns\":0,\"lane\":0,\"device\":\"cpu\",\"loss\":\"comes-back\"}");
  EXPECT_THAT(format_trace({.kind = Kind::submit, .deadline = kNever}, kNames),
              HasSubstr("\"deadline_ns\":0"));
}

TEST(Trace, SaysWhatAJobAskedFor) {
  TraceEvent e{.kind = Kind::submit, .job = JobId{1}};
  const std::string plain = format_trace(e, kNames);
  EXPECT_THAT(plain, HasSubstr("\"plan\":\"exact\"}"));
  e.task = TaskId{3};
  e.mandatory_exit = 2;
  e.plan = PlanMode::all;
  e.only = 5;
  e.target_confidence = 0.9;
  EXPECT_THAT(format_trace(e, kNames),
              HasSubstr("\"task\":3,\"mandatory_exit\":2,\"plan\":\"all\",\"exits\":5,"
                        "\"target_confidence\":0.9}"));
}

TEST(Trace, DescribesWhatTheCoreWasTold) {
  const TimePoint at{Duration{5}};
  EXPECT_EQ(format_header({.at = at,
                           .version = "1.0",
                           .policy = "edf",
                           .max_jobs = 7,
                           .promote_at_laxity = Duration{2},
                           .devices = {{"cpu", 2}, {"cuda:0", 1}}}),
            "{\"event\":\"header\",\"at_ns\":5,\"format\":1,\"version\":\"1.0\",\"policy\":\"edf\","
            "\"max_jobs\":7,\"promote_at_laxity_ns\":2,\"devices\":[{\"name\":\"cpu\",\"lanes\":2},"
            "{\"name\":\"cuda:0\",\"lanes\":1}]}");
  ModelTimes times;
  times.on_device = {{{Duration{1}, Duration{2}, Duration{3}, Duration{4}}}};
  times.accuracy = {0.25};
  EXPECT_EQ(format_model(at, "digits", "cpu", DeviceId{0}, times),
            "{\"event\":\"model\",\"at_ns\":5,\"model\":\"digits\",\"device\":\"cpu\",\"accuracy\":[0.25],"
            "\"blocks_ns\":[[1,2,3,4]]}");
  EXPECT_EQ(format_reserve(at, TaskId{2}, "belt", "camera", "digits",
                           {.period = Duration{10},
                            .deadline = Duration{9},
                            .priority = -1,
                            .mandatory_exit = 0,
                            .budget = Duration{4},
                            .home = LaneId{1},
                            .patience = Duration{6}}),
            "{\"event\":\"reserve\",\"at_ns\":5,\"task\":2,\"name\":\"belt\",\"tenant\":\"camera\","
            "\"model\":\"digits\",\"period_ns\":10,\"relative_deadline_ns\":9,\"priority\":-1,"
            "\"mandatory_exit\":0,\"budget_ns\":4,\"lane\":1,\"patience_ns\":6}");
  EXPECT_EQ(format_unreserve(at, TaskId{2}), "{\"event\":\"unreserve\",\"at_ns\":5,\"task\":2}");
  EXPECT_EQ(format_share(at, "batch", {.weight = 2.5, .budget = {}}),
            "{\"event\":\"share\",\"at_ns\":5,\"tenant\":\"batch\",\"weight\":2.5}");
  EXPECT_EQ(format_residence(at, "digits", "cpu", Residence::no_room),
            R"({"event":"residence","at_ns":5,"model":"digits","device":"cpu","residence":"no-room"})");
  EXPECT_THAT(
      format_trace(
          {.kind = Kind::lane_up, .lane = LaneId{1}, .base = LaneId{0}, .preemption = Preemption::as_needed},
          kNames),
      HasSubstr("\"base\":0,\"preemption\":\"as-needed\"}"));
  EXPECT_THAT(
      format_trace({.kind = Kind::suspend, .job = JobId{3}, .by = JobId{4}}, kNames),
      testing::AllOf(HasSubstr("{\"event\":\"suspend\""), HasSubstr("\"job\":3"), HasSubstr("\"by\":4}")));
}

TEST(Trace, LinesOfTextKeepTheirPlaceAmongTheEvents) {
  const test::TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "trace";
  {
    auto trace = Trace::open(path);
    ASSERT_TRUE(trace) << trace.error().message;
    (*trace)->add_line("first");
    (*trace)->add({.kind = Kind::cancel, .job = JobId{1}});
    (*trace)->add_line("second");
    (*trace)->add_line("third");
    (*trace)->add({.kind = Kind::cancel, .job = JobId{2}});
    (*trace)->add_line("last");
  }
  std::istringstream lines(*read_file(path, ByteCount{1000}));
  std::vector<std::string> seen;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t job = line.find("\"job\":");
    seen.push_back(job == std::string::npos ? line : line.substr(job, 7));
  }
  EXPECT_THAT(seen, testing::ElementsAre("first", "\"job\":1", "second", "third", "\"job\":2", "last"));
}

TEST(Trace, AFullDiskEndsTheTraceAndIsReportedOnce) {
  std::atomic<int> reported = 0;
  std::string words;
  {
    auto trace = Trace::open("/dev/full");
    ASSERT_TRUE(trace) << trace.error().message;
    (*trace)->when_broken([&](const std::string& why) {
      words = why;
      ++reported;
      reported.notify_all();
    });
    (*trace)->add_line("one");
    reported.wait(0);
    (*trace)->add_line("two");
    (*trace)->add({.kind = Kind::cancel, .job = JobId{1}});
  }
  EXPECT_EQ(reported, 1);
  EXPECT_EQ(words, "/dev/full: cannot be written: No space left on device; the trace ends here");
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

TEST(Trace, KeepsThePreviousOneAndNoneBefore) {
  const test::TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "trace", previous = folder.path() / "trace.1";
  for (const char* run : {"one", "two"}) (*Trace::open(path))->add_line(run);
  { const auto empty = Trace::open(path); }
  ASSERT_TRUE(std::filesystem::exists(previous));
  EXPECT_EQ(*read_file(previous, ByteCount{100}), "two\n");
  EXPECT_EQ(*read_file(path, ByteCount{100}), "");
  { const auto again = Trace::open(path); }
  EXPECT_EQ(*read_file(previous, ByteCount{100}), "two\n") << "an empty one is none";

  (*Trace::open(path))->add_line("three");
  ASSERT_TRUE(std::filesystem::remove(previous));
  std::filesystem::create_directory(previous);
  const auto refused = Trace::open(path);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("cannot keep the previous trace as " + previous.string()));
  EXPECT_EQ(*read_file(path, ByteCount{100}), "three\n");
}

TEST(Trace, AFileThatCannotBeWrittenIsNamed) {
  const auto trace = Trace::open("/nowhere/trace");
  ASSERT_FALSE(trace);
  EXPECT_THAT(trace.error().message, HasSubstr("/nowhere/trace: cannot write the trace"));
}

}  // namespace
}  // namespace einet
