// A channel with real lanes behind it, as threads or as forked processes. A block of the test's program does
// next to nothing; every block that is executed is written down in memory that all of them share, in the
// lanes' own words, to be compared with what the daemon's end reports.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "config/time.h"
#include "config/unique_fd.h"
#include "ipc/lane/daemon_end.h"
#include "ipc/lane/worker_end.h"

namespace einet::lane::test {

inline constexpr int kBlocks = 6;
inline constexpr int kClasses = 10;

struct Executed {
  std::uint64_t job;
  std::int32_t block;
  std::int32_t exit;  // 1: the exit too
};

// What one lane executed, in order.
struct Log {
  static constexpr std::size_t kCapacity = 1 << 18;
  std::atomic<std::size_t> size;
  std::array<Executed, kCapacity> entries;
};

// Zeroed memory that stays shared over fork.
template <class T>
class Shared {
 public:
  Shared()
      : object_(static_cast<T*>(::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE,
                                       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {}
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { ::munmap(object_, sizeof(T)); }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }

 private:
  T* object_;
};

class LoggingProgram final : public LaneProgram {
 public:
  explicit LoggingProgram(Log& log) : log_(&log) {}

  End begin(const GrantMessage& grant, std::size_t n) override {
    job_[n] = grant.job.value;
    return grant.model.value == 0 ? End::none : End::failed;  // other models are not here
  }
  bool trunk(int block, Jobs jobs) override {
    for (int i = 0; i < 100; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
    for (std::size_t n = 0; n < job_.size(); ++n) {
      if ((jobs >> n & 1) != 0) place_[n] = add({job_[n], block, 0});
    }
    return true;
  }
  Jobs exit(int block, Jobs jobs) override {
    for (std::size_t n = 0; n < job_.size(); ++n) {
      if ((jobs >> n & 1) != 0) log_->entries[place_[n]].exit = 1;
    }
    answer(block);
    return jobs;
  }
  bool launch(int block, Jobs jobs, Jobs answers) override {
    trunk(block, jobs);
    exit(block, answers);
    return true;
  }
  Jobs await(int block, Jobs jobs, Jobs) override {
    answer(block);
    return jobs;
  }
  std::span<const float> scores(std::size_t) const override { return scores_; }
  void end(std::size_t, int) override {}

 private:
  void answer(int block) {
    scores_.fill(0.5F / (kClasses - 1));
    scores_[static_cast<std::size_t>(block) % kClasses] = 0.5F;
  }
  std::size_t add(const Executed& executed) {
    const std::size_t at = log_->size.load(std::memory_order_relaxed);
    if (at == Log::kCapacity) ::_exit(9);
    log_->entries[at] = executed;
    log_->size.store(at + 1, std::memory_order_release);
    return at;
  }

  Log* log_;
  std::array<std::uint64_t, kMaxBatch> job_{};
  std::array<std::size_t, kMaxBatch> place_{};  // of each job's newest entry
  std::array<float, kClasses> scores_{};
};

inline WorkerEnd worker_of(const DaemonEnd& daemon) {
  auto end = WorkerEnd::map(daemon.down_fd(), daemon.up_fd(), UniqueFd(::dup(daemon.doorbell_fd())));
  EXPECT_TRUE(end.has_value()) << end.error().message;
  return std::move(*end);
}

inline void live_as_lane(const DaemonEnd& daemon, int lane, Log& log, int in_flight) {
  const WorkerEnd worker = worker_of(daemon);
  const SystemClock clock;
  LaneEnd end = worker.lane(lane, clock);
  LoggingProgram program(log);
  run_lane(end, program, in_flight);
}

// Runs every lane of a channel; the destructor closes it and waits for them.
class ThreadLanes {
 public:
  ThreadLanes(DaemonEnd& daemon, Log* logs, int in_flight = 1) : daemon_(daemon) {
    for (int lane = 0; lane < daemon.lanes(); ++lane) {
      threads_.emplace_back(
          [&daemon, lane, logs, in_flight] { live_as_lane(daemon, lane, logs[lane], in_flight); });
    }
  }
  ~ThreadLanes() { daemon_.close(); }
  pthread_t thread(int lane) { return threads_[static_cast<std::size_t>(lane)].native_handle(); }

 private:
  DaemonEnd& daemon_;
  std::vector<std::jthread> threads_;
};

class ProcessLanes {
 public:
  ProcessLanes(DaemonEnd& daemon, Log* logs, int in_flight = 1);
  ~ProcessLanes();
  pid_t pid(int lane) const { return pids_[static_cast<std::size_t>(lane)]; }

 private:
  DaemonEnd& daemon_;
  std::vector<pid_t> pids_;
};

// Keeps this thread on one core, and others on another, while it lives: what happens between two processors
// cannot be seen on one.
class TwoCores {
 public:
  TwoCores();
  ~TwoCores();
  // Moves a thread to the other core.
  void move(pthread_t) const;

 private:
  cpu_set_t before_{};
  int other_ = 0;
};

// Waits until the doorbell rings. False: a minute passed, so a wake-up was lost.
inline bool wait_for_ring(const DaemonEnd& daemon) {
  pollfd doorbell{daemon.doorbell_fd(), POLLIN, 0};
  return ::poll(&doorbell, 1, 60'000) == 1;
}

inline GrantMessage grant(std::uint64_t number, int first_block = 0, ExitMask exits = exit_bit(kBlocks - 1)) {
  GrantMessage message;
  message.number = GrantNumber{number};
  message.job = JobId{1000 + number};
  message.blocks = kBlocks;
  message.classes = kClasses;
  message.first_block = first_block;
  message.exits = exits;
  return message;
}

inline DaemonEnd make_channel(int lanes) {
  auto end = DaemonEnd::create(lanes);
  EXPECT_TRUE(end.has_value()) << end.error().message;
  return std::move(*end);
}

// Drains until the condition holds, sleeping on the doorbell meanwhile.
template <class Condition>
std::vector<Report> drain_until(DaemonEnd& daemon, Condition&& holds) {
  const SystemClock clock;
  std::vector<Report> reports;
  for (;;) {
    daemon.disarm();
    const auto drained = daemon.drain(clock, [&](const Report& r) { reports.push_back(r); });
    EXPECT_TRUE(drained.has_value());
    if (!drained || holds()) return reports;
    if (daemon.arm() == Arm::reports_waiting) continue;
    if (!wait_for_ring(daemon)) {
      ADD_FAILURE() << "nobody rang";
      return reports;
    }
  }
}

struct OneLane {
  Shared<Log> log;
  DaemonEnd daemon = make_channel(1);
  ThreadLanes lanes{daemon, &*log};
};

}  // namespace einet::lane::test
