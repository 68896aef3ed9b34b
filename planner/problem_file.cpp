#include "planner/problem_file.h"

#include <algorithm>
#include <limits>

#include "config/toml_reader.h"

namespace einet {
namespace {

constexpr std::size_t kMaxSurvivalEntries = 1'000'000;  // kills, or points

double to_ns(Duration d) {
  return static_cast<double>(d.count());
}

std::vector<double> times_ns(TomlTable& table, std::string_view key, std::size_t max_count) {
  const std::vector<Duration> durations = table.durations(key, Duration{0}, max_count);
  std::vector<double> ns(durations.size());
  std::transform(durations.begin(), durations.end(), ns.begin(), to_ns);
  return ns;
}

// A missing key or a wrong type is reported by the table; what the values say is judged by the makers, whose
// errors begin with the key: "to: …", or with its entry: "t[1]: …".
Result<Survival> read_survival(TomlTable table) {
  constexpr std::string_view kKinds[] = {"uniform", "exponential", "normal", "sample", "points"};
  const std::string kind = table.choice("kind", kKinds);
  const auto read = [&]() -> Result<Survival> {
    if (kind == "exponential") return Survival::exponential(to_ns(table.duration("mean", Duration{1})));
    if (kind == "normal") {
      const double mean = to_ns(table.duration("mean", Duration{0}));
      return Survival::normal(mean, to_ns(table.duration("sd", Duration{1})));
    }
    if (kind == "sample") return Survival::sample(times_ns(table, "kills", kMaxSurvivalEntries));
    if (kind == "points") {
      const std::vector<double> t = times_ns(table, "t", kMaxSurvivalEntries);
      return Survival::points(t, table.numbers("s", 0, 1, kMaxSurvivalEntries));
    }
    const double from = to_ns(table.duration("from", Duration{0}));
    return Survival::uniform(from, to_ns(table.duration("to", Duration{0})));
  };
  Result<Survival> survival = read();
  if (!survival) {
    const std::string words = survival.error().message;
    const std::size_t end = words.find_first_of(":[");
    table.fail(words.substr(0, end), words[end] == ':' ? words.substr(end + 2) : words);
  }
  table.close();
  return survival;
}

void expect_length(TomlTable& root, std::string_view key, std::size_t found, std::size_t blocks) {
  if (found == blocks) return;
  root.fail(key, "found " + std::to_string(found) + " entries; expected as many as in trunk, " +
                     std::to_string(blocks));
}

}  // namespace

Result<ProblemFile> parse_problem(std::string_view text, const std::string& file) {
  TomlDocument doc(text, file);
  TomlTable root = doc.root();
  std::vector<double> trunk_ns = times_ns(root, "trunk", kMaxBlocks);
  std::vector<double> exit_ns = times_ns(root, "exit", kMaxBlocks);
  std::vector<double> accuracy = root.numbers("accuracy", 0, 1, kMaxBlocks);
  const double held = root.number("held", 0, 1, 0);
  const std::int64_t first_block = root.integer("first_block", 0, kMaxBlocks, 0);
  Result<Survival> survival = read_survival(root.table("survival"));
  root.close();

  const std::size_t blocks = trunk_ns.size();
  if (blocks == 0) root.fail("trunk", "found no blocks; expected from 1 to " + std::to_string(kMaxBlocks));
  expect_length(root, "exit", exit_ns.size(), blocks);
  expect_length(root, "accuracy", accuracy.size(), blocks);
  if (first_block > static_cast<std::int64_t>(blocks)) {
    root.fail("first_block",
              "found " + std::to_string(first_block) + "; there are " + std::to_string(blocks) + " blocks");
  }
  if (auto ok = doc.finish(); !ok) return ok.error();
  return ProblemFile{std::move(trunk_ns),           std::move(exit_ns),  std::move(accuracy), held,
                     static_cast<int>(first_block), std::move(*survival)};
}

Result<Survival> parse_survival(std::string_view text, const std::string& file) {
  TomlDocument doc(text, file);
  TomlTable root = doc.root();
  Result<Survival> survival = read_survival(root.table("survival"));
  root.close();
  if (auto ok = doc.finish(); !ok) return ok.error();
  return survival;
}

}  // namespace einet
