#include "tools/einet/look.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ostream>

#include "config/bytes.h"
#include "config/text.h"
#include "tools/einet/exit_code.h"
#include "tools/einet/explain.h"
#include "tools/einet/json.h"
#include "tools/einet/table.h"

namespace einet::cli {
namespace {

using client::Client;

std::string share(std::uint64_t used, std::uint64_t limit) {
  return std::to_string(used) + "/" + std::to_string(limit);
}

std::string shape_text(const wire::ModelInfo& model) {
  std::string out;
  for (std::uint32_t d : model.shape()) out += (out.empty() ? "" : "x") + std::to_string(d);
  return out;
}

// "cpu/0"; "-" where no lane is involved.
std::string lane_text(const std::string& device, std::uint32_t lane) {
  return device.empty() ? "-" : escape(device) + "/" + std::to_string(lane);
}

// An instant as people see it: how far from now, "-" for none.
std::string from_now(std::int64_t at_ns, TimePoint now) {
  if (at_ns == 0) return "-";
  const Duration d = TimePoint{Duration{at_ns}} - now;
  return (d < Duration{} ? "" : "+") + format_duration_short(d);
}

Json instant(std::int64_t at_ns) {
  return at_ns == 0 ? Json(nullptr) : Json(at_ns);
}

// Runs one request and hands its reply on.
template <class Ask, class Show>
int with_reply(const Context& context, Ask ask, Show show) {
  auto client = connect(context);
  if (!client) return fail(context, client.error());
  const auto reply = ask(*client);
  if (!reply) return fail(context, reply.error(), *client);
  show(*reply);
  return kOk;
}

Json to_json(const wire::Status& status) {
  Json out{{"version", status.version()}, {"uptime", format_duration(Duration{status.uptime_ns()})},
           {"pid", status.pid()},         {"policy", status.policy()},
           {"lanes", Json::array()},      {"tenants", Json::array()},
           {"counters", Json::object()},  {"warnings", Json::array()}};
  for (const wire::LaneInfo& lane : status.lanes()) {
    Json row{{"lane", lane.lane()},         {"device", lane.device()},
             {"cores", lane.cores()},       {"rank", lane.rank()},
             {"state", lane.state()},       {"job", nullptr},
             {"model", lane.model()},       {"busy", format_duration(Duration{lane.busy_ns()})},
             {"blocks", lane.blocks()},     {"worker_pid", lane.worker_pid()},
             {"restarts", lane.restarts()}, {"urgent", lane.urgent()},
             {"promised", lane.promised()}};
    if (lane.job() != 0) row["job"] = lane.job();
    out["lanes"].push_back(row);
  }
  for (const wire::TenantInfo& tenant : status.tenants()) {
    Json rejected = Json::object();
    for (const wire::RejectedJobs& r : tenant.rejected())
      rejected[std::string(client::name(r.reason()))] = r.jobs();
    out["tenants"].push_back({{"name", tenant.name()},
                              {"connections", tenant.connections()},
                              {"max_connections", tenant.max_connections()},
                              {"jobs", tenant.jobs()},
                              {"max_jobs", tenant.max_jobs()},
                              {"bytes", tenant.bytes()},
                              {"max_bytes", tenant.max_bytes()},
                              {"max_priority", tenant.max_priority()},
                              {"tasks", tenant.tasks()},
                              {"max_tasks", tenant.max_tasks()},
                              {"rejected", rejected}});
  }
  for (const wire::Counter& counter : status.counters()) out["counters"][counter.name()] = counter.value();
  for (const std::string& warning : status.warnings()) out["warnings"].push_back(warning);
  return out;
}

// "3 quota_jobs, 1 bad_argument"
std::string rejected_text(const wire::TenantInfo& tenant) {
  std::string out;
  for (const wire::RejectedJobs& r : tenant.rejected()) {
    out += (out.empty() ? "" : ", ") + std::to_string(r.jobs()) + " " + std::string(client::name(r.reason()));
  }
  return out.empty() ? "-" : out;
}

void show(const wire::Status& status, std::ostream& out, std::ostream& err) {
  for (const std::string& warning : status.warnings()) err << "warning: " << printable(warning) << "\n";
  out << "einetd " << escape(status.version()) << ", up "
      << format_duration_short(Duration{status.uptime_ns()}) << ", policy " << escape(status.policy())
      << ", pid " << status.pid() << "\n\n";
  Table lanes({"LANE", "CORES", "RANK", "STATE", "JOB", "MODEL", "BUSY", "BLOCKS", "WORKER", "RESTARTS"});
  for (const wire::LaneInfo& lane : status.lanes()) {
    const double busy = static_cast<double>(lane.busy_ns()) /
                        static_cast<double>(std::max(status.uptime_ns(), std::int64_t{1}));
    lanes.add({lane_text(lane.device(), lane.lane()) + (lane.urgent() ? " urgent" : ""),
               lane.cores().empty() ? "any" : escape(lane.cores()), escape(lane.rank()), escape(lane.state()),
               lane.job() == 0 ? "-" : std::to_string(lane.job()),
               lane.model().empty() ? "-" : escape(lane.model()), percent(busy),
               std::to_string(lane.blocks()), std::to_string(lane.worker_pid()),
               std::to_string(lane.restarts())});
  }
  lanes.print(out);
  out << "\n";
  Table tenants({"TENANT", "CONNECTIONS", "JOBS", "MEMORY", "TASKS", "MAX PRIORITY", "REJECTED"});
  for (const wire::TenantInfo& tenant : status.tenants()) {
    tenants.add({escape(tenant.name()), share(tenant.connections(), tenant.max_connections()),
                 share(tenant.jobs(), tenant.max_jobs()),
                 format_bytes(ByteCount{tenant.bytes()}) + "/" + format_bytes(ByteCount{tenant.max_bytes()}),
                 share(tenant.tasks(), tenant.max_tasks()), std::to_string(tenant.max_priority()),
                 rejected_text(tenant)});
  }
  tenants.print(out);
  if (status.counters().empty()) return;
  out << "\n";
  Table counters({"COUNTER", "VALUE"});
  for (const wire::Counter& counter : status.counters())
    counters.add({escape(counter.name()), std::to_string(counter.value())});
  counters.print(out);
}

Json to_json(const wire::ModelInfo& model) {
  Json out{{"name", model.name()},
           {"version", model.version()},
           {"loaded", model.loaded()},
           {"reason", model.reason()},
           {"shape", std::vector<std::uint32_t>(model.shape().begin(), model.shape().end())},
           {"classes", model.classes()},
           {"accuracy", std::vector<double>(model.accuracy().begin(), model.accuracy().end())},
           {"weight_bytes", model.weight_bytes()},
           {"devices", Json::object()},
           {"evicted", Json::array()}};
  for (const wire::ModelOnDevice& device : model.devices()) {
    Json blocks = Json::array();
    for (const wire::BlockTimes& t : device.blocks()) {
      blocks.push_back({{"trunk", format_duration(Duration{t.trunk_ns()})},
                        {"exit", format_duration(Duration{t.exit_ns()})},
                        {"worst_trunk", format_duration(Duration{t.worst_trunk_ns()})},
                        {"worst_exit", format_duration(Duration{t.worst_exit_ns()})}});
    }
    out["devices"][device.device()] = blocks;
    if (device.evicted()) out["evicted"].push_back(device.device());
  }
  return out;
}

// Of several devices, where it is evicted from if it is not everywhere.
std::string state_text(const wire::ModelInfo& model) {
  if (!model.loaded()) return "refused";
  std::string from;
  int evicted = 0;
  for (const wire::ModelOnDevice& device : model.devices()) {
    if (!device.evicted()) continue;
    ++evicted;
    from += (from.empty() ? "" : ", ") + escape(device.device());
  }
  if (evicted == 0) return "loaded";
  return evicted == model.devices_size() ? "evicted" : "evicted from " + from;
}

// Median time of the whole network with every exit, on the first device that runs it.
std::string whole_time(const wire::ModelInfo& model) {
  if (model.devices().empty()) return "-";
  Duration sum{};
  for (const wire::BlockTimes& t : model.devices(0).blocks()) sum += Duration{t.trunk_ns() + t.exit_ns()};
  return format_duration_short(sum);
}

void show(const wire::ModelList& list, std::ostream& out, std::ostream& err) {
  if (list.models().empty())
    err << "einet: the daemon has no models; put NAME.einet/ into its model folder\n";
  Table table({"MODEL", "VERSION", "STATE", "INPUT", "CLASSES", "BLOCKS", "TIME", "ACCURACY OF EACH EXIT"});
  for (const wire::ModelInfo& model : list.models()) {
    std::string accuracy;
    for (double a : model.accuracy()) accuracy += (accuracy.empty() ? "" : " ") + percent(a);
    const auto known = [&](const std::string& cell) { return model.loaded() ? cell : "-"; };
    table.add({escape(model.name()), known(escape(model.version())), state_text(model),
               known(shape_text(model)), known(std::to_string(model.classes())),
               known(std::to_string(model.accuracy_size())), whole_time(model), known(accuracy)});
  }
  table.print(out);
  for (const wire::ModelInfo& model : list.models()) {
    if (!model.loaded())
      err << "einet: " << escape(model.name()) << " is refused: " << printable(model.reason()) << "\n";
  }
}

Json to_json(const wire::JobInfo& job) {
  Json out{{"job", job.job()},
           {"tenant", job.tenant()},
           {"model", job.model()},
           {"state", job.state()},
           {"priority", job.priority()},
           {"release_ns", instant(job.release_ns())},
           {"deadline_ns", instant(job.deadline_ns())},
           {"next_block", job.next_block()},
           {"blocks", job.blocks()},
           {"best_exit", nullptr},
           {"confidence", nullptr},
           {"device", nullptr},
           {"lane", nullptr},
           {"awaits", nullptr},
           {"awaits_memory", job.awaits_memory()},
           {"instead_of", nullptr},
           {"preemptions", job.preemptions()},
           {"task", nullptr}};
  if (!job.awaits().empty()) out["awaits"] = job.awaits();
  if (!job.instead_of().empty()) out["instead_of"] = job.instead_of();
  if (job.task() != 0) out["task"] = job.task();
  if (job.has_plan()) out["plan"] = cli::to_json(job.plan());
  if (job.has_best_exit()) {
    out["best_exit"] = job.best_exit();
    out["confidence"] = number(job.confidence());
  }
  if (!job.device().empty()) {
    out["device"] = job.device();
    out["lane"] = job.lane();
  }
  return out;
}

std::string where(const wire::JobInfo& job) {
  if (job.awaits().empty()) return lane_text(job.device(), job.lane());
  return (job.awaits_memory() ? "awaits memory of " : "awaits ") + escape(job.awaits());
}

void show(const wire::JobList& list, std::ostream& out, std::ostream& err) {
  if (list.jobs().empty()) err << "einet: no jobs\n";
  const TimePoint now = SystemClock().now();
  Table table({"JOB", "TENANT", "MODEL", "STATE", "PRIORITY", "RELEASE", "DEADLINE", "BLOCK", "BEST EXIT",
               "LANE", "PREEMPTED"});
  for (const wire::JobInfo& job : list.jobs()) {
    table.add({std::to_string(job.job()), escape(job.tenant()), escape(job.model()), escape(job.state()),
               std::to_string(job.priority()), from_now(job.release_ns(), now),
               from_now(job.deadline_ns(), now), share(job.next_block(), job.blocks()),
               job.has_best_exit() ? std::to_string(job.best_exit()) : "-", where(job),
               std::to_string(job.preemptions())});
  }
  table.print(out);
}

std::string_view name(wire::Event::Kind kind) {
  switch (kind) {
    case wire::Event::ACCEPTED:
      return "accepted";
    case wire::Event::RELEASED:
      return "released";
    case wire::Event::STARTED:
      return "started";
    case wire::Event::BLOCK:
      return "block";
    case wire::Event::EXIT:
      return "exit";
    case wire::Event::PREEMPTED:
      return "preempted";
    case wire::Event::SUSPENDED:
      return "suspended";
    case wire::Event::ENDED:
      return "ended";
    case wire::Event::LOST:
      return "lost";
    case wire::Event::THROTTLED:
      return "throttled";
    case wire::Event::OVERRAN:
      return "overran";
    default:
      return "unknown";
  }
}

Json to_json(const wire::Event& event) {
  Json out{{"event", name(event.kind())}, {"at_ns", event.at_ns()}};
  if (event.kind() == wire::Event::LOST) {
    out["lost"] = event.lost();
    return out;
  }
  out["job"] = event.job();
  out["tenant"] = event.tenant();
  out["model"] = event.model();
  out["priority"] = event.priority();
  out["deadline_ns"] = instant(event.deadline_ns());
  if (!event.device().empty()) {
    out["device"] = event.device();
    out["lane"] = event.lane();
  }
  if (event.kind() == wire::Event::BLOCK) {
    out["block"] = event.block();
    out["start_ns"] = event.start_ns();
    out["end_ns"] = event.end_ns();
  }
  if (event.has_exit()) out["exit"] = event.exit();
  if (event.kind() == wire::Event::EXIT) {
    out["class"] = event.top_class();
    out["confidence"] = number(event.confidence());
  }
  if (event.task() != 0) out["task"] = event.task();
  if (event.kind() == wire::Event::THROTTLED) out["until_ns"] = event.until_ns();
  if (event.kind() == wire::Event::OVERRAN) out["used"] = format_duration(Duration{event.used_ns()});
  if (event.by() != 0) out["by"] = event.by();
  if (event.kind() == wire::Event::ENDED) out["outcome"] = client::name(event.outcome());
  if (!event.reason().empty()) out["reason"] = event.reason();
  return out;
}

// One line per event: time since the first event, job, what happened.
std::string line_of(const wire::Event& event, TimePoint first) {
  if (event.kind() == wire::Event::LOST) return std::to_string(event.lost()) + " events were left out";
  std::array<char, 64> head{};
  std::snprintf(head.data(), head.size(), "%12.6f  job %-6llu  %-9s ",
                static_cast<double>((TimePoint{Duration{event.at_ns()}} - first).count()) / 1e9,
                static_cast<unsigned long long>(event.job()), std::string(name(event.kind())).c_str());
  std::string out = head.data() + (" " + escape(event.tenant())) + " " + escape(event.model());
  if (!event.device().empty()) out += " on " + lane_text(event.device(), event.lane());
  switch (event.kind()) {
    case wire::Event::BLOCK:
      out += " block " + std::to_string(event.block()) + " took " +
             format_duration_short(Duration{event.end_ns() - event.start_ns()});
      break;
    case wire::Event::EXIT:
      out += " exit " + std::to_string(event.exit()) + " class " + std::to_string(event.top_class()) + " (" +
             percent(event.confidence()) + ")";
      break;
    case wire::Event::PREEMPTED:
    case wire::Event::SUSPENDED:
      out += " by job " + std::to_string(event.by());
      break;
    case wire::Event::THROTTLED:
      out += " until +" + format_duration_short(Duration{event.until_ns() - event.at_ns()}) + ", task " +
             std::to_string(event.task());
      break;
    case wire::Event::OVERRAN:
      out += " with " + format_duration_short(Duration{event.used_ns()}) + ", task " +
             std::to_string(event.task());
      break;
    case wire::Event::ENDED:
      out += " " + std::string(client::name(event.outcome()));
      break;
    default:
      break;
  }
  if (!event.reason().empty()) out += " (" + printable(event.reason()) + ")";
  return out;
}

}  // namespace

int run_status(const Context& context) {
  return with_reply(
      context, [&](Client& client) { return client.status(context.timeout); },
      [&](const wire::Status& status) {
        if (context.output == Output::json) {
          context.out << text_of(to_json(status)) << "\n";
        } else {
          show(status, context.out, context.err);
        }
      });
}

int run_models(const Context& context) {
  return with_reply(
      context, [&](Client& client) { return client.models(context.timeout); },
      [&](const wire::ModelList& list) {
        if (context.output == Output::table) return show(list, context.out, context.err);
        Json out{{"models", Json::array()}};
        for (const wire::ModelInfo& model : list.models()) out["models"].push_back(to_json(model));
        context.out << text_of(out) << "\n";
      });
}

int run_jobs(const Context& context, Explain what) {
  const auto jobs = what == Explain::plans ? Client::Jobs::with_plans : Client::Jobs::only;
  return with_reply(
      context, [&](Client& client) { return client.jobs(context.timeout, jobs); },
      [&](const wire::JobList& list) {
        if (context.output == Output::table) {
          show(list, context.out, context.err);
          explain(list, context.out);
          return;
        }
        Json out{{"jobs", Json::array()}};
        for (const wire::JobInfo& job : list.jobs()) out["jobs"].push_back(to_json(job));
        context.out << text_of(out) << "\n";
      });
}

int run_watch(const Context& context, Client::Watch what, std::uint64_t max_events) {
  auto client = connect(context);
  if (!client) return fail(context, client.error());
  std::uint64_t events = 0;
  TimePoint first{};
  const auto more = [&] { return max_events == 0 || events < max_events; };
  const auto print = [&](const wire::Event& event) {
    if (!more()) return;
    if (events++ == 0) first = TimePoint{Duration{event.at_ns()}};
    // Each line at once: people watch, and programs read from a pipe.
    context.out << (context.output == Output::json ? text_of(to_json(event)) : line_of(event, first))
                << std::endl;
  };
  if (auto ok = client->watch(what, print, context.timeout); !ok) return fail(context, ok.error(), *client);
  while (more() && context.out) {
    if (auto ok = client->wait_any(std::chrono::hours(1)); !ok && more())
      return fail(context, ok.error(), *client);
  }
  return kOk;
}

int run_cancel(const Context& context, const std::vector<std::uint64_t>& jobs) {
  auto client = connect(context);
  if (!client) return fail(context, client.error());
  int code = kOk;
  for (std::uint64_t job : jobs) {
    const auto ok = client->cancel(JobId{job}, context.timeout);
    if (!ok) {
      const int failed = fail(context, within("job " + std::to_string(job), ok.error()), *client);
      if (code == kOk) code = failed;
    } else if (context.output == Output::table) {
      context.err << "einet: job " << job << " is being cancelled\n";
    }
    if (context.output == Output::json)
      context.out << text_of(Json{{"job", job}, {"cancelled", ok.has_value()}}) << "\n";
  }
  return code;
}

}  // namespace einet::cli
