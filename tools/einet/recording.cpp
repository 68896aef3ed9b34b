#include "tools/einet/recording.h"

#include <algorithm>
#include <array>
#include <istream>
#include <limits>
#include <unordered_map>
#include <utility>

#include <nlohmann/json.hpp>

#include "config/daemon_config.h"
#include "config/text.h"

namespace einet {
namespace {

using Json = nlohmann::json;

// Instants, and sums of all times, stay far from the end of time (2^62 ns); a single time is at most 13 days.
constexpr std::int64_t kLastInstant = std::int64_t{1} << 60;
constexpr std::int64_t kLongest = std::int64_t{1} << 50;

constexpr std::array<std::string_view, 21> kEvents{
    "header", "model",   "share",    "reserve", "unreserve", "submit",  "reject",
    "cancel", "block",   "outcome",  "lane_up", "lane_lost", "lost",    "grant",
    "stop",   "preempt", "withdraw", "suspend", "throttle",  "overrun", "residence"};

// The fields of one object. The first error sticks; after it, reads give their fallbacks or zeros. Fields
// that nobody asks for are passed over: later versions may say more.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  const std::string& error() const { return error_; }
  bool ok() const { return error_.empty(); }
  void fail(std::string words) {
    if (ok()) error_ = std::move(words);
  }
  void fail(std::string_view key, const std::string& allowed) {
    const Json* value = find(key);
    fail(std::string(key) + ": found " + (value == nullptr ? "nothing" : shown(*value)) +
         "; allowed: " + allowed);
  }
  bool has(std::string_view key) const { return find(key) != nullptr; }

  std::int64_t integer(std::string_view key, std::int64_t min, std::int64_t max,
                       std::optional<std::int64_t> fallback = std::nullopt) {
    const Json* value = find(key);
    if (value == nullptr && fallback) return *fallback;
    if (value != nullptr) {
      if (const auto n = as_integer(*value); n && *n >= min && *n <= max) return *n;
    }
    fail(key, "a whole number from " + std::to_string(min) + " to " + std::to_string(max));
    return min;
  }
  std::uint64_t id(std::string_view key) {
    const Json* value = find(key);
    if (value != nullptr && value->is_number_unsigned() && value->get<std::uint64_t>() > 0)
      return value->get<std::uint64_t>();
    fail(key, "a whole number from 1");
    return 0;
  }
  TimePoint instant(std::string_view key) { return TimePoint{Duration{integer(key, 0, kLastInstant)}}; }
  Duration duration(std::string_view key, std::int64_t min,
                    std::optional<std::int64_t> fallback = std::nullopt) {
    return Duration{integer(key, min, kLongest, fallback)};
  }
  double number(std::string_view key, double min, double max, std::optional<double> fallback = std::nullopt) {
    const Json* value = find(key);
    if (value == nullptr && fallback) return *fallback;
    if (value != nullptr) {
      if (const auto n = as_number(*value); n && *n >= min && *n <= max) return *n;
    }
    fail(key, "a number from " + Json(min).dump() + " to " + Json(max).dump());
    return min;
  }
  std::string text(std::string_view key) {
    const Json* value = find(key);
    if (value != nullptr && value->is_string() && !value->get_ref<const std::string&>().empty())
      return value->get<std::string>();
    fail(key, "a text");
    return {};
  }
  // The index of the one that it is.
  std::size_t choice(std::string_view key, std::span<const std::string_view> allowed,
                     std::optional<std::size_t> fallback = std::nullopt) {
    if (fallback && !has(key)) return *fallback;
    const Json* value = find(key);
    if (value != nullptr && value->is_string()) {
      const auto at = std::find(allowed.begin(), allowed.end(), value->get_ref<const std::string&>());
      if (at != allowed.end()) return static_cast<std::size_t>(at - allowed.begin());
    }
    fail(key, one_of(allowed));
    return 0;
  }
  const Json& list(std::string_view key, std::size_t most) {
    static const Json kNone = Json::array();
    const Json* value = find(key);
    if (value != nullptr && value->is_array() && value->size() <= most) return *value;
    fail(key, "a list of at most " + std::to_string(most));
    return kNone;
  }

  static std::optional<std::int64_t> as_integer(const Json& value) {
    if (!value.is_number_integer()) return std::nullopt;
    if (value.is_number_unsigned() &&
        value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return std::nullopt;
    return value.get<std::int64_t>();
  }
  static std::optional<double> as_number(const Json& value) {
    return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
  }

 private:
  const Json* find(std::string_view key) const {
    const auto at = object_.find(key);
    return at == object_.end() ? nullptr : &*at;
  }
  static std::string shown(const Json& value) {
    return printable(value.dump(-1, ' ', true, Json::error_handler_t::replace), 60);
  }

  const Json& object_;
  std::string error_;
};

class Reader {
 public:
  // False: `error` of the fields says why.
  bool take(Fields& f) {
    const std::string_view event = kEvents[f.choice("event", kEvents)];
    if (!f.ok()) return false;
    if (event == "lost") {
      read_.lost +=
          static_cast<std::uint64_t>(f.integer("count", 1, std::numeric_limits<std::int64_t>::max() / 2));
      return f.ok();
    }
    const TimePoint at = f.instant("at_ns");
    if (event == "header") {
      header(f);
      read_.start = at;
    } else if (!begun_) {
      f.fail("the first line is no header; expected {\"event\":\"header\",…}, as einetd --record writes it");
    } else {
      line(event, f, at);
    }
    read_.end = std::max(read_.end, at);
    return f.ok();
  }
  bool begun() const { return begun_; }
  ReadRecording finish() { return std::move(read_); }
  void cut_off() { read_.cut_off = true; }

 private:
  struct LaneState {
    DeviceId device;
    bool up = false;
    std::optional<LaneId> base;    // of an urgent lane
    std::optional<LaneId> urgent;  // of a base lane
  };
  struct Task {
    ModelId model;
    Reservation reservation;
  };
  Recording& out() { return read_.recording; }

  void line(std::string_view event, Fields& f, TimePoint at) {
    // A job's line carries the instant at which it was received: a little earlier than what came before it.
    now_ = std::max(now_, at);
    if (event == "model") return model(f);
    if (event == "share") return share(f);
    if (event == "reserve") return reserve(f);
    if (event == "unreserve") return unreserve(f);
    if (event == "submit" || event == "reject") return submit(f, at, event == "reject");
    if (event == "cancel") return cancel(f);
    if (event == "block") return block(f);
    if (event == "outcome") return outcome(f, at);
    if (event == "lane_up") return lane_up(f);
    if (event == "lane_lost") return lane_lost(f);
    if (event == "residence") return residence(f);
    // grant, stop, preempt, suspend, withdraw, throttle, overrun: what the core said; a replay says it anew.
  }

  void header(Fields& f) {
    if (begun_) return f.fail("a second header; a recording has one, in its first line");
    f.integer("format", 1, 1);
    out().options.policy = static_cast<Policy>(f.choice("policy", policy_words()));
    read_.policy = std::string(name(out().options.policy));
    out().options.max_jobs =
        static_cast<std::size_t>(f.integer("max_jobs", 1, static_cast<std::int64_t>(RecordingLimits::kJobs)));
    out().options.promote_at_laxity = f.duration("promote_at_laxity_ns", 0, 0);
    for (const Json& device : f.list("devices", RecordingLimits::kDevices)) {
      Fields of_device(device);
      const std::string name = device.is_object() ? of_device.text("name") : "";
      if (name.empty()) return f.fail("devices", "objects, each with a name");
      if (index_of(out().devices, name))
        return f.fail("devices: \"" + escape(name, 40) + "\" is there twice");
      out().devices.push_back(name);
    }
    if (f.ok() && out().devices.empty()) f.fail("devices", "at least one");
    begun_ = true;
  }

  void model(Fields& f) {
    const std::string name = f.text("model");
    const std::optional<DeviceId> device = known_device(f);
    std::vector<double> accuracy;
    for (const Json& a : f.list("accuracy", kMaxBlocks)) {
      const auto n = Fields::as_number(a);
      if (!n || !(*n >= 0 && *n <= 1)) return f.fail("accuracy", "numbers from 0 to 1");
      accuracy.push_back(*n);
    }
    std::vector<BlockTime> blocks;
    for (const Json& b : f.list("blocks_ns", kMaxBlocks)) {
      std::array<Duration, 4> t{};
      bool fine = b.is_array() && b.size() == t.size();
      for (std::size_t i = 0; fine && i < t.size(); ++i) {
        const auto n = Fields::as_integer(b[i]);
        fine = n && *n >= 0 && *n <= kLongest;
        if (fine) t[i] = Duration{*n};
      }
      if (!fine || t[2] < t[0] || t[3] < t[1]) {
        return f.fail("blocks_ns", "[trunk, exit, worst trunk, worst exit] per block, from 0 to " +
                                       std::to_string(kLongest) + ", no median above its worst");
      }
      blocks.push_back({.trunk = t[0], .exit = t[1], .worst_trunk = t[2], .worst_exit = t[3]});
    }
    std::vector<MoveTime> moves;
    if (f.has("moves_ns")) {
      for (const Json& m : f.list("moves_ns", kMaxBlocks)) {
        const auto out = m.is_array() && m.size() == 2 ? Fields::as_integer(m[0]) : std::nullopt;
        const auto in = out ? Fields::as_integer(m[1]) : std::nullopt;
        if (!in || *out < 0 || *in < 0 || *out > kLongest || *in > kLongest) {
          return f.fail("moves_ns", "[out, in] per block, from 0 to " + std::to_string(kLongest));
        }
        moves.push_back({.out = Duration{*out}, .in = Duration{*in}});
      }
      if (moves.size() != blocks.size()) return f.fail("moves_ns", "one pair per block");
    }
    std::vector<double> batch;
    if (f.has("batch")) {
      for (const Json& times : f.list("batch", kMaxBatch)) {
        const auto n = Fields::as_number(times);
        if (!n || !(batch.empty() ? *n == 1 : *n >= batch.back() && *n <= kMaxBatch)) {
          return f.fail("batch", "numbers from 1 on that never fall, up to " + std::to_string(kMaxBatch));
        }
        batch.push_back(*n);
      }
    }
    const auto in_flight = static_cast<int>(f.integer("in_flight", 1, kMaxInFlight, 1));
    if (!f.ok()) return;
    if (!accuracy.empty() && !blocks.empty() && accuracy.size() != blocks.size()) {
      return f.fail("accuracy has " + std::to_string(accuracy.size()) + " entries and blocks_ns " +
                    std::to_string(blocks.size()) + "; expected one per block in both");
    }
    const ModelId id{index_or_new(out().models, name)};
    if (id.value >= models_.size()) models_.resize(id.value + 1);
    ModelTimes times;
    if (models_[id.value]) times = *models_[id.value];
    const std::size_t count = blocks.empty() ? accuracy.size() : blocks.size();
    if (times.accuracy != accuracy || static_cast<std::size_t>(times.blocks()) != count)
      times = {};  // a new one
    times.on_device.resize(out().devices.size());
    times.on_device[device->value] = std::move(blocks);
    times.moves.resize(out().devices.size());
    times.moves[device->value] = std::move(moves);
    times.batch.resize(out().devices.size());
    times.batch[device->value] = std::move(batch);
    times.in_flight.resize(out().devices.size(), 1);
    times.in_flight[device->value] = in_flight;
    times.accuracy = std::move(accuracy);
    models_[id.value] = std::make_shared<const ModelTimes>(std::move(times));
  }

  void share(Fields& f) {
    Share share{.weight = f.number("weight", 1e-9, 1e9), .budget = {}};
    if (f.has("budget_ns")) {
      const Duration amount = f.duration("budget_ns", 1);
      const Duration period = f.duration("period_ns", 1);
      if (f.ok() && amount > period) return f.fail("budget_ns", "at most period_ns");
      share.budget = Budget{.amount = amount, .period = period, .home = home(f)};
    }
    const TenantId tenant{index_or_new(out().tenants, f.text("tenant"))};
    if (f.ok()) add(input::SetShare{tenant, share});
  }

  void reserve(Fields& f) {
    const TaskId task = task_id(f);
    const std::optional<ModelId> model = known_model(f);
    const Reservation r{
        .period = f.duration("period_ns", 1),
        .deadline = f.duration("relative_deadline_ns", 1),
        .priority = priority(f),
        .mandatory_exit = static_cast<int>(f.integer("mandatory_exit", 0, kMaxBlocks - 1, -1)),
        .budget = f.duration("budget_ns", 1),
        .home = home(f),
        .patience = f.has("patience_ns") ? f.duration("patience_ns", 0) : kForever};
    if (!f.ok()) return;
    const ModelTimes& times = *models_[model->value];
    if (!fits(f, times, r.mandatory_exit)) return;
    if (r.mandatory_exit < 0 && !times.accuracy.empty())
      return f.fail("mandatory_exit", "an exit of the model");
    tasks_[task] = {*model, r};
    add(input::Reserve{task, r});
  }

  void unreserve(Fields& f) {
    const TaskId task = task_id(f);
    if (!f.ok()) return;
    if (tasks_.erase(task) == 0) return missing(f, "task", "a task that is reserved");
    add(input::Unreserve{task});
  }

  void submit(Fields& f, TimePoint at, bool rejected) {
    RecordedJob job;
    job.id = JobId{f.id("job")};
    const std::optional<ModelId> model = known_model(f);
    job.spec.tenant = TenantId{index_or_new(out().tenants, f.text("tenant"))};
    job.spec.priority = priority(f);
    job.spec.release = f.instant("release_ns");
    const TimePoint deadline = f.instant("deadline_ns");
    job.spec.deadline = deadline == TimePoint{} ? kNever : deadline;
    job.spec.mandatory_exit = static_cast<int>(f.integer("mandatory_exit", 0, kMaxBlocks - 1, -1));
    job.spec.plan = static_cast<PlanMode>(f.choice("plan", plan_words()));
    if (f.has("exits")) job.spec.exits = f.id("exits");
    job.spec.target_confidence = f.number("target_confidence", 0, 1, 2);
    if (f.has("task")) job.spec.task = task_id(f);
    if (rejected) job.end = JobEnd{.outcome = Outcome::rejected, .reason = reason(f), .at = at};
    if (!f.ok()) return;
    job.spec.model = *model;
    job.spec.times = models_[model->value];
    if (job.spec.times->blocks() == 0) return f.fail("model", "a model that some device can run");
    if (!fits(f, *job.spec.times, job.spec.mandatory_exit)) return;
    if (job.spec.exits << (kMaxBlocks - job.spec.times->blocks()) == 0)
      return f.fail("exits", "some of the model's");
    Duration span = whole_time(*job.spec.times);
    if (const auto task = tasks_.find(job.spec.task); task != tasks_.end()) {
      if (task->second.model != *model) return f.fail("model", "that of the job's task");
      if (!fits(f, *job.spec.times, task->second.reservation.mandatory_exit)) return;
      span += task->second.reservation.period;
    }
    work_ += span;
    if (work_.count() > kLastInstant) return f.fail("the jobs up to here may take more than 2^60 ns in all");
    if (out().jobs.size() == RecordingLimits::kJobs)
      return f.fail("more than " + std::to_string(RecordingLimits::kJobs) + " jobs; record a shorter time");
    if (!jobs_.emplace(job.id, out().jobs.size()).second)
      return f.fail("job: " + std::to_string(job.id.value) +
                    " was there before; every job is submitted once");
    add(input::Submit{out().jobs.size()});
    out().jobs.push_back(std::move(job));
  }

  void cancel(Fields& f) {
    if (const auto job = known_job(f)) add(input::Cancel{*job});
  }

  void block(Fields& f) {
    const std::optional<std::size_t> job = known_job(f);
    const std::optional<DeviceId> device = known_device(f);
    const std::int64_t block = f.integer("block", 0, kMaxBlocks - 1);
    const TimePoint start = f.instant("start_ns");
    const TimePoint end = f.instant("end_ns");
    if (end < start) f.fail("end_ns", "not before start_ns");
    const Duration used = f.duration("used_ns", 0, f.ok() ? std::min((end - start).count(), kLongest) : 0);
    const bool with_exit = f.has("exit");
    const ExitAnswer answer = with_exit ? read_answer(f) : ExitAnswer{};
    if (!job || !f.ok()) return;
    RecordedJob& of = out().jobs[*job];
    const auto blocks = of.spec.times->on_device[device->value].size();
    if (static_cast<std::size_t>(block) >= blocks)
      return f.fail("block",
                    "less than the " + std::to_string(blocks) + " of the job's model on this device");
    if (with_exit && answer.exit != block) return f.fail("exit", "that of its block");
    if (with_exit && of.spec.times->accuracy.empty()) return f.fail("exit", "none: the model has no exits");
    if (with_exit) {
      std::erase_if(of.answers, [&](const ExitAnswer& a) { return a.exit == answer.exit; });
      of.answers.push_back(answer);
    }
    if (out().blocks.size() == RecordingLimits::kBlocks)
      return f.fail("more than " + std::to_string(RecordingLimits::kBlocks) +
                    " blocks; record a shorter time");
    out().blocks.push_back({*job, *device, static_cast<int>(block), with_exit, used});
  }

  void outcome(Fields& f, TimePoint at) {
    const std::optional<std::size_t> job = known_job(f);
    JobEnd end{
        .outcome = static_cast<Outcome>(f.choice("outcome", outcome_words())), .reason = reason(f), .at = at};
    if (f.has("exit")) end.best = read_answer(f);
    if (!job || !f.ok()) return;
    RecordedJob& of = out().jobs[*job];
    if (of.end)
      return f.fail("job: " + std::to_string(of.id.value) + " has an outcome already; every job has one");
    if (end.best.exit >= of.spec.times->blocks()) return f.fail("exit", "one of the job's model");
    of.end = end;
  }

  void lane_up(Fields& f) {
    const LaneId id = lane(f, "lane");
    const std::optional<DeviceId> device = known_device(f);
    if (!f.ok()) return;
    if (const auto known = lanes_.find(id); known != lanes_.end()) {
      if (known->second.up) return missing(f, "lane", "a lane that is not up");
      if (known->second.device != *device) return f.fail("device", "the same as before for this lane");
      if (known->second.base.has_value() != f.has("base"))
        return f.fail("lane", "a base lane, or an urgent one, as before");
    }
    if (!f.has("base")) {
      LaneState& state = lanes_[id];
      state.device = *device;
      state.up = true;
      return add(input::LaneUp{id, *device});
    }
    const LaneId base = lane(f, "base");
    const auto preemption = static_cast<Preemption>(f.choice("preemption", preemption_words()));
    if (f.ok() && preemption == Preemption::boundary) f.fail("preemption", "as-needed or instant");
    if (!f.ok()) return;
    const auto of = lanes_.find(base);
    if (of == lanes_.end() || !of->second.up || of->second.base || of->second.device != *device)
      return missing(f, "base", "a base lane of the same device that is up");
    if (of->second.urgent && *of->second.urgent != id)
      return f.fail("base", "a lane that has no other urgent lane");
    if (const auto known = lanes_.find(id); known != lanes_.end() && known->second.base != base)
      return f.fail("base", "the same as before for this lane");
    of->second.urgent = id;
    lanes_[id] = {.device = *device, .up = true, .base = base, .urgent = {}};
    add(input::UrgentLaneUp{id, base, preemption});
  }

  void lane_lost(Fields& f) {
    const LaneId id = lane(f, "lane");
    const auto loss = static_cast<LaneLoss>(f.choice("loss", loss_words(), 0));
    if (!f.ok()) return;
    const auto known = lanes_.find(id);
    if (known == lanes_.end() || !known->second.up) return missing(f, "lane", "a lane that is up");
    known->second.up = false;
    add(input::LaneLost{id, loss});
  }

  void residence(Fields& f) {
    const std::optional<std::uint32_t> model = index_of(out().models, f.text("model"));
    const std::optional<DeviceId> device = known_device(f);
    const auto residence = static_cast<Residence>(f.choice("residence", residence_words()));
    // A model that no line describes was refused before it could run.
    if (f.ok() && model) add(input::SetResidence{ModelId{*model}, *device, residence});
  }

  // ---- shared fields ----

  template <class What>
  void add(What what) {
    out().inputs.push_back({now_, std::move(what)});
  }
  // What a line refers to is not there: an error, unless the daemon said that it lost lines.
  void missing(Fields& f, std::string_view key, const std::string& allowed) {
    if (read_.lost == 0) return f.fail(key, allowed);
    ++read_.lost;
  }
  std::optional<std::size_t> known_job(Fields& f) {
    const JobId id{f.id("job")};
    if (!f.ok()) return std::nullopt;
    if (const auto at = jobs_.find(id); at != jobs_.end()) return at->second;
    missing(f, "job", "a job that was submitted before");
    return std::nullopt;
  }
  std::optional<ModelId> known_model(Fields& f) {
    const std::string name = f.text("model");
    if (const auto at = index_of(out().models, name)) return ModelId{*at};
    f.fail("model", "a model that a line before describes");
    return std::nullopt;
  }
  std::optional<DeviceId> known_device(Fields& f) {
    if (const auto at = index_of(out().devices, f.text("device"))) return DeviceId{*at};
    f.fail("device", "a device of the header");
    return std::nullopt;
  }
  LaneId lane(Fields& f, std::string_view key) {
    return LaneId{static_cast<std::uint32_t>(f.integer(key, 0, RecordingLimits::kLanes - 1))};
  }
  LaneId home(Fields& f) {
    const LaneId id = lane(f, "lane");
    const auto known = lanes_.find(id);
    if (f.ok() && (known == lanes_.end() || known->second.base))
      f.fail("lane", "a base lane that was up once");
    return id;
  }
  static TaskId task_id(Fields& f) {
    return TaskId{
        static_cast<std::uint32_t>(f.integer("task", 1, std::numeric_limits<std::uint32_t>::max()))};
  }
  static int priority(Fields& f) {
    return static_cast<int>(f.integer("priority", -kMaxPriority, kMaxPriority));
  }
  static Reason reason(Fields& f) {
    const std::string text = f.text("reason");
    for (int i = 0; i <= static_cast<int>(Reason::no_such_task); ++i) {
      if (name(static_cast<Reason>(i)) == text) return static_cast<Reason>(i);
    }
    f.fail("reason", "one of the scheduler's reasons, such as plan_finished");
    return Reason::none;
  }
  static ExitAnswer read_answer(Fields& f) {
    return {.exit = static_cast<int>(f.integer("exit", 0, kMaxBlocks - 1)),
            .top_class = static_cast<int>(f.integer("class", 0, std::numeric_limits<int>::max())),
            .confidence = static_cast<float>(f.number("confidence", 0, 1))};
  }
  static bool fits(Fields& f, const ModelTimes& times, int mandatory_exit) {
    const bool has_exits = !times.accuracy.empty();
    if (mandatory_exit >= (has_exits ? times.blocks() : 0))
      f.fail("mandatory_exit", "an exit of the model, or none");
    return f.ok();
  }
  static Duration whole_time(const ModelTimes& times) {
    Duration most{};
    for (const std::vector<BlockTime>& blocks : times.on_device) {
      Duration sum{};
      for (const BlockTime& t : blocks) sum += t.worst_trunk + t.worst_exit + Duration{1};
      most = std::max(most, sum);
    }
    return most;
  }
  static std::optional<std::uint32_t> index_of(const std::vector<std::string>& names,
                                               const std::string& name) {
    const auto at = std::find(names.begin(), names.end(), name);
    if (at == names.end()) return std::nullopt;
    return static_cast<std::uint32_t>(at - names.begin());
  }
  static std::uint32_t index_or_new(std::vector<std::string>& names, const std::string& name) {
    if (const auto at = index_of(names, name)) return *at;
    names.push_back(name);
    return static_cast<std::uint32_t>(names.size() - 1);
  }

  ReadRecording read_;
  bool begun_ = false;
  TimePoint now_{};
  Duration work_{};                                        // of all jobs so far, at worst
  std::vector<std::shared_ptr<const ModelTimes>> models_;  // by ModelId
  std::unordered_map<JobId, std::size_t> jobs_;
  std::unordered_map<LaneId, LaneState> lanes_;
  std::unordered_map<TaskId, Task> tasks_;
};

}  // namespace

Result<ReadRecording> read_recording(std::istream& in, const std::string& file) {
  Reader reader;
  std::vector<char> buffer(RecordingLimits::kLine + 1);
  for (std::uint64_t number = 1;; ++number) {
    const auto fail = [&](const std::string& words) {
      return error(escape(file) + ":" + std::to_string(number) + ": " + words);
    };
    in.getline(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    const auto length = static_cast<std::size_t>(in.gcount());
    if (in.bad()) return fail("cannot be read");
    if (in.eof()) {
      // What has no line end was being written when the daemon was killed.
      if (length > 0) reader.cut_off();
      if (!reader.begun())
        return fail("the file ends before its header; expected what einetd --record writes");
      return reader.finish();
    }
    if (in.fail()) return fail("a line of more than " + std::to_string(RecordingLimits::kLine) + " bytes");
    const Json object = Json::parse(buffer.data(), buffer.data() + length - 1, nullptr, false);
    if (!object.is_object())
      return fail("no JSON object; expected one per line, such as {\"event\":\"submit\",…}");
    Fields fields(object);
    if (!reader.take(fields)) return fail(fields.error());
  }
}

}  // namespace einet
