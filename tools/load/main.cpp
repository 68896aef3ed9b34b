// einet-load: command line of one tenant's load (tenant.h).
#include <fstream>
#include <iostream>

#include <CLI/CLI.hpp>

#include "config/files.h"
#include "config/text.h"
#include "tools/load/tenant.h"
#include "tools/options/options.h"

namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kUnreachable = 3;

constexpr const char* kExitCodesHelp =
    R"(Exit codes:
  0  done: every job was sent and has its outcome
  1  failed: einetd refuses, or the load was cut short; the CSV has the jobs so far
  2  usage: wrong arguments, or a file that cannot be read
  3  einetd is unreachable)";

constexpr einet::ByteCount kMaxDue{std::uint64_t{64} << 20};

// A CLI11 option that holds a duration.
template <class T>
CLI::Option* add_duration(CLI::App& app, const std::string& name, T& value, const std::string& words) {
  return app.add_option_function<std::string>(
      name,
      [&value, name](const std::string& text) {
        const auto d = einet::parse_duration(text);
        if (!d || d->count() == 0)
          throw CLI::ValidationError(name, d ? "must be above 0" : d.error().message);
        value = *d;
      },
      words);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Sends one tenant's jobs to a running einetd, from labelled images, and writes what became of each.",
      "einet-load"};
  einet::load::Load load;
  std::string images = "digits";
  std::string csv;
  std::string due;
  app.add_option("--socket", load.socket, "einetd's socket")->envname("EINET_SOCKET")->capture_default_str();
  app.add_option("--tenant", load.tenant, "which of this user's tenants to be; default: the first");
  CLI::Option* const model = app.add_option("--model", load.model, "the model, by name");
  CLI::Option* const task =
      app.add_option("--task", load.task, "send jobs of this task, at its period (see: einet task add)");
  app.add_option("--images", images,
                 "a directory with MNIST, CIFAR-10 or CIFAR-100, or \"digits\", the built-in set")
      ->capture_default_str();
  add_duration(app, "--every", load.every,
               "a job at each multiple of this; without it a task's period, or a flood");
  app.add_option("--due", due,
                 "a file with a time after the start per line, none before the last: a job at each")
      ->excludes("--every");
  app.add_option("--seed", load.seed, "with --every: random gaps of that mean, the same for the same seed");
  app.add_option_function<std::int64_t>(
         "--start-at", [&load](std::int64_t ns) { load.start = einet::TimePoint{einet::Duration{ns}}; },
         "CLOCK_MONOTONIC in ns: when the first job is due, so that several loads keep step [at once]")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--in-flight", load.in_flight, "jobs that a flood keeps with the daemon")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  add_duration(app, "--deadline", load.deadline, "after the instant at which the job was due")
      ->excludes(task);
  app.add_option("--priority", load.priority, "larger is more urgent")->capture_default_str()->excludes(task);
  app.add_option("--mandatory-exit", load.mandatory_exit,
                 "without an answer of this exit or a later one the job is missed")
      ->excludes(task);
  app.add_option_function<std::string>(
      "--plan",
      [&load](const std::string& text) {
        const auto plan = einet::client::parse_plan(text);
        if (!plan) throw CLI::ValidationError("--plan", plan.error().message);
        load.plan = *plan;
      },
      "which exits to execute: exact (default), all, last, or these: 0,2");
  add_duration(app, "--length", load.length, "how long to send jobs");
  app.add_option("--jobs", load.jobs, "how many jobs to send");
  app.add_option("--csv", csv, "where to write a row per job")->required();
  app.footer(kExitCodesHelp);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);
    std::cerr << "einet-load: " << einet::cli::words_of(e, app) << "\nsee: einet-load --help\n";
    return kUsage;
  }
  if (load.length == einet::load::kForever && load.jobs == SIZE_MAX && due.empty()) {
    std::cerr << "einet-load: say when to end: --length TIME, --jobs N, or --due FILE\n";
    return kUsage;
  }
  if (model->count() + task->count() == 0) {
    std::cerr << "einet-load: say what to run: --model NAME or --task NAME\n";
    return kUsage;
  }

  const auto fail = [](const std::string& words, int code) {
    std::cerr << "einet-load: " << words << '\n';
    return code;
  };
  if (!due.empty()) {
    const auto text = einet::read_file(due, kMaxDue);
    if (!text) return fail(text.error().message, kUsage);
    auto times = einet::load::parse_due(*text, due);
    if (!times) return fail(times.error().message, kUsage);
    load.due = std::move(*times);
  }
  const auto set = einet::load_images(images, einet::ImageSplit::test);
  if (!set) return fail(set.error().message, kUsage);
  auto daemon = einet::load::connect(load);
  if (!daemon) return fail(daemon.error().message, daemon.error().refused ? kFailed : kUnreachable);
  const einet::load::Ran ran = einet::load::run(*daemon, load, *set, einet::SystemClock{});
  std::ofstream out(csv);
  einet::load::write_csv(out, ran.jobs);
  out.close();
  if (!ran.end) fail(ran.end.error().message, kFailed);
  if (!out) return fail(einet::escape(csv) + ": cannot be written", kFailed);
  if (ran.end) return 0;
  return fail(einet::escape(csv) + " has the jobs so far: " + std::to_string(ran.jobs.size()), kFailed);
}
