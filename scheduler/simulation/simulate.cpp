#include "scheduler/simulation/simulate.h"

#include <algorithm>
#include <numeric>

#include "scheduler/simulation/placement.h"
#include "scheduler/simulation/simulated_lane.h"

namespace einet {
namespace {

// Drives the core with simulated lanes whose blocks take exactly the expected times.
class Run final : private Commands, private Observer, private SimulatedWork {
 public:
  explicit Run(const TaskSet& set)
      : set_(set), core_({.policy = set.policy, .max_jobs = set.jobs.size()}, *this, *this) {
    result_.jobs.resize(set.jobs.size());
    gone_.resize(set.jobs.size());
    by_release_.resize(set.jobs.size());
    std::iota(by_release_.begin(), by_release_.end(), std::size_t{0});
    std::stable_sort(by_release_.begin(), by_release_.end(), [&](std::size_t a, std::size_t b) {
      return set_.jobs[a].release < set_.jobs[b].release;
    });
    const auto lanes = static_cast<std::uint32_t>(set.lanes);
    const std::uint32_t all = set.preemption == Preemption::boundary ? lanes : 2 * lanes;
    for (std::uint32_t i = 0; i < all; ++i)
      lanes_.emplace_back(LaneId{i}, static_cast<SimulatedWork&>(*this));
    for (std::uint32_t i = 0; i < lanes; ++i) core_.lane_up(LaneId{i}, DeviceId{0}, TimePoint{});
    for (std::uint32_t i = lanes; i < all; ++i) {
      core_.urgent_lane_up(LaneId{i}, LaneId{i - lanes}, set.preemption, TimePoint{});
    }
    task_of_.resize(set.sources.size());
    if (set.placement == Placement::partitioned) reserve();
  }

  Result<SimulationResult> run() {
    for (TimePoint now = next_instant(); now < kNever; now = next_instant()) {
      for (; next_ < by_release_.size() && set_.jobs[by_release_[next_]].release == now; ++next_) {
        submit(by_release_[next_], now);
      }
      core_.advance(now);
      // Lanes go on, what they report may give them new work, and so on until this instant is over.
      do core_.decide(now);
      while (lanes_act(now));
    }
    // Only a block that ends at 2^62 ns or later has no instant of its own.
    const auto stuck = std::find(gone_.begin(), gone_.end(), false);
    if (stuck != gone_.end()) {
      return error(describe(static_cast<std::size_t>(stuck - gone_.begin())) + " would run past 2^62 ns");
    }
    finish_rows();
    return std::move(result_);
  }

 private:
  // What admission promises is kept by the core.
  void reserve() {
    const std::vector<Placed> placed = place(set_);
    for (std::size_t i = 0; i < placed.size(); ++i) {
      if (!placed[i].reservation) continue;
      task_of_[i] = TaskId{static_cast<std::uint32_t>(i + 1)};
      core_.reserve(task_of_[i], *placed[i].reservation, TimePoint{});
    }
  }

  std::string describe(std::size_t job) const {
    const TaskSetJob& j = set_.jobs[job];
    return "job " + std::to_string(job) + " (" + set_.sources[j.source].name + ", index " +
           std::to_string(j.index) + ")";
  }

  TimePoint next_instant() const {
    TimePoint next = core_.next_wakeup();
    if (next_ < by_release_.size()) next = std::min(next, set_.jobs[by_release_[next_]].release);
    for (const SimulatedLane& lane : lanes_) next = std::min(next, lane.next_event());
    return next;
  }

  void submit(std::size_t number, TimePoint now) {
    const TaskSetJob& job = set_.jobs[number];
    const JobSource& source = set_.sources[job.source];
    const auto accepted = core_.submit({.id = JobId{number + 1},
                                        .tenant = {},
                                        .task = task_of_[job.source],
                                        .model = {},
                                        .times = source.times,
                                        .release = job.release,
                                        .deadline = job.deadline,
                                        .priority = source.priority,
                                        .on_miss = set_.on_miss},
                                       now);
    EINET_CHECK(accepted.has_value(), "a task set's jobs are never rejected");
  }

  // True: lanes had something to report.
  bool lanes_act(TimePoint now) {
    const auto lanes = static_cast<std::size_t>(set_.lanes);
    for (std::size_t i = lanes; i < lanes_.size(); ++i) {
      lanes_[i].act(now);
      SimulatedLane& base = lanes_[i - lanes];
      lanes_[i].in_block() ? base.suspend(now) : base.resume(now);
    }
    for (std::size_t i = 0; i < lanes; ++i) lanes_[i].act(now);
    bool reported = false;
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      for (const LaneRecord& record : lanes_[i].take_records()) {
        reported = true;
        const bool ok = record.block ? core_.block_done(*record.block, now)
                                     : core_.grant_ended(LaneId{static_cast<std::uint32_t>(i)}, record.grant,
                                                         *record.ended, now);
        EINET_CHECK(ok, "the core knows what its lanes were told");
      }
    }
    return reported;
  }

  void finish_rows() {
    std::sort(result_.blocks.begin(), result_.blocks.end(),
              [](const SimulatedBlock& a, const SimulatedBlock& b) {
                return a.start != b.start ? a.start < b.start : a.lane < b.lane;
              });
    for (std::size_t i = 0; i < result_.jobs.size(); ++i) {
      SimulatedJob& job = result_.jobs[i];
      if (job.outcome == Outcome::missed && set_.on_miss == OnMiss::stop) {
        job.finish = std::max(job.finish, set_.jobs[i].deadline);
      }
    }
  }

  SimulatedLane& lane(LaneId id) { return lanes_[id.value]; }
  static std::size_t number(JobId id) { return id.value - 1; }

  // Commands
  void grant(const Grant& g, Reason) override { lane(g.lane).post(g); }
  void stop(LaneId id, GrantNumber grant, Reason) override { lane(id).stop(grant); }
  bool withdraw(LaneId id, GrantNumber grant, Reason) override { return lane(id).withdraw(grant); }
  void set_exits(LaneId id, GrantNumber grant, ExitMask exits, Reason) override {
    lane(id).set_exits(grant, exits);
  }
  void finish(JobId id, Outcome outcome, Reason) override { result_.jobs[number(id)].outcome = outcome; }
  void release(JobId id) override { gone_[number(id)] = true; }

  // Observer
  void block_done(LaneId id, JobId job, int block, TimePoint start, TimePoint end) override {
    result_.blocks.push_back({number(job), block, static_cast<int>(id.value), start, end});
    result_.jobs[number(job)].finish = end;
  }

  // SimulatedWork
  int blocks(JobId id) override { return set_.sources[set_.jobs[number(id)].source].times->blocks(); }
  Duration trunk(JobId id, int block, int) override {
    const JobSource& source = set_.sources[set_.jobs[number(id)].source];
    return source.times->on_device[0][static_cast<std::size_t>(block)].trunk;
  }
  Duration exit(JobId, int, int) override { return Duration{}; }
  std::optional<ExitAnswer> answer(JobId, int) override { return std::nullopt; }

  const TaskSet& set_;
  SimulationResult result_;
  Core core_;
  std::vector<SimulatedLane> lanes_;
  std::vector<TaskId> task_of_;  // by source
  std::vector<std::size_t> by_release_;
  std::size_t next_ = 0;    // of by_release_, to submit
  std::vector<bool> gone_;  // by number
};

std::string ns(TimePoint t) {
  return std::to_string(t.time_since_epoch().count());
}

// "job,task,index": how every row begins.
std::string row_start(const TaskSet& set, std::size_t job) {
  const TaskSetJob& j = set.jobs[job];
  return std::to_string(job) + ',' + set.sources[j.source].name + ',' + std::to_string(j.index) + ',';
}

}  // namespace

Result<SimulationResult> simulate(const TaskSet& set) {
  return Run(set).run();
}

std::string blocks_csv(const TaskSet& set, const SimulationResult& result) {
  std::string out = "job,task,index,block,lane,start_ns,finish_ns\n";
  for (const SimulatedBlock& b : result.blocks) {
    out += row_start(set, b.job) + std::to_string(b.block) + ',' + std::to_string(b.lane) + ',' +
           ns(b.start) + ',' + ns(b.finish) + '\n';
  }
  return out;
}

std::string jobs_csv(const TaskSet& set, const SimulationResult& result) {
  std::string out = "job,task,index,release_ns,deadline_ns,finish_ns,outcome\n";
  for (std::size_t i = 0; i < set.jobs.size(); ++i) {
    const SimulatedJob& job = result.jobs[i];
    out += row_start(set, i) + ns(set.jobs[i].release) + ',' + ns(set.jobs[i].deadline) + ',' +
           ns(job.finish) + ',' + std::string(name(job.outcome)) + '\n';
  }
  return out;
}

}  // namespace einet
