// A real einetd with real workers, started for one test in a folder of its own: its configuration, its
// packages, its socket, its log. No threads, so that tests may fork.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unistd.h>
#include <vector>

#include <nlohmann/json.hpp>

#include "config/daemon_config.h"
#include "ipc/client/client.h"
#include "synthetic_package.h"
#include "temporary_folder.h"

namespace einet::test {

// Long enough for a sanitizer build on a busy machine; nothing waits that long unless it fails.
inline constexpr auto kPatience = std::chrono::seconds(60);

struct DaemonSetup {
  std::vector<SyntheticPackage> models;
  std::string backend = "synthetic";
  std::string device = "lanes = 1\n";    // more keys of [[device]] "cpu"
  std::string config{};                  // more of the file: top-level keys
  std::string tables{};                  // and tables
  std::vector<std::string> arguments{};  // of einetd
  std::string worker{};                  // the program; empty: the real one
  std::string faults{};                  // of its synthetic GPUs (models/synthetic/synthetic_backend.h)
  uid_t user = ::getuid();               // of the three tenants
  bool worker_dies = false;              // by itself; a test in which one does that otherwise fails
  enum class Rights { as_this_process, no_real_time } rights = Rights::as_this_process;
};

// "short": 2 blocks of 0.2 ms; "long": 40 blocks of 2 ms, each with an exit.
SyntheticPackage short_model();
SyntheticPackage long_model();
SyntheticPackage model_of(std::string name, int blocks, Duration trunk, Duration exit);

class RunningDaemon {
 public:
  // Returns when the daemon is ready. Tenants of this user: "control" (priority up to 10), "camera", "batch".
  explicit RunningDaemon(const DaemonSetup&);
  // Not started yet: what start() would run can be changed on disk first.
  enum class Start { later };
  RunningDaemon(const DaemonSetup&, Start);
  ~RunningDaemon();

  void start();
  bool wait_ready() { return wait_log("ready"); }
  // Reads the log until a line holds the text. False: it ended, or patience did.
  bool wait_log(const std::string& text);
  const std::string& log() const { return log_; }

  std::filesystem::path folder() const { return folder_.path(); }
  std::filesystem::path models() const { return folder_.path() / "models"; }
  std::filesystem::path socket() const { return folder_.path() / "socket"; }
  pid_t pid() const { return pid_; }

  client::Client connect(const std::string& tenant = "camera", const std::string& name = "test") const;
  wire::Status status() const;
  std::uint64_t counter(const std::string& name) const;
  wire::TenantInfo tenant(const std::string& name) const;
  // Descriptors that the daemon has open while this asks, once every other client has gone.
  std::size_t open_files() const;
  // Asks the daemon until `holds`; false: patience ended first.
  bool eventually(const std::function<bool(const wire::Status&)>& holds) const;
  // No job is held, no input, no connection but the one that asks.
  bool is_idle() const;

  // Kills the worker of this lane, with which a test may go on.
  void kill_worker(int lane = 0);
  void signal(int number) const;
  // Exit status of the daemon, once it ends; negative: the signal that ended it. The test fails if a
  // sanitizer wrote into the log, or a worker died that should not.
  int wait_end();
  int stop();
  // After the end: the trace's lines.
  std::vector<nlohmann::json> trace() const;

 private:
  bool read_log(std::chrono::steady_clock::time_point until);
  std::vector<std::string> command_;  // of einetd
  TemporaryFolder folder_;
  bool workers_may_die_;
  pid_t pid_ = 0;
  UniqueFd log_pipe_;
  std::string log_;
};

// What no trace may show: blocks that start on a lane after their grant was told to stop, but for those in
// flight then; a job with no outcome or with two. Empty: it shows none.
std::string broken_promises(const std::vector<nlohmann::json>& trace, int in_flight = 1);

// A job of this model with an input of zeros.
client::JobRequest job_of(const SyntheticPackage&, int priority = 0);
std::span<const std::byte> zeros(std::size_t bytes);

// Runs einetd to its end: exit status and what it wrote to stdout and stderr.
struct Ran {
  int status = 0;
  std::string output;
};
Ran run_einetd(const std::vector<std::string>& arguments);

}  // namespace einet::test
