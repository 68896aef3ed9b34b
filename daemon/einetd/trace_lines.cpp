#include "daemon/einetd/trace_lines.h"

#include <array>
#include <concepts>
#include <cstdio>
#include <string_view>
#include <utility>

namespace einet {
namespace {

using Kind = TraceEvent::Kind;

std::string_view kind_name(Kind kind) {
  constexpr std::array<std::string_view, 14> kNames{"submit",   "reject",  "cancel",  "grant",    "stop",
                                                    "withdraw", "block",   "preempt", "suspend",  "throttle",
                                                    "overrun",  "outcome", "lane_up", "lane_lost"};
  return kNames[static_cast<std::size_t>(kind)];
}

// Appends `"key":value` pairs. Names come from the configuration and from packages and hold no character that
// JSON would want escaped (both are checked where they are read).
class Line {
 public:
  Line(std::string_view event, TimePoint at) {
    text_ = "{\"event\":\"";
    text_ += event;
    text_ += '"';
    add("at_ns", at);
  }
  void add(std::string_view key, std::string_view value) {
    key_(key);
    text_ += '"';
    text_ += value;
    text_ += '"';
  }
  template <std::integral T>
  void add(std::string_view key, T value) {
    key_(key);
    text_ += std::to_string(value);
  }
  void add(std::string_view key, Duration d) { add(key, std::int64_t{d.count()}); }
  void add(std::string_view key, TimePoint t) {
    add(key, t == kNever ? std::int64_t{0} : std::int64_t{t.time_since_epoch().count()});
  }
  void add_number(std::string_view key, double value, int digits) {
    key_(key);
    std::array<char, 32> number{};
    std::snprintf(number.data(), number.size(), "%.*g", digits, value);
    text_ += number.data();
  }
  void add(const ExitAnswer& a) {
    if (a.exit < 0) return;
    add("exit", a.exit);
    add("class", a.top_class);
    add_number("confidence", static_cast<double>(a.confidence), 6);
  }
  // A list: `each` appends the text of one element.
  template <class List, class Each>
  void add_list(std::string_view key, const List& list, Each each) {
    key_(key);
    text_ += '[';
    bool first = true;
    for (const auto& element : list) {
      if (!std::exchange(first, false)) text_ += ',';
      text_ += each(element);
    }
    text_ += ']';
  }
  std::string finish() {
    text_ += '}';
    return std::move(text_);
  }

 private:
  void key_(std::string_view key) {
    text_ += ",\"";
    text_ += key;
    text_ += "\":";
  }
  std::string text_;
};

template <class Id>
std::string_view name_of(const std::vector<std::string>& names, Id id) {
  return id.value < names.size() ? std::string_view(names[id.value]) : std::string_view("?");
}

void add_submission(Line& line, const TraceEvent& e) {
  line.add("release_ns", e.release);
  line.add("deadline_ns", e.deadline);
  if (e.task.value != 0) line.add("task", e.task.value);
  if (e.mandatory_exit >= 0) line.add("mandatory_exit", e.mandatory_exit);
  line.add("plan", name(e.plan));
  if (e.only != kEveryExit) line.add("exits", e.only);
  if (e.target_confidence <= 1) line.add_number("target_confidence", e.target_confidence, 9);
}

}  // namespace

std::string format_trace(const TraceEvent& e, const TraceNames& names) {
  Line line(kind_name(e.kind), e.at);
  const bool of_lane = e.kind != Kind::submit && e.kind != Kind::reject && e.kind != Kind::cancel &&
                       e.kind != Kind::throttle && e.kind != Kind::overrun && e.kind != Kind::outcome;
  if (of_lane) {
    line.add("lane", e.lane.value);
    line.add("device", name_of(names.devices, e.lane));
  }
  if (e.kind == Kind::lane_up) {
    if (e.preemption != Preemption::boundary) {
      line.add("base", e.base.value);
      line.add("preemption", name(e.preemption));
    }
    return line.finish();
  }
  if (e.kind == Kind::lane_lost) {
    line.add("loss", name(e.loss));
    return line.finish();
  }
  line.add("job", e.job.value);
  line.add("tenant", name_of(names.tenants, e.tenant));
  line.add("model", name_of(names.models, e.model));
  line.add("priority", e.priority);
  if (of_lane && e.kind != Kind::preempt && e.kind != Kind::suspend) line.add("grant", e.grant.value);
  switch (e.kind) {
    case Kind::submit:
      add_submission(line, e);
      break;
    case Kind::reject:
      add_submission(line, e);
      line.add("reason", name(e.reason));
      break;
    case Kind::grant:
      line.add("first_block", e.block);
      line.add("exits", e.exits);
      line.add("reason", name(e.reason));
      if (e.with != GrantNumber{}) line.add("with", e.with.value);
      break;
    case Kind::stop:
    case Kind::withdraw:
      line.add("reason", name(e.reason));
      break;
    case Kind::block:
      line.add("block", e.block);
      line.add("start_ns", e.start);
      line.add("end_ns", e.end);
      line.add("used_ns", e.used);
      line.add("granted_ns", e.granted);
      line.add(e.answer);
      break;
    case Kind::preempt:
    case Kind::suspend:
      line.add("by", e.by.value);
      break;
    case Kind::throttle:
      line.add("task", e.task.value);
      line.add("until_ns", e.until);
      break;
    case Kind::overrun:
      line.add("task", e.task.value);
      line.add("used_ns", e.used);
      break;
    case Kind::outcome:
      line.add("outcome", name(e.outcome));
      line.add("reason", name(e.reason));
      line.add(e.answer);
      line.add("preemptions", e.preemptions);
      break;
    case Kind::cancel:
    case Kind::lane_up:
    case Kind::lane_lost:
      break;
  }
  return line.finish();
}

std::string format_header(const TraceHeader& h) {
  Line line("header", h.at);
  line.add("format", 1);
  line.add("version", h.version);
  line.add("policy", h.policy);
  line.add("max_jobs", h.max_jobs);
  line.add("promote_at_laxity_ns", h.promote_at_laxity);
  line.add_list("devices", h.devices, [](const TraceHeader::Device& d) {
    return "{\"name\":\"" + d.name + "\",\"lanes\":" + std::to_string(d.lanes) + "}";
  });
  return line.finish();
}

std::string format_model(TimePoint at, const std::string& model, const std::string& device, DeviceId id,
                         const ModelTimes& times) {
  Line line("model", at);
  line.add("model", model);
  line.add("device", device);
  const auto number = [](double a) {
    std::array<char, 32> digits{};
    std::snprintf(digits.data(), digits.size(), "%.9g", a);
    return std::string(digits.data());
  };
  line.add_list("accuracy", times.accuracy, number);
  line.add_list("blocks_ns", times.on_device[id.value], [](const BlockTime& t) {
    return "[" + std::to_string(t.trunk.count()) + "," + std::to_string(t.exit.count()) + "," +
           std::to_string(t.worst_trunk.count()) + "," + std::to_string(t.worst_exit.count()) + "]";
  });
  if (id.value < times.moves.size() && !times.moves[id.value].empty()) {
    line.add_list("moves_ns", times.moves[id.value], [](const MoveTime& m) {
      return "[" + std::to_string(m.out.count()) + "," + std::to_string(m.in.count()) + "]";
    });
  }
  if (times.largest_batch(id) > 1) line.add_list("batch", times.batch[id.value], number);
  if (times.blocks_in_flight(id) > 1) line.add("in_flight", times.blocks_in_flight(id));
  return line.finish();
}

std::string format_reserve(TimePoint at, TaskId id, const std::string& task, const std::string& tenant,
                           const std::string& model, const Reservation& r) {
  Line line("reserve", at);
  line.add("task", id.value);
  line.add("name", task);
  line.add("tenant", tenant);
  line.add("model", model);
  line.add("period_ns", r.period);
  line.add("relative_deadline_ns", r.deadline);
  line.add("priority", r.priority);
  if (r.mandatory_exit >= 0) line.add("mandatory_exit", r.mandatory_exit);
  line.add("budget_ns", r.budget);
  line.add("lane", r.home.value);
  if (r.patience < kForever) line.add("patience_ns", r.patience);
  return line.finish();
}

std::string format_unreserve(TimePoint at, TaskId task) {
  Line line("unreserve", at);
  line.add("task", task.value);
  return line.finish();
}

std::string format_share(TimePoint at, const std::string& tenant, const Share& share) {
  Line line("share", at);
  line.add("tenant", tenant);
  line.add_number("weight", share.weight, 9);
  if (share.budget) {
    line.add("budget_ns", share.budget->amount);
    line.add("period_ns", share.budget->period);
    line.add("lane", share.budget->home.value);
  }
  return line.finish();
}

std::string format_residence(TimePoint at, const std::string& model, const std::string& device,
                             Residence residence) {
  Line line("residence", at);
  line.add("model", model);
  line.add("device", device);
  line.add("residence", name(residence));
  return line.finish();
}

}  // namespace einet
