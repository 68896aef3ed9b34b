#include "evaluation/replay.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>
#include <thread>

#include "config/check.h"

namespace einet {
namespace {

using PerExit = std::array<double, kMaxBlocks>;

const Forecast& need(const Forecasts& forecasts, Expectation expectation, Aggregation aggregation) {
  const Forecast* const forecast = forecasts.get(expectation, aggregation);
  EINET_CHECK(forecast != nullptr, "a forecast for every contender");
  return *forecast;
}

// One thread's part of a replay.
class Runner {
 public:
  Runner(const Contender& contender, const ReplaySetting& setting)
      : contender_(contender),
        s_(setting),
        blocks_(setting.samples.exits()),
        aggregation_(contender.aggregation.value_or(setting.aggregation)),
        statistics_(need(setting.forecasts, Expectation::statistics, aggregation_)),
        forecast_(
            contender.kind == Contender::Kind::online
                ? need(setting.forecasts, contender.expectation.value_or(setting.expectation), aggregation_)
                : statistics_),
        held_({aggregation_, setting.temperature, setting.discount}, setting.samples.classes()),
        whole_ns_(whole_ns(setting.trunk_ns, setting.exit_ns)),
        gained_(kCurvePoints) {
    switch (contender.kind) {
      case Contender::Kind::fixed:
        first_ = plan(statistics_, contender.planner, 0, 0, 0);
        break;
      case Contender::Kind::given:
        first_ = contender.exits;
        break;
      case Contender::Kind::statistics:
        first_ = plan(statistics_, Planner{}, 0, 0, 0);
        break;
      case Contender::Kind::online:
        first_ = plan(forecast_, contender.planner, 0, 0, 0);
        break;
      case Contender::Kind::confidence:
        first_ = ~ExitMask{0};
        break;
      case Contender::Kind::oracle:
      case Contender::Kind::truth:
        break;
    }
    search_ns_.clear();  // these plans are made once, not for every sample
    forecast_ns_ = 0;
  }

  ReplayedSample run(int sample) {
    const float* calibrated = s_.calibrated.data() + static_cast<std::ptrdiff_t>(sample) * blocks_;
    std::copy_n(calibrated, blocks_, calibrated_.begin());
    held_.clear();
    const bool foresees =
        contender_.kind == Contender::Kind::oracle || contender_.kind == Contender::Kind::truth;
    ExitMask left = foresees ? plan_by_foresight(sample) : first_;
    ReplayedSample out;
    double now = 0;
    int last = 0;
    bool was_right = false;
    for (int k = 0; k < blocks_ && left >> k != 0; ++k) {
      now += s_.trunk_ns[at(k)];
      if ((left & exit_bit(k)) == 0) continue;
      now += s_.exit_ns[at(k)];
      held_.add(s_.samples, sample, k, calibrated_[at(k)]);
      const bool right = held_.answer() == s_.samples.label(sample);
      const double alive = s_.survival(now);
      const int change = (right ? 1 : 0) - (was_right ? 1 : 0);
      if (out.executed == 0) out.output = static_cast<float>(alive);
      out.executed |= exit_bit(k);
      out.credit += static_cast<float>(change * alive);
      out.depth += static_cast<float>((k - last) * alive);
      out.count += static_cast<float>(alive);
      gained_[curve_point(now)] += change;
      was_right = right;
      last = k;
      if (contender_.kind == Contender::Kind::confidence) {
        if (s_.samples.confidence(sample, k) * 100 >= static_cast<float>(contender_.percent)) break;
      } else if (contender_.kind == Contender::Kind::online && k + 1 < blocks_) {
        left = plan(forecast_, contender_.planner, out.executed, k + 1, now);
      }
    }
    return out;
  }

  const std::vector<std::int64_t>& gained() const { return gained_; }
  std::vector<float>& search_ns() { return search_ns_; }
  double forecast_ns() const { return forecast_ns_; }

 private:
  static std::size_t at(int k) { return static_cast<std::size_t>(k); }

  // The first point of the curve at or after `now`.
  std::size_t curve_point(double now) const {
    return std::min(gained_.size() - 1,
                    static_cast<std::size_t>(std::ceil(now / whole_ns_ * (kCurvePoints - 1) * (1 - 1e-12))));
  }

  // The exits to execute from block `next` on, at `now`; times count from the job's start, so that its
  // survival function is the same all along: what time has passed is added to the next trunk.
  ExitMask plan(const Forecast& forecast, const Planner& planner, ExitMask executed, int next, double now) {
    const Seen seen{executed, {calibrated_.data(), at(blocks_)}, held_.confidence()};
    const TimePoint start = s_.clock.now();
    const double held = forecast.expect(seen, {accuracy_.data(), at(blocks_)});
    const TimePoint foreseen = s_.clock.now();
    const ExitMask exits = search(planner, held, next, now);
    search_ns_.push_back(static_cast<float>((s_.clock.now() - foreseen).count()));
    forecast_ns_ += static_cast<double>((foreseen - start).count());
    return exits;
  }

  ExitMask plan_by_foresight(int sample) {
    const TimePoint start = s_.clock.now();
    accuracy_ = calibrated_;
    if (contender_.kind == Contender::Kind::truth) {
      for (int k = 0; k < blocks_; ++k) accuracy_[at(k)] = s_.samples.right(sample, k) ? 1 : 0;
    }
    const ExitMask exits = search(Planner{}, 0, 0, 0);
    search_ns_.push_back(static_cast<float>((s_.clock.now() - start).count()));
    return exits;
  }

  ExitMask search(const Planner& planner, double held, int next, double now) {
    std::copy(s_.trunk_ns.begin(), s_.trunk_ns.end(), trunk_ns_.begin());
    trunk_ns_[at(next)] += now;
    const PlanProblem problem{.trunk_ns = {trunk_ns_.data(), at(blocks_)},
                              .exit_ns = s_.exit_ns,
                              .accuracy = {accuracy_.data(), at(blocks_)},
                              .held = held,
                              .first_block = next};
    return make_plan(planner, problem, s_.survival, search_).exits;
  }

  const Contender& contender_;
  const ReplaySetting& s_;
  int blocks_;
  Aggregation aggregation_;
  const Forecast& statistics_;
  const Forecast& forecast_;
  PlanSearch search_;
  HeldAnswer held_;
  double whole_ns_;
  PerExit calibrated_{}, accuracy_{}, trunk_ns_{};
  ExitMask first_ = 0;
  std::vector<std::int64_t> gained_;  // right answers more (or less) from each point of the curve on
  std::vector<float> search_ns_;
  double forecast_ns_ = 0;
};

// What the replays of all parts add up to.
struct Sum {
  std::vector<ReplayedSample> samples;
  std::vector<std::int64_t> gained = std::vector<std::int64_t>(kCurvePoints);
  std::vector<float> search_ns;
  double forecast_ns = 0;
};

void add(const Contender& contender, const ReplaySetting& setting, Sum& sum) {
  const int samples = setting.samples.samples();
  const auto blocks = static_cast<std::size_t>(setting.samples.exits());
  EINET_CHECK(setting.calibrated.size() == static_cast<std::size_t>(samples) * blocks &&
                  setting.temperature.size() == blocks && setting.trunk_ns.size() == blocks &&
                  setting.exit_ns.size() == blocks,
              "one entry per block, and per sample and exit");
  const int count = std::clamp(setting.threads, 1, samples);
  std::vector<Runner> runners;
  for (int i = 0; i < count; ++i) runners.emplace_back(contender, setting);

  const std::size_t first = sum.samples.size();
  sum.samples.resize(first + static_cast<std::size_t>(samples));
  const auto run_part = [&](int part) {
    for (int s = part; s < samples; s += count) {
      sum.samples[first + static_cast<std::size_t>(s)] = runners[static_cast<std::size_t>(part)].run(s);
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int part = 1; part < count; ++part) threads.emplace_back(run_part, part);
    run_part(0);
  }
  for (Runner& runner : runners) {
    for (std::size_t i = 0; i < sum.gained.size(); ++i) sum.gained[i] += runner.gained()[i];
    sum.search_ns.insert(sum.search_ns.end(), runner.search_ns().begin(), runner.search_ns().end());
    sum.forecast_ns += runner.forecast_ns();
  }
}

}  // namespace

double whole_ns(std::span<const double> trunk_ns, std::span<const double> exit_ns) {
  const double trunks = std::accumulate(trunk_ns.begin(), trunk_ns.end(), 0.0);
  return std::accumulate(exit_ns.begin(), exit_ns.end(), trunks);
}

Replay replay(const Contender& contender, std::span<const ReplaySetting> parts) {
  EINET_CHECK(!parts.empty(), "samples to replay");
  Sum sum;
  for (const ReplaySetting& setting : parts) add(contender, setting, sum);

  Replay out;
  std::int64_t right = 0;
  for (const std::int64_t change : sum.gained) {
    right += change;
    out.accuracy_at.push_back(static_cast<double>(right) / static_cast<double>(sum.samples.size()));
  }
  if (std::vector<float>& ns = sum.search_ns; !ns.empty()) {
    const auto searches = static_cast<double>(ns.size());
    const auto quantile = [&](double share) {
      const auto place = ns.begin() + static_cast<std::ptrdiff_t>(share * (searches - 1));
      std::nth_element(ns.begin(), place, ns.end());
      return *place;
    };
    out.times = {.searches = static_cast<std::int64_t>(ns.size()),
                 .mean_ns = std::accumulate(ns.begin(), ns.end(), 0.0) / searches,
                 .p50_ns = quantile(0.5),
                 .p99_ns = quantile(0.99),
                 .forecast_ns = sum.forecast_ns / searches};
  }
  out.samples = std::move(sum.samples);
  return out;
}

}  // namespace einet
