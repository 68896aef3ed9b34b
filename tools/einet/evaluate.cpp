#include "tools/einet/evaluate.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <deque>
#include <ostream>
#include <thread>

#include "config/files.h"
#include "config/text.h"
#include "config/time.h"
#include "evaluation/evaluation.h"
#include "evaluation/kill.h"
#include "evaluation/learning.h"
#include "models/package_files.h"
#include "planner/problem_file.h"
#include "tools/einet/json.h"
#include "tools/einet/table.h"
#include "tools/plot/plot.h"

namespace einet::cli {
namespace {

constexpr ByteCount kMaxKillSample{std::uint64_t{64} << 20};
constexpr std::array<Aggregation, kAggregations> kEveryAggregation{
    Aggregation::last, Aggregation::most_confident, Aggregation::product};

// Of one network on one device, in nanoseconds.
struct Times {
  std::vector<double> trunk, exit;
  Duration whole{};
};

// One network under one kill distribution.
struct Done {
  std::string file, network, data, device, machine, kill, aggregation, expectations;
  int samples = 0;
  int validation_samples = 0;
  int blocks = 0;
  Duration whole{};
  Duration learning{};
  Evaluation evaluation;
};

// All block times there are: the profiles' own, or those of the file that was named instead.
Result<std::vector<EtProfile>> all_times(const ProfileSet& set, const std::filesystem::path& file) {
  if (file.empty()) return set.times();
  const auto text = read_file(file, kMaxProblemBytes);
  if (!text) return text.error();
  return parse_et_profile(*text, file.string(), set.blocks());
}

Result<EtProfile> choose_times(const std::vector<EtProfile>& all, const std::string& device) {
  std::vector<std::string_view> names;
  for (const EtProfile& times : all) {
    if (device.empty() || times.device == device) return times;
    names.push_back(times.device);
  }
  return error("device: found \"" + escape(device, 60) + "\"; the profiles have times of " + one_of(names));
}

Times median_times(const EtProfile& profile) {
  Times times;
  const auto take = [&](const std::vector<PartTime>& parts, std::vector<double>& ns) {
    for (const PartTime& part : parts) {
      ns.push_back(static_cast<double>(part.p50.count()));
      times.whole += part.p50;
    }
  };
  take(profile.trunk, times.trunk);
  take(profile.exit, times.exit);
  return times;
}

Result<Survival> read_kill(const std::string& kill, Duration whole) {
  if (constexpr std::string_view kSample = "sample:"; kill.starts_with(kSample)) {
    const std::string file = kill.substr(kSample.size());
    const auto text = read_file(file, kMaxKillSample);
    if (!text) return text.error();
    return parse_kill_sample(*text, file);
  }
  if (!kill.ends_with(".toml")) return parse_kill(kill, whole);
  const auto text = read_file(kill, kMaxProblemBytes);
  if (!text) return text.error();
  return parse_survival(*text, kill);
}

Result<const ProfileSplit*> need(const ProfileSet& set, Split split, std::string_view use) {
  if (const ProfileSplit* found = set.split(split)) return found;
  return error("has no " + std::string(name(split)) + " split; it is needed to " + std::string(use));
}

Result<std::vector<Contender>> parse_contenders(const std::vector<std::string>& names) {
  if (names.empty()) return usual_contenders();
  std::vector<Contender> contenders;
  for (const std::string& name : names) {
    auto contender = parse_contender(name);
    if (!contender) return contender.error();
    contenders.push_back(std::move(*contender));
  }
  return contenders;
}

// What every contender asks for.
struct Choices {
  std::vector<Contender> contenders;
  Aggregation aggregation{};  // of contenders without their own
  Expectation expectation{};

  bool needs(Expectation what, Aggregation how) const {
    return std::any_of(contenders.begin(), contenders.end(), [&](const Contender& c) {
      return c.kind == Contender::Kind::online && c.expectation.value_or(expectation) == what &&
             c.aggregation.value_or(aggregation) == how;
    });
  }
  bool needs(Expectation what) const {
    return std::any_of(kEveryAggregation.begin(), kEveryAggregation.end(),
                       [&](Aggregation how) { return needs(what, how); });
  }
};

Result<Choices> parse_choices(const EvaluateArguments& arguments) {
  auto contenders = parse_contenders(arguments.planners);
  if (!contenders) return contenders.error();
  const auto aggregation = parse_aggregation(arguments.aggregation);
  if (!aggregation) return aggregation.error();
  const auto expectation = parse_expectation(arguments.expect);
  if (!expectation) return expectation.error();
  return Choices{std::move(*contenders), *aggregation, *expectation};
}

// All that is learned from a network's validation samples, but for lookalikes, which depend on the survival
// too.
struct Learned {
  Predictor predictor;  // trained, if anybody asks for its expectations; its calibration is everybody's
  StatisticsForecast statistics;
  std::vector<PredictorForecast> predicted;  // one per aggregation
  std::vector<double> temperature;
  std::vector<float> calibrated;  // of the validation samples
};

Result<Learned> learn(const ProfileSplit& validation, const Choices& choices, std::uint64_t seed) {
  auto predictor = choices.needs(Expectation::predictor) ? learn_predictor(validation, seed)
                                                         : Result<Predictor>(learn_calibration(validation));
  if (!predictor) return within("cannot train a predictor", predictor.error());
  Learned learned{*predictor,
                  StatisticsForecast(validation),
                  {},
                  temperatures(*predictor),
                  calibrated_confidences(*predictor, validation)};
  for (const Aggregation aggregation : kEveryAggregation)
    learned.predicted.emplace_back(*predictor, aggregation);
  return learned;
}

// Evaluates one file under every kill distribution.
Result<std::vector<Done>> evaluate_file(const std::filesystem::path& path, const EvaluateArguments& arguments,
                                        const Choices& choices) {
  const auto set = ProfileSet::read(path);
  if (!set) return set.error();
  const std::string file = path.string();
  const auto test = need(*set, Split::test, "judge plans");
  if (!test) return within(file, test.error());
  const auto validation = need(*set, Split::validation, "plan");
  if (!validation) return within(file, validation.error());
  for (const Contender& contender : choices.contenders) {
    if (set->blocks() < kMaxBlocks && contender.exits >> set->blocks() != 0) {
      return error(file + ": planner \"" + contender.name + "\": the network has exits 0 to " +
                   std::to_string(set->blocks() - 1));
    }
  }
  const auto profiled = all_times(*set, arguments.times);
  if (!profiled) return profiled.error();
  const auto profile = choose_times(*profiled, arguments.device);
  if (!profile) return within(file, profile.error());
  const Times times = median_times(*profile);
  std::vector<Survival> survivals;  // all of them first: learning takes a while
  for (const std::string& kill : arguments.kills) {
    auto survival = read_kill(kill, times.whole);
    if (!survival) return survival.error();
    survivals.push_back(std::move(*survival));
  }

  const SystemClock clock;
  const TimePoint start = clock.now();
  const auto learned = learn(**validation, choices, arguments.seed);
  if (!learned) return within(file, learned.error());
  Duration learning = clock.now() - start;
  const std::vector<float> calibrated = calibrated_confidences(learned->predictor, **test);

  std::vector<Done> all;
  for (std::size_t i = 0; i < survivals.size(); ++i) {
    const TimePoint then = clock.now();
    Forecasts forecasts;
    std::deque<LookalikeForecast> lookalikes;
    const ExitMask usual = usual_exits(learned->statistics, survivals[i], times.trunk, times.exit);
    for (const Aggregation aggregation : kEveryAggregation) {
      forecasts.set(Expectation::statistics, aggregation, learned->statistics);
      forecasts.set(Expectation::predictor, aggregation,
                    learned->predicted[static_cast<std::size_t>(aggregation)]);
      if (!choices.needs(Expectation::lookalikes, aggregation)) continue;
      forecasts.set(Expectation::lookalikes, aggregation,
                    lookalikes.emplace_back(**validation, learned->calibrated, aggregation,
                                            learned->temperature, usual));
    }
    learning += clock.now() - then;
    const ReplaySetting setting{
        .samples = **test,
        .calibrated = calibrated,
        .temperature = learned->temperature,
        .forecasts = forecasts,
        .survival = survivals[i],
        .trunk_ns = times.trunk,
        .exit_ns = times.exit,
        .aggregation = choices.aggregation,
        .expectation = choices.expectation,
        .clock = clock,
        .threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency())),
    };
    auto evaluation = evaluate(choices.contenders, arguments.base, arguments.seed, setting);
    if (!evaluation) return evaluation.error();
    all.push_back({.file = file,
                   .network = set->network(),
                   .data = set->data(),
                   .device = profile->device,
                   .machine = profile->machine,
                   .kill = arguments.kills[i],
                   .aggregation = std::string(name(choices.aggregation)),
                   .expectations = std::string(name(choices.expectation)),
                   .samples = (*test)->samples(),
                   .validation_samples = (*validation)->samples(),
                   .blocks = set->blocks(),
                   .whole = times.whole,
                   .learning = learning,
                   .evaluation = std::move(*evaluation)});
  }
  return all;
}

std::string decimals(double value, int digits) {
  std::array<char, 64> out{};
  std::snprintf(out.data(), out.size(), "%.*f", digits, value);
  return out.data();
}

// Points of percent, with a sign.
std::string points(double share) {
  std::array<char, 64> out{};
  std::snprintf(out.data(), out.size(), "%+.2f", 100 * share);
  return out.data();
}

std::string shares(const Interval& i) {
  return decimals(100 * i.low, 2) + " to " + decimals(100 * i.high, 2);
}

std::string short_time(double ns) {
  return format_duration_short(Duration{static_cast<std::int64_t>(ns)});
}

void print_table(const Done& done, std::ostream& out) {
  const Evaluation& e = done.evaluation;
  out << printable(done.network) << " on " << printable(done.data) << ": " << done.samples
      << " test samples, " << done.blocks << " exits, " << format_duration_short(done.whole)
      << " with all of them on " << done.device << "\nkilled: " << printable(done.kill)
      << "; answers: " << done.aggregation << "; expectations: " << done.expectations << ", learned from "
      << done.validation_samples << " validation samples in " << format_duration_short(done.learning) << "\n";
  Table table({"planner", "accuracy %", "95%", "over " + e.rows[e.base].planner, "95%", "given an answer %",
               "95%", "answered %", "mean exit", "exits", "search p50", "p99"});
  for (const Row& row : e.rows) {
    const Comparison& c = row.comparison;
    const bool searched = row.times.searches > 0;
    table.add({row.planner, decimals(100 * c.accuracy.value, 2), shares(c.accuracy.interval),
               points(c.gain.value), points(c.gain.interval.low) + " to " + points(c.gain.interval.high),
               decimals(100 * c.given_output.value, 2), shares(c.given_output.interval),
               decimals(100 * row.output, 1), decimals(row.mean_exit, 2), decimals(row.mean_count, 2),
               searched ? short_time(row.times.p50_ns) : "-", searched ? short_time(row.times.p99_ns) : "-"});
  }
  table.print(out);
}

Json to_json(const Estimate& estimate) {
  return {{"value", estimate.value}, {"low", estimate.interval.low}, {"high", estimate.interval.high}};
}

Json to_json(const Done& done, std::uint64_t seed) {
  Json rows = Json::array();
  for (const Row& row : done.evaluation.rows) {
    const Comparison& c = row.comparison;
    Json search = nullptr;
    if (row.times.searches > 0) {
      search = {{"count", row.times.searches},
                {"mean_us", row.times.mean_ns / 1e3},
                {"p50_us", row.times.p50_ns / 1e3},
                {"p99_us", row.times.p99_ns / 1e3},
                {"forecast_us", row.times.forecast_ns / 1e3}};
    }
    Json plan = nullptr;
    if (row.plan) {
      plan = Json::array();
      for (int exit = 0; exit < done.blocks; ++exit) {
        if ((*row.plan & exit_bit(exit)) != 0) plan.push_back(exit);
      }
    }
    rows.push_back({{"planner", row.planner},
                    {"plan", std::move(plan)},
                    {"accuracy", to_json(c.accuracy)},
                    {"gain", to_json(c.gain)},
                    {"accuracy_given_answer", to_json(c.given_output)},
                    {"gain_given_answer", to_json(c.gain_given_output)},
                    {"answered", row.output},
                    {"mean_exit", row.mean_exit},
                    {"mean_exits", row.mean_count},
                    {"search", search}});
  }
  return {{"profiles", done.file},
          {"network", done.network},
          {"data", done.data},
          {"device", done.device},
          {"machine", done.machine},
          {"exits", done.blocks},
          {"samples", done.samples},
          {"validation_samples", done.validation_samples},
          {"whole", format_duration(done.whole)},
          {"kill", done.kill},
          {"aggregation", done.aggregation},
          {"expectations", done.expectations},
          {"seed", seed},
          {"base", done.evaluation.rows[done.evaluation.base].planner},
          {"planners", std::move(rows)}};
}

Panel to_panel(const Done& done) {
  struct Unit {
    const char* name;
    double ns;
  };
  constexpr std::array<Unit, 4> kUnits{Unit{"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1}};
  const auto whole_ns = static_cast<double>(done.whole.count());
  std::size_t unit = 0;
  while (unit + 1 < kUnits.size() && whole_ns < 2 * kUnits[unit].ns) ++unit;
  Panel panel;
  panel.title =
      escape(done.network, 40) + " on " + escape(done.data, 40) + ", planned for " + escape(done.kill, 40);
  panel.x_label = std::string("kill time [") + kUnits[unit].name + "]";
  panel.y_label = "accuracy (" + done.aggregation + ")";
  panel.x_max = whole_ns / kUnits[unit].ns;
  for (const Row& row : done.evaluation.rows) panel.curves.push_back({row.planner, row.accuracy_at});
  return panel;
}

Result<void> write_plot(const std::vector<Done>& all, const std::filesystem::path& path) {
  std::vector<Panel> panels;
  for (const Done& done : all) panels.push_back(to_panel(done));
  const auto png = draw_png(panels);
  if (!png) return png.error();
  return write_file(path, *png);
}

}  // namespace

int run_evaluate(const EvaluateArguments& arguments, std::ostream& out, std::ostream& words) {
  const auto fail = [&](const Error& e) {
    words << "einet evaluate: " << printable(e.message) << "\n";
    return 2;
  };
  const auto choices = parse_choices(arguments);
  if (!choices) return fail(choices.error());
  if (!arguments.plot.empty() && arguments.profiles.size() * arguments.kills.size() > kMaxPanels) {
    return fail(
        error("plot: at most " + std::to_string(kMaxPanels) + " tables fit into one; name fewer profiles"));
  }
  std::vector<Done> all;
  for (const std::filesystem::path& path : arguments.profiles) {
    auto done = evaluate_file(path, arguments, *choices);
    if (!done) return fail(done.error());
    all.insert(all.end(), std::make_move_iterator(done->begin()), std::make_move_iterator(done->end()));
  }
  if (!arguments.plot.empty()) {
    if (auto ok = write_plot(all, arguments.plot); !ok) return fail(ok.error());
  }
  if (arguments.output == EvaluateArguments::Output::json) {
    Json evaluations = Json::array();
    for (const Done& done : all) evaluations.push_back(to_json(done, arguments.seed));
    out << text_of({{"evaluations", std::move(evaluations)}}) << "\n";
    return 0;
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i > 0) out << "\n";
    print_table(all[i], out);
  }
  return 0;
}

}  // namespace einet::cli
