#include "scheduler/simulation/replay.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "scheduler/simulation/simulated_lane.h"

namespace einet {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

// What the recorded jobs do on a lane.
class Work final : public SimulatedWork {
 public:
  Work(const Recording& recording, DeviceId device, bool urgent)
      : recording_(recording), device_(device), urgent_(urgent) {}

  int blocks(JobId id) override { return model(id).blocks(); }
  // A block of no time would be over before it began.
  Duration trunk(JobId id, int block, int jobs) override {
    return model(id).in_batch(std::max(times(id, block).trunk, Duration{1}), device_, jobs);
  }
  Duration exit(JobId id, int block, int jobs) override {
    return model(id).in_batch(times(id, block).exit, device_, jobs);
  }
  int in_flight(JobId id) override { return urgent_ ? 1 : model(id).blocks_in_flight(device_); }
  std::optional<ExitAnswer> answer(JobId id, int exit) override {
    const RecordedJob& job = recording_.jobs[id.value - 1];
    const auto known = std::find_if(job.answers.begin(), job.answers.end(),
                                    [exit](const ExitAnswer& a) { return a.exit == exit; });
    if (known != job.answers.end()) return *known;
    if (job.spec.times->accuracy.empty()) return std::nullopt;
    const double accuracy = job.spec.times->accuracy[static_cast<std::size_t>(exit)];
    return ExitAnswer{.exit = exit, .top_class = -1, .confidence = static_cast<float>(accuracy)};
  }

 private:
  const ModelTimes& model(JobId id) const { return *recording_.jobs[id.value - 1].spec.times; }
  const BlockTime& times(JobId id, int block) const {
    return model(id).on_device[device_.value][static_cast<std::size_t>(block)];
  }

  const Recording& recording_;
  const DeviceId device_;
  const bool urgent_;
};

// The core's id of a job is its index, plus 1.
class Player final : private Commands, private Observer {
 public:
  explicit Player(const Recording& recording)
      : recording_(recording), core_(recording.options, *this, *this) {
    replay_.jobs.resize(recording.jobs.size());
    best_.resize(recording.jobs.size());
  }

  ReplayedRecording run() {
    for (TimePoint now = next_instant(); now < kNever; now = next_instant()) {
      now_ = now;
      for (; next_ < recording_.inputs.size() && recording_.inputs[next_].at == now; ++next_) {
        std::visit([this](const auto& what) { feed(what); }, recording_.inputs[next_].what);
      }
      core_.advance(now);
      do core_.decide(now);
      while (lanes_act());
    }
    std::sort(replay_.blocks.begin(), replay_.blocks.end(),
              [](const ReplayedBlock& a, const ReplayedBlock& b) {
                return a.start != b.start ? a.start < b.start : a.lane < b.lane;
              });
    return std::move(replay_);
  }

 private:
  struct Lane {
    std::unique_ptr<Work> work;
    SimulatedLane lane;
    DeviceId device;
    std::optional<LaneId> base;  // of an urgent lane
  };

  TimePoint next_instant() const {
    TimePoint next = core_.next_wakeup();
    if (next_ < recording_.inputs.size()) next = std::min(next, recording_.inputs[next_].at);
    for (const auto& [id, lane] : lanes_) next = std::min(next, lane.lane.next_event());
    return next;
  }

  // ---- what went into the core ----

  void feed(const input::Submit& what) {
    JobSpec spec = recording_.jobs[what.job].spec;
    spec.id = JobId{what.job + 1};
    const auto accepted = core_.submit(spec, now_);
    if (accepted) {
      jobs_.insert(spec.id);
    } else {
      replay_.jobs[what.job] = {.outcome = Outcome::rejected, .reason = accepted.error(), .at = now_};
    }
  }
  void feed(const input::Cancel& what) { core_.cancel(JobId{what.job + 1}, now_); }
  void feed(const input::LaneUp& what) {
    core_.lane_up(what.lane, what.device, now_);
    add_lane(what.lane, what.device, std::nullopt);
  }
  void feed(const input::UrgentLaneUp& what) {
    core_.urgent_lane_up(what.lane, what.base, what.preemption, now_);
    add_lane(what.lane, lanes_.at(what.base).device, what.base);
  }
  void feed(const input::LaneLost& what) {
    if (const auto base = lanes_.at(what.lane).base; base && lanes_.contains(*base)) {
      lanes_.at(*base).lane.resume(now_);
    }
    lanes_.erase(what.lane);
    core_.lane_lost(what.lane, what.loss, now_);
  }
  void feed(const input::Reserve& what) { core_.reserve(what.task, what.reservation, now_); }
  void feed(const input::Unreserve& what) { core_.unreserve(what.task, now_); }
  void feed(const input::SetShare& what) { core_.set_share(what.tenant, what.share, now_); }
  void feed(const input::SetResidence& what) {
    if (!is_needed(what)) core_.set_residence(what.model, what.device, what.residence, now_);
  }
  // Here jobs may be there that had ended then: no model is evicted whose jobs wait or run.
  bool is_needed(const input::SetResidence& what) const {
    return what.residence != Residence::in && std::any_of(jobs_.begin(), jobs_.end(), [&](JobId id) {
             if (recording_.jobs[id.value - 1].spec.model != what.model) return false;
             const std::optional<Core::JobView> job = core_.job(id);
             const bool runs_there = job && job->lane && lanes_.at(*job->lane).device == what.device;
             return what.residence == Residence::out || runs_there;
           });
  }

  void add_lane(LaneId id, DeviceId device, std::optional<LaneId> base) {
    auto work = std::make_unique<Work>(recording_, device, base.has_value());
    SimulatedLane lane(id, *work, newest_[id]);
    lanes_.emplace(id, Lane{std::move(work), std::move(lane), device, base});
  }

  // ---- lanes ----

  // True: lanes had something to report.
  bool lanes_act() {
    for (auto& [id, urgent] : lanes_) {
      if (!urgent.base) continue;
      urgent.lane.act(now_);
      const auto base = lanes_.find(*urgent.base);
      if (base == lanes_.end()) continue;
      urgent.lane.in_block() ? base->second.lane.suspend(now_) : base->second.lane.resume(now_);
    }
    for (auto& [id, lane] : lanes_) {
      if (!lane.base) lane.lane.act(now_);
    }
    bool reported = false;
    for (auto& [id, lane] : lanes_) {
      for (const LaneRecord& record : lane.lane.take_records()) {
        reported = true;
        const bool known = record.block ? core_.block_done(*record.block, now_)
                                        : core_.grant_ended(id, record.grant, *record.ended, now_);
        EINET_CHECK(known, "the core knows what its lanes were told");
        // Whether an answer still counts is the core's to say.
        if (record.block && record.block->answer) note_best(reported_);
      }
    }
    return reported;
  }

  void note_best(JobId id) {
    if (const std::optional<Core::JobView> view = core_.job(id)) best_[id.value - 1] = view->best;
  }

  // ---- commands and observer ----

  void grant(const Grant& g, Reason) override {
    newest_[g.lane] = g.number;
    Lane& lane = lanes_.at(g.lane);
    const ModelTimes& times = *recording_.jobs[g.job.value - 1].spec.times;
    const TimePoint arrives =
        g.from ? now_ + times.move_time(*g.from, lane.device, g.first_block) : TimePoint{};
    lane.lane.post(g, arrives);
  }
  void stop(LaneId id, GrantNumber number, Reason) override { lanes_.at(id).lane.stop(number); }
  bool withdraw(LaneId id, GrantNumber number, Reason) override {
    return lanes_.at(id).lane.withdraw(number);
  }
  void set_exits(LaneId id, GrantNumber number, ExitMask exits, Reason) override {
    lanes_.at(id).lane.set_exits(number, exits);
  }
  void finish(JobId id, Outcome outcome, Reason reason) override {
    const std::size_t job = id.value - 1;
    replay_.jobs[job] = {.outcome = outcome, .reason = reason, .best = best_[job], .at = now_};
  }
  void release(JobId id) override { jobs_.erase(id); }
  void block_done(LaneId lane, JobId job, int block, TimePoint start, TimePoint end) override {
    replay_.blocks.push_back({job.value - 1, block, lane, start, end});
    reported_ = job;
  }

  const Recording& recording_;
  Core core_;
  std::map<LaneId, Lane> lanes_;  // that are up
  std::map<LaneId, GrantNumber> newest_;
  std::set<JobId> jobs_;          // that the core has
  std::vector<ExitAnswer> best_;  // by job
  JobId reported_;                // whose block the core was told of last
  std::size_t next_ = 0;          // of the inputs
  TimePoint now_{};
  ReplayedRecording replay_;
};

}  // namespace

ReplayedRecording replay(const Recording& recording) {
  return Player(recording).run();
}

}  // namespace einet
