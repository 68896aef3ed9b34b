// One table: several planners on one network's samples under one kill distribution, with intervals.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "evaluation/bootstrap.h"
#include "evaluation/replay.h"

namespace einet {

struct Row {
  std::string planner;
  // The exits that every sample executes if it is not stopped, where these are the same for all.
  std::optional<ExitMask> plan;
  Comparison comparison;
  double output = 0;      // probability that there is an answer when the job is stopped
  double mean_exit = 0;   // the last executed exit at the stop, counted from 0, given that there is one
  double mean_count = 0;  // executed exits at the stop
  PlanTimes times;
  std::vector<double> accuracy_at;  // as in Replay
};

struct Evaluation {
  std::vector<Row> rows;  // in the order of the contenders
  std::size_t base = 0;   // the row that gains are measured against
};

// Another network on the same samples, which are judged as one whole: it has one answer, its last exit's.
struct Beside {
  std::string name;
  ProfileSplit samples;  // the same samples in the same order
  double ready_ns = 0;   // when the answer is ready; > 0
};

// The base that is the most accurate static plan (static:P, all, exits:…) among the contenders, on these
// samples; where none is static, the first contender.
inline constexpr std::string_view kBestStatic = "best-static";

// Rows of the contenders, then of the networks beside. `parts` as for replay(). `base`: the name of a row, or
// kBestStatic. Error: no contender, a name that is there twice, or a base that is none of them.
Result<Evaluation> evaluate(std::span<const Contender> contenders, std::string_view base, std::uint64_t seed,
                            std::span<const ReplaySetting> parts, std::span<const Beside> beside = {});

}  // namespace einet
