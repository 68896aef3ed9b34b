// Makes a failing scenario small, so that a person can read why it fails: delta debugging (Zeller,
// Hildebrandt 2002) over its parts, then simpler values for what is left.
#pragma once

#include <functional>

#include "scheduler/simulation/scenario.h"

namespace einet {

// The smallest scenario found for which `fails` is true, after at most `most_tries` calls of it.
// Precondition: it is true for the given one. The result is `fails` again.
Scenario shrink(const Scenario&, const std::function<bool(const Scenario&)>& fails, int most_tries);

}  // namespace einet
