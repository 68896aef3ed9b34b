// Random scenarios: small worlds with everything in them that clients, lanes and clocks may do to a core.
// Times are a few nanoseconds, so that ties, zero slack and simultaneous events are the rule.
#pragma once

#include "scheduler/simulation/scenario.h"

namespace einet {

// The same seed gives the same scenario, on every machine.
Scenario random_scenario(std::uint64_t seed);

}  // namespace einet
