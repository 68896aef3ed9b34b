// Runs every recorded sample through a network under one planner, as a lane would: block after block,
// planning anew after each executed exit from the sample's own confidences. Says what the answers were worth
// under a survival function. What a planner is told comes from the forecast alone; the samples' labels only
// judge.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "config/time.h"
#include "evaluation/contender.h"
#include "evaluation/forecast.h"
#include "evaluation/held_answer.h"
#include "models/profiles.h"
#include "planner/survival.h"

namespace einet {

// What a replay is made of; everything lives elsewhere, and longer.
struct ReplaySetting {
  const ProfileSplit& samples;
  std::span<const float> calibrated;    // samples x exits: Seen::calibrated
  std::span<const double> temperature;  // Pooling's, one per exit
  double discount = 1;                  // the same
  const Forecasts& forecasts;           // what online contenders ask for; statistics for all
  const Survival& survival;
  std::span<const double> trunk_ns;  // one per block, > 0
  std::span<const double> exit_ns;
  // Of contenders without their own.
  Aggregation aggregation = Aggregation::last;
  Expectation expectation = Expectation::lookalikes;
  const Clock& clock;  // for search times; any thread
  int threads = 1;
};

// One sample, in expectation over the time at which it is stopped.
struct ReplayedSample {
  ExitMask executed = 0;  // if it was never stopped
  float credit = 0;       // probability that it was stopped with a right answer
  float output = 0;       // probability that it was stopped with an answer
  float depth = 0;  // the last executed exit, counted from 0, times the probability that it was the last
  float count = 0;  // executed exits
};

struct PlanTimes {
  std::int64_t searches = 0;  // none where nothing is planned sample by sample
  double mean_ns = 0;
  double p50_ns = 0;
  double p99_ns = 0;
  double forecast_ns = 0;  // mean time of the forecast before a search
};

struct Replay {
  std::vector<ReplayedSample> samples;
  // Share of samples whose answer held at time i / (size - 1) * the time of all blocks with all exits is
  // right.
  std::vector<double> accuracy_at;
  PlanTimes times;
};

// The time of all blocks with all exits.
double whole_ns(std::span<const double> trunk_ns, std::span<const double> exit_ns);

inline constexpr int kCurvePoints = 501;  // of Replay::accuracy_at

// The samples of all parts, part by part: those of a cross-validation, which differ in what was learned, or a
// single one. Same parts, same result but for the times, whatever the number of threads. Precondition: at
// least one part; survival, times, aggregation and expectation are the same in all.
Replay replay(const Contender&, std::span<const ReplaySetting> parts);
inline Replay replay(const Contender& contender, const ReplaySetting& setting) {
  return replay(contender, {&setting, 1});
}

}  // namespace einet
