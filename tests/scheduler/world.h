// A small world around the decision core: lanes whose blocks take other times than expected, reports that are
// read late, withdrawals that race, cancels, lanes that die and come back. It keeps the truth on its own and
// writes down every broken guarantee. A `Fault` breaks the driver on purpose, to show that the checks see it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "scheduler/core.h"
#include "scheduler/simulation/simulated_lane.h"

namespace einet {

enum class Fault {
  none,
  ignores_stop,     // stop words never reach a lane
  withdraw_lies,    // says that a grant was taken back although the lane has begun it
  forgets_release,  // every job's release is swallowed
  sleeps_late,      // wake-ups are ignored: only other events advance the core
};

class World final : private Commands, private Observer {
 public:
  World(std::uint64_t seed, Fault);
  ~World();
  // Runs until every job has left (or, with a fault, until nothing moves any more).
  void run();

  const std::vector<std::string>& violations() const { return violations_; }
  // How often what the checks are about took place.
  struct Counts {
    int jobs = 0, blocks = 0, preemptions = 0, late_withdrawals = 0, withdrawals = 0, lost_lanes = 0;
    int rejected_full = 0, replans = 0;
    std::map<Outcome, int> outcomes;
  };
  const Counts& counts() const { return counts_; }

 private:
  struct Job {
    JobSpec spec;
    TimePoint submit_at{};
    std::optional<TimePoint> cancel_at;
    bool accepted = false, finished = false, released = false, cancelled = false;
    JobState state = JobState::waiting;
    std::optional<std::uint32_t> holder;  // lane of its grant, until the core was told that it ended
    GrantNumber grant;
    ExitMask told_exits = 0;
    std::optional<std::uint32_t> running;  // lane of its block
    std::optional<std::uint32_t> last_lane;
    int next_block = 0;
    bool stop_told = false;
    int best_exit = -1;  // told to the core, in time
    bool target_reached = false;
    bool all_blocks_in_time = false;
  };
  struct DelayedRecord {
    TimePoint due{};
    LaneRecord record;
  };
  struct LaneInWorld;

  int from_to(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  bool chance(int percent) { return from_to(1, 100) <= percent; }
  void make_jobs();
  std::shared_ptr<const ModelTimes> make_model();
  TimePoint next_instant() const;
  void instant();
  void lanes_come_and_go();
  void lose(std::uint32_t lane);
  void act();
  bool report();
  void deliver(std::uint32_t lane, const LaneRecord&);
  void check_quiet();
  bool goes_on(const Job&, const LaneInWorld&) const;
  bool more_urgent(const JobSpec&, const JobSpec&) const;
  void violation(const std::string& what);
  bool broken() const { return fault_ != Fault::none && !violations_.empty(); }
  Job& job(JobId id) { return jobs_[id.value - 1]; }

  // Commands
  void grant(const Grant&, Reason) override;
  void stop(LaneId, GrantNumber, Reason) override;
  bool withdraw(LaneId, GrantNumber, Reason) override;
  void set_exits(LaneId, GrantNumber, ExitMask, Reason) override;
  void finish(JobId, Outcome, Reason) override;
  void release(JobId) override;
  // Observer
  void job_state(JobId, JobState from, JobState to, TimePoint) override;
  void preempted(LaneId, JobId, JobId, TimePoint) override { ++counts_.preemptions; }

  std::mt19937_64 random_;
  const Fault fault_;
  Policy policy_{};
  OnMiss on_miss_{};
  std::size_t max_jobs_ = 0;
  int late_reports_percent_ = 0;
  int jitter_percent_ = 0;
  TimePoint now_{};
  std::vector<Job> jobs_;
  std::vector<std::unique_ptr<LaneInWorld>> lanes_;
  std::optional<Core> core_;
  std::vector<std::string> violations_;
  Counts counts_;
};

}  // namespace einet
