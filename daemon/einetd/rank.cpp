#include "daemon/einetd/rank.h"

#include <algorithm>
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

// As many as the kernel has; fixed sets end at 1,024.
constexpr int kMostCores = 8192;
constexpr std::size_t kSetBytes = CPU_ALLOC_SIZE(kMostCores);

bool use(const std::vector<int>& cores) {
  std::vector<unsigned char> memory(kSetBytes);
  auto* const set = reinterpret_cast<cpu_set_t*>(memory.data());
  for (const int core : cores) CPU_SET_S(core, kSetBytes, set);
  return ::sched_setaffinity(0, kSetBytes, set) == 0;
}

std::vector<int> in_use() {
  std::vector<unsigned char> memory(kSetBytes);
  auto* const set = reinterpret_cast<cpu_set_t*>(memory.data());
  std::vector<int> cores;
  if (::sched_getaffinity(0, kSetBytes, set) != 0) return cores;
  for (int core = 0; core < kMostCores; ++core) {
    if (CPU_ISSET_S(core, kSetBytes, set)) cores.push_back(core);
  }
  return cores;
}

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

DaemonCores::DaemonCores(std::span<const int> lanes) : all_(in_use()), own_(all_) {
  std::erase_if(own_, [&](int core) { return std::find(lanes.begin(), lanes.end(), core) != lanes.end(); });
  if (own_.empty() || !use(own_)) own_ = all_;
}

std::string DaemonCores::words() const {
  if (own_ == all_) return "all";
  std::string out;
  for (const int core : own_) out += (out.empty() ? "" : ", ") + std::to_string(core);
  return out;
}

DaemonCores::All::All(const DaemonCores& cores) : cores_(cores) {
  if (cores.own_ != cores.all_) use(cores.all_);
}

DaemonCores::All::~All() {
  if (cores_.own_ != cores_.all_) use(cores_.own_);
}

}  // namespace einet
