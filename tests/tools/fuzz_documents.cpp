// libFuzzer: any bytes as each of the TOML documents that a user writes: a task set, a scenario, a planning
// problem, a survival function, a configuration. What is accepted keeps its promises.
#include <cstdlib>

#include "config/daemon_config.h"
#include "planner/problem_file.h"
#include "scheduler/simulation/scenario.h"
#include "scheduler/simulation/task_set.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace einet;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)parse_task_set(text, "file");
  (void)parse_survival(text, "file");
  (void)parse_daemon_config(text, "file",
                            {.cores = {0, 1}, .uid_of = [](const std::string&) { return 1000; }});
  if (const auto problem = parse_problem(text, "file"); problem && !check(problem->problem())) std::abort();
  if (const auto scenario = parse_scenario(text, "file")) {
    const std::string said = to_toml(*scenario);
    const auto again = parse_scenario(said, "again");
    if (!again || to_toml(*again) != said) std::abort();
  }
  return 0;
}
