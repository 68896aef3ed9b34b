#include "running_daemon.h"

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <iostream>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "config/files.h"
#include "models/synthetic/synthetic_backend.h"

namespace einet::test {
namespace {

using Clock = std::chrono::steady_clock;

// Both outputs go to `output`.
pid_t spawn(std::vector<std::string> command, int output) {
  std::vector<char*> argv;
  for (std::string& a : command) argv.push_back(a.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  pid_t pid = 0;
  const int code = ::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  EINET_CHECK(code == 0, "the program can be started");
  return pid;
}

std::pair<UniqueFd, UniqueFd> make_pipe() {
  int ends[2];
  EINET_CHECK(::pipe2(ends, O_CLOEXEC) == 0, "there are descriptors left");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

int exit_status(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

std::string configuration(const DaemonSetup& setup, const std::filesystem::path& folder) {
  const std::string uid = "uid = " + std::to_string(setup.user) + "\n";
  const std::string worker = setup.worker.empty() ? EINET_WORKER_PROGRAM : setup.worker;
  return "socket = \"" + (folder / "socket").string() + "\"\nmodels = \"" + (folder / "models").string() +
         "\"\n" + setup.config + "[[device]]\nname = \"cpu\"\nbackend = \"" + setup.backend + "\"\n" +
         setup.device + "[tenant.control]\n" + uid + "max_priority = 10\n[tenant.camera]\n" + uid +
         "max_priority = 5\n[tenant.batch]\n" + uid +
         (setup.tables.find("[worker]") == std::string::npos
              ? "[worker]\nhang = \"60s\"\nrestart_delay = \"1ms\"\npath = \"" + worker + "\"\n"
              : "") +
         setup.tables;
}

}  // namespace

SyntheticPackage model_of(std::string name, int blocks, Duration trunk, Duration exit) {
  SyntheticPackage model;
  model.name = std::move(name);
  for (int b = 0; b < blocks; ++b) {
    model.trunk.push_back(trunk);
    model.exit.push_back(exit);
    model.accuracy.push_back(0.5 + 0.4 * (b + 1) / blocks);
  }
  return model;
}

SyntheticPackage short_model() {
  using namespace std::chrono_literals;
  return model_of("short", 2, 200us, 20us);
}

SyntheticPackage long_model() {
  using namespace std::chrono_literals;
  return model_of("long", 40, 2ms, 100us);
}

RunningDaemon::RunningDaemon(const DaemonSetup& setup) : RunningDaemon(setup, Start::later) {
  start();
  EINET_CHECK(wait_ready(), log_.c_str());
}

RunningDaemon::RunningDaemon(const DaemonSetup& setup, Start) : workers_may_die_(setup.worker_dies) {
  std::filesystem::create_directories(models());
  for (const SyntheticPackage& model : setup.models) write_synthetic_package(models(), model);
  const std::filesystem::path file = folder() / "einetd.toml";
  EINET_CHECK(write_file(file, configuration(setup, folder())).has_value(),
              "the test's folder can be written");
  if (setup.rights == DaemonSetup::Rights::no_real_time) {
    command_ = {"prlimit", "--rtprio=0"};
    if (::geteuid() == 0) command_.insert(command_.end(), {"setpriv", "--bounding-set=-sys_nice"});
  }
  if (!setup.faults.empty()) {
    command_.insert(command_.end(), {"env", std::string(kSyntheticGpuFaults) + "=" + setup.faults});
  }
  command_.insert(command_.end(),
                  {EINETD_PROGRAM, "--config", file.string(), "--trace", (folder() / "trace").string()});
  command_.insert(command_.end(), setup.arguments.begin(), setup.arguments.end());
}

void RunningDaemon::start() {
  EINET_CHECK(pid_ == 0, "it does not run yet");
  auto [read_end, write_end] = make_pipe();
  pid_ = spawn(command_, write_end.get());
  log_pipe_ = std::move(read_end);
  log_.clear();
}

RunningDaemon::~RunningDaemon() {
  if (pid_ != 0) {
    ::kill(pid_, SIGKILL);
    wait_end();
  }
  // What a failed test most needs.
  if (testing::Test::HasFailure()) std::cerr << "--- einetd's log\n" << log_ << "---\n";
}

bool RunningDaemon::read_log(Clock::time_point until) {
  pollfd wait{log_pipe_.get(), POLLIN, 0};
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
  if (left.count() <= 0 || ::poll(&wait, 1, static_cast<int>(left.count())) <= 0) return false;
  char buffer[4096];
  const ssize_t n = ::read(log_pipe_.get(), buffer, sizeof buffer);
  if (n > 0) log_.append(buffer, static_cast<std::size_t>(n));
  return n > 0;
}

bool RunningDaemon::wait_log(const std::string& text) {
  const auto until = Clock::now() + kPatience;
  while (log_.find(text) == std::string::npos) {
    if (!read_log(until)) return false;
  }
  return true;
}

client::Client RunningDaemon::connect(const std::string& tenant, const std::string& name) const {
  auto client = client::Client::connect(socket(), {.name = name, .tenant = tenant, .timeout = kPatience});
  EINET_CHECK(client.has_value(), client ? "" : client.error().message.c_str());
  return std::move(*client);
}

wire::Status RunningDaemon::status() const {
  auto client = connect("control", "status");
  auto status = client.status(kPatience);
  EINET_CHECK(status.has_value(), status ? "" : status.error().message.c_str());
  return *status;
}

std::uint64_t RunningDaemon::counter(const std::string& name) const {
  const wire::Status s = status();
  for (const wire::Counter& c : s.counters()) {
    if (c.name() == name) return c.value();
  }
  check_failed(__FILE__, __LINE__, "counter", name.c_str());
}

wire::TenantInfo RunningDaemon::tenant(const std::string& name) const {
  auto client = connect(name, "status");
  auto status = client.status(kPatience);
  EINET_CHECK(status.has_value() && status->tenants_size() == 1, "a tenant sees itself");
  return status->tenants(0);
}

std::size_t RunningDaemon::open_files() const {
  std::size_t files = 0;
  // Counted while the daemon serves this very question, so that no connection is just being closed.
  const bool alone = eventually([&](const wire::Status& s) {
    const std::filesystem::directory_iterator all("/proc/" + std::to_string(pid_) + "/fd");
    files = static_cast<std::size_t>(std::distance(begin(all), end(all)));
    return std::any_of(s.counters().begin(), s.counters().end(),
                       [](const auto& c) { return c.name() == "connections" && c.value() == 1; });
  });
  EINET_CHECK(alone, "nobody else is connected");
  return files;
}

bool RunningDaemon::eventually(const std::function<bool(const wire::Status&)>& holds) const {
  auto client = connect("control", "status");
  for (const auto until = Clock::now() + kPatience; Clock::now() < until;) {
    const auto status = client.status(kPatience);
    if (!status) return false;
    if (holds(*status)) return true;
  }
  return false;
}

bool RunningDaemon::is_idle() const {
  return eventually([](const wire::Status& s) {
    for (const wire::Counter& c : s.counters()) {
      if ((c.name() == "jobs_held" || c.name() == "arena_bytes") && c.value() != 0) return false;
      if (c.name() == "connections" && c.value() != 1) return false;
    }
    return std::all_of(s.tenants().begin(), s.tenants().end(),
                       [](const auto& t) { return t.jobs() == 0 && t.bytes() == 0; });
  });
}

void RunningDaemon::kill_worker(int lane) {
  const auto worker = static_cast<pid_t>(status().lanes(lane).worker_pid());
  EINET_CHECK(worker > 0, "the lane has a worker");
  workers_may_die_ = true;
  ::kill(worker, SIGKILL);
}

void RunningDaemon::signal(int number) const {
  ::kill(pid_, number);
}

int RunningDaemon::wait_end() {
  while (read_log(Clock::now() + kPatience)) {
  }
  EXPECT_EQ(log_.find("Sanitizer"), std::string::npos) << log_;
  EXPECT_TRUE(workers_may_die_ || log_.find("worker died") == std::string::npos) << log_;
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = 0;
  return exit_status(status);
}

int RunningDaemon::stop() {
  signal(SIGTERM);
  return wait_end();
}

std::vector<nlohmann::json> RunningDaemon::trace() const {
  std::vector<nlohmann::json> events;
  std::ifstream file(folder() / "trace");
  for (std::string line; std::getline(file, line);) events.push_back(nlohmann::json::parse(line));
  return events;
}

std::string broken_promises(const std::vector<nlohmann::json>& trace, int in_flight) {
  std::string out;
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> stopped;  // by lane and grant
  std::map<std::pair<std::int64_t, std::int64_t>, int> after_stop;        // blocks
  std::map<std::int64_t, int> outcomes;                                   // by job
  for (const nlohmann::json& e : trace) {
    if (e["event"] == "stop") stopped[{e["lane"], e["grant"]}] = e["at_ns"];
    if (e["event"] == "submit") outcomes[e["job"]];
    if (e["event"] == "outcome") ++outcomes[e["job"]];
    if (e["event"] == "lost") out += "events were lost\n";
  }
  for (const nlohmann::json& e : trace) {
    if (e["event"] != "block") continue;
    const auto stop = stopped.find({e["lane"], e["grant"]});
    if (stop == stopped.end() || e["start_ns"] <= stop->second) continue;
    if (++after_stop[stop->first] >= in_flight) out += "started after its stop: " + e.dump() + "\n";
  }
  for (const auto& [job, count] : outcomes) {
    if (count != 1) out += "job " + std::to_string(job) + " has " + std::to_string(count) + " outcomes\n";
  }
  return out;
}

std::span<const std::byte> zeros(std::size_t bytes) {
  static const std::vector<std::byte> kZeros(1u << 20);
  EINET_CHECK(bytes <= kZeros.size(), "a small input");
  return std::span(kZeros).first(bytes);
}

client::JobRequest job_of(const SyntheticPackage& model, int priority) {
  client::JobRequest job;
  job.model = model.name;
  const Shape& s = model.input;
  job.shape = {static_cast<std::uint32_t>(s.channels), static_cast<std::uint32_t>(s.height),
               static_cast<std::uint32_t>(s.width)};
  job.input = client::InlineInput{zeros(static_cast<std::size_t>(s.channels * s.height * s.width))};
  job.priority = priority;
  return job;
}

Ran run_einetd(const std::vector<std::string>& arguments) {
  auto [read_end, write_end] = make_pipe();
  std::vector<std::string> command{EINETD_PROGRAM};
  command.insert(command.end(), arguments.begin(), arguments.end());
  const pid_t pid = spawn(std::move(command), write_end.get());
  write_end.reset();
  Ran ran;
  char buffer[4096];
  for (ssize_t n; (n = ::read(read_end.get(), buffer, sizeof buffer)) > 0;) {
    ran.output.append(buffer, static_cast<std::size_t>(n));
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  ran.status = exit_status(status);
  return ran;
}

}  // namespace einet::test
