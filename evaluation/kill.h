// When jobs are stopped: a distribution of kill times as people write it, or kill times that were measured,
// made a survival function for one network. Parsing only.
#pragma once

#include <string>
#include <string_view>

#include "config/result.h"
#include "config/time.h"
#include "planner/survival.h"

namespace einet {

// "uniform[:FROM,TO]", "exponential[:MEAN]" or "normal[:MEAN,SD]". A time is a duration ("1.5ms") or a
// percentage of `whole` ("50%"), the time of a network with all of its exits. Without times: uniform:0%,100%,
// exponential:50%, normal:50%,25%. Error: other text, or times that the survival function refuses.
Result<Survival> parse_kill(std::string_view text, Duration whole);

// Measured kill times, a duration per line ("412.5us"). Error: no line, or one that is no duration:
// FILE:LINE.
Result<Survival> parse_kill_sample(std::string_view text, const std::string& file);

}  // namespace einet
