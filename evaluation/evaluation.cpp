#include "evaluation/evaluation.h"

#include <algorithm>
#include <set>

#include "config/text.h"

namespace einet {
namespace {

// Whether the base can be found among the contenders, before any time is spent.
Result<void> check_names(std::span<const Contender> contenders, std::span<const Beside> beside,
                         std::string_view base) {
  if (contenders.empty()) return error("planner: expected at least one");
  std::vector<std::string_view> names;
  bool found = false;
  const auto add = [&](const std::string& name) -> Result<void> {
    if (std::find(names.begin(), names.end(), name) != names.end()) {
      return error("planner: \"" + escape(name, 60) + "\" is there twice");
    }
    names.push_back(name);
    found = found || name == base;
    return {};
  };
  for (const Contender& contender : contenders) {
    if (auto ok = add(contender.name); !ok) return ok;
  }
  for (const Beside& network : beside) {
    if (auto ok = add(network.name); !ok) return ok;
  }
  if (found || base == kBestStatic) return {};
  return error("base: found \"" + escape(base, 60) +
               "\"; expected best-static or a planner that is evaluated (" + one_of(names) + ")");
}

std::optional<ExitMask> common_plan(std::span<const ReplayedSample> samples) {
  const ExitMask first = samples.front().executed;
  const bool common = std::all_of(samples.begin(), samples.end(),
                                  [&](const ReplayedSample& sample) { return sample.executed == first; });
  return common ? std::optional(first) : std::nullopt;
}

double mean(std::span<const float> values) {
  double sum = 0;
  for (const float v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

// What a network with one answer comes to; planners' rows come from replays.
Replay replay(const Beside& network, const ReplaySetting& setting) {
  const auto alive = static_cast<float>(setting.survival(network.ready_ns));
  Replay out;
  int right = 0;
  for (int s = 0; s < network.samples.samples(); ++s) {
    const bool is_right = network.samples.right(s, network.samples.exits() - 1);
    right += is_right ? 1 : 0;
    out.samples.push_back({.executed = exit_bit(network.samples.exits() - 1),
                           .credit = is_right ? alive : 0,
                           .output = alive,
                           .depth = static_cast<float>(network.samples.exits() - 1) * alive,
                           .count = alive});
  }
  const double whole = whole_ns(setting.trunk_ns, setting.exit_ns);
  for (int i = 0; i < kCurvePoints; ++i) {
    const bool ready = network.ready_ns <= whole * i / (kCurvePoints - 1);
    out.accuracy_at.push_back(ready ? static_cast<double>(right) / network.samples.samples() : 0);
  }
  return out;
}

struct Judged {
  Row row;
  SampleColumns columns;
};

Judged judge(std::string name, Replay replayed) {
  Judged out;
  double depth = 0;
  double count = 0;
  for (const ReplayedSample& sample : replayed.samples) {
    out.columns.credit.push_back(sample.credit);
    out.columns.output.push_back(sample.output);
    depth += sample.depth;
    count += sample.count;
  }
  const auto samples = static_cast<double>(replayed.samples.size());
  const double output = mean(out.columns.output);
  out.row = {.planner = std::move(name),
             .plan = common_plan(replayed.samples),
             .comparison = {},
             .output = output,
             .mean_exit = output > 0 ? depth / (samples * output) : 0,
             .mean_count = count / samples,
             .times = replayed.times,
             .accuracy_at = std::move(replayed.accuracy_at)};
  return out;
}

}  // namespace

Result<Evaluation> evaluate(std::span<const Contender> contenders, std::string_view base, std::uint64_t seed,
                            std::span<const ReplaySetting> parts, std::span<const Beside> beside) {
  if (auto ok = check_names(contenders, beside, base); !ok) return ok.error();
  Evaluation evaluation;
  std::vector<SampleColumns> columns;
  double best = -1;
  const auto add = [&](Judged judged, bool may_be_base) {
    const double accuracy = mean(judged.columns.credit);
    if (judged.row.planner == base || (base == kBestStatic && may_be_base && accuracy > best)) {
      evaluation.base = evaluation.rows.size();
      best = accuracy;
    }
    evaluation.rows.push_back(std::move(judged.row));
    columns.push_back(std::move(judged.columns));
  };
  for (const Contender& contender : contenders) {
    add(judge(contender.name, replay(contender, parts)), contender.is_static());
  }
  for (const Beside& network : beside) add(judge(network.name, replay(network, parts.front())), false);
  const auto comparisons = compare(columns, evaluation.base, seed);
  for (std::size_t i = 0; i < comparisons.size(); ++i) evaluation.rows[i].comparison = comparisons[i];
  return evaluation;
}

}  // namespace einet
