#include "plan.h"

#include <algorithm>
#include <charconv>
#include <iomanip>
#include <ostream>
#include <sstream>

#include "config/files.h"
#include "config/text.h"
#include "config/time.h"
#include "planner/baselines.h"
#include "planner/problem_file.h"

namespace einet {
namespace {

// A person waits for this search, so it may keep more labels than the daemon's.
constexpr std::size_t kMaxLabels = std::size_t{1} << 20;

// The shortest text that reads back as the same number; valid JSON.
std::string shortest(double v) {
  char text[32];
  const auto [end, ec] = std::to_chars(text, text + sizeof text, v);
  EINET_CHECK(ec == std::errc{}, "every double fits");
  return {text, end};
}

struct Answer {
  Plan plan;
  Duration search{};
};

std::string json(const std::string& planner, const Answer& answer) {
  std::string exits;
  for (int k = 0; k < kMaxBlocks; ++k) {
    if ((answer.plan.exits & exit_bit(k)) == 0) continue;
    exits += (exits.empty() ? "" : ",") + std::to_string(k);
  }
  return "{\"planner\":\"" + planner + "\",\"exits\":[" + exits +
         "],\"expected_accuracy\":" + shortest(answer.plan.expected_accuracy) +
         ",\"search_us\":" + shortest(to_us(answer.search)) + "}\n";
}

std::string table(const std::string& planner, const PlanProblem& p, const Survival& survival,
                  const Answer& answer) {
  std::ostringstream out;
  out << "exit      ready  alive then  accuracy\n" << std::fixed << std::setprecision(4);
  double t = 0;
  for (int k = p.first_block; k < p.blocks(); ++k) {
    t += p.trunk_ns[k];
    if ((answer.plan.exits & exit_bit(k)) == 0) continue;
    t += p.exit_ns[k];
    constexpr double kLongest = 9e18;
    const std::string ready =
        format_duration_short(Duration{static_cast<std::int64_t>(std::min(t, kLongest))});
    out << std::setw(4) << k << std::setw(11) << ready << std::setw(12) << survival(t) << std::setw(10)
        << p.accuracy[k] << "\n";
  }
  out << "expected accuracy " << answer.plan.expected_accuracy << " (held now: " << p.held << "), planner "
      << planner << ", found in " << format_duration_short(answer.search) << "\n";
  return out.str();
}

}  // namespace

int run_plan(const PlanArguments& arguments, std::ostream& out, std::ostream& words) {
  const auto fail = [&](const Error& e) {
    words << "einet plan: " << printable(e.message) << "\n";
    return 2;
  };
  const Result<Planner> planner = parse_planner(arguments.planner);
  if (!planner) return fail(planner.error());
  const Result<std::string> text = read_file(arguments.problem, kMaxProblemBytes);
  if (!text) return fail(text.error());
  const Result<ProblemFile> file = parse_problem(*text, arguments.problem.string());
  if (!file) return fail(file.error());

  const PlanProblem problem = file->problem();
  PlanSearch search(kMaxLabels);
  const SystemClock clock;
  // The first search touches its memory for the first time; the second is what the daemon's cost.
  make_plan(*planner, problem, file->survival, search);
  const TimePoint start = clock.now();
  const Plan plan = make_plan(*planner, problem, file->survival, search);
  const Answer answer{plan, clock.now() - start};
  if (planner->kind == Planner::Kind::exact && search.gap() > 1e-9) {
    words << "einet plan: the search ran out of labels; a better plan could have up to "
          << shortest(search.gap()) << " more\n";
  }
  out << (arguments.output == PlanArguments::Output::json
              ? json(arguments.planner, answer)
              : table(arguments.planner, problem, file->survival, answer));
  return 0;
}

}  // namespace einet
