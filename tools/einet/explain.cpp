#include "tools/einet/explain.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ostream>

#include "config/text.h"
#include "config/time.h"
#include "tools/einet/table.h"

namespace einet::cli {
namespace {

// How long the job may live, and why.
std::string life(const wire::PlanBasis& basis) {
  std::string out;
  if (!basis.has_to_deadline_ns()) {
    out = "no deadline counts";
  } else if (basis.to_deadline_ns() <= 0) {
    out = "its deadline comes before its next block can start";
  } else {
    out = "its next block starts " + format_duration_short(Duration{basis.to_deadline_ns()}) +
          " before its deadline";
    if (basis.ahead_ns() > 0) {
      out += ", of which more urgent work that is known takes " +
             format_duration_short(Duration{basis.ahead_ns()});
    }
  }
  if (basis.lives() > 0) {
    std::array<char, 16> lives{};
    std::snprintf(lives.data(), lives.size(), "%.0f", basis.lives());
    out += "; " + std::string(lives.data()) + " such jobs that ended before are counted";
  }
  return out;
}

// A job gets its plan when it is released and its turn comes; a plan has an exit.
bool is_planned(const wire::PlanBasis& basis) {
  const auto& exits = basis.exits();
  return exits.empty() ||
         std::any_of(exits.begin(), exits.end(), [](const wire::PlanExit& exit) { return exit.planned(); });
}

}  // namespace

Json to_json(const wire::PlanBasis& basis) {
  Json out{{"to_deadline_ns", nullptr}, {"ahead_ns", basis.ahead_ns()}, {"lives", basis.lives()},
           {"held", basis.held()},      {"expected", nullptr},          {"exits", Json::array()}};
  if (is_planned(basis)) out["expected"] = basis.expected();
  if (basis.has_to_deadline_ns()) out["to_deadline_ns"] = basis.to_deadline_ns();
  for (const wire::PlanExit& exit : basis.exits()) {
    out["exits"].push_back({{"exit", exit.exit()},
                            {"ready_ns", exit.ready_ns()},
                            {"accuracy", exit.accuracy()},
                            {"alive", exit.alive()},
                            {"planned", exit.planned()}});
  }
  return out;
}

void explain(const wire::JobList& list, std::ostream& out) {
  for (const wire::JobInfo& job : list.jobs()) {
    if (!job.has_plan()) continue;
    const wire::PlanBasis& basis = job.plan();
    out << "\njob " << job.job() << " (" << escape(job.model()) << "): " << life(basis) << ".\n"
        << "The answer that it holds is expected to be right with " << percent(basis.held());
    const bool planned = is_planned(basis);
    if (planned) {
      out << "; with its plan, the one that it will hold when it is stopped, with "
          << percent(basis.expected()) << ".\n";
    } else {
      out << "; it is not planned yet.\n";
    }
    if (!job.instead_of().empty()) {
      out << "It is on " << escape(job.device()) << ", for " << escape(job.instead_of())
          << ", where its model is faster, cannot run it now.\n";
    }
    if (job.awaits_memory()) {
      out << "Its model is not in the memory of " << escape(job.awaits())
          << ": it comes back when others there have no jobs and can go.\n";
    } else if (!job.awaits().empty()) {
      out << "It waits for " << escape(job.awaits())
          << ", which is busy: it is expected to be done there sooner than on any free device.\n";
    }
    Table table({"EXIT", "READY IN", "RIGHT WITH", "STILL ALIVE", "PLANNED"});
    for (const wire::PlanExit& exit : basis.exits()) {
      table.add({std::to_string(exit.exit()), format_duration_short(Duration{exit.ready_ns()}),
                 percent(exit.accuracy()), percent(exit.alive()),
                 exit.planned() ? "yes"
                 : planned      ? "no"
                                : "-"});
    }
    if (!basis.exits().empty()) table.print(out);
  }
}

}  // namespace einet::cli
