#include "tools/einet/analyze.h"

#include <algorithm>
#include <ostream>

#include "config/files.h"
#include "scheduler/admission/global_analysis.h"
#include "scheduler/simulation/placement.h"
#include "tools/einet/json.h"
#include "tools/einet/table.h"

namespace einet {
namespace {

constexpr int kSchedulable = 0;
constexpr int kNotSchedulable = 1;
constexpr int kInvalid = 2;

// A person waits for this answer, so it may take longer than the daemon's.
constexpr Effort kEffort{200'000'000};

// What is said of one source of the set.
struct Row {
  std::string verdict;
  std::optional<LaneId> lane{};  // its home
  std::optional<Duration> response{};
  std::optional<Duration> blocking{};
  std::string why{};
};

LaneLoad load_of(const TaskSet& set) {
  LaneLoad load{.policy = set.policy, .tasks = {}, .servers = {}};
  // Best-effort jobs take turns by what their tenants have used.
  if (set.policy == Policy::imprecise) load.same_priority = SamePriority::any_order;
  for (const JobSource& source : set.sources) {
    LaneTask task{.name = source.name,
                  .period = source.period.value_or(kForever),
                  .deadline = source.deadline,
                  .priority = source.priority,
                  .blocks = {},
                  .access = set.preemption == Preemption::boundary  ? Access::waits
                            : set.preemption == Preemption::instant ? Access::takes
                                                                    : Access::either};
    for (const BlockTime& block : source.times->on_device[0]) task.blocks.push_back(block.worst_trunk);
    load.tasks.push_back(std::move(task));
  }
  return load;
}

std::string_view word(LaneBound::Verdict verdict) {
  switch (verdict) {
    case LaneBound::Verdict::fits:
      return "fits";
    case LaneBound::Verdict::misses:
      return "misses";
    case LaneBound::Verdict::overload:
      return "overload";
    case LaneBound::Verdict::unknown:
      break;
  }
  return "not proven";
}

// Lanes that share all work.
std::vector<Row> analyse_shared(const TaskSet& set) {
  const LaneLoad load = load_of(set);
  if (set.lanes > 1 && set.preemption != Preemption::boundary && set.policy != Policy::fifo) {
    return std::vector<Row>(set.sources.size(),
                            {.verdict = "not proven",
                             .why = "no analysis for several lanes whose blocks are preempted; use "
                                    "placement = \"partitioned\""});
  }
  Effort effort = kEffort;
  const std::vector<LaneBound> bounds =
      set.lanes == 1 ? analyse(load, effort) : analyse_global(load, set.lanes, effort);
  std::vector<Row> rows;
  for (const LaneBound& bound : bounds) {
    Row row{.verdict = std::string(word(bound.verdict)), .why = bound.limit};
    if (bound.response > Duration{}) {
      row.response = bound.response;
      row.blocking = bound.blocking;
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<Row> analyse_partitioned(const TaskSet& set) {
  std::vector<Row> rows;
  for (const Placed& placed : place(set)) {
    if (placed.bound) {
      rows.push_back({.verdict = "fits",
                      .lane = placed.bound->home,
                      .response = placed.bound->response,
                      .blocking = placed.bound->blocking,
                      .why = placed.bound->limit});
    } else if (placed.refusal) {
      rows.push_back({.verdict = "refused", .why = placed.refusal->words});
    } else {
      rows.push_back({.verdict = "best-effort", .why = "single jobs are promised nothing"});
    }
  }
  return rows;
}

// Of one lane, in parts of 1.
double utilisation(const TaskSet& set) {
  return asked_share(load_of(set)) / set.lanes;
}

void print_table(const TaskSet& set, const std::vector<Row>& rows, std::ostream& out) {
  const auto text = [](const std::optional<Duration>& d) { return d ? format_duration(*d) : "-"; };
  cli::Table table({"TASK", "VERDICT", "LANE", "RESPONSE", "DEADLINE", "SLACK", "BLOCKING", "WHY"});
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    const Duration deadline = set.sources[i].deadline;
    const bool in_time = row.response && *row.response <= deadline;
    table.add({set.sources[i].name, row.verdict, row.lane ? std::to_string(row.lane->value) : "-",
               text(row.response), format_duration(deadline),
               in_time ? format_duration(deadline - *row.response) : "-", text(row.blocking), row.why});
  }
  table.print(out);
}

void print_json(const TaskSet& set, const std::vector<Row>& rows, bool schedulable, std::ostream& out) {
  using cli::Json;
  const auto ns = [](const std::optional<Duration>& d) { return d ? Json(d->count()) : Json(); };
  Json tasks = Json::array();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    const Duration deadline = set.sources[i].deadline;
    std::optional<Duration> slack;
    if (row.response) slack = deadline - *row.response;
    tasks.push_back({{"task", set.sources[i].name},
                     {"verdict", row.verdict},
                     {"lane", row.lane ? Json(row.lane->value) : Json()},
                     {"response_ns", ns(row.response)},
                     {"deadline_ns", deadline.count()},
                     {"slack_ns", ns(slack)},
                     {"blocking_ns", ns(row.blocking)},
                     {"why", row.why}});
  }
  const Json all{{"schedulable", schedulable},
                 {"policy", name(set.policy)},
                 {"lanes", set.lanes},
                 {"preemption", name(set.preemption)},
                 {"placement", set.placement == Placement::global ? "global" : "partitioned"},
                 {"utilisation", utilisation(set)},
                 {"tasks", std::move(tasks)}};
  out << cli::text_of(all) << '\n';
}

// "schedulable: no job misses (edf, 2 lanes, 61.2% used)"
std::string conclusion(const TaskSet& set, const std::vector<Row>& rows) {
  const auto named = [&](const auto& holds) {
    std::string names;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (holds(rows[i].verdict)) names += (names.empty() ? "" : ", ") + set.sources[i].name;
    }
    return names;
  };
  const std::string failed =
      named([](const std::string& v) { return v == "misses" || v == "overload" || v == "refused"; });
  const std::string open = named([](const std::string& v) { return v == "not proven"; });
  std::string words = "schedulable: no job of a task misses its deadline";
  if (!failed.empty()) {
    words = "not schedulable: " + failed;
  } else if (!open.empty()) {
    words = "not shown to be schedulable: " + open;
  }
  return words + " (" + std::string(name(set.policy)) + ", " + std::to_string(set.lanes) +
         (set.lanes == 1 ? " lane, " : " lanes, ") + cli::percent(utilisation(set)) + " used)";
}

}  // namespace

int run_analyze(const AnalyzeArguments& arguments, std::ostream& out, std::ostream& words) {
  const Result<std::string> text = read_file(arguments.set, kMaxSetBytes);
  const Result<TaskSet> set =
      text ? parse_task_set(*text, arguments.set.string()) : Result<TaskSet>(text.error());
  if (!set) {
    // A file's name or its text may hold anything; the message stays on its line.
    std::string message = set.error().message;
    std::replace_if(
        message.begin(), message.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, ' ');
    words << "einet: " << message << '\n';
    return kInvalid;
  }
  const std::vector<Row> rows =
      set->placement == Placement::partitioned ? analyse_partitioned(*set) : analyse_shared(*set);
  const bool schedulable = std::all_of(rows.begin(), rows.end(), [](const Row& row) {
    return row.verdict == "fits" || row.verdict == "best-effort";
  });
  if (arguments.output == AnalyzeArguments::Output::json) {
    print_json(*set, rows, schedulable, out);
  } else {
    print_table(*set, rows, out);
    out << conclusion(*set, rows) << '\n';
  }
  return schedulable ? kSchedulable : kNotSchedulable;
}

}  // namespace einet
