// How fast the lane channel hands a lane from one job to another: real lanes in a process of their own,
// pinned to the cores of this machine, driven by this thread as einetd drives them. First with every lane
// busy (boundary to the urgent job's first block), then with an urgent lane beside each (a post, to the first
// block, while the lane's own block stands still), then idle (a post, to its report); in the end what a
// boundary pays for its clocks and ranks. Prints what rank the threads had: without a real-time rank for this
// thread the busy figures are the scheduler's, not the channel's.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <poll.h>
#include <random>
#include <sched.h>
#include <string>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "config/check.h"
#include "config/ranks.h"
#include "config/time.h"
#include "ipc/lane/daemon_end.h"
#include "ipc/lane/worker_end.h"

namespace einet::lane {
namespace {

using std::chrono::microseconds;

constexpr int kBackgroundBlocks = 64;
constexpr ModelId kBackground{0};  // blocks of about a millisecond
constexpr ModelId kUrgent{1};      // one short block
constexpr int kLaneNice = 5;

// Blocks that burn CPU time and walk through more memory than a core's first cache holds.
class BurningProgram final : public LaneProgram {
 public:
  End begin(const GrantMessage& grant, std::size_t) override {
    block_time_ = grant.model == kUrgent ? microseconds(20) : microseconds(1000);
    return End::none;
  }
  bool trunk(int, Jobs) override {
    const Duration end = thread_cpu_time() + block_time_;
    while (thread_cpu_time() < end) {
      for (std::size_t i = 0; i < 512; ++i) numbers_[(at_ + i) % numbers_.size()] *= 1.0001F;
      at_ += 512;
    }
    return true;
  }
  Jobs exit(int, Jobs jobs) override { return jobs; }
  std::span<const float> scores(std::size_t) const override { return scores_; }
  void end(std::size_t, int) override {}

 private:
  Duration block_time_{};
  std::vector<float> numbers_ = std::vector<float>(1 << 18, 1.0F);
  std::size_t at_ = 0;
  std::array<float, 2> scores_{0.25F, 0.75F};
};

bool take_fifo(int priority) {
  const sched_param parameter{priority};
  return ::sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &parameter) == 0;
}
bool take_ordinary_rank() {
  const sched_param parameter{};
  return ::sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &parameter) == 0;
}

std::vector<int> cores_of_this_process() {
  cpu_set_t set;
  ::sched_getaffinity(0, sizeof set, &set);
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

// Lanes behind the first one of each core are urgent lanes.
[[noreturn]] void live_as_worker(const DaemonEnd& daemon, const std::vector<int>& cores, int nice) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto end = WorkerEnd::map(daemon.down_fd(), daemon.up_fd(), UniqueFd(::dup(daemon.doorbell_fd())));
  EINET_CHECK(end.has_value(), "the channel maps");
  {
    std::vector<std::jthread> lanes;
    for (int lane = 0; lane < end->lanes(); ++lane) {
      lanes.emplace_back([&, lane] {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(cores[static_cast<std::size_t>(lane) % cores.size()], &set);
        ::sched_setaffinity(0, sizeof set, &set);
        ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), nice);
        if (static_cast<std::size_t>(lane) >= cores.size()) take_fifo(kUrgentLanePriority);
        const SystemClock clock;
        LaneEnd lane_end = end->lane(lane, clock);
        BurningProgram program;
        run_lane(lane_end, program);
      });
    }
  }
  ::_exit(0);
}

// The rank that this thread got, in words.
std::string take_rank() {
  ::prctl(PR_SET_TIMERSLACK, 1);
  if (take_fifo(kDaemonPriority)) return "SCHED_FIFO";
  if (::setpriority(PRIO_PROCESS, 0, -10) == 0) return "nice -10";
  return "nice 0";
}

void print(const char* what, std::vector<Duration> samples) {
  EINET_CHECK(!samples.empty(), "something was measured");
  std::sort(samples.begin(), samples.end());
  auto at = [&](double share) {
    return to_us(samples[std::min(samples.size() - 1,
                                  static_cast<std::size_t>(share * static_cast<double>(samples.size())))]);
  };
  std::printf("%-58s n %6zu  p50 %8.2f us  p99 %8.2f us  max %8.2f us\n", what, samples.size(), at(0.5),
              at(0.99), at(1));
}

class Bench {
 public:
  // `lanes`: those that are not urgent.
  Bench(DaemonEnd& daemon, std::size_t lanes, int seconds)
      : daemon_(daemon),
        lanes_(lanes),
        until_(clock_.now() + std::chrono::seconds(seconds)),
        numbers_(static_cast<std::size_t>(daemon.lanes())) {}

  // Every lane runs long jobs; at random times an urgent one is posted, then the running one is stopped.
  void busy() {
    for (std::size_t lane = 0; lane < lanes(); ++lane) post(lane, kBackground);
    while (clock_.now() < until_) {
      rest(microseconds(1500 + random_() % 3000));
      const std::size_t lane = random_() % lanes();
      const std::uint64_t running = numbers_[lane];
      const TimePoint asked = clock_.now();
      urgent_ = {lane, post(lane, kUrgent), asked};
      post(lane, kBackground);
      daemon_.stop(static_cast<int>(lane), GrantNumber{running});
      while (urgent_.number != 0) wait(nullptr);
    }
  }

  // Every lane runs long jobs; at random times a job is posted to the urgent lane beside one.
  void instant() {
    for (std::size_t lane = 0; lane < lanes(); ++lane) post(lane, kBackground);
    while (clock_.now() < until_) {
      rest(microseconds(1500 + random_() % 3000));
      const std::size_t lane = random_() % lanes();
      const TimePoint asked = clock_.now();
      urgent_ = {lanes() + lane, post(lanes() + lane, kUrgent), asked};
      while (urgent_.number != 0) wait(nullptr);
    }
  }

  // Nothing runs but one short job after the other.
  void idle() {
    while (clock_.now() < until_) {
      rest(microseconds(200 + random_() % 300));
      const TimePoint asked = clock_.now();
      urgent_ = {0, post(0, kUrgent), asked};
      while (urgent_.number != 0) wait(nullptr);
      const Duration whole = clock_.now() - asked;
      overhead_.push_back(whole - run_);
    }
  }

  void print_busy() const {
    print("boundary to the urgent job's first block", handover_);
    print("post to first block, beyond the rest of the running block", beyond_);
    print("post to first block, all in all", whole_);
  }
  void print_instant() const { print("post to an urgent lane, to its first block", whole_); }
  void print_idle() const {
    print("post to first block, lane asleep", beyond_);
    print("post to report, beyond the block", overhead_);
  }

 private:
  struct Urgent {
    std::size_t lane = 0;
    std::uint64_t number = 0;  // 0: its report was seen
    TimePoint asked;
  };

  std::size_t lanes() const { return lanes_; }

  std::uint64_t post(std::size_t lane, ModelId model) {
    GrantMessage grant;
    grant.number = GrantNumber{++numbers_[lane]};
    grant.job = JobId{++jobs_};
    grant.model = model;
    grant.blocks = model == kUrgent ? 1 : kBackgroundBlocks;
    grant.classes = 2;
    grant.exits = exit_bit(grant.blocks - 1);
    daemon_.post(static_cast<int>(lane), grant);
    return grant.number.value;
  }

  // Asleep for this long, but for what lanes report.
  void rest(Duration time) {
    const TimePoint end = clock_.now() + time;
    for (TimePoint now = clock_.now(); now < end; now = clock_.now()) {
      const timespec left{0, (end - now).count()};
      wait(&left);
    }
  }

  void wait(const timespec* at_most) {
    if (daemon_.arm() == Arm::asleep) {
      pollfd doorbell{daemon_.doorbell_fd(), POLLIN, 0};
      ::ppoll(&doorbell, 1, at_most, nullptr);
    }
    daemon_.disarm();
    const auto drained = daemon_.drain(clock_, [&](const Report& report) { take(report); });
    EINET_CHECK(drained.has_value(), "the worker keeps to the rules");
    for (const std::size_t lane : ended_) {
      if (lane < lanes() && daemon_.outstanding(static_cast<int>(lane)) == 0) post(lane, kBackground);
    }
    ended_.clear();
  }

  void take(const Report& report) {
    const auto lane = static_cast<std::size_t>(report.lane);
    if (urgent_.number != report.grant.value || urgent_.lane != lane) {
      if (report.finished == End::done) ended_.push_back(lane);
      return;
    }
    urgent_.number = 0;
    run_ = report.end - report.start;
    whole_.push_back(report.start - urgent_.asked);
    // Stopped in the middle: the lane had a block to finish when it was asked.
    if (report.previous && *report.previous > urgent_.asked)
      handover_.push_back(report.start - *report.previous);
    beyond_.push_back(report.start - std::max(urgent_.asked, report.previous.value_or(urgent_.asked)));
  }

  SystemClock clock_;
  DaemonEnd& daemon_;
  std::size_t lanes_;
  TimePoint until_;
  std::mt19937 random_{1};
  std::vector<std::uint64_t> numbers_;  // newest grant of each lane
  std::uint64_t jobs_ = 0;
  Urgent urgent_;
  std::vector<std::size_t> ended_;  // lanes that came to the end of a background job
  Duration run_{};
  std::vector<Duration> handover_, beyond_, whole_, overhead_;
};

template <class Measure>
void with_worker(const std::vector<int>& cores, std::size_t lanes, int lane_nice, Measure&& measure) {
  auto daemon = DaemonEnd::create(static_cast<int>(lanes));
  EINET_CHECK(daemon.has_value(), "a channel can be made");
  const pid_t worker = ::fork();
  if (worker == 0) live_as_worker(*daemon, cores, lane_nice);
  measure(*daemon);
  daemon->close();
  ::waitpid(worker, nullptr, 0);
}

// The mean time of what a boundary does, here on this thread.
template <class Step>
void print_cost(const char* what, Step&& step) {
  constexpr int kTimes = 100'000;
  const SystemClock clock;
  const TimePoint start = clock.now();
  for (int i = 0; i < kTimes; ++i) step();
  std::printf("%-58s mean %7.3f us\n", what, to_us(clock.now() - start) / kTimes);
}

void print_boundary_costs(const std::string& rank) {
  const SystemClock clock;
  print_cost("reading the steady clock", [&] { (void)clock.now(); });
  print_cost("reading the thread's processor time", [] { (void)thread_cpu_time(); });
  if (rank != "SCHED_FIFO") return;
  print_cost("to ordinary rank and back", [] {
    EINET_CHECK(take_ordinary_rank() && take_fifo(kReservedLanePriority), "it had a real-time rank");
  });
}

}  // namespace
}  // namespace einet::lane

int main(int argc, char** argv) {
  using namespace einet::lane;
  const int seconds = argc > 1 ? std::atoi(argv[1]) : 5;
  if (argc > 2 || seconds < 1) {
    std::fputs("usage: bench_lane [SECONDS]   (each of three parts; default 5)\n", stderr);
    return 2;
  }
  const auto cores = cores_of_this_process();
  const std::string rank = take_rank();
  const int lane_nice = rank == "SCHED_FIFO" ? 0 : kLaneNice;
  std::printf("lanes: %zu, pinned, nice %d; this thread: %s\n", cores.size(), lane_nice, rank.c_str());
  with_worker(cores, cores.size(), lane_nice, [&](DaemonEnd& daemon) {
    Bench bench(daemon, cores.size(), seconds);
    bench.busy();
    bench.print_busy();
  });
  if (rank == "SCHED_FIFO") {
    with_worker(cores, 2 * cores.size(), lane_nice, [&](DaemonEnd& daemon) {
      Bench bench(daemon, cores.size(), seconds);
      bench.instant();
      bench.print_instant();
    });
  }
  with_worker(cores, cores.size(), lane_nice, [&](DaemonEnd& daemon) {
    Bench bench(daemon, cores.size(), seconds);
    bench.idle();
    bench.print_idle();
  });
  print_boundary_costs(rank);
}
