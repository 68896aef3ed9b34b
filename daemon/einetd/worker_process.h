// One start of an einet-worker: the child process with its control socket and its lane channel. Spawns, kills
// and reaps; what is said over the socket and the channel is not known here.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <sys/types.h>
#include <vector>

#include "config/daemon_config.h"
#include "config/unique_fd.h"
#include "daemon/einetd/rank.h"
#include "ipc/lane/control.h"
#include "ipc/lane/daemon_end.h"

namespace einet {

class WorkerProcess {
 public:
  // Starts `program` for a device and sends it Configure: with urgent lanes if the device is to have them and
  // this process has its real-time rank. Error: the system's words.
  static Result<std::unique_ptr<WorkerProcess>> start(const std::filesystem::path& program,
                                                      const DeviceConfig&, const Rank&, int arena_fd);
  // Kills the process if it still runs, and waits for its end.
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }  // readable when the process has ended
  lane::ControlSocket& control() { return control_; }
  lane::DaemonEnd& channel() { return channel_; }

  // The threads of its lanes, by its own word. False: they are not one thread of its for each lane.
  bool set_lane_threads(std::vector<int>);
  // Priority inheritance: what a lane runs keeps reserved work waiting, so it must not lose its core to an
  // ordinary process. Gives the lane's thread the rank of reserved work until its next boundary. Does nothing
  // without set_lane_threads.
  void raise(int lane) const;

  void kill();
  // How the process ended ("exit status 1", "signal 9 (Killed)"), once pidfd() is readable.
  std::string reap();

 private:
  WorkerProcess(pid_t pid, UniqueFd pidfd, lane::ControlSocket control, lane::DaemonEnd channel);
  bool is_lane_thread(int thread) const;

  pid_t pid_;
  UniqueFd pidfd_;
  lane::ControlSocket control_;
  lane::DaemonEnd channel_;
  std::vector<int> lane_threads_;
  bool reaped_ = false;
};

}  // namespace einet
