// How long the exact search takes, beside the published hybrid search, and one prediction of what the exits
// to come are worth. Every benchmark of a search goes round the same 500 random problems, again and again.
// p50_us and p99_us are over the problems, each with its fastest search, so that a busy box does not show;
// p99_all_us is over all searches, so that it does.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "planner/baselines.h"
#include "planner/predictor.h"

namespace einet {
namespace {

enum Shape : std::int64_t { linear, late_linear, exponential, normal, sample, points };
constexpr const char* kShapes[] = {"linear", "late_linear", "exponential", "normal", "sample", "points"};

struct Problem {
  std::vector<double> trunk_ns, exit_ns, accuracy;
  Survival survival = *Survival::exponential(1);
  PlanProblem view() const { return {trunk_ns, exit_ns, accuracy, 0, 0}; }
};

class Generator {
 public:
  // Blocks of 0.5 to 1.5 ms. Exits are a few per cent of that or about a third; accuracy grows with depth and
  // levels off, evenly or with noise: the problems with the longest chains, so the slow ones.
  Problem problem(int n, Shape shape) {
    Problem p;
    const double longest_exit = between(0, 1) < 0.5 ? 0.06e6 : 0.6e6;
    const double noise = between(0, 1) < 0.5 ? 0.0 : 0.04;
    double total = 0;
    for (int k = 0; k < n; ++k) {
      p.trunk_ns.push_back(between(0.5e6, 1.5e6));
      p.exit_ns.push_back(between(0.1, 1) * longest_exit);
      const double level = 0.3 + 0.6 * (1 - std::exp(-3.0 * (k + 1) / n));
      p.accuracy.push_back(level + between(-noise, noise));
      total += p.trunk_ns.back() + p.exit_ns.back();
    }
    p.survival = survival(shape, total);
    return p;
  }

 private:
  double between(double low, double high) { return std::uniform_real_distribution<>(low, high)(random_); }

  Survival survival(Shape shape, double total) {
    switch (shape) {
      case linear:
        return *Survival::uniform(0, between(0.3, 1.5) * total);
      case late_linear:
        return *Survival::uniform(0.3 * total, between(0.5, 1) * total);
      case exponential:
        return *Survival::exponential(between(0.2, 1) * total);
      case normal:
        return *Survival::normal(between(0.3, 0.8) * total, between(0.05, 0.3) * total);
      case sample: {
        std::vector<double> kills(500);
        for (double& kill : kills) kill = between(0, total);
        return *Survival::sample(kills);
      }
      case points:
        break;
    }
    std::vector<double> t, s;
    for (int k = 0; k < 10; ++k) {
      t.push_back(total * (k + between(0, 0.5)) / 10);
      s.push_back(between(0, 1));
    }
    std::sort(s.rbegin(), s.rend());
    return *Survival::points(t, s);
  }

  std::mt19937_64 random_{42};
};

void plan(benchmark::State& state, const char* planner_name) {
  const auto shape = static_cast<Shape>(state.range(1));
  const Planner planner = *parse_planner(planner_name);
  Generator generator;
  std::vector<Problem> problems;
  for (int k = 0; k < 500; ++k)
    problems.push_back(generator.problem(static_cast<int>(state.range(0)), shape));
  PlanSearch search;

  std::vector<double> all;
  all.reserve(1 << 20);
  std::vector<double> fastest(problems.size(), std::numeric_limits<double>::infinity());
  std::size_t next = 0;
  for (auto _ : state) {
    const Problem& p = problems[next];
    const auto start = std::chrono::steady_clock::now();
    benchmark::DoNotOptimize(make_plan(planner, p.view(), p.survival, search));
    const auto end = std::chrono::steady_clock::now();
    all.push_back(std::chrono::duration<double, std::micro>(end - start).count());
    fastest[next] = std::min(fastest[next], all.back());
    next = (next + 1) % problems.size();
  }
  const auto quantile = [](std::vector<double>& us, std::size_t percent) {
    std::sort(us.begin(), us.end());
    return us[us.size() * percent / 100];
  };
  if (all.size() >= problems.size()) {
    state.counters["p50_us"] = quantile(fastest, 50);
    state.counters["p99_us"] = quantile(fastest, 99);
  }
  state.counters["p99_all_us"] = quantile(all, 99);
  state.SetLabel(kShapes[shape]);
}

void sizes(benchmark::internal::Benchmark* b) {
  for (int n : {3, 5, 6, 14, 21, 40}) {
    for (std::int64_t shape = linear; shape <= points; ++shape) b->Args({n, shape});
  }
}

// A predictor as training makes them: 80 hidden values. Its time does not depend on what the numbers are, but
// for hidden values that are zero, here about half.
Predictor random_predictor(int exits) {
  constexpr int kHidden = 80;
  std::mt19937_64 random(42);
  std::uniform_real_distribution<float> weight(-0.3F, 0.3F);
  PredictorParameters p;
  p.classes = 10;
  for (int k = 0; k < exits; ++k) {
    p.calibration.push_back({1.5F, {0.2F, 0.5F, 1}, {0.1F, 0.5F, 0.9F}});
    p.prior.push_back(0.5F);
  }
  for (const auto& [inputs, outputs] : {std::pair{2 * exits, kHidden}, std::pair{kHidden, exits}}) {
    PredictorParameters::Layer layer{
        inputs, outputs, {}, std::vector<float>(static_cast<std::size_t>(outputs))};
    for (int i = 0; i < inputs * outputs; ++i) layer.weight.push_back(weight(random));
    p.layers.push_back(std::move(layer));
  }
  return *Predictor::make(std::move(p));
}

// After `executed` of the exits, evenly spread over the first half of the network; with the calibration of
// the last one's ten scores, as after every executed exit of a job.
void predict(benchmark::State& state) {
  const auto exits = static_cast<int>(state.range(0));
  const auto executed = static_cast<int>(state.range(1));
  const Predictor predictor = random_predictor(exits);
  ExitMask mask = 0;
  for (int i = 1; i <= executed; ++i) mask |= exit_bit(i * exits / (2 * executed) - 1);
  const std::vector<float> scores = {0.5F, 0.2F, 0.1F, 0.05F, 0.05F, 0.03F, 0.03F, 0.02F, 0.01F, 0.01F};
  std::vector<double> calibrated(static_cast<std::size_t>(exits), 0.6);
  std::vector<double> accuracy(calibrated.size());
  for (auto _ : state) {
    calibrated[static_cast<std::size_t>(exits / 2 - 1)] = predictor.calibrated(exits / 2 - 1, scores);
    benchmark::DoNotOptimize(predictor.predict(calibrated, mask, accuracy));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(predict)
    ->ArgNames({"exits", "executed"})
    ->Args({5, 1})
    ->Args({21, 5})
    ->Args({40, 1})
    ->Args({40, 10})
    ->Args({40, 20});

BENCHMARK_CAPTURE(plan, exact, "exact")->Apply(sizes);
BENCHMARK_CAPTURE(plan, hybrid, "hybrid")->Apply(sizes);

}  // namespace
}  // namespace einet

BENCHMARK_MAIN();
