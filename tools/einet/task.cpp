#include "tools/einet/task.h"

#include <ostream>
#include <variant>

#include "config/text.h"
#include "tools/einet/exit_code.h"
#include "tools/einet/json.h"
#include "tools/einet/table.h"

namespace einet::cli {
namespace {

std::string exactly(std::int64_t ns) {
  return format_duration(Duration{ns});
}

std::string about(std::int64_t ns) {
  return format_duration_short(Duration{ns});
}

Json to_json(const wire::TaskBound& bound) {
  return {{"device", bound.device()},
          {"lane", bound.lane()},
          {"response", exactly(bound.response_ns())},
          {"blocking", exactly(bound.blocking_ns())},
          {"slack", exactly(bound.slack_ns())},
          {"limit", bound.limit()}};
}

Json to_json(const std::string& task, const wire::TaskAdded& added) {
  Json out{{"task", task}, {"accepted", true}, {"id", added.task()}};
  out.update(to_json(added.bound()));
  out["warnings"] = Json::array();
  for (const std::string& warning : added.warnings()) out["warnings"].push_back(warning);
  return out;
}

Json to_json(const std::string& task, const wire::TaskRefused& refused) {
  Json out{{"task", task},
           {"accepted", false},
           {"reason", client::name(refused.reason())},
           {"words", refused.words()},
           {"misses", nullptr},
           {"lateness", nullptr},
           {"largest_mandatory_exit", nullptr},
           {"smallest_period", nullptr}};
  if (!refused.misses().empty()) out["misses"] = refused.misses();
  if (refused.lateness_ns() != 0) out["lateness"] = exactly(refused.lateness_ns());
  if (refused.has_largest_mandatory_exit()) out["largest_mandatory_exit"] = refused.largest_mandatory_exit();
  if (refused.has_smallest_period_ns()) out["smallest_period"] = exactly(refused.smallest_period_ns());
  return out;
}

Json to_json(const wire::TaskInfo& task) {
  Json out{{"id", task.task()},
           {"tenant", task.tenant()},
           {"task", task.name()},
           {"model", task.model()},
           {"period", exactly(task.period_ns())},
           {"deadline", exactly(task.deadline_ns())},
           {"priority", task.priority()},
           {"mandatory_exit", task.mandatory_exit()},
           {"bound", nullptr},
           {"suspended", nullptr},
           {"jobs", task.jobs()},
           {"met", task.met()},
           {"missed", task.missed()},
           {"throttled", task.throttled()},
           {"overran", task.overran()},
           {"worst_response", nullptr}};
  if (task.has_bound()) out["bound"] = to_json(task.bound());
  if (!task.suspended().empty()) out["suspended"] = task.suspended();
  if (task.has_worst_response_ns()) out["worst_response"] = exactly(task.worst_response_ns());
  return out;
}

void show(const std::string& task, const wire::TaskAdded& added, std::ostream& out, std::ostream& err) {
  for (const std::string& warning : added.warnings()) err << "warning: " << printable(warning) << "\n";
  const wire::TaskBound& bound = added.bound();
  out << "task " << escape(task) << " is accepted on lane " << escape(bound.device()) << "/" << bound.lane()
      << ": every job has its mandatory answer by its deadline, "
      << about(bound.response_ns() + bound.slack_ns()) << " after its release\n"
      << "with the tasks of now, within " << about(bound.response_ns()) << ", of which "
      << about(bound.blocking_ns()) << " is waiting for less urgent blocks; slack " << about(bound.slack_ns())
      << "\n";
  if (!bound.limit().empty()) out << "limit: " << printable(bound.limit()) << "\n";
}

void show(const wire::TaskList& list, std::ostream& out, std::ostream& err) {
  if (list.tasks().empty()) err << "einet: no tasks\n";
  Table table({"TASK", "TENANT", "MODEL", "PERIOD", "DEADLINE", "PRIORITY", "EXIT", "LANE", "BOUND",
               "WORST SEEN", "JOBS", "MET", "MISSED", "THROTTLED", "OVERRAN"});
  for (const wire::TaskInfo& task : list.tasks()) {
    const bool promised = task.has_bound();
    table.add({escape(task.name()), escape(task.tenant()), escape(task.model()), about(task.period_ns()),
               about(task.deadline_ns()), std::to_string(task.priority()),
               std::to_string(task.mandatory_exit()),
               promised ? escape(task.bound().device()) + "/" + std::to_string(task.bound().lane()) : "-",
               promised ? about(task.bound().response_ns()) : "none",
               task.has_worst_response_ns() ? about(task.worst_response_ns()) : "-",
               std::to_string(task.jobs()), std::to_string(task.met()), std::to_string(task.missed()),
               std::to_string(task.throttled()), std::to_string(task.overran())});
  }
  table.print(out);
  for (const wire::TaskInfo& task : list.tasks()) {
    if (!task.suspended().empty()) {
      err << "einet: task " << escape(task.name()) << " is suspended: " << printable(task.suspended())
          << "\n";
    }
  }
}

}  // namespace

int run_task_add(const Context& context, const client::TaskRequest& task) {
  auto client = connect(context);
  if (!client) return fail(context, client.error());
  const auto reply = client->add_task(task, context.timeout);
  if (!reply) return fail(context, reply.error(), *client);
  if (context.output == Output::json) {
    std::visit([&](const auto& answer) { context.out << text_of(to_json(task.name, answer)) << "\n"; },
               *reply);
  }
  if (const auto* refused = std::get_if<wire::TaskRefused>(&*reply)) {
    return fail(context,
                error("task " + escape(task.name) + " is refused (" +
                      std::string(client::name(refused->reason())) + "): " + printable(refused->words())),
                kRejected);
  }
  if (context.output == Output::table) {
    show(task.name, std::get<wire::TaskAdded>(*reply), context.out, context.err);
  }
  return kOk;
}

int run_task_remove(const Context& context, const std::string& name) {
  auto client = connect(context);
  if (!client) return fail(context, client.error());
  const auto ok = client->remove_task(name, context.timeout);
  if (context.output == Output::json)
    context.out << text_of(Json{{"task", name}, {"removed", ok.has_value()}}) << "\n";
  if (!ok) return fail(context, ok.error(), *client);
  if (context.output == Output::table) context.err << "einet: task " << escape(name) << " is removed\n";
  return kOk;
}

int run_task_list(const Context& context) {
  auto client = connect(context);
  if (!client) return fail(context, client.error());
  const auto list = client->tasks(context.timeout);
  if (!list) return fail(context, list.error(), *client);
  if (context.output == Output::table) {
    show(*list, context.out, context.err);
  } else {
    Json out{{"tasks", Json::array()}};
    for (const wire::TaskInfo& task : list->tasks()) out["tasks"].push_back(to_json(task));
    context.out << text_of(out) << "\n";
  }
  return kOk;
}

}  // namespace einet::cli
