#include "harness.h"

#include <csignal>
#include <sys/prctl.h>
#include <sys/wait.h>

namespace einet::lane::test {

ProcessLanes::ProcessLanes(DaemonEnd& daemon, Log* logs, int in_flight) : daemon_(daemon) {
  for (int lane = 0; lane < daemon.lanes(); ++lane) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      live_as_lane(daemon, lane, logs[lane], in_flight);
      ::_exit(0);
    }
    pids_.push_back(pid);
  }
}

ProcessLanes::~ProcessLanes() {
  daemon_.close();
  for (const pid_t pid : pids_) ::waitpid(pid, nullptr, 0);
}

TwoCores::TwoCores() {
  ::sched_getaffinity(0, sizeof before_, &before_);
  int mine = 0;
  for (int core = CPU_SETSIZE; core-- > 0;) {
    if (!CPU_ISSET(core, &before_)) continue;
    other_ = mine;
    mine = core;
  }
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(mine, &set);
  ::sched_setaffinity(0, sizeof set, &set);
}

TwoCores::~TwoCores() {
  ::sched_setaffinity(0, sizeof before_, &before_);
}

void TwoCores::move(pthread_t thread) const {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(other_, &set);
  ::pthread_setaffinity_np(thread, sizeof set, &set);
}

}  // namespace einet::lane::test
