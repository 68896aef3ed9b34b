#include "evaluation/evaluation.h"

#include <algorithm>
#include <set>

#include "config/text.h"

namespace einet {
namespace {

// Whether the base can be found among the contenders, before any time is spent.
Result<void> check_names(std::span<const Contender> contenders, std::string_view base) {
  if (contenders.empty()) return error("planner: expected at least one");
  std::vector<std::string_view> names;
  bool found = false;
  for (const Contender& contender : contenders) {
    if (std::find(names.begin(), names.end(), contender.name) != names.end()) {
      return error("planner: \"" + contender.name + "\" is there twice");
    }
    names.push_back(contender.name);
    found = found || contender.name == base || (base == kBestStatic && contender.is_static());
  }
  if (found) return {};
  if (base == kBestStatic)
    return error("base: best-static needs one of static:25, static:50, static:100, all and exits:…");
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

}  // namespace

Result<Evaluation> evaluate(std::span<const Contender> contenders, std::string_view base, std::uint64_t seed,
                            const ReplaySetting& setting) {
  if (auto ok = check_names(contenders, base); !ok) return ok.error();
  Evaluation evaluation;
  std::vector<SampleColumns> columns;
  double best = -1;
  for (const Contender& contender : contenders) {
    Replay replayed = replay(contender, setting);
    SampleColumns column;
    double depth = 0;
    double count = 0;
    for (const ReplayedSample& sample : replayed.samples) {
      column.credit.push_back(sample.credit);
      column.output.push_back(sample.output);
      depth += sample.depth;
      count += sample.count;
    }
    const auto samples = static_cast<double>(replayed.samples.size());
    const double output = mean(column.output);
    const double accuracy = mean(column.credit);
    if (contender.name == base || (base == kBestStatic && contender.is_static() && accuracy > best)) {
      evaluation.base = evaluation.rows.size();
      best = accuracy;
    }
    evaluation.rows.push_back({.planner = contender.name,
                               .plan = common_plan(replayed.samples),
                               .comparison = {},
                               .output = output,
                               .mean_exit = output > 0 ? depth / (samples * output) : 0,
                               .mean_count = count / samples,
                               .times = replayed.times,
                               .accuracy_at = std::move(replayed.accuracy_at)});
    columns.push_back(std::move(column));
  }
  const auto comparisons = compare(columns, evaluation.base, seed);
  for (std::size_t i = 0; i < comparisons.size(); ++i) evaluation.rows[i].comparison = comparisons[i];
  return evaluation;
}

}  // namespace einet
