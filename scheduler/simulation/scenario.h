// A scenario: one small world around the decision core, as plain data with a TOML form that people can read
// and `einet simulate` replays. It says who asks for what and when, how long blocks truly take, and what goes
// wrong. Nothing runs here: scenario_run.h does that.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/bytes.h"
#include "scheduler/core.h"

namespace einet {

// How long blocks truly take, beside their expected (median) and worst times.
enum class TrueTimes : std::uint8_t {
  expected,
  spread,  // anything between half the expected time and the worst
  worst,
};

// Instants count from 0. Indices refer to the vectors of the scenario.
struct Scenario {
  struct Lane {
    DeviceId device{};
    Preemption preemption = Preemption::boundary;  // else an urgent lane sits on the same core
  };
  struct Tenant {
    double weight = 1;
    std::optional<Duration> budget{};  // asked of admission at the start, in each `window`
    Duration window{};
  };
  // Asked of admission at `from`; given back at `until`. If refused, its jobs are best-effort.
  struct Task {
    std::size_t model = 0;
    Duration period{};
    Duration deadline{};
    int priority = 0;
    int mandatory_exit = -1;
    TimePoint from{};
    TimePoint until = kNever;
  };
  struct Job {
    TimePoint submit{};
    TimePoint release{};
    TimePoint deadline = kNever;
    TimePoint cancel = kNever;
    std::size_t model = 0;
    std::size_t tenant = 0;
    std::optional<std::size_t> task{};
    int priority = 0;
    int mandatory_exit = -1;
    double target_confidence = 2;
    OnMiss on_miss = OnMiss::stop;
    PlanMode plan = PlanMode::exact;
    Duration overrun{};  // each of its blocks takes so much longer than it otherwise would
  };
  // A worker dies: this lane and its urgent lane. Never back: only for good.
  struct Loss {
    std::size_t lane = 0;
    TimePoint at{};
    TimePoint back = kNever;
    LaneLoss told = LaneLoss::for_good;
  };
  // From `at` on every block of the model is so much longer, if admission agrees.
  struct Reload {
    std::size_t model = 0;
    TimePoint at{};
    Duration longer{};
  };
  // From `at` to `back` the device's memory holds other models; if this one has neither jobs nor tasks then.
  struct Eviction {
    std::size_t model = 0;
    DeviceId device;
    TimePoint at{};
    TimePoint back{};
  };

  std::uint64_t seed = 0;  // of what is drawn while it runs: true times, confidences, delays, races
  Policy policy = Policy::imprecise;
  Duration promote_at_laxity{};
  SurvivalParts survival{};
  std::size_t max_jobs = 1000;
  TrueTimes times = TrueTimes::expected;
  int late_reports = 0;  // percent of the lanes' records that are read up to kLatestReport late
  int races = 0;         // percent of withdrawals that the lane gets ahead of
  int failed_moves = 0;  // percent of moves between devices, by which the state does not arrive
  std::vector<std::shared_ptr<const ModelTimes>> models;
  std::vector<Lane> lanes;
  std::vector<Tenant> tenants;
  std::vector<Task> tasks;
  std::vector<Job> jobs;
  std::vector<Loss> losses;
  std::vector<Reload> reloads;
  std::vector<Eviction> evictions;
};

// What the exits still to come are worth for a job whose answers so far were better or worse than usual: as
// much better or worse. A predictor (planner/predictor.h) that was not trained; one accuracy per exit.
std::shared_ptr<const Forecast> untrained_forecast(const std::vector<double>& accuracy);

inline constexpr Duration kLatestReport{10};
inline constexpr ByteCount kMaxScenarioBytes{std::uint64_t{16} << 20};

// Whether the text says that it is a scenario ("scenario = 1"), not a task set.
bool is_scenario(std::string_view text);

// Error: "FILE:LINE:COLUMN: key: what was found, what is allowed", on one line.
Result<Scenario> parse_scenario(std::string_view text, const std::string& file);
// What parse_scenario reads back as the same.
std::string to_toml(const Scenario&);

}  // namespace einet
