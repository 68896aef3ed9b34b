// An independent simulator of the rules of `einet simulate` (docs/files.md), written to be obviously
// right: it looks at everything at every instant and shares no code with the product. Tests compare the two.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace einet::reference {

struct Source {
  std::string name;
  bool is_task = true;
  std::int64_t offset = 0;  // or release
  std::int64_t period = 0;  // tasks only
  std::optional<std::int64_t> deadline;
  int priority = 0;
  std::vector<std::int64_t> blocks;
};

struct Set {
  std::string policy = "edf";
  int lanes = 1;
  std::int64_t horizon = 0;
  bool stop_on_miss = true;
  std::vector<Source> sources;  // in any order of tasks and jobs
};

// The set as the product reads it.
std::string to_toml(const Set&);

struct Output {
  std::string blocks_csv;
  std::string jobs_csv;
};
Output simulate(const Set&);

}  // namespace einet::reference
