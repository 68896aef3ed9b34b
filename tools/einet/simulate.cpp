#include "tools/einet/simulate.h"

#include <ostream>

#include "config/files.h"
#include "config/text.h"
#include "scheduler/simulation/scenario.h"
#include "scheduler/simulation/simulate.h"
#include "tools/einet/csv.h"
#include "tools/einet/worlds.h"

namespace einet {
namespace {

Result<void> simulate_set(const SimulateArguments& arguments, std::string_view text, std::ostream& words) {
  if (arguments.csv.empty())
    return error(escape(arguments.set.string()) +
                 " is a task set: say with --csv OUT.csv where what ran is written");
  const Result<TaskSet> set = parse_task_set(text, arguments.set.string());
  if (!set) return set.error();
  const Result<SimulationResult> result = simulate(*set);
  if (!result) return within(arguments.set.string(), result.error());

  return write_csv(arguments.csv, blocks_csv(*set, *result), jobs_csv(*set, *result), words);
}

}  // namespace

int run_simulate(const SimulateArguments& arguments, std::ostream& out, std::ostream& words) {
  const Result<std::string> text = read_file(arguments.set, kMaxSetBytes);
  if (text && is_scenario(*text)) {
    if (arguments.csv.empty()) return replay_scenario(arguments.set, *text, out, words);
    words << "einet: " << escape(arguments.set.string())
          << " is a scenario: --csv goes with a task set or with --replay\n";
    return 2;
  }
  const Result<void> done = text ? simulate_set(arguments, *text, words) : text.error();
  if (done) return 0;
  words << "einet: " << printable(done.error().message) << '\n';
  return 2;
}

}  // namespace einet
