#include "daemon/einetd/rank.h"

#include <cerrno>
#include <cstring>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "config/ranks.h"

namespace einet {
namespace {
constexpr int kNice = -10;
constexpr int kLaneNice = 5;
}  // namespace

Rank take_daemon_rank() {
  ::prctl(PR_SET_TIMERSLACK, 1);  // release times and deadlines are met to the microsecond, not to 50 of them
  Rank rank;
  const sched_param parameter{.sched_priority = kDaemonPriority};
  if (::sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &parameter) == 0) {
    rank.words = "fifo " + std::to_string(kDaemonPriority);
    rank.real_time = Rank::RealTime::yes;
    return rank;
  }
  rank.warning = std::string("no real-time rank (") + std::strerror(errno) +
                 "); preemption may take milliseconds while all cores are busy; allow it with LimitRTPRIO=" +
                 std::to_string(kDaemonPriority) + " or `ulimit -r`";
  rank.lane_nice = kLaneNice;
  const sched_param ordinary{};
  ::sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &ordinary);
  const auto thread = static_cast<id_t>(::syscall(SYS_gettid));
  const bool raised = ::setpriority(PRIO_PROCESS, thread, kNice) == 0;
  rank.words = raised ? "nice " + std::to_string(kNice)
                      : "nice " + std::to_string(::getpriority(PRIO_PROCESS, thread));
  return rank;
}

}  // namespace einet
