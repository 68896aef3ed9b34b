#include "tools/einet/worlds.h"

#include <algorithm>
#include <chrono>
#include <csignal>
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

// While it lives Ctrl-C only leaves its mark, here and in the child that runs the worlds; then it takes
// effect.
class HeldInterrupt {
 public:
  HeldInterrupt() {
    sigset_t interrupt;
    ::sigemptyset(&interrupt);
    ::sigaddset(&interrupt, SIGINT);
    ::sigprocmask(SIG_BLOCK, &interrupt, &before_);
  }
  ~HeldInterrupt() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }
  HeldInterrupt(const HeldInterrupt&) = delete;
  HeldInterrupt& operator=(const HeldInterrupt&) = delete;
  bool came() const {
    sigset_t pending;
    ::sigpending(&pending);
    return ::sigismember(&pending, SIGINT) == 1;
  }

 private:
  sigset_t before_{};
};

// What became of the worlds that were run, if none broke.
std::string_view verdict(const GuardedRuns& runs, Checks checks) {
  if (runs.worlds == 0) return ": none was run";
  return checks == Checks::off ? " were run, unchecked" : " hold";
}

// As small as it gets while the same invariant breaks.
Scenario shrunk(const Scenario& scenario, const std::string& invariant, const HeldInterrupt& interrupt) {
  const auto until = std::chrono::steady_clock::now() + kLongestShrinking;
  return shrink(
      scenario,
      [&](const Scenario& smaller) {
        if (interrupt.came() || std::chrono::steady_clock::now() > until) return false;
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

void explain(const WorldsArguments& arguments, const Finding& finding, const HeldInterrupt& interrupt,
             std::ostream& out, std::ostream& err) {
  out << "world " << finding.seed << " breaks \"" << finding.invariant << "\": " << finding.words
      << std::flush;
  if (arguments.checks == Checks::off) return;
  const Scenario small = shrunk(random_scenario(finding.seed), finding.invariant, interrupt);
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
  const HeldInterrupt interrupt;
  GuardedRuns total;
  while (total.worlds < arguments.count && total.seconds < arguments.seconds && !total.finding &&
         !interrupt.came()) {
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
  if (total.finding) explain(arguments, *total.finding, interrupt, out, err);
  out << total.worlds << " worlds from seed " << arguments.seed
      << (total.finding ? "" : verdict(total, arguments.checks)) << ", " << total.events << " events, "
      << std::fixed << std::setprecision(0)
      << static_cast<double>(total.events) / std::max(1e-9, total.seconds) << " per second\n";
  if (interrupt.came() && !total.finding)
    out << "interrupted; go on with --seed " << arguments.seed + total.worlds << '\n';
  out << std::flush;  // an interrupt ends the program now
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
