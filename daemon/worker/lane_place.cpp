#include "daemon/worker/lane_place.h"

#include <cerrno>
#include <cstring>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

namespace einet {

LaneKind kind_of(const lane::Configure& configure, int lane) {
  return lane >= configure.lanes ? LaneKind::urgent : LaneKind::base;
}

LanePlace::LanePlace(const lane::Configure& configure, int lane)
    : kind_(kind_of(configure, lane)),
      nice_(configure.nice),
      priority_(kind_ == LaneKind::urgent ? configure.urgent_priority : configure.reserved_priority) {
  if (configure.cores.empty()) return;
  const auto first = configure.cores.begin() + lane % configure.lanes * configure.threads;
  cores_.assign(first, first + configure.threads);
}

std::string LanePlace::take() {
  std::string missing;
  const auto complain = [&](const char* what) {
    missing += (missing.empty() ? "" : "; ") + std::string(what) + ": " + std::strerror(errno);
  };
  if (!cores_.empty()) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const int core : cores_) CPU_SET(core, &set);
    if (::sched_setaffinity(0, sizeof set, &set) != 0) complain("cannot be pinned to its cores");
  }
  if (::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), nice_) != 0) {
    complain("cannot get its nice value");
  }
  if (priority_ == 0) return missing;
  if (!become(SCHED_FIFO)) {
    complain("cannot get its real-time rank");
  } else if (kind_ == LaneKind::base) {
    rank_ = lane::Rank::reserved;
  }
  return missing;
}

bool LanePlace::become(int policy) const {
  const sched_param parameter{policy == SCHED_FIFO ? priority_ : 0};
  // A lane's further threads start with its first parallel work. Those of an urgent lane keep its rank for
  // good, as it does; those of another lane must not keep a rank that it changes.
  const int flags = kind_ == LaneKind::base ? SCHED_RESET_ON_FORK : 0;
  return ::sched_setscheduler(0, policy | flags, &parameter) == 0;
}

bool LanePlace::is_real_time() {
  return (::sched_getscheduler(0) & ~SCHED_RESET_ON_FORK) == SCHED_FIFO;
}

void LanePlace::take_rank(lane::Rank rank) {
  if (!rank_) return;
  // The daemon may have raised it since: then its rank is not what it took.
  const bool stays = rank == *rank_;
  if (stays && (rank == lane::Rank::reserved || !is_real_time())) return;
  become(rank == lane::Rank::reserved ? SCHED_FIFO : SCHED_OTHER);
  rank_ = rank;
}

}  // namespace einet
