// What a job's own answers change of what is expected of it.
#include "scheduler/outlook.h"

#include <gtest/gtest.h>

#include "script.h"

namespace einet {
namespace {

// Expects of every later exit what the answer held is sure of, less a tenth.
struct FallingForecast final : Forecast {
  double expect(const Seen& seen, std::span<double> accuracy) const override {
    last = seen;
    first = seen.executed == 0 ? 0 : seen.calibrated[0];
    for (std::size_t k = std::bit_width(seen.executed); k < accuracy.size(); ++k) {
      accuracy[k] = seen.executed == 0 ? 0.5 : seen.held - 0.1;
    }
    return seen.held;
  }
  mutable Seen last;
  mutable double first = 0;
};

TEST(Outlook, WithoutAForecastEveryExitIsWorthItsMean) {
  const auto times = model(3, 10, {0.5, 0.7, 0.9}, 1);
  Outlook outlook(*times);
  EXPECT_EQ(outlook.held(), 0);
  EXPECT_FLOAT_EQ(static_cast<float>(outlook.after(1)), 0.7F);
  outlook.take({.exit = 0, .confidence = 1, .calibrated = 1, .sure = 1}, *times);
  EXPECT_FLOAT_EQ(static_cast<float>(outlook.held()), 0.5F);
  EXPECT_FLOAT_EQ(static_cast<float>(outlook.after(2)), 0.9F);
}

TEST(Outlook, AForecastIsAskedWithAllThatWasSeen) {
  const auto forecast = std::make_shared<FallingForecast>();
  auto times = std::make_shared<ModelTimes>(*model(3, 10, {0.5, 0.7, 0.9}, 1));
  times->forecast = forecast;
  Outlook outlook(*times);
  EXPECT_FLOAT_EQ(static_cast<float>(outlook.after(2)), 0.5F);
  outlook.take({.exit = 0, .calibrated = 0.25F, .sure = 0.75F}, *times);
  EXPECT_EQ(forecast->last.executed, 0b001u);
  EXPECT_FLOAT_EQ(static_cast<float>(outlook.held()), 0.75F);
  EXPECT_FLOAT_EQ(static_cast<float>(outlook.after(1)), 0.65F);
  outlook.take({.exit = 2, .calibrated = 0.5F, .sure = 0.875F}, *times);
  EXPECT_EQ(forecast->last.executed, 0b101u);
  EXPECT_EQ(forecast->first, 0.25);
  EXPECT_FLOAT_EQ(static_cast<float>(outlook.held()), 0.875F);
}

// The same network, the same deadline: one sample is sure of its first answer and is done, the other goes on.
// The control: without a forecast both go on.
TEST(Outlook, ASampleThatIsSureEndsEarlyAndAnotherGoesOn) {
  for (const bool forecast : {true, false}) {
    auto times = std::make_shared<ModelTimes>(*model(3, 10, {0.5, 0.7, 0.9}, 1));
    if (forecast) times->forecast = std::make_shared<FallingForecast>();
    Script s(Policy::edf);
    ASSERT_TRUE(s.core.submit(Script::spec(1, times, at(40)), at(0)));
    EXPECT_EQ(s.decide(at(0)), "grant 0/1: job 1 from 0");
    const ExitMask first = s.exits & -s.exits;
    const int exit = std::countr_zero(first);
    for (int block = 0; block < exit; ++block) ASSERT_TRUE(s.block(0, 1, block, at(10 * (block + 1))));
    ASSERT_TRUE(s.block(0, 1, exit, at(12), ExitAnswer{.exit = exit, .calibrated = 0.75F, .sure = 0.75F}));
    const std::string said = s.decide(at(12));
    const bool last = exit == 2;
    EXPECT_EQ(said.find("finish 1 completed") != std::string::npos, forecast || last) << said;
  }
}

}  // namespace
}  // namespace einet
