// The choices that shape the schedule: which job is the most urgent, how hard it preempts, and what admission
// has reserved for whom. Plain data, shared by the decision core (core.h) and the analysis (admission/).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/ids.h"
#include "config/time.h"

namespace einet {

// Keys: docs/scheduling.md.
enum class Policy : std::uint8_t { edf, fixed_priority, fifo, imprecise };

// What an arrival may do to the less urgent block in progress on a lane that has an urgent lane beside it.
enum class Preemption : std::uint8_t {
  boundary,   // wait for its end
  as_needed,  // wait if the arrival's slack covers that, else take the core at once
  instant,    // take the core at once
};

// What is taken into account of how long a job may live, when its exits are planned.
struct SurvivalParts {
  bool deadline = true;  // it ends there, and perhaps blocks take their worst times until then
  bool demand = true;    // more urgent work that is known takes its lane before; only with `deadline`
  bool lived = false;    // how long such jobs lived before (lives.h)
  friend bool operator==(const SurvivalParts&, const SurvivalParts&) = default;
};

// The parts that these words name, of "deadline", "demand" and "lived", and no others. Precondition: they are
// these words.
SurvivalParts survival_parts(std::span<const std::string> words);
std::span<const std::string_view> survival_words();

// "edf", "fixed-priority", "fifo", "imprecise"; "boundary", "as-needed", "instant": index = value of the
// enum.
std::span<const std::string_view> policy_words();
std::span<const std::string_view> preemption_words();
std::string_view name(Policy);
// Precondition: one of policy_words().
Policy policy_named(std::string_view word);
std::string_view name(Preemption);
// Precondition: one of preemption_words().
Preemption preemption_named(std::string_view word);

// What an accepted task may count on: on its home lane, the mandatory part of each of its jobs outranks all
// work that has no reservation. Made by admission (admission/admission.h), kept by the core.
struct Reservation {
  Duration period{};    // > 0; least time between two releases: a job that comes earlier is released later
  Duration deadline{};  // > 0; of each job, after its release
  int priority = 0;     // larger is more urgent
  int mandatory_exit = -1;  // -1 only where the model has no exits: then all of its blocks are mandatory
  // > 0; lane time of one mandatory part, margins included. A job that has used more goes on as best-effort.
  Duration budget{};
  LaneId home;
  // With Preemption::as_needed: a job waits for a less urgent block in progress that takes less than this.
  // Zero: for none; kForever: always.
  Duration patience{};
  friend bool operator==(const Reservation&, const Reservation&) = default;
};

inline constexpr Duration kForever{std::int64_t{1} << 62};

// Lane time that a tenant's best-effort jobs may use as if they were reserved, one job at a time: `amount` in
// each window of `period`, on the lane `home`. A window begins when the budget is first needed after the one
// before has ended. Counted by the analysis as a server of that amount and period.
struct Budget {
  Duration amount{};  // > 0, <= period
  Duration period{};
  LaneId home;
  friend bool operator==(const Budget&, const Budget&) = default;
};

// How a tenant's best-effort jobs share what reserved work leaves.
struct Share {
  double weight = 1;  // > 0; lane time of tenants that always have work is in proportion to it
  std::optional<Budget> budget{};
};

}  // namespace einet
