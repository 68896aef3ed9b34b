#include "tools/einet/worlds.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iomanip>
#include <ostream>
#include <unistd.h>

#include "config/files.h"
#include "config/text.h"
#include "scheduler/simulation/guarded_run.h"
#include "scheduler/simulation/random_scenario.h"
#include "scheduler/simulation/shrink.h"

namespace einet {
namespace {

constexpr double kSlice = 1.0;  // s; how often progress is shown
constexpr int kMostTries = 3000;
constexpr std::chrono::seconds kLongestShrinking{60};

std::optional<Finding> finding_of(const Scenario& scenario) {
  return run_guarded([&](std::uint64_t) { return scenario; }, 0, 1, 1e9, Checks::on, ChildErrors::hidden)
      .finding;
}

// As small as it gets while the same invariant breaks.
Scenario shrunk(const Scenario& scenario, const std::string& invariant) {
  const auto until = std::chrono::steady_clock::now() + kLongestShrinking;
  return shrink(
      scenario,
      [&](const Scenario& smaller) {
        if (std::chrono::steady_clock::now() > until) return false;
        const std::optional<Finding> finding = finding_of(smaller);
        return finding && finding->invariant == invariant;
      },
      kMostTries);
}

// As comment lines of a TOML file.
std::string as_comment(const std::string& text) {
  std::string out = "# ";
  for (const char c : text) {
    out += c;
    if (c == '\n') out += "# ";
  }
  return out + '\n';
}

void explain(const WorldsArguments& arguments, const Finding& finding, std::ostream& out, std::ostream& err) {
  out << "world " << finding.seed << " breaks \"" << finding.invariant << "\": " << finding.words
      << std::flush;
  if (arguments.checks == Checks::off) return;
  const Scenario small = shrunk(random_scenario(finding.seed), finding.invariant);
  const std::optional<Finding> again = finding_of(small);
  const std::filesystem::path file =
      arguments.folder / ("scenario-" + std::to_string(finding.seed) + ".toml");
  const std::string words = again ? again->invariant + ": " + again->words : finding.words;
  if (const Result<void> ok = write_file(file, as_comment(words) + to_toml(small)); !ok) {
    err << "einet: " << printable(ok.error().message) << '\n';
    return;
  }
  out << "the smallest scenario found that breaks it so: einet simulate " << file.string() << '\n';
}

}  // namespace

int run_worlds(const WorldsArguments& arguments, std::ostream& out, std::ostream& err) {
  const bool shows_progress = ::isatty(STDERR_FILENO) == 1;
  GuardedRuns total;
  while (total.worlds < arguments.count && total.seconds < arguments.seconds && !total.finding) {
    const GuardedRuns runs = run_guarded(
        random_scenario, arguments.seed + total.worlds, arguments.count - total.worlds,
        std::min(kSlice, arguments.seconds - total.seconds), arguments.checks, ChildErrors::shown);
    total.worlds += runs.worlds;
    total.events += runs.events;
    total.seconds += runs.seconds;
    total.finding = runs.finding;
    if (shows_progress) err << '\r' << total.worlds << " worlds" << std::flush;
  }
  if (shows_progress) err << "\r\x1b[K" << std::flush;
  if (total.finding) explain(arguments, *total.finding, out, err);
  out << total.worlds << " worlds from seed " << arguments.seed << (total.finding ? "" : " hold") << ", "
      << total.events << " events, " << std::fixed << std::setprecision(0)
      << static_cast<double>(total.events) / std::max(1e-9, total.seconds) << " per second\n";
  return total.finding ? 1 : 0;
}

int replay_scenario(const std::filesystem::path& file, std::string_view text, std::ostream& out,
                    std::ostream& err) {
  const Result<Scenario> scenario = parse_scenario(text, file.string());
  if (!scenario) {
    err << "einet: " << printable(scenario.error().message) << '\n';
    return 2;
  }
  const std::optional<Finding> finding =
      run_guarded([&](std::uint64_t) { return *scenario; }, 0, 1, 1e9, Checks::on, ChildErrors::shown)
          .finding;
  if (!finding) {
    out << "holds\n";
    return 0;
  }
  out << "breaks \"" << finding->invariant << "\": " << finding->words;
  return 1;
}

}  // namespace einet
