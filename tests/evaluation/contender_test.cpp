// The names of planners that are compared.
#include "evaluation/contender.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace einet {
namespace {

using testing::HasSubstr;
using Kind = Contender::Kind;

TEST(Contenders, AreKnownByName) {
  const auto kind = [](const char* name) { return parse_contender(name)->kind; };
  for (const char* name : {"exact", "hybrid", "hybrid:6", "greedy", "random", "random:5"}) {
    EXPECT_EQ(kind(name), Kind::online) << name;
  }
  for (const char* name : {"static:25", "static:50", "static:100", "all", "single"}) {
    EXPECT_EQ(kind(name), Kind::fixed) << name;
    EXPECT_EQ(parse_contender(name)->is_static(), std::string_view(name) != "single");
  }
  EXPECT_EQ(kind("exits:0,3"), Kind::given);
  EXPECT_EQ(parse_contender("exits:0,3+product")->exits, 9u);
  EXPECT_TRUE(parse_contender("exits:0,3")->is_static());
  EXPECT_EQ(kind("statistics"), Kind::statistics);
  EXPECT_EQ(kind("oracle"), Kind::oracle);
  EXPECT_EQ(kind("oracle-truth"), Kind::truth);
  EXPECT_EQ(kind("confidence:95"), Kind::confidence);
  EXPECT_EQ(parse_contender("confidence:95")->percent, 95);
  EXPECT_EQ(parse_contender("hybrid:6")->planner.parameter, 6);
  EXPECT_EQ(parse_contender("hybrid:6")->name, "hybrid:6");
}

TEST(Contenders, MayHaveTheirOwnAggregationAndExpectations) {
  const auto contender = parse_contender("hybrid:6+predictor+product");
  ASSERT_TRUE(contender) << contender.error().message;
  EXPECT_EQ(contender->name, "hybrid:6+predictor+product");
  EXPECT_EQ(contender->planner.parameter, 6);
  EXPECT_EQ(contender->aggregation, Aggregation::product);
  EXPECT_EQ(contender->expectation, Expectation::predictor);
  EXPECT_EQ(parse_contender("exact")->aggregation, std::nullopt);
  EXPECT_EQ(parse_contender("all+most-confident")->aggregation, Aggregation::most_confident);
  for (const char* name : {"exact+", "exact+best", "exact+product+", "exact++product"}) {
    EXPECT_THAT(parse_contender(name).error().message, HasSubstr("expected last, most-confident")) << name;
  }
  EXPECT_THAT(parse_contender("exact+last+last").error().message, HasSubstr("found two aggregations"));
  EXPECT_THAT(parse_contender("exact+predictor+statistics").error().message, HasSubstr("found two kinds"));
}

TEST(Contenders, SayWhatIsWrong) {
  const auto refusal = [](const char* name) {
    const auto contender = parse_contender(name);
    return contender ? "" : contender.error().message;
  };
  EXPECT_THAT(refusal("orakel"), HasSubstr("did you mean \"oracle\"?"));
  EXPECT_THAT(refusal("hybrid:17"), HasSubstr("from 0 to 16"));
  for (const char* name :
       {"confidence:0", "confidence:101", "confidence:", "confidence:9x", "confidence:-5"}) {
    EXPECT_THAT(refusal(name), HasSubstr("percent from 1 to 100")) << name;
  }
  for (const char* name : {"exits:", "exits:64", "exits:0,,1", "exits:x"}) {
    EXPECT_THAT(refusal(name), HasSubstr("planner exits: found")) << name;
  }
  for (const char* name : {"", "exits", "confidence", "static:30", "EXACT", "oracle ", "\n"}) {
    EXPECT_THAT(refusal(name), HasSubstr("planner: found")) << name;
    EXPECT_EQ(refusal(name).find('\n'), std::string::npos) << name;
  }
}

TEST(Contenders, AreUsuallyAllOfThePublishedTableAndOurs) {
  std::vector<std::string> names;
  for (const Contender& contender : usual_contenders()) names.push_back(contender.name);
  EXPECT_THAT(names, testing::ElementsAre("exact", "hybrid", "greedy", "random", "statistics", "static:25",
                                          "static:50", "all", "confidence:90", "confidence:95",
                                          "confidence:99", "single", "oracle"));
}

}  // namespace
}  // namespace einet
