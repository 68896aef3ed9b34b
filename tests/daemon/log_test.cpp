// Log lines: structured, and never what a client wants them to look like.
#include "daemon/einetd/log.h"

#include <gtest/gtest.h>

namespace einet {
namespace {

TEST(Log, WritesKeysAndValues) {
  EXPECT_EQ(format_log("job ended",
                       {{"job", JobId{7}}, {"reason", "plan_finished"}, {"took", Duration{1'500'000}}}),
            "job ended job=7 reason=plan_finished took=1.50ms");
}

TEST(Log, NothingForeignIsWrittenRaw) {
  EXPECT_EQ(format_log("hello", {{"client", std::string("x\nerror job=1 \x1b[2J\"")}}),
            "hello client=\"x\\x0aerror job=1 \\x1b[2J\\x22\"");
  EXPECT_EQ(format_log("hello", {{"client", ""}, {"model", "a=b"}}), "hello client=\"\" model=\"a=b\"");
}

}  // namespace
}  // namespace einet
