#include "tools/einet/evaluate.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <ostream>
#include <thread>

#include "config/files.h"
#include "config/text.h"
#include "config/time.h"
#include "evaluation/evaluation.h"
#include "evaluation/kill.h"
#include "evaluation/lesson.h"
#include "models/package_files.h"
#include "planner/problem_file.h"
#include "tools/einet/json.h"
#include "tools/einet/table.h"
#include "tools/plot/plot.h"

namespace einet::cli {
namespace {

constexpr ByteCount kMaxKillSample{std::uint64_t{64} << 20};

// One network under one kill distribution.
struct Done {
  std::string file, network, data, device, machine, kill, aggregation, expectations;
  Split judged_by{};
  int samples = 0;
  int validation_samples = 0;
  int blocks = 0;
  Duration whole{};
  Duration learning{};
  Evaluation evaluation;
  std::vector<std::string> beside;                         // the files of the last rows
  std::map<std::string, std::vector<double>> exits_right;  // per split that is there: every exit's accuracy
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

Duration whole_of(const BlockTimes& times) {
  return Duration{static_cast<std::int64_t>(times.whole_ns())};
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

Result<Choices> parse_choices(const EvaluateArguments& arguments) {
  auto contenders = parse_contenders(arguments.planners);
  if (!contenders) return contenders.error();
  const auto aggregation = parse_aggregation(arguments.aggregation);
  if (!aggregation) return aggregation.error();
  const auto expectation = parse_expectation(arguments.expect);
  if (!expectation) return expectation.error();
  return Choices{std::move(*contenders), *aggregation, *expectation};
}

// Where the samples that judge come from, and those that teach.
Result<std::vector<Fold>> folds(const ProfileSet& set, Split judge) {
  const auto validation = need(set, Split::validation, "plan");
  if (!validation) return validation.error();
  if (judge == Split::validation) {
    if ((*validation)->samples() >= kFolds) return cross_validation(**validation);
    return error("has " + std::to_string((*validation)->samples()) + " validation samples; " +
                 std::to_string(kFolds) + " are needed to judge by them");
  }
  const auto test = need(set, Split::test, "judge plans");
  if (!test) return test.error();
  return std::vector<Fold>{{**validation, **test}};
}

// Another network to stand beside `set`, judged by the same samples on the same machine.
Result<Beside> beside(const ProfileSet& other, const ProfileSet& set, const EtProfile& times, Split judge) {
  const auto found = need(other, judge, "judge it");
  if (!found) return found.error();
  const ProfileSplit& samples = **found;
  const ProfileSplit& wanted = *set.split(judge);
  bool same = other.data() == set.data() && samples.samples() == wanted.samples();
  for (int s = 0; same && s < samples.samples(); ++s) same = samples.label(s) == wanted.label(s);
  if (!same) {
    return error("is of other " + std::string(name(judge)) + " samples (" + other.data() + ") than " +
                 set.network() + " (" + set.data() +
                 "); networks can stand beside each other that were profiled on the same data");
  }
  const EtProfile* const own = other.times_on(times.device);
  if (own == nullptr) {
    return error("has no times on " + times.device + ", as " + set.network() + " has; profile it there");
  }
  if (own->machine != times.machine) {
    return error("was timed on \"" + escape(own->machine, 60) + "\", " + set.network() + " on \"" +
                 escape(times.machine, 60) + "\"; profile both on the same machine");
  }
  return Beside{other.network(), samples, median_times(*own).last_ns()};
}

std::map<std::string, std::vector<double>> accuracies(const ProfileSet& set) {
  std::map<std::string, std::vector<double>> out;
  for (const Split split : kSplits) {
    const ProfileSplit* const samples = set.split(split);
    for (int e = 0; samples != nullptr && e < set.blocks(); ++e) {
      out[std::string(name(split))].push_back(samples->accuracy(e));
    }
  }
  return out;
}

Result<std::vector<ProfileSet>> read_all(const std::vector<std::filesystem::path>& paths) {
  std::vector<ProfileSet> sets;
  for (const std::filesystem::path& path : paths) {
    auto set = ProfileSet::read(path);
    if (!set) return set.error();
    sets.push_back(std::move(*set));
  }
  return sets;
}

// Evaluates one file under every kill distribution.
Result<std::vector<Done>> evaluate_file(const std::filesystem::path& path, const EvaluateArguments& arguments,
                                        const Choices& choices, const std::vector<ProfileSet>& others) {
  const auto set = ProfileSet::read(path);
  if (!set) return set.error();
  const std::string file = path.string();
  const auto parts = folds(*set, arguments.judge);
  if (!parts) return within(file, parts.error());
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
  const BlockTimes times = median_times(*profile);
  std::vector<Beside> networks;
  for (std::size_t i = 0; i < others.size(); ++i) {
    auto network = beside(others[i], *set, *profile, arguments.judge);
    if (!network) return within(arguments.beside[i].string(), network.error());
    networks.push_back(std::move(*network));
  }
  std::vector<Survival> survivals;  // all of them first: learning takes a while
  for (const std::string& kill : arguments.kills) {
    auto survival = read_kill(kill, whole_of(times));
    if (!survival) return survival.error();
    survivals.push_back(std::move(*survival));
  }

  const SystemClock clock;
  const TimePoint start = clock.now();
  std::vector<Lesson> lessons;
  for (const Fold& fold : *parts) {
    auto lesson = Lesson::learn(fold, choices, arguments.seed);
    if (!lesson) return within(file, lesson.error());
    lessons.push_back(std::move(*lesson));
  }
  Duration learning = clock.now() - start;

  std::vector<Done> all;
  for (std::size_t i = 0; i < survivals.size(); ++i) {
    const TimePoint then = clock.now();
    std::vector<ReplaySetting> settings;
    for (Lesson& lesson : lessons) {
      const Lesson::Plans& plans = lesson.learn_plans(choices, survivals[i], times);
      settings.push_back({
          .samples = lesson.judged(),
          .calibrated = lesson.calibrated(),
          .temperature = lesson.temperature(),
          .discount = plans.discount,
          .forecasts = plans.forecasts,
          .survival = survivals[i],
          .trunk_ns = times.trunk_ns,
          .exit_ns = times.exit_ns,
          .aggregation = choices.aggregation,
          .expectation = choices.expectation,
          .clock = clock,
          .threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency())),
      });
    }
    learning += clock.now() - then;
    auto evaluation = evaluate(choices.contenders, arguments.base, arguments.seed, settings, networks);
    if (!evaluation) return evaluation.error();
    Done& done = all.emplace_back(Done{.file = file,
                                       .network = set->network(),
                                       .data = set->data(),
                                       .device = profile->device,
                                       .machine = profile->machine,
                                       .kill = arguments.kills[i],
                                       .aggregation = std::string(name(choices.aggregation)),
                                       .expectations = std::string(name(choices.expectation)),
                                       .judged_by = arguments.judge,
                                       .samples = set->split(arguments.judge)->samples(),
                                       .validation_samples = set->split(Split::validation)->samples(),
                                       .blocks = set->blocks(),
                                       .whole = whole_of(times),
                                       .learning = learning,
                                       .evaluation = std::move(*evaluation),
                                       .beside = {},
                                       .exits_right = accuracies(*set)});
    for (const std::filesystem::path& other : arguments.beside) done.beside.push_back(other.string());
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
  out << printable(done.network) << " on " << printable(done.data) << ": " << done.samples << " "
      << name(done.judged_by) << " samples, " << done.blocks << " exits, "
      << format_duration_short(done.whole) << " with all of them on " << done.device
      << "\nkilled: " << printable(done.kill) << "; answers: " << done.aggregation
      << "; expectations: " << done.expectations << ", learned from "
      << (done.judged_by == Split::validation ? "four fifths of " : "") << done.validation_samples
      << " validation samples in " << format_duration_short(done.learning) << "\n";
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
  const std::size_t planners = done.evaluation.rows.size() - done.beside.size();
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
    if (rows.size() > planners) rows.back()["profiles"] = done.beside[rows.size() - planners - 1];
  }
  return {{"profiles", done.file},
          {"network", done.network},
          {"data", done.data},
          {"device", done.device},
          {"machine", done.machine},
          {"exits", done.blocks},
          {"judged_by", name(done.judged_by)},
          {"samples", done.samples},
          {"validation_samples", done.validation_samples},
          {"whole", format_duration(done.whole)},
          {"kill", done.kill},
          {"aggregation", done.aggregation},
          {"expectations", done.expectations},
          {"seed", seed},
          {"base", done.evaluation.rows[done.evaluation.base].planner},
          {"exit_accuracy", done.exits_right},
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
  const auto others = read_all(arguments.beside);
  if (!others) return fail(others.error());
  std::vector<Done> all;
  for (const std::filesystem::path& path : arguments.profiles) {
    auto done = evaluate_file(path, arguments, *choices, *others);
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
