// A whole table: its base, its figures, and what it refuses.
#include "evaluation/evaluation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "world.h"

namespace einet {
namespace {

using test::World;
using testing::HasSubstr;

std::vector<Contender> named(const std::vector<const char*>& names) {
  std::vector<Contender> out;
  for (const char* name : names) out.push_back(*parse_contender(name));
  return out;
}

class EvaluationTest : public testing::Test {
 protected:
  Result<Evaluation> run(const std::vector<Contender>& contenders, std::string_view base = kBestStatic,
                         const std::vector<Beside>& beside = {}) const {
    const ReplaySetting setting = world_.setting(survival_, world_.shifted);
    return evaluate(contenders, base, 1, {&setting, 1}, beside);
  }
  World world_{test::SyntheticProfiles{.blocks = 6}};
  Survival survival_ = *Survival::uniform(0, world_.whole_ns);
};

TEST_F(EvaluationTest, HasARowPerPlannerInTheirOrder) {
  const auto contenders = usual_contenders();
  const auto table = run(contenders);
  ASSERT_TRUE(table) << table.error().message;
  ASSERT_EQ(table->rows.size(), contenders.size());
  for (std::size_t i = 0; i < contenders.size(); ++i) {
    const Row& row = table->rows[i];
    const Comparison& c = row.comparison;
    EXPECT_EQ(row.planner, contenders[i].name);
    EXPECT_GT(c.accuracy.value, 0.05) << row.planner;
    EXPECT_LE(c.accuracy.value, row.output);
    EXPECT_NEAR(c.given_output.value * row.output, c.accuracy.value, 1e-6);
    EXPECT_LE(c.accuracy.interval.low, c.accuracy.value);
    EXPECT_GE(c.accuracy.interval.high, c.accuracy.value);
    EXPECT_NEAR(c.gain.value, c.accuracy.value - table->rows[table->base].comparison.accuracy.value, 1e-12);
    EXPECT_GE(row.mean_exit, 0);
    EXPECT_LE(row.mean_exit, 5);
    const bool searches =
        contenders[i].kind == Contender::Kind::online || contenders[i].kind == Contender::Kind::oracle;
    EXPECT_EQ(row.times.searches > 0, searches) << row.planner;
    EXPECT_EQ(row.times.p99_ns > 0, searches) << row.planner;
  }
  EXPECT_EQ(table->rows.back().planner, "oracle");
  EXPECT_EQ(table->rows.back().times.searches, 300);
  EXPECT_DOUBLE_EQ(table->rows[11].mean_exit, 5);  // single
}

TEST_F(EvaluationTest, MeasuresGainsAgainstTheChosenBase) {
  const auto all = run(usual_contenders());
  for (const Row& row : all->rows) {
    if (parse_contender(row.planner)->is_static()) {
      EXPECT_LE(row.comparison.accuracy.value, all->rows[all->base].comparison.accuracy.value);
    }
  }
  EXPECT_TRUE(parse_contender(all->rows[all->base].planner)->is_static());
  const auto two = run(named({"exact", "hybrid"}), "hybrid");
  EXPECT_EQ(two->base, 1u);
  EXPECT_EQ(two->rows[1].comparison.gain.value, 0);
}

TEST_F(EvaluationTest, JudgesAnotherNetworkByTheSameKillTimes) {
  // The same network beside itself, run whole: what `single` does.
  double ready = world_.exit_ns.back();
  for (const double t : world_.trunk_ns) ready += t;
  const ProfileSplit& samples = *world_.set.split(Split::test);
  const auto table = run(named({"single"}), "single",
                         {{"same", samples, ready}, {"faster", samples, ready / 2}, {"late", samples, 1e18}});
  ASSERT_TRUE(table) << table.error().message;
  ASSERT_EQ(table->rows.size(), 4u);
  const Row& single = table->rows[0];
  const Row& same = table->rows[1];
  EXPECT_EQ(same.planner, "same");
  EXPECT_EQ(same.comparison.gain.value, 0);
  EXPECT_EQ(same.comparison.gain.interval.low, 0);
  EXPECT_EQ(same.output, single.output);
  EXPECT_EQ(same.mean_exit, single.mean_exit);
  EXPECT_EQ(same.accuracy_at, single.accuracy_at);
  EXPECT_NEAR(table->rows[2].output, survival_(ready / 2), 1e-6);
  EXPECT_NEAR(table->rows[2].comparison.given_output.value, single.comparison.given_output.value, 1e-6);
  EXPECT_EQ(table->rows[3].comparison.accuracy.value, 0);
  EXPECT_EQ(run(named({"all"}), "same", {{"same", samples, ready}})->base, 1u);
  EXPECT_THAT(run(named({"all"}), "all", {{"all", samples, 1}}).error().message,
              HasSubstr("\"all\" is there twice"));
}

TEST_F(EvaluationTest, JudgesAllPartsTogether) {
  const ReplaySetting setting = world_.setting(survival_, world_.shifted);
  const std::vector<ReplaySetting> twice{setting, setting};
  const auto contenders = named({"exact", "all", "confidence:90"});
  const auto once = evaluate(contenders, "all", 1, {&setting, 1});
  const auto both = evaluate(contenders, "all", 1, twice);
  for (std::size_t i = 0; i < contenders.size(); ++i) {
    EXPECT_NEAR(both->rows[i].comparison.accuracy.value, once->rows[i].comparison.accuracy.value, 1e-12);
    EXPECT_EQ(both->rows[i].times.searches, 2 * once->rows[i].times.searches);
    EXPECT_EQ(both->rows[i].accuracy_at, once->rows[i].accuracy_at);
  }
}

TEST_F(EvaluationTest, ComparesWithTheFirstWhereNoneIsStatic) {
  const auto evaluation = run(named({"single", "exact"}));
  ASSERT_TRUE(evaluation) << evaluation.error().message;
  EXPECT_EQ(evaluation->rows[evaluation->base].planner, "single");
}

TEST_F(EvaluationTest, RefusesBasesThatAreNotThere) {
  EXPECT_THAT(run({}).error().message, HasSubstr("at least one"));
  EXPECT_THAT(run(named({"exact", "exact"})).error().message, HasSubstr("\"exact\" is there twice"));
  EXPECT_THAT(run(named({"exact", "all"}), "hybrid").error().message, HasSubstr("base: found \"hybrid\""));
}

}  // namespace
}  // namespace einet
