// What a decision of the core costs, and how that grows with the number of ready jobs: the driver's calls for
// one event and the `decide` that follows, for each policy. Warm: one event right after the other. Cold: a
// buffer larger than the caches near the core is walked before each. Percentiles are over events; reading the
// clock, which is in every figure, is measured first.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "config/check.h"
#include "scheduler/core.h"

namespace einet {
namespace {

using std::chrono::microseconds;
using std::chrono::steady_clock;

constexpr int kLanes = 2;
constexpr int kBlocks = 8;
constexpr Duration kBlock = microseconds(100);
constexpr Duration kGoal = microseconds(2);  // at 1,000 ready jobs
constexpr int kWarmEvents = 20'000;
constexpr int kColdEvents = 400;

struct Scenario {
  const char* name;
  Policy policy;
  bool exits = false;  // jobs answer at every exit, and are planned anew after each
  int tasks = 0;       // reserved, shared out over the lanes; every tenth job belongs to one
};

constexpr std::array kScenarios = {
    Scenario{.name = "fifo", .policy = Policy::fifo},
    Scenario{.name = "edf", .policy = Policy::edf},
    Scenario{.name = "edf, 16 tasks", .policy = Policy::edf, .tasks = 16},
    Scenario{.name = "fixed-priority", .policy = Policy::fixed_priority},
    Scenario{.name = "fixed-priority, 16 tasks", .policy = Policy::fixed_priority, .tasks = 16},
    Scenario{.name = "imprecise", .policy = Policy::imprecise},
    Scenario{.name = "imprecise, exits", .policy = Policy::imprecise, .exits = true},
    Scenario{.name = "imprecise, exits, 16 tasks", .policy = Policy::imprecise, .exits = true, .tasks = 16},
};

// Lanes that do what they are told and remember their grants.
class Lanes final : public Commands {
 public:
  void grant(const Grant& g, Reason) override {
    (front[g.lane.value].job == JobId{} ? front : back)[g.lane.value] = g;
  }
  void stop(LaneId lane, GrantNumber, Reason) override { stopped[lane.value] = true; }
  bool withdraw(LaneId lane, GrantNumber number, Reason) override {
    Grant& posted = back[lane.value];
    if (posted.number != number) return false;
    posted = {};
    return true;
  }
  void set_exits(LaneId lane, GrantNumber number, ExitMask exits, Reason) override {
    for (auto* grants : {&front, &back}) {
      Grant& g = (*grants)[lane.value];
      if (g.job != JobId{} && g.number == number) g.exits = exits;
    }
  }
  void finish(JobId, Outcome, Reason) override { ++finished; }
  void release(JobId) override {}

  std::array<Grant, kLanes> front;
  std::array<Grant, kLanes> back;
  std::array<bool, kLanes> stopped{};
  std::size_t finished = 0;
};

class Bench {
 public:
  Bench(const Scenario& scenario, std::size_t ready)
      : scenario_(scenario), core_({.policy = scenario.policy}, lanes_, observer_) {
    auto times = std::make_shared<ModelTimes>();
    times->on_device.push_back(std::vector<BlockTime>(
        kBlocks, {.trunk = kBlock, .exit = kBlock / 20, .worst_trunk = kBlock, .worst_exit = kBlock / 20}));
    for (int b = 0; scenario.exits && b < kBlocks; ++b) times->accuracy.push_back(0.5 + 0.05 * b);
    times_ = times;
    for (std::uint32_t l = 0; l < kLanes; ++l) core_.lane_up(LaneId{l}, DeviceId{0}, now_);
    for (int t = 0; t < scenario.tasks; ++t) {
      core_.reserve(task(t),
                    {.period = Duration{1},
                     .deadline = std::chrono::seconds(1 + t),
                     .priority = t % 4,
                     .mandatory_exit = scenario.exits ? 1 : -1,
                     .budget = 2 * kBlocks * kBlock,
                     .home = LaneId{static_cast<std::uint32_t>(t % kLanes)},
                     .patience = kForever},
                    now_);
    }
    while (jobs_ < ready + kLanes) arrive();
  }

  // A job arrives; every so often it is the most urgent one.
  void arrive() {
    ++jobs_;
    now_ += Duration{100};
    const bool of_task = scenario_.tasks > 0 && jobs_ % 10 == 0;
    const int number = static_cast<int>(jobs_ / 10) % std::max(1, scenario_.tasks);
    const JobSpec spec{.id = JobId{jobs_},
                       .tenant = TenantId{static_cast<std::uint32_t>(jobs_ % 8)},
                       .task = of_task ? task(number) : TaskId{},
                       .model = {},
                       .times = times_,
                       .release = now_,
                       .deadline = now_ + std::chrono::hours(1) + Duration{std::int64_t(random_() >> 20)},
                       .priority = static_cast<int>(random_() % 4)};
    const auto start = steady_clock::now();
    const bool accepted = core_.submit(spec, now_).has_value();
    core_.decide(now_);
    spent_ = steady_clock::now() - start;
    EINET_CHECK(accepted, "nothing here is refused");
  }

  // The next lane ends its block; and its grant, if that was the last block or it was told to stop.
  void boundary() {
    lane_ = (lane_ + 1) % kLanes;
    now_ += kBlock / kLanes;
    Grant& grant = lanes_.front[lane_];
    const LaneId lane{static_cast<std::uint32_t>(lane_)};
    BlockReport report{.lane = lane,
                       .grant = grant.number,
                       .block = grant.first_block++,
                       .start = now_ - kBlock,
                       .end = now_,
                       .answer = {},
                       .used = kBlock};
    if (scenario_.exits && (grant.exits & exit_bit(report.block)) != 0) {
      report.answer = ExitAnswer{
          .exit = report.block, .top_class = 0, .confidence = static_cast<float>(random_() % 1000) / 1000};
    }
    const bool done = grant.first_block == kBlocks || (grant.exits >> grant.first_block) == 0;
    const GrantNumber number = grant.number;
    bool fits = true;
    if (done || lanes_.stopped[lane_]) {
      grant = std::exchange(lanes_.back[lane_], {});
      const GrantEnd how = done ? GrantEnd::done : GrantEnd::stopped;
      lanes_.stopped[lane_] = false;
      const auto start = steady_clock::now();
      fits = core_.block_done(report, now_) && core_.grant_ended(lane, number, how, now_);
      core_.decide(now_);
      spent_ = steady_clock::now() - start;
    } else {
      const auto start = steady_clock::now();
      fits = core_.block_done(report, now_);
      core_.decide(now_);
      spent_ = steady_clock::now() - start;
    }
    EINET_CHECK(fits, "lanes report what they were told to do");
  }

  // Of the last event.
  Duration spent() const { return spent_; }
  std::size_t in_core() const { return core_.job_count(); }

 private:
  static TaskId task(int number) { return TaskId{static_cast<std::uint32_t>(number + 1)}; }

  const Scenario& scenario_;
  Lanes lanes_;
  Observer observer_;
  Core core_;
  std::shared_ptr<const ModelTimes> times_;
  std::mt19937_64 random_{1};
  TimePoint now_{};
  std::uint64_t jobs_ = 0;
  std::size_t lane_ = 0;
  Duration spent_{};
};

// Displaces what the caches near a core hold.
class Walk {
 public:
  void operator()() {
    for (std::size_t i = 0; i < memory_.size(); i += 64) memory_[i] = static_cast<char>(memory_[i] + 1);
  }

 private:
  std::vector<char> memory_ = std::vector<char>(std::size_t{16} << 20);
};

struct Samples {
  std::vector<Duration> arrivals;
  std::vector<Duration> boundaries;
};

// The number of jobs is held constant.
template <class Before>
Samples measure(Bench& bench, std::size_t jobs, int events, Before&& before) {
  Samples samples;
  while (samples.arrivals.size() < static_cast<std::size_t>(events) ||
         samples.boundaries.size() < static_cast<std::size_t>(events)) {
    before();
    if (bench.in_core() < jobs) {
      bench.arrive();
      samples.arrivals.push_back(bench.spent());
    } else {
      bench.boundary();
      samples.boundaries.push_back(bench.spent());
    }
  }
  return samples;
}

double quantile_us(std::vector<Duration> samples, double q) {
  const auto at = static_cast<std::ptrdiff_t>(q * static_cast<double>(samples.size() - 1));
  std::nth_element(samples.begin(), samples.begin() + at, samples.end());
  return to_us(samples[static_cast<std::size_t>(at)]);
}

void print_row(const Scenario& scenario, const char* event, std::size_t ready,
               const std::vector<Duration>& warm, const std::vector<Duration>& cold) {
  std::printf("%-28s %-9s %6zu  %7.2f %7.2f  %7.2f %7.2f", scenario.name, event, ready,
              quantile_us(warm, 0.5), quantile_us(warm, 0.99), quantile_us(cold, 0.5),
              quantile_us(cold, 0.99));
  if (ready == 1000)
    std::printf("  goal %.0f: %s", to_us(kGoal),
                quantile_us(warm, 0.5) < to_us(kGoal) ? "reached" : "missed");
  std::printf("\n");
  std::fflush(stdout);
}

double clock_cost_us() {
  std::vector<Duration> samples;
  for (int i = 0; i < 10'000; ++i) {
    const auto start = steady_clock::now();
    samples.push_back(steady_clock::now() - start);
  }
  return quantile_us(samples, 0.5);
}

}  // namespace
}  // namespace einet

int main() {
  using namespace einet;
  std::printf("a decision of the core in us; %d lanes; reading the clock costs %.2f\n", kLanes,
              clock_cost_us());
  std::printf("%-28s %-9s %6s  %7s %7s  %7s %7s\n", "policy", "event", "ready", "warm", "p99", "cold", "p99");
  Walk walk;
  for (const Scenario& scenario : kScenarios) {
    for (const std::size_t ready : {10UL, 100UL, 1000UL, 10'000UL}) {
      Bench bench(scenario, ready);
      const std::size_t jobs = bench.in_core();
      measure(bench, jobs, kWarmEvents / 10, [] {});
      const Samples warm = measure(bench, jobs, kWarmEvents, [] {});
      const Samples cold = measure(bench, jobs, kColdEvents, walk);
      print_row(scenario, "arrival", ready, warm.arrivals, cold.arrivals);
      print_row(scenario, "boundary", ready, warm.boundaries, cold.boundaries);
    }
  }
}
