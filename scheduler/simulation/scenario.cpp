#include "scheduler/simulation/scenario.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "config/check.h"
#include "config/toml_reader.h"
#include "planner/predictor.h"

namespace einet {
namespace {

using Words = std::span<const std::string_view>;

constexpr std::array<std::string_view, 3> kTrueTimes{"expected", "spread", "worst"};
constexpr std::array<std::string_view, 2> kOnMiss{"stop", "continue"};
enum class Forecasts : std::uint8_t { none, untrained };
constexpr std::array<std::string_view, 2> kForecasts{"none", "untrained"};
constexpr std::int64_t kMostThings = 100'000;  // of each kind
constexpr std::int64_t kMostDevices = 64;
// Small enough that no sum of what a scenario names overflows.
constexpr Duration kLongest{std::int64_t{1} << 40};
constexpr Duration kShortest{1};

class Reader {
 public:
  Reader(std::string_view text, const std::string& file) : document_(text, file), root_(document_.root()) {}

  Result<Scenario> read() {
    root_.integer("scenario", 1, 1);
    // All 64 bits of it, written as TOML's signed integer.
    s_.seed = static_cast<std::uint64_t>(root_.integer("seed", std::numeric_limits<std::int64_t>::min(),
                                                       std::numeric_limits<std::int64_t>::max(), 0));
    s_.policy = choice<Policy>(root_, "policy", policy_words(), s_.policy);
    s_.promote_at_laxity = length(root_, "promote_at_laxity", Duration{}, Duration{});
    if (root_.has("survival")) {
      s_.survival = survival_parts(root_.choices("survival", survival_words()));
    }
    s_.max_jobs = static_cast<std::size_t>(root_.integer("max_jobs", 1, kMostThings, 1000));
    s_.times = choice<TrueTimes>(root_, "times", kTrueTimes, s_.times);
    s_.late_reports = static_cast<int>(root_.integer("late_reports", 0, 100, 0));
    s_.races = static_cast<int>(root_.integer("races", 0, 100, 0));
    s_.failed_moves = static_cast<int>(root_.integer("failed_moves", 0, 100, 0));
    each("model", [&](TomlTable& t) { s_.models.push_back(model(t)); });
    each("lane", [&](TomlTable& t) { s_.lanes.push_back(lane(t)); });
    each("tenant", [&](TomlTable& t) { s_.tenants.push_back(tenant(t)); });
    each("task", [&](TomlTable& t) { s_.tasks.push_back(task(t)); });
    each("job", [&](TomlTable& t) { s_.jobs.push_back(job(t)); });
    each("loss", [&](TomlTable& t) { s_.losses.push_back(loss(t)); });
    each("reload", [&](TomlTable& t) { s_.reloads.push_back(reload(t)); });
    each("eviction", [&](TomlTable& t) { s_.evictions.push_back(eviction(t)); });
    if (s_.lanes.empty()) root_.fail("lane", "a scenario has at least one [[lane]]");
    for (const auto& model : s_.models) check_devices(*model);
    root_.close();
    if (const Result<void> ok = document_.finish(); !ok) return ok.error();
    return std::move(s_);
  }

 private:
  template <class F>
  void each(std::string_view key, F&& f) {
    std::vector<TomlTable> tables = root_.tables(key);
    if (tables.size() > static_cast<std::size_t>(kMostThings)) {
      return root_.fail(key, "there are at most " + std::to_string(kMostThings));
    }
    for (TomlTable& table : tables) {
      // What follows an error is read with fallbacks, which need not fit together.
      if (!document_.finish()) return;
      f(table);
      table.close();
    }
  }

  template <class E>
  E choice(TomlTable& t, std::string_view key, Words words, E fallback) {
    const std::string word = t.choice(key, words, std::string(words[static_cast<std::size_t>(fallback)]));
    return static_cast<E>(std::find(words.begin(), words.end(), word) - words.begin());
  }

  Duration length(TomlTable& t, std::string_view key, Duration least, std::optional<Duration> fallback = {}) {
    const Duration d = t.duration(key, least, fallback);
    if (d > kLongest && d < kForever) t.fail(key, "at most " + format_duration(kLongest) + " is allowed");
    return d;
  }

  // kNever if missing.
  TimePoint instant_or_never(TomlTable& t, std::string_view key) {
    return t.has(key) ? TimePoint{length(t, key, Duration{})} : kNever;
  }
  TimePoint instant(TomlTable& t, std::string_view key) {
    return TimePoint{length(t, key, Duration{}, Duration{})};
  }

  std::size_t index(TomlTable& t, std::string_view key, std::size_t count,
                    std::optional<std::int64_t> fallback = 0) {
    if (count == 0) t.fail(key, "the scenario has none of these");
    return static_cast<std::size_t>(
        t.integer(key, 0, std::max<std::int64_t>(1, static_cast<std::int64_t>(count)) - 1, fallback));
  }

  std::shared_ptr<const ModelTimes> model(TomlTable& t) {
    auto times = std::make_shared<ModelTimes>();
    for (TomlTable& on : t.tables("on")) {
      const auto device = static_cast<std::size_t>(on.integer("device", 0, kMostDevices - 1, 0));
      const std::vector<Duration> trunk = durations(on, "trunk", kShortest, {});
      const std::vector<Duration> exit = durations(on, "exit", Duration{}, trunk.size());
      const std::vector<Duration> worst_trunk = durations(on, "worst_trunk", kShortest, trunk.size());
      const std::vector<Duration> worst_exit = durations(on, "worst_exit", Duration{}, trunk.size());
      const bool moves = on.has("move_out") || on.has("move_in");
      const auto move_times = [&](std::string_view key) {
        return moves ? durations(on, key, Duration{}, trunk.size()) : std::vector<Duration>{};
      };
      const std::vector<Duration> out = move_times("move_out"), in = move_times("move_in");
      const std::vector<double> batch = on.numbers("batch", 1, kMaxBatch, kMaxBatch);
      const bool rises = std::is_sorted(batch.begin(), batch.end());
      if (!rises || (!batch.empty() && batch[0] != 1)) {
        on.fail("batch", "expected how much longer a block takes for 1, 2, … jobs: from 1 on, never falling");
      }
      const std::int64_t in_flight = on.integer("in_flight", 1, kMaxInFlight, 1);
      on.close();
      if (!document_.finish()) return times;
      if (times->blocks() != 0 && static_cast<std::size_t>(times->blocks()) != trunk.size()) {
        on.fail("trunk", "a model has as many blocks on every device");
      }
      if (times->on_device.size() <= device) times->on_device.resize(device + 1);
      times->on_device[device].clear();
      for (std::size_t b = 0; b < trunk.size(); ++b) {
        if (worst_trunk[b] < trunk[b]) on.fail("worst_trunk", "the worst time is at least the expected one");
        if (worst_exit[b] < exit[b]) on.fail("worst_exit", "the worst time is at least the expected one");
        times->on_device[device].push_back({trunk[b], exit[b], worst_trunk[b], worst_exit[b]});
      }
      if (!batch.empty()) {
        if (times->batch.size() <= device) times->batch.resize(device + 1);
        times->batch[device] = batch;
      }
      if (in_flight > 1) {
        if (times->in_flight.size() <= device) times->in_flight.resize(device + 1, 1);
        times->in_flight[device] = static_cast<int>(in_flight);
      }
      if (!moves) continue;
      if (times->moves.size() <= device) times->moves.resize(device + 1);
      times->moves[device].clear();
      for (std::size_t b = 0; b < trunk.size(); ++b) times->moves[device].push_back({out[b], in[b]});
    }
    if (times->blocks() == 0) t.fail("on", "a model has at least one [[model.on]] with blocks");
    times->accuracy = t.numbers("accuracy", 0, 1, kMaxBlocks);
    if (!times->accuracy.empty() && times->accuracy.size() != static_cast<std::size_t>(times->blocks())) {
      t.fail("accuracy", "a model has no exits, or one per block");
    }
    if (choice(t, "forecast", kForecasts, Forecasts::none) == Forecasts::untrained) {
      if (times->accuracy.empty()) {
        t.fail("forecast", "a model without exits has none");
      } else {
        times->forecast = untrained_forecast(times->accuracy);
      }
    }
    return times;
  }

  // A job could wait forever for a device that never comes.
  void check_devices(const ModelTimes& model) {
    for (std::size_t d = 0; d < model.on_device.size(); ++d) {
      const bool there = std::any_of(s_.lanes.begin(), s_.lanes.end(),
                                     [&](const Scenario::Lane& l) { return l.device.value == d; });
      if (!model.on_device[d].empty() && !there) {
        root_.fail("lane", "a model runs on device " + std::to_string(d) + ", which has no lane");
      }
    }
  }

  // `count`: how many there must be; none: any number from 1 on.
  std::vector<Duration> durations(TomlTable& t, std::string_view key, Duration least,
                                  std::optional<std::size_t> count) {
    std::vector<Duration> list = t.durations(key, least, kMaxBlocks);
    if (count ? list.size() != *count : list.empty()) {
      t.fail(key, count ? "one duration per block is needed" : "a list of at least one duration is needed");
    }
    for (const Duration d : list) {
      if (d > kLongest) t.fail(key, "at most " + format_duration(kLongest) + " is allowed");
    }
    return list;
  }

  Scenario::Lane lane(TomlTable& t) {
    return {.device = DeviceId{static_cast<std::uint32_t>(t.integer("device", 0, kMostDevices - 1, 0))},
            .preemption = choice<Preemption>(t, "preemption", preemption_words(), Preemption::boundary)};
  }

  Scenario::Tenant tenant(TomlTable& t) {
    Scenario::Tenant tenant;
    tenant.weight = t.number("weight", 1e-3, 1e3, 1.0);
    if (t.has("budget")) {
      tenant.budget = length(t, "budget", kShortest);
      tenant.window = length(t, "window", *tenant.budget);
    }
    return tenant;
  }

  Scenario::Task task(TomlTable& t) {
    Scenario::Task task;
    task.model = index(t, "model", s_.models.size());
    task.period = length(t, "period", kShortest);
    task.deadline = length(t, "deadline", kShortest, task.period);
    task.priority = priority(t);
    task.mandatory_exit = mandatory_exit(t, task.model);
    task.from = instant(t, "from");
    task.until = instant_or_never(t, "until");
    if (task.until <= task.from) t.fail("until", "it comes after \"from\"");
    return task;
  }

  static int priority(TomlTable& t) { return static_cast<int>(t.integer("priority", -1000, 1000, 0)); }

  int mandatory_exit(TomlTable& t, std::size_t model) {
    const bool exits = model < s_.models.size() && !s_.models[model]->accuracy.empty();
    return static_cast<int>(t.integer("mandatory_exit", -1, exits ? s_.models[model]->blocks() - 1 : -1, -1));
  }

  Scenario::Job job(TomlTable& t) {
    Scenario::Job job;
    job.submit = instant(t, "submit");
    job.release = TimePoint{length(t, "release", Duration{}, job.submit.time_since_epoch())};
    job.deadline = instant_or_never(t, "deadline");
    job.cancel = instant_or_never(t, "cancel");
    job.model = index(t, "model", s_.models.size());
    job.tenant = s_.tenants.empty() ? 0 : index(t, "tenant", s_.tenants.size());
    if (t.has("task")) {
      job.task = index(t, "task", s_.tasks.size());
      if (*job.task < s_.tasks.size()) job.model = s_.tasks[*job.task].model;
    }
    job.priority = priority(t);
    job.mandatory_exit = mandatory_exit(t, job.model);
    job.target_confidence = t.number("target_confidence", 0, 2, 2.0);
    job.on_miss = choice<OnMiss>(t, "on_miss", kOnMiss, OnMiss::stop);
    job.plan = choice<PlanMode>(t, "plan", plan_words(), PlanMode::exact);
    job.overrun = length(t, "overrun", Duration{}, Duration{});
    return job;
  }

  Scenario::Loss loss(TomlTable& t) {
    Scenario::Loss loss;
    loss.lane = index(t, "lane", s_.lanes.size());
    loss.at = instant(t, "at");
    loss.back = instant_or_never(t, "back");
    loss.told = choice<LaneLoss>(t, "told", loss_words(), LaneLoss::for_good);
    if (loss.back <= loss.at) t.fail("back", "it comes after \"at\"");
    if (loss.back == kNever && loss.told == LaneLoss::comes_back) {
      t.fail("told", "a lane that comes back has an instant for that in \"back\"");
    }
    return loss;
  }

  Scenario::Eviction eviction(TomlTable& t) {
    Scenario::Eviction out{
        .model = index(t, "model", s_.models.size()),
        .device = DeviceId{static_cast<std::uint32_t>(t.integer("device", 0, kMostDevices - 1, 0))},
        .at = instant(t, "at"),
        .back = instant(t, "back")};
    if (out.back <= out.at) t.fail("back", "it comes after \"at\"");
    return out;
  }

  Scenario::Reload reload(TomlTable& t) {
    return {.model = index(t, "model", s_.models.size()),
            .at = instant(t, "at"),
            .longer = length(t, "longer", Duration{}, Duration{})};
  }

  TomlDocument document_;
  TomlTable root_;
  Scenario s_;
};

// Writes "key = value" lines; leaves out what a reader would assume anyway.
class Writer {
 public:
  void table(std::string_view name) { out_ += "[[" + std::string(name) + "]]\n"; }
  void line(std::string_view key, const std::string& value) {
    out_ += std::string(key) + " = " + value + "\n";
  }
  void number(std::string_view key, std::int64_t n, std::int64_t assumed = 0) {
    if (n != assumed) line(key, std::to_string(n));
  }
  void real(std::string_view key, double x, double assumed) {
    if (x != assumed) line(key, text(x));
  }
  void time(std::string_view key, Duration d) { line(key, '"' + format_duration(d) + '"'); }
  void instant(std::string_view key, TimePoint t, TimePoint assumed) {
    if (t != assumed) time(key, t.time_since_epoch());
  }
  template <class E>
  void word(std::string_view key, Words words, E value, E assumed) {
    if (value != assumed) line(key, '"' + std::string(words[static_cast<std::size_t>(value)]) + '"');
  }
  template <class List, class F>
  void list(std::string_view key, const List& list, F&& write) {
    std::string items;
    for (const auto& item : list) items += (items.empty() ? "" : ", ") + write(item);
    line(key, '[' + items + ']');
  }
  static std::string text(double x) {
    std::array<char, 32> buffer{};
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), x).ptr;
    std::string out(buffer.data(), end);
    // TOML tells a float from an integer by its look.
    return out.find_first_of(".e") == std::string::npos ? out + ".0" : out;
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

void write_model(Writer& w, const ModelTimes& model) {
  w.table("model");
  if (!model.accuracy.empty()) w.list("accuracy", model.accuracy, Writer::text);
  w.word("forecast", kForecasts, model.forecast == nullptr ? Forecasts::none : Forecasts::untrained,
         Forecasts::none);
  for (std::size_t d = 0; d < model.on_device.size(); ++d) {
    const std::vector<BlockTime>& blocks = model.on_device[d];
    if (blocks.empty()) continue;
    w.table("model.on");
    w.number("device", static_cast<std::int64_t>(d));
    const auto times = [&](std::string_view key, Duration BlockTime::*which) {
      w.list(key, blocks, [&](const BlockTime& b) { return '"' + format_duration(b.*which) + '"'; });
    };
    times("trunk", &BlockTime::trunk);
    times("exit", &BlockTime::exit);
    times("worst_trunk", &BlockTime::worst_trunk);
    times("worst_exit", &BlockTime::worst_exit);
    if (d < model.batch.size() && !model.batch[d].empty()) w.list("batch", model.batch[d], Writer::text);
    const int in_flight = model.blocks_in_flight(DeviceId{static_cast<std::uint32_t>(d)});
    if (in_flight > 1) w.number("in_flight", in_flight);
    if (d >= model.moves.size() || model.moves[d].empty()) continue;
    const auto moves = [&](std::string_view key, Duration MoveTime::*which) {
      w.list(key, model.moves[d], [&](const MoveTime& m) { return '"' + format_duration(m.*which) + '"'; });
    };
    moves("move_out", &MoveTime::out);
    moves("move_in", &MoveTime::in);
  }
}

void write_job(Writer& w, const Scenario::Job& j) {
  const auto index = [](std::size_t i) { return static_cast<std::int64_t>(i); };
  w.table("job");
  w.instant("submit", j.submit, TimePoint{});
  w.instant("release", j.release, j.submit);
  w.instant("deadline", j.deadline, kNever);
  w.instant("cancel", j.cancel, kNever);
  if (!j.task) w.number("model", index(j.model));
  w.number("tenant", index(j.tenant));
  if (j.task) w.number("task", index(*j.task), -1);
  w.number("priority", j.priority);
  w.number("mandatory_exit", j.mandatory_exit, -1);
  w.real("target_confidence", j.target_confidence, 2);
  w.word("on_miss", kOnMiss, j.on_miss, OnMiss::stop);
  w.word("plan", plan_words(), j.plan, PlanMode::exact);
  if (j.overrun > Duration{}) w.time("overrun", j.overrun);
}

}  // namespace

std::shared_ptr<const Forecast> untrained_forecast(const std::vector<double>& accuracy) {
  const auto exits = accuracy.size();
  PredictorParameters p;
  p.classes = 10;
  p.calibration.assign(exits, Calibration{.confidence = {0, 1}, .accuracy = {0, 1}});
  p.prior.assign(accuracy.begin(), accuracy.end());
  p.layers.push_back({.inputs = static_cast<int>(2 * exits),
                      .outputs = static_cast<int>(exits),
                      .weight = std::vector<float>(2 * exits * exits),
                      .bias = std::vector<float>(exits)});
  Result<Predictor> predictor = Predictor::make(std::move(p));
  EINET_CHECK(predictor.has_value(), "accuracies are probabilities");
  return std::make_shared<const Predictor>(std::move(*predictor));
}

bool is_scenario(std::string_view text) {
  TomlDocument document(text, "");
  return document.root().has("scenario") && document.finish().has_value();
}

Result<Scenario> parse_scenario(std::string_view text, const std::string& file) {
  return Reader(text, file).read();
}

std::string to_toml(const Scenario& s) {
  const auto index = [](std::size_t i) { return static_cast<std::int64_t>(i); };
  Writer w;
  w.line("scenario", "1");
  w.number("seed", static_cast<std::int64_t>(s.seed));
  w.word("policy", policy_words(), s.policy, Policy::imprecise);
  if (s.promote_at_laxity > Duration{}) w.time("promote_at_laxity", s.promote_at_laxity);
  if (!(s.survival == SurvivalParts{})) {
    std::vector<std::string_view> parts;
    if (s.survival.deadline) parts.push_back("deadline");
    if (s.survival.demand) parts.push_back("demand");
    if (s.survival.lived) parts.push_back("lived");
    w.list("survival", parts, [](std::string_view part) { return '"' + std::string(part) + '"'; });
  }
  w.number("max_jobs", index(s.max_jobs), 1000);
  w.word("times", kTrueTimes, s.times, TrueTimes::expected);
  w.number("late_reports", s.late_reports);
  w.number("races", s.races);
  w.number("failed_moves", s.failed_moves);
  for (const auto& model : s.models) write_model(w, *model);
  for (const Scenario::Lane& l : s.lanes) {
    w.table("lane");
    w.number("device", l.device.value);
    w.word("preemption", preemption_words(), l.preemption, Preemption::boundary);
  }
  for (const Scenario::Tenant& t : s.tenants) {
    w.table("tenant");
    w.real("weight", t.weight, 1);
    if (!t.budget) continue;
    w.time("budget", *t.budget);
    w.time("window", t.window);
  }
  for (const Scenario::Task& t : s.tasks) {
    w.table("task");
    w.number("model", index(t.model));
    w.time("period", t.period);
    w.time("deadline", t.deadline);
    w.number("priority", t.priority);
    w.number("mandatory_exit", t.mandatory_exit, -1);
    w.instant("from", t.from, TimePoint{});
    w.instant("until", t.until, kNever);
  }
  for (const Scenario::Job& j : s.jobs) write_job(w, j);
  for (const Scenario::Loss& l : s.losses) {
    w.table("loss");
    w.number("lane", index(l.lane));
    w.instant("at", l.at, TimePoint{});
    w.instant("back", l.back, kNever);
    w.word("told", loss_words(), l.told, LaneLoss::for_good);
  }
  for (const Scenario::Reload& r : s.reloads) {
    w.table("reload");
    w.number("model", index(r.model));
    w.instant("at", r.at, TimePoint{});
    w.time("longer", r.longer);
  }
  for (const Scenario::Eviction& e : s.evictions) {
    w.table("eviction");
    w.number("model", index(e.model));
    w.number("device", e.device.value);
    w.instant("at", e.at, TimePoint{});
    w.instant("back", e.back, kNever);
  }
  return w.take();
}

}  // namespace einet
