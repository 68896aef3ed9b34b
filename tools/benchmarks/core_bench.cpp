// What a decision of the core costs with many jobs ready: the driver's calls for one event and the `decide`
// that follows, without planning (jobs without exits). Planning is measured in planner_bench.cpp.
#include <array>
#include <chrono>
#include <memory>
#include <random>

#include <benchmark/benchmark.h>

#include "scheduler/core.h"

namespace einet {
namespace {

constexpr int kLanes = 2;

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
  void set_exits(LaneId, GrantNumber, ExitMask, Reason) override {}
  void finish(JobId, Outcome, Reason) override {}
  void release(JobId) override {}

  std::array<Grant, kLanes> front;
  std::array<Grant, kLanes> back;
  std::array<bool, kLanes> stopped{};
};

class Bench {
 public:
  explicit Bench(int ready) : core_({.policy = Policy::edf}, lanes_, observer_) {
    auto times = std::make_shared<ModelTimes>();
    times->on_device.push_back(std::vector<BlockTime>(8, BlockTime{.trunk = std::chrono::microseconds(100)}));
    times_ = times;
    for (std::uint32_t l = 0; l < kLanes; ++l) core_.lane_up(LaneId{l}, DeviceId{0}, now_);
    for (int i = 0; i < ready + kLanes; ++i) arrive();
  }

  // A job arrives; every so often it is the most urgent one.
  void arrive() {
    now_ += Duration{100};
    const JobSpec spec{
        .id = JobId{++jobs_},
        .tenant = {},
        .model = {},
        .times = times_,
        .release = now_,
        .deadline = now_ + Duration{std::int64_t{1} << 50} - Duration{std::int64_t(random_() >> 20)}};
    benchmark::DoNotOptimize(core_.submit(spec, now_));
    core_.decide(now_);
  }

  // A lane ends its block, and with it the job, or the grant because it was stopped; else it goes on.
  void boundary() {
    lane_ = (lane_ + 1) % kLanes;
    now_ += Duration{100};
    Grant& grant = lanes_.front[lane_];
    const bool last = grant.first_block == 7;
    const LaneId lane{static_cast<std::uint32_t>(lane_)};
    benchmark::DoNotOptimize(core_.block_done({.lane = lane,
                                               .grant = grant.number,
                                               .block = grant.first_block++,
                                               .start = now_,
                                               .end = now_,
                                               .answer = {}},
                                              now_));
    ended_job_ = last && !lanes_.stopped[lane_];
    if (last || lanes_.stopped[lane_]) {
      benchmark::DoNotOptimize(
          core_.grant_ended(lane, grant.number, last ? GrantEnd::done : GrantEnd::stopped, now_));
      grant = std::exchange(lanes_.back[lane_], {});
      lanes_.stopped[lane_] = false;
      ended_job_ = last;
    }
    core_.decide(now_);
  }
  bool ended_job() const { return ended_job_; }

 private:
  Lanes lanes_;
  Observer observer_;
  Core core_;
  std::shared_ptr<const ModelTimes> times_;
  std::mt19937_64 random_{1};
  TimePoint now_{};
  std::uint64_t jobs_ = 0;
  std::size_t lane_ = 0;
  bool ended_job_ = false;
};

template <class F>
double seconds(F&& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Both run the same load, with the number of ready jobs held constant; they differ in what is timed.
void BM_Arrival(benchmark::State& state) {
  Bench bench(static_cast<int>(state.range(0)));
  for (auto _ : state) {
    do bench.boundary();
    while (!bench.ended_job());
    state.SetIterationTime(seconds([&] { bench.arrive(); }));
  }
}

void BM_Boundary(benchmark::State& state) {
  Bench bench(static_cast<int>(state.range(0)));
  for (auto _ : state) {
    state.SetIterationTime(seconds([&] { bench.boundary(); }));
    if (bench.ended_job()) bench.arrive();
  }
}

BENCHMARK(BM_Arrival)->RangeMultiplier(10)->Range(10, 10'000)->UseManualTime();
BENCHMARK(BM_Boundary)->RangeMultiplier(10)->Range(10, 10'000)->UseManualTime();

}  // namespace
}  // namespace einet

BENCHMARK_MAIN();
