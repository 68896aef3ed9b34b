// einetd's command line: reads it and the configuration, then runs the daemon.
//
// Exit status: 0 after an orderly end, 1 when the daemon could not start, 2 for a wrong command line or
// configuration. With --check-config: 1 if something that the configuration names is missing, so that the
// daemon would not start; 2 if it is wrong.
#include <cstdlib>
#include <iostream>

#include <CLI/CLI.hpp>

#include "config/files.h"
#include "daemon/einetd/catalog.h"
#include "daemon/einetd/daemon.h"
#include "daemon/einetd/version.h"

namespace {

constexpr int kCannotStart = 1;
constexpr int kBadInput = 2;
constexpr const char* kHowToBegin =
    "; write one (docs/einetd.example.toml shows every key) and name it with --config FILE";

int complain(const std::string& words, int status) {
  std::cerr << "einetd: " << words << "\n";
  return status;
}

// The status of what was asked for and printed.
int printed() {
  const auto ok = einet::flush_stdout();
  return ok ? 0 : complain(ok.error().message, kCannotStart);
}

std::filesystem::path worker_program(const einet::DaemonConfig& config) {
  if (!config.worker.path.empty()) return config.worker.path;
  if (const char* path = std::getenv("EINET_WORKER"); path != nullptr && *path != '\0') return path;
  std::error_code code;
  return std::filesystem::read_symlink("/proc/self/exe", code).parent_path() / "einet-worker";
}

// What the configuration names that is not there; empty: nothing.
std::string what_is_missing(const einet::DaemonConfig& config) {
  if (const auto models = einet::Catalog::scan(config.models, {}, config.planner.expect); !models)
    return "models: " + models.error().message;
  if (!config.trace.empty() && !std::filesystem::is_directory(config.trace.parent_path()))
    return "trace: there is no directory " + config.trace.parent_path().string() +
           "; create it, or name another";
  if (const auto worker = worker_program(config); !std::filesystem::exists(worker))
    return "worker.path: there is no program " + worker.string() + "; name where einet-worker is";
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  using namespace einet;
  CLI::App app("einetd: schedules inference jobs of multi-exit neural networks, block by block.");
  app.set_version_flag("--version", "einetd " + std::string(kVersion));
  std::string config_file = "/etc/einet/einetd.toml";
  std::string check_file;
  std::string socket;
  std::string policy;
  std::string trace;
  app.add_option("--config", config_file, "The configuration (docs/einetd.example.toml shows every key)")
      ->capture_default_str();
  app.add_option("--check-config", check_file,
                 "Only check this configuration: print a summary, or what is wrong.\n"
                 "Exit status: 0: it is right; 1: something that it names is missing\n"
                 "on this machine; 2: it is wrong");
  app.add_option("--socket", socket, "Instead of the configuration's `socket`");
  const std::vector<std::string> policies(policy_names().begin(), policy_names().end());
  app.add_option("--policy", policy, "Instead of the configuration's `policy`")
      ->check(CLI::IsMember(policies));
  app.add_option("--trace,--record", trace,
                 "Instead of the configuration's `trace`: a file for one JSON line per event, which\n"
                 "`einet simulate --replay` runs again")
      ->take_last();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? printed() : kBadInput;
  }

  const bool check = !check_file.empty();
  Result<DaemonConfig> config = load_daemon_config(check ? check_file : config_file, Machine::here());
  if (!config) {
    const bool is_there = std::filesystem::exists(check ? check_file : config_file);
    return complain(config.error().message + (is_there ? "" : kHowToBegin), kBadInput);
  }
  if (check) {
    const std::string missing = what_is_missing(*config);
    std::cout << (missing.empty() ? "ok\n" : "") << summary(*config);
    if (!missing.empty()) return complain("would not start on this machine: " + missing, kCannotStart);
    return printed();
  }
  if (!socket.empty()) config->socket = std::filesystem::absolute(socket);
  if (!policy.empty()) config->policy = policy;
  if (!trace.empty()) config->trace = trace;
  if (auto ok = run_daemon(*config, worker_program(*config)); !ok)
    return complain(ok.error().message, kCannotStart);
  return 0;
}
