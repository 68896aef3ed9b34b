#include "tools/einet/command_line.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <limits>
#include <ostream>
#include <sstream>
#include <type_traits>

#include <CLI/CLI.hpp>

#include "config/daemon_config.h"
#include "config/text.h"
#include "tools/einet/analyze.h"
#include "tools/einet/context.h"
#include "tools/einet/evaluate.h"
#include "tools/einet/exit_code.h"
#include "tools/einet/look.h"
#include "tools/einet/plan.h"
#include "tools/einet/replay.h"
#include "tools/einet/simulate.h"
#include "tools/einet/submit.h"
#include "tools/einet/task.h"
#include "tools/einet/worlds.h"
#include "tools/options/options.h"

namespace einet::cli {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

constexpr const char* kExamples = R"(Examples:
  einet status
  einet submit digits seven.png --deadline 10ms
  einet submit digits *.png --json | jq .answer.class
  einet watch --blocks
  einet task add detector --model digits --period 20ms --mandatory-exit 2

)";

// What was said, before it becomes a Context and arguments of a command.
struct Said {
  std::string socket = std::string(client::kDefaultSocket);
  std::string tenant;
  Duration timeout = client::kDefaultTimeout;
  bool json = false;
  SubmitArguments submit;
  bool invert = false;
  bool follow = false;
  bool blocks = false;
  std::uint64_t max_events = 0;
  std::vector<std::uint64_t> jobs;
  bool explain = false;
  client::TaskRequest task;
  PlanArguments plan;
  SimulateArguments simulate;
  ReplayArguments replay;
  bool random = false;
  WorldsArguments worlds;
  EvaluateArguments evaluate;
  AnalyzeArguments analyze;
};

// An option that takes a duration ("10ms"); `sign` "+" may stand in front of it.
CLI::Option* duration_option(CLI::App& app, const std::string& name, const std::string& help,
                             const std::function<void(Duration)>& set, std::string_view sign = "") {
  return app
      .add_option_function<std::string>(
          name,
          [name, set, sign](const std::string& text) {
            std::string_view rest = text;
            if (!sign.empty() && rest.starts_with(sign)) rest.remove_prefix(sign.size());
            const auto d = parse_duration(rest);
            if (!d) throw CLI::ValidationError(name, printable(d.error().message));
            set(*d);
          },
          help)
      ->type_name("TIME");
}

constexpr const char* kMoreHelp =
    "Options of every command (--socket, --tenant, --timeout, --json) and exit codes: einet --help\n";

CLI::App& add_command(CLI::App& app, const std::string& name, const std::string& help,
                      const std::string& more = {}) {
  CLI::App& command = *app.add_subcommand(name, help);
  command.footer(more + kMoreHelp);
  return command;
}

// The number that `text` is. Throws if it is none, or not in [min, max].
template <class T>
T number(const std::string& option, const std::string& text, T min, T max) {
  T value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || end != text.data() + text.size() || !(value >= min && value <= max)) {
    std::ostringstream words;
    words << "found \"" << escape(text, 40) << "\"; expected a " << (std::is_integral_v<T> ? "whole " : "")
          << "number from " << min << " to " << max;
    throw CLI::ValidationError(option, words.str());
  }
  return value;
}

template <class T>
CLI::Option* number_option(CLI::App& app, const std::string& name, const std::string& help, T min, T max,
                           const std::function<void(T)>& set) {
  return app.add_option_function<std::string>(
      name, [=](const std::string& text) { set(number<T>(name, text, min, max)); }, help);
}

void add_submit(CLI::App& app, Said& said) {
  CLI::App& submit = add_command(
      app, "submit", "Run a model on files and print its answers",
      R"(An INPUT is a PNG, PGM or PPM image, which is made grey or coloured and resized to the model's input size
(you are told), or a .npy array of uint8 or float32 in the model's input shape.

With --json: one object per line as things happen: for every input its outcome and, with --follow, for every
executed exit {"event":"exit", ...}. No job is submitted, and nothing printed, if an input cannot be read.

Examples:
  einet submit digits seven.png --deadline 10ms --follow
  einet submit digits seven.png --release +5ms --deadline 2ms --priority 10 --mandatory-exit 0

)");
  submit.add_option("MODEL", said.submit.model, "Name of a model (see: einet models)")->required();
  submit.add_option("INPUT", said.submit.inputs, "Files; one job each")->required();
  submit
      .add_option(
          "--task", said.submit.task,
          "The jobs are of this task, and have deadline, priority and mandatory exit from it; what is\n"
          "reserved for them executes that exit and none before it, whatever the plan")
      ->type_name("NAME");
  duration_option(submit, "--deadline", "After the release; at it, the best answer so far counts [none]",
                  [&said](Duration d) { said.submit.deadline = d; });
  duration_option(
      submit, "--release", "After the daemon has the job: +5ms [at once]",
      [&said](Duration d) { said.submit.release = d; }, "+");
  number_option<int>(submit, "--priority", "Larger is more urgent [0]", -kMaxPriority, kMaxPriority,
                     [&said](int n) { said.submit.priority = n; })
      ->type_name("N");
  number_option<int>(submit, "--mandatory-exit",
                     "Without an answer of this exit or a later one, the job has missed its deadline", 0,
                     kMaxBlocks - 1, [&said](int n) { said.submit.mandatory_exit = n; })
      ->type_name("EXIT");
  number_option<float>(submit, "--target-confidence",
                       "Stop at the first exit that is so confident, up to 1 [never]", 0.0F, 1.0F,
                       [&said](float n) { said.submit.target_confidence = n; })
      ->type_name("SHARE");
  submit
      .add_option_function<std::string>(
          "--plan",
          [&said](const std::string& name) {
            const auto plan = client::parse_plan(name);
            if (!plan) throw CLI::ValidationError("--plan", plan.error().message);
            said.submit.plan = *plan;
          },
          "Which exits to execute: exact (the best expected accuracy), all, last, or these: 0,2 [exact]")
      ->type_name("PLAN");
  submit.add_flag("--invert", said.invert, "Invert images (dark ink on white, for a model of light on dark)");
  submit.add_flag("--follow", said.follow, "Print the answer of every exit as it comes");
}

void add_simulate(CLI::App& app, Said& said) {
  CLI::App& simulate = add_command(
      app, "simulate",
      "Run a task set, a recorded load or random worlds on simulated lanes (no daemon needed)",
      R"(With --random, worlds are made up in which clients, lanes and clocks do everything that they may, and
every guarantee of the scheduler is checked after every event (an event: a call into the decision
core, or a command out of it). The first world that breaks one is made small and written to
scenario-SEED.toml in this folder, which "einet simulate" replays. Exit code: 1 if a guarantee broke.
Ctrl-C ends it, and says how many held and where to go on.

--json goes with --replay alone.

Examples:
  einet simulate set.toml --csv out.csv
  einetd --record load.jsonl
  einet simulate --replay load.jsonl --policy fifo
  einet simulate --random 10000 --seed 7
  einet simulate scenario-7.toml

)");
  CLI::Option* const set = simulate.add_option("SET", said.simulate.set, "SET.toml, or SCENARIO.toml");
  CLI::Option* const csv =
      simulate
          .add_option("--csv", said.simulate.csv,
                      "Write what ran to OUT.csv, and the jobs to OUT.csv.jobs; a task set needs it")
          ->type_name("OUT.csv");
  CLI::Option* replay =
      simulate
          .add_option("--replay", said.replay.recording,
                      "Instead of a SET: what einetd --record wrote; prints predicted beside actual")
          ->type_name("FILE")
          ->excludes(set);
  simulate
      .add_option_function<std::string>(
          "--policy",
          [&said](const std::string& name) {
            const auto words = policy_words();
            const auto at = std::find(words.begin(), words.end(), name);
            if (at == words.end())
              throw CLI::ValidationError("--policy",
                                         "found \"" + escape(name) + "\"; expected " + one_of(words));
            said.replay.policy = static_cast<Policy>(at - words.begin());
          },
          "Replay under this policy [the recorded one]")
      ->type_name("POLICY")
      ->needs(replay);
  CLI::Option* const random = simulate.add_option_function<std::string>(
      "--random",
      [&said](const std::string& text) {
        said.random = true;
        if (!text.empty()) said.worlds.count = number<std::uint64_t>("--random", text, 1, kMost);
      },
      "Check so many random worlds [until the time is over]");
  random->expected(0, 1)->type_name("N")->excludes(set)->excludes(replay);
  number_option<std::uint64_t>(simulate, "--seed", "Of the first world; the others follow [1]", 0, kMost / 2,
                               [&said](std::uint64_t n) { said.worlds.seed = n; })
      ->type_name("S")
      ->needs(random);
  number_option<double>(simulate, "--seconds", "End after this time [none]", 1e-3, 1e9,
                        [&said](double n) { said.worlds.seconds = n; })
      ->type_name("T")
      ->needs(random);
  simulate
      .add_flag_callback(
          "--no-check", [&said] { said.worlds.checks = Checks::off; },
          "Only run: how fast the scheduler is by itself")
      ->needs(random);
  simulate.final_callback([&said, set, csv, replay, random] {
    if (set->count() + replay->count() + random->count() == 0) {
      throw CLI::RequiredError("SET, --replay or --random");
    }
    if (said.json && replay->count() == 0) {
      throw CLI::ValidationError(
          "--json", random->count() == 0
                        ? "goes with --replay alone; what a task set does is written to --csv OUT.csv"
                        : "goes with --replay alone; the exit code says whether all worlds hold");
    }
    if (csv->count() != 0 && random->count() != 0) {
      throw CLI::ValidationError("--csv", "goes with a task set or with --replay");
    }
    const WorldsArguments without_end;
    if (random->count() != 0 && said.worlds.count == without_end.count &&
        said.worlds.seconds == without_end.seconds) {
      throw CLI::ValidationError("--random", "a number of worlds or --seconds is needed");
    }
  });
}

void add_evaluate(CLI::App& app, Said& said) {
  CLI::App& evaluate = add_command(
      app, "evaluate", "Compare planners on profiles of trained networks (no daemon needed)",
      R"(A profile (NAME.profiles, written by einet-model) holds what every exit of a network answered on a data set,
and how long its blocks take. Every test sample is run through the network under every planner. An answer counts
with the probability that the job is still alive when it is ready. What planners expect of exits is learned from
the validation samples; nothing that plans has seen the test samples.

Planners: exact, hybrid[:M], greedy and random[:N] plan anew after every executed exit; statistics plans once,
for the mean of all samples; static:25, static:50, static:100, all, single (the last exit only) and exits:0,2 (these) never plan;
confidence:P executes every exit until one is P percent confident; oracle plans with the sample's true
confidences, oracle-truth with which exits are right, which nobody can know.

What is expected of exits to come: their accuracy on validation samples that were about as sure so far
(lookalikes), what a network trained on the validation samples predicts (predictor), or their mean accuracy
(statistics). One answer of several exits: the last one's (last), the most confident one's (most-confident), that of
the largest product of scores (product), or the same with earlier exits counting less and less (discounted). Either may
stand behind a planner's name with "+", for it alone.

Kill distributions: uniform[:FROM,TO], exponential[:MEAN], normal[:MEAN,SD], sample:FILE with measured kill times, a
duration per line, or SURVIVAL.toml with a [survival] table as in a problem of einet plan. Times are "1.5ms", or "50%" of the network's time with all of its exits;
without times: uniform:0%,100%, exponential:50%, normal:50%,25%.

Accuracy: share of samples that hold a right answer when they are stopped; without an answer counts as wrong.
Mean exit: the deepest executed exit when stopped, counted from 0. Intervals: 95 %, paired bootstrap.

To choose a planner, judge with --judge validation: the test samples then stay unseen until the choice is made.
Validation samples are judged five times, each fifth by what the others taught.

Another network on the same data can stand beside: what its last exit's answer is worth, when it is ready, under the
same kill times. A single-exit network, for instance.

Examples:
  einet evaluate b-alexnet-cifar-10.profiles
  einet evaluate *.profiles --kill uniform --kill normal:40%,10% --planner exact --planner static:50
  einet evaluate net.profiles --planner exact exact+predictor exact+product static:50 --plot net.png

)");
  EvaluateArguments& evaluation = said.evaluate;
  evaluate.add_option("PROFILE", evaluation.profiles, "NAME.profiles; a table of each")->required();
  evaluate.add_option("--kill", evaluation.kills, "When jobs are stopped; a table for each [uniform]")
      ->type_name("DIST");
  evaluate.add_option("--planner", evaluation.planners, "Planners to compare [all]")->type_name("NAME");
  evaluate
      .add_option("--base", evaluation.base,
                  "The planner that gains are measured against; best-static: the best of static, all and "
                  "exits, else the first [best-static]")
      ->type_name("NAME");
  evaluate
      .add_option("--beside", evaluation.beside, "Profiles of other networks on the same data; a row of each")
      ->type_name("PROFILE");
  choice_option<Split>(evaluate, "--judge", evaluation.judge, "Which samples judge [test]",
                       {{"test", Split::test}, {"validation", Split::validation}});
  evaluate
      .add_option("--aggregation", evaluation.aggregation,
                  "One answer of several: last, most-confident, product or discounted [last]")
      ->type_name("NAME");
  evaluate
      .add_option("--device", evaluation.device, "Whose times count: cpu or cuda [the first in the profile]")
      ->type_name("KIND");
  evaluate
      .add_option("--times", evaluation.times,
                  "Block times in place of the profile's: a package's et.profile")
      ->type_name("FILE");
  evaluate
      .add_option("--expect", evaluation.expect,
                  "What is expected of exits to come: lookalikes, predictor or statistics [lookalikes]")
      ->type_name("NAME");
  number_option<std::uint64_t>(evaluate, "--seed", "Of the predictor's training and of the bootstrap [1]", 0,
                               kMost, [&evaluation](std::uint64_t n) { evaluation.seed = n; })
      ->type_name("S");
  evaluate.add_option("--plot", evaluation.plot, "Write a plot of accuracy against kill time")
      ->type_name("OUT.png");
}

CLI::App& add_task_command(CLI::App& task, const std::string& name, const std::string& help) {
  CLI::App& command = add_command(task, name, help);
  command.fallthrough();
  return command;
}

void add_task(CLI::App& app, Said& said) {
  CLI::App& task = add_command(
      app, "task", "Reserve lane time for recurring jobs: einet task add | remove | list",
      R"(An accepted task is a promise: every job that is submitted to it (einet submit --task NAME) has the
answer of its mandatory exit by its deadline, whatever else runs, as long as blocks keep to their worst times
and its lane is up. A lane is down while its worker starts again, after it died or the daemon got a SIGHUP: for
some tenths of a second, in which jobs may miss, and einet status warns. A promise stays until it is removed or
the daemon ends.

Examples:
  einet task add detector --model digits --period 20ms --deadline 10ms --priority 5 --mandatory-exit 2
  einet task list
  einet task remove detector

)");
  task.require_subcommand(1);
  task.fallthrough();

  CLI::App& add =
      add_task_command(task, "add", "Ask for a promise; says what bounds the response, or what would fit");
  add.add_option("NAME", said.task.name, "Of the task: letters, digits or _-.")->required();
  add.add_option("--model", said.task.model, "Name of a model (see: einet models)")
      ->required()
      ->type_name("NAME");
  duration_option(add, "--period", "Least time between two releases", [&said](Duration d) {
    said.task.period = d;
  })->required();
  duration_option(add, "--deadline", "After each release [the period]",
                  [&said](Duration d) { said.task.deadline = d; });
  number_option<int>(add, "--priority", "Larger is more urgent [0]", -kMaxPriority, kMaxPriority,
                     [&said](int n) { said.task.priority = n; })
      ->type_name("N");
  number_option<int>(add, "--mandatory-exit", "The exit whose answer is promised [0, the first]", 0,
                     kMaxBlocks - 1, [&said](int n) { said.task.mandatory_exit = n; })
      ->type_name("EXIT");

  CLI::App& remove = add_task_command(task, "remove", "Give a task's lane time back");
  remove.add_option("NAME", said.task.name, "Of the task (see: einet task list)")->required();
  add_task_command(task, "list", "Tasks, what is promised for them, and what became of their jobs");
}

void add_commands(CLI::App& app, Said& said) {
  add_command(app, "status", "Lanes, tenants, counters and warnings");
  add_command(app, "models", "The models, their input shapes, times and accuracies");
  add_submit(app, said);
  add_command(app, "jobs", "Accepted jobs that have not ended")
      .add_flag("--explain", said.explain,
                "What each job's plan rests on: how long it may live, what its exits are expected to answer");

  CLI::App& watch = add_command(app, "watch", "Print what happens, as it happens");
  watch.add_flag("--blocks", said.blocks, "Every executed block too");
  number_option<std::uint64_t>(watch, "--events", "End after so many [never]", 1, kMost,
                               [&said](std::uint64_t n) { said.max_events = n; })
      ->type_name("N");

  CLI::App& cancel = add_command(app, "cancel", "Stop jobs at their next block boundary");
  cancel
      .add_option_function<std::vector<std::string>>(
          "JOB",
          [&said](const std::vector<std::string>& jobs) {
            for (const std::string& job : jobs)
              said.jobs.push_back(number<std::uint64_t>("JOB", job, 1, kMost));
          },
          "Job numbers (see: einet jobs)")
      ->required()
      ->type_name("N");

  add_task(app, said);

  CLI::App& plan = add_command(app, "plan", "Find the best exits for a problem in a file (no daemon needed)");
  plan.add_option("PROBLEM", said.plan.problem, "PROBLEM.toml")->required();
  plan.add_option(
          "--planner", said.plan.planner,
          "exact, hybrid[:M], greedy, random[:N], static:25, static:50, static:100, all or single [exact]")
      ->type_name("NAME");

  add_simulate(app, said);
  add_evaluate(app, said);

  CLI::App& analyze = add_command(
      app, "analyze", "Say whether a task set's jobs can miss their deadlines (no daemon needed)",
      R"(For every task: a bound on its response time, the blocking in it, its slack, and what limits it. Tasks may
release whenever they like, at least a period apart; blocks may take less time than said. Exits with 0 if no
job of a task can miss, 1 if one can or it cannot be excluded, 2 if the set is invalid.

)");
  analyze.add_option("SET", said.analyze.set, "SET.toml")->required();
}

// The command that was named, as far as it was: "", "submit", "task", "task add".
struct Chosen {
  explicit Chosen(CLI::App& root) : app(&root) {
    for (auto next = app->get_subcommands(); !next.empty(); next = app->get_subcommands()) {
      app = next.front();
      before = "einet" + (name.empty() ? "" : " " + name);
      name += (name.empty() ? "" : " ") + app->get_name();
    }
  }

  CLI::App* app;
  std::string before;
  std::string name;
};

int start(const std::string& command, Said& said, std::ostream& out, std::ostream& err) {
  const Context context{.socket = said.socket,
                        .tenant = said.tenant,
                        .timeout = said.timeout,
                        .output = said.json ? Output::json : Output::table,
                        .out = out,
                        .err = err};
  if (command == "status") return run_status(context);
  if (command == "models") return run_models(context);
  if (command == "jobs") return run_jobs(context, said.explain ? Explain::plans : Explain::no);
  if (command == "cancel") return run_cancel(context, said.jobs);
  if (command == "task add") return run_task_add(context, said.task);
  if (command == "task remove") return run_task_remove(context, said.task.name);
  if (command == "task list") return run_task_list(context);
  if (command == "watch") {
    using Watch = client::Client::Watch;
    return run_watch(context, said.blocks ? Watch::jobs_and_blocks : Watch::jobs, said.max_events);
  }
  if (command == "plan") {
    said.plan.output = said.json ? PlanArguments::Output::json : PlanArguments::Output::table;
    return run_plan(said.plan, out, err);
  }
  if (command == "evaluate") {
    said.evaluate.output = said.json ? EvaluateArguments::Output::json : EvaluateArguments::Output::table;
    return run_evaluate(said.evaluate, out, err);
  }
  if (command == "analyze") {
    said.analyze.output = said.json ? AnalyzeArguments::Output::json : AnalyzeArguments::Output::table;
    return run_analyze(said.analyze, out, err);
  }
  if (command == "simulate" && !said.replay.recording.empty()) {
    said.replay.csv = said.simulate.csv;
    said.replay.output = said.json ? ReplayArguments::Output::json : ReplayArguments::Output::table;
    return run_replay(said.replay, out, err);
  }
  if (command == "simulate" && said.random) return run_worlds(said.worlds, out, err);
  if (command == "simulate") return run_simulate(said.simulate, out, err);
  said.submit.colours = said.invert ? Colours::inverted : Colours::as_they_are;
  using Follow = SubmitArguments::Follow;
  said.submit.follow = said.follow ? Follow::every_exit : Follow::outcome_only;
  return run_submit(context, said.submit);
}

}  // namespace

int run(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
  Said said;
  CLI::App app("einet talks to einetd, the real-time scheduling daemon for multi-exit neural networks.",
               "einet");
  app.set_version_flag("--version", "einet " EINET_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  app.get_formatter()->label("SUBCOMMAND", "COMMAND");
  app.get_formatter()->label("Subcommands", "Commands");
  app.footer(std::string(kExamples) + std::string(kExitCodesHelp));
  app.add_option("--socket", said.socket, "The daemon's socket [/run/einetd/socket]")
      ->envname("EINET_SOCKET")
      ->type_name("PATH");
  app.add_option("--tenant", said.tenant, "Act as this tenant [the first that your user may act as]")
      ->type_name("NAME");
  duration_option(app, "--timeout", "How long to wait for an answer of the daemon [5s]",
                  [&said](Duration d) { said.timeout = d; });
  app.add_flag("--json", said.json,
               "Print data as JSON, one document or object per line (simulate: with --replay alone)");
  add_commands(app, said);

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const Chosen chosen(app);
    out << (chosen.app == &app ? app.help() : chosen.app->help(chosen.before));
    return kOk;
  } catch (const CLI::CallForVersion& version) {
    out << version.what() << "\n";
    return kOk;
  } catch (const CLI::ParseError& e) {
    const Chosen chosen(app);
    err << "einet: " << words_of(e, app) << "\nsee: einet " << chosen.name << (chosen.name.empty() ? "" : " ")
        << "--help\n";
    return kUsage;
  }
  return start(Chosen(app).name, said, out, err);
}

}  // namespace einet::cli
