// The planners that an evaluation compares: those that plan any problem (planner/baselines.h), online or
// once, and those that only make sense beside recorded samples. Names only; running them is replay.h's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/ids.h"
#include "config/result.h"
#include "evaluation/forecast.h"
#include "evaluation/held_answer.h"
#include "planner/baselines.h"

namespace einet {

struct Contender {
  enum class Kind : std::uint8_t {
    online,      // exact, hybrid[:m], greedy, random[:N]: plans again after every executed exit
    fixed,       // static:25, static:50, static:100, all, single: the same exits for every sample
    statistics,  // the best plan for the mean of all samples, made once
    given,       // "exits:0,2": these exits for every sample
    confidence,  // "confidence:P": executes every exit until one is P percent confident
    oracle,      // the best plan for the sample's true (calibrated) confidences, which nobody can know
    truth,       // "oracle-truth": the best plan for which exits are right, each by itself
  };
  Kind kind = Kind::online;
  Planner planner;                         // of online and fixed
  ExitMask exits = 0;                      // of given; a network may have fewer
  int percent = 0;                         // of confidence
  std::optional<Aggregation> aggregation;  // its own; none: the setting's
  std::optional<Expectation> expectation;  // the same
  std::string name;                        // as it was asked for

  bool is_static() const;  // static:P, all or exits:…: what "best-static" is the best of
};

// "NAME", with "+AGGREGATION" and "+EXPECTATION" behind it or not ("exact+product+predictor"). Error: no such
// name, or a parameter out of range (confidence: from 1 to 100).
Result<Contender> parse_contender(std::string_view name);

// All that the published tables compare, in the order of a table.
std::vector<Contender> usual_contenders();

}  // namespace einet
