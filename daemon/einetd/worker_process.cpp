#include "daemon/einetd/worker_process.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <sched.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "config/ranks.h"

namespace einet {
namespace {

constexpr int kControlFd = 3;  // where the worker finds its control socket

// glibc 2.36 has no name for it.
constexpr auto kPidfd = static_cast<idtype_t>(3);

// Our environment, but for the number of OpenMP threads: libraries read it once, when they are loaded.
std::vector<std::string> worker_environment(int threads) {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!std::string_view(*entry).starts_with("OMP_NUM_THREADS=")) out.emplace_back(*entry);
  }
  out.push_back("OMP_NUM_THREADS=" + std::to_string(threads));
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& s : strings) out.push_back(s.data());
  out.push_back(nullptr);
  return out;
}

// In a process group of its own: Ctrl-C in the daemon's terminal is for the daemon, which then ends its
// workers.
int spawn(pid_t& pid, const std::filesystem::path& program, const DeviceConfig& device, int control_fd) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, control_fd, kControlFd);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  std::vector<std::string> arguments{program.string(), "--control-fd", std::to_string(kControlFd),
                                     device.name};
  std::vector<std::string> environment = worker_environment(device.threads);
  const int code = ::posix_spawn(&pid, program.c_str(), &actions, &attributes, pointers(arguments).data(),
                                 pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return code;
}

}  // namespace

Result<std::unique_ptr<WorkerProcess>> WorkerProcess::start(const std::filesystem::path& program,
                                                            const DeviceConfig& device, const Rank& rank,
                                                            int arena_fd) {
  const bool real_time = rank.real_time == Rank::RealTime::yes;
  lane::Configure configure;
  configure.lanes = device.lanes;
  // On a CPU an urgent lane takes the core by its rank, on a GPU its stream's priority does.
  configure.urgent_lanes = device.has_urgent_lanes() && (real_time || device.is_gpu());
  Result<lane::DaemonEnd> channel = lane::DaemonEnd::create(configure.all_lanes());
  if (!channel) return channel.error();
  auto sockets = lane::ControlSocket::make_pair();
  if (!sockets) return sockets.error();

  pid_t pid = 0;
  if (const int code = spawn(pid, program, device, sockets->second.get()); code != 0) {
    return error(program.string() + ": cannot start the worker: " + std::strerror(code) +
                 "; set worker.path in the configuration");
  }
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  const int pidfd_errno = errno;
  std::unique_ptr<WorkerProcess> worker(
      new WorkerProcess(pid, std::move(pidfd), std::move(sockets->first), std::move(*channel)));
  if (!worker->pidfd_)
    return error(std::string("cannot watch the worker: pidfd_open: ") + std::strerror(pidfd_errno));

  // Of GPUs there may be several: the name says which.
  configure.backend = device.backend == BackendKind::cuda ? device.name : std::string(name(device.backend));
  configure.threads = device.threads;
  configure.cores = device.cores;
  configure.nice = rank.lane_nice;
  if (real_time) configure.reserved_priority = kReservedLanePriority;
  if (real_time && configure.urgent_lanes) configure.urgent_priority = kUrgentLanePriority;
  configure.largest_batch = device.batch;
  configure.in_flight = device.in_flight;
  configure.memory = device.memory;
  configure.down = UniqueFd(::dup(worker->channel_.down_fd()));
  configure.up = UniqueFd(::dup(worker->channel_.up_fd()));
  configure.doorbell = UniqueFd(::dup(worker->channel_.doorbell_fd()));
  configure.arena = UniqueFd(::dup(arena_fd));
  if (auto ok = worker->control_.send(lane::ToWorker(std::move(configure)), lane::Waiting::never); !ok) {
    return ok.error();
  }
  return worker;
}

WorkerProcess::WorkerProcess(pid_t pid, UniqueFd pidfd, lane::ControlSocket control, lane::DaemonEnd channel)
    : pid_(pid), pidfd_(std::move(pidfd)), control_(std::move(control)), channel_(std::move(channel)) {}

WorkerProcess::~WorkerProcess() {
  if (reaped_) return;
  kill();
  ::waitpid(pid_, nullptr, 0);
}

bool WorkerProcess::is_lane_thread(int thread) const {
  return ::tgkill(pid_, thread, 0) == 0;
}

bool WorkerProcess::set_lane_threads(std::vector<int> threads) {
  const bool holds = std::ssize(threads) == channel_.lanes() &&
                     std::all_of(threads.begin(), threads.end(), [&](int t) { return is_lane_thread(t); });
  if (holds) lane_threads_ = std::move(threads);
  return holds;
}

void WorkerProcess::raise(int lane) const {
  if (lane_threads_.empty()) return;
  const int thread = lane_threads_[static_cast<std::size_t>(lane)];
  const sched_param parameter{.sched_priority = kReservedLanePriority};
  // A worker that has just died may have left the number to another process.
  if (is_lane_thread(thread)) ::sched_setscheduler(thread, SCHED_FIFO | SCHED_RESET_ON_FORK, &parameter);
}

void WorkerProcess::kill() {
  // A child that was not reaped keeps its number: this reaches no other process.
  if (!reaped_) ::kill(pid_, SIGKILL);
}

std::string WorkerProcess::reap() {
  siginfo_t info{};
  if (::waitid(kPidfd, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) {
    return "it runs";
  }
  reaped_ = true;
  if (info.si_code == CLD_EXITED) return "exit status " + std::to_string(info.si_status);
  return "signal " + std::to_string(info.si_status) + " (" + ::strsignal(info.si_status) + ")";
}

}  // namespace einet
