// The guarantees of the core, whatever lanes, reports and clients do; and that the checks see broken drivers.
#include "world.h"

#include <gtest/gtest.h>

namespace einet {
namespace {

TEST(Core, KeepsItsGuaranteesWhateverLanesDo) {
  World::Counts total;
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    World world(seed, Fault::none);
    world.run();
    ASSERT_TRUE(world.violations().empty()) << "seed " << seed << ": " << world.violations().front();
    const World::Counts& c = world.counts();
    total.jobs += c.jobs;
    total.blocks += c.blocks;
    total.preemptions += c.preemptions;
    total.withdrawals += c.withdrawals;
    total.late_withdrawals += c.late_withdrawals;
    total.lost_lanes += c.lost_lanes;
    total.rejected_full += c.rejected_full;
    total.replans += c.replans;
    for (const auto& [outcome, n] : c.outcomes) total.outcomes[outcome] += n;
  }
  // What the guarantees are about did happen.
  EXPECT_GT(total.preemptions, 1000);
  EXPECT_GT(total.late_withdrawals, 1000);
  EXPECT_GT(total.withdrawals, total.late_withdrawals + 1000);
  EXPECT_GT(total.lost_lanes, 500);
  EXPECT_GT(total.rejected_full, 500);
  EXPECT_GT(total.replans, 500);
  for (const Outcome outcome :
       {Outcome::completed, Outcome::deadline, Outcome::missed, Outcome::cancelled, Outcome::failed}) {
    EXPECT_GT(total.outcomes[outcome], 200) << name(outcome);
  }
}

}  // namespace
}  // namespace einet
