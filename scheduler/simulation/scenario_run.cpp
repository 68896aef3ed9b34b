#include "scheduler/simulation/scenario_run.h"

#include <algorithm>
#include <deque>

#include "scheduler/simulation/invariants.h"
#include "scheduler/simulation/promises.h"
#include "scheduler/simulation/simulated_lane.h"

namespace einet {
namespace {

constexpr int kMostInstants = 200'000;
constexpr int kMostRounds = 10'000;  // of decisions and reports within an instant

// What is drawn while a scenario runs. Each draw has a place of its own, so that taking one thing out of a
// scenario leaves the rest as it was.
enum class Draw : std::uint64_t {
  trunk,
  exit,
  confidence,
  is_late,
  how_late,
  race,
  race_kind,
  order,
  advance,
  mad,
  move,
  failed_move
};

std::uint64_t mix(std::uint64_t x) {  // splitmix64 (Steele, Lea, Flood 2014)
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

class Run final : private Commands, private Observer, private Promises::Listener {
 public:
  Run(const Scenario& scenario, Checks checks, DriverFault fault)
      : scenario_(scenario),
        fault_(fault),
        core_({.policy = scenario.policy,
               .max_jobs = scenario.max_jobs,
               .promote_at_laxity = scenario.promote_at_laxity,
               .survival = scenario.survival},
              *this, *this),
        promises_({.policy = scenario.policy, .margin = 1, .overhead = {}}, core_, *this),
        models_(scenario.models),
        jobs_(scenario.jobs.size()) {
    if (checks == Checks::on) check_.emplace(scenario, core_, result_.violations, result_.counts);
    make_lanes();
    make_events();
    promises_.load(models_, now_);
    if (check_) check_->loaded(models_);
    for (std::uint32_t t = 0; t < scenario.tenants.size(); ++t) {
      const Scenario::Tenant& tenant = scenario.tenants[t];
      Share share{.weight = tenant.weight};
      if (tenant.budget) {
        share.budget = promises_.add_budget(TenantId{t}, *tenant.budget, tenant.window, now_);
        if (check_ && share.budget) check_->budgeted(TenantId{t}, *share.budget);
      }
      ++result_.events;
      core_.set_share(TenantId{t}, share, now_);
    }
  }

  ScenarioResult run() {
    int instants = 0;
    for (TimePoint next = now_; next < kNever && !broken(); next = next_instant()) {
      now_ = next;
      if (++instants > kMostInstants) {
        result_.violations.push_back({"drain", "the world does not come to rest"});
        break;
      }
      instant();
    }
    if (check_ && !broken()) check_->run_over(now_);
    if (broken()) result_.dump = core_.dump();
    return std::move(result_);
  }

 private:
  // A lane, and what its blocks truly do.
  struct LaneRun final : SimulatedWork {
    LaneRun(Run& r, LaneId i, DeviceId d, std::optional<LaneId> b, Preemption p)
        : run(r), id(i), device(d), base(b), preemption(p) {
      restart();
    }
    void restart() {
      lane.emplace(id, static_cast<SimulatedWork&>(*this), GrantNumber{grants});
      unread.clear();
    }
    int blocks(JobId job) override {
      // That no block is the last one for the lane is how it comes to drop its exit.
      return run.fault_ == DriverFault::drops_last_exit ? kMaxBlocks + 1
                                                        : run.jobs_[job.value - 1].times->blocks();
    }
    Duration trunk(JobId job, int block, int jobs) override {
      if (run.check_) run.check_->block_begun(id, job, block, run.now_);
      run.jobs_[job.value - 1].last_lane = id;
      const BlockTime& time = run.time(job, device, block);
      const Duration d = run.truly(Draw::trunk, job, block, time.trunk, time.worst_trunk, Duration{1});
      return in_batch(job, d, jobs) + run.scenario_.jobs[job.value - 1].overrun;
    }
    Duration exit(JobId job, int exit, int jobs) override {
      if (run.jobs_[job.value - 1].times->accuracy.empty()) return {};
      const BlockTime& time = run.time(job, device, exit);
      return in_batch(job, run.truly(Draw::exit, job, exit, time.exit, time.worst_exit, Duration{}), jobs);
    }
    int in_flight(JobId job) override {
      return base ? 1 : run.jobs_[job.value - 1].times->blocks_in_flight(device);
    }
    void commits(JobId job, int block) override {
      if (run.check_) run.check_->committed(id, job, block, run.now_);
    }
    void rides(JobId job, int block) override {
      if (run.check_) run.check_->rides(id, job, block, run.now_);
      run.jobs_[job.value - 1].last_lane = id;
      ++run.result_.counts.batched;
    }
    Duration in_batch(JobId job, Duration alone, int jobs) const {
      return run.jobs_[job.value - 1].times->in_batch(alone, device, jobs);
    }
    std::optional<ExitAnswer> answer(JobId job, int exit) override {
      if (run.jobs_[job.value - 1].times->accuracy.empty()) return std::nullopt;
      const auto tenths = run.draw(Draw::confidence, job.value, static_cast<std::uint64_t>(exit), 11);
      const float confidence = static_cast<float>(tenths) / 10;
      return ExitAnswer{.exit = exit,
                        .top_class = 0,
                        .confidence = confidence,
                        .calibrated = confidence,
                        .sure = confidence};
    }

    Run& run;
    LaneId id;
    DeviceId device;
    std::optional<LaneId> base;    // of an urgent lane
    std::optional<LaneId> urgent;  // of a base lane
    Preemption preemption;
    bool up = false;
    std::uint64_t grants = 0;
    std::uint64_t records = 0;
    std::optional<SimulatedLane> lane;
    struct Unread {
      TimePoint due{};
      LaneRecord record;
    };
    std::deque<Unread> unread;
  };

  struct JobRun {
    std::shared_ptr<const ModelTimes> times;
    bool accepted = false;
    LaneId last_lane{};  // of its newest block
  };

  // In the order of one instant.
  enum class Kind : std::uint8_t {
    task_goes,
    task_comes,
    reload,
    evict,
    bring_back,
    submit,
    cancel,
    loss,
    back
  };
  struct Event {
    TimePoint at;
    Kind kind;
    std::size_t index;
  };

  void make_lanes() {
    for (const Scenario::Lane& l : scenario_.lanes) {
      lanes_.emplace_back(*this, next_lane(), l.device, std::nullopt, l.preemption);
    }
    for (std::size_t i = 0; i < scenario_.lanes.size(); ++i) {
      const Scenario::Lane& l = scenario_.lanes[i];
      if (l.preemption == Preemption::boundary) continue;
      lanes_[i].urgent = next_lane();
      lanes_.emplace_back(*this, next_lane(), l.device, lanes_[i].id, l.preemption);
    }
    for (std::size_t i = 0; i < scenario_.lanes.size(); ++i) {
      promises_.add_lane(lanes_[i].id, lanes_[i].device, lanes_[i].preemption);
      core_up(lanes_[i]);
    }
  }
  LaneId next_lane() const { return LaneId{static_cast<std::uint32_t>(lanes_.size())}; }
  LaneRun& lane(LaneId id) { return lanes_[id.value]; }

  void make_events() {
    const auto add = [&](TimePoint at, Kind kind, std::size_t index) {
      if (at < kNever) events_.push_back({at, kind, index});
    };
    for (std::size_t i = 0; i < scenario_.tasks.size(); ++i) {
      add(scenario_.tasks[i].from, Kind::task_comes, i);
      add(scenario_.tasks[i].until, Kind::task_goes, i);
    }
    for (std::size_t i = 0; i < scenario_.reloads.size(); ++i) add(scenario_.reloads[i].at, Kind::reload, i);
    for (std::size_t i = 0; i < scenario_.evictions.size(); ++i) {
      add(scenario_.evictions[i].at, Kind::evict, i);
      add(scenario_.evictions[i].back, Kind::bring_back, i);
    }
    for (std::size_t i = 0; i < scenario_.jobs.size(); ++i) {
      add(scenario_.jobs[i].submit, Kind::submit, i);
      add(scenario_.jobs[i].cancel, Kind::cancel, i);
    }
    for (std::size_t i = 0; i < scenario_.losses.size(); ++i) {
      add(scenario_.losses[i].at, Kind::loss, i);
      add(scenario_.losses[i].back, Kind::back, i);
    }
    std::stable_sort(events_.begin(), events_.end(), [](const Event& a, const Event& b) {
      return a.at != b.at ? a.at < b.at : a.kind < b.kind;
    });
  }

  std::uint64_t draw(Draw what, std::uint64_t a, std::uint64_t b, std::uint64_t below) const {
    const std::uint64_t x = mix(mix(mix(scenario_.seed ^ static_cast<std::uint64_t>(what) << 56) ^ a) ^ b);
    return x % below;
  }
  bool chance(int percent, Draw what, std::uint64_t a, std::uint64_t b) const {
    return percent > 0 && draw(what, a, b, 100) < static_cast<std::uint64_t>(percent);
  }

  const BlockTime& time(JobId job, DeviceId device, int block) const {
    return jobs_[job.value - 1].times->on_device[device.value][static_cast<std::size_t>(block)];
  }

  Duration truly(Draw what, JobId job, int block, Duration expected, Duration worst, Duration least) const {
    if (scenario_.times == TrueTimes::expected) return expected;
    if (scenario_.times == TrueTimes::worst) return worst;
    const Duration low = std::max(least, expected / 2);
    const auto span = static_cast<std::uint64_t>((worst - low).count()) + 1;
    return low + Duration{static_cast<std::int64_t>(
                     draw(what, job.value, static_cast<std::uint64_t>(block), span))};
  }

  Duration move_time(const Grant& g, DeviceId to) const {
    const Duration expected = jobs_[g.job.value - 1].times->move_time(*g.from, to, g.first_block);
    return truly(Draw::move, g.job, g.first_block, expected, expected, Duration{});
  }

  bool broken() const { return !result_.violations.empty(); }

  TimePoint next_instant() {
    ++result_.events;
    TimePoint next = fault_ == DriverFault::sleeps_late ? kNever : core_.next_wakeup();
    if (next_event_ < events_.size()) next = std::min(next, events_[next_event_].at);
    for (const LaneRun& l : lanes_) {
      next = std::min(next, l.lane->next_event());
      if (!l.unread.empty()) next = std::min(next, l.unread.front().due);
    }
    return next;
  }

  void instant() {
    const auto t = static_cast<std::uint64_t>(now_.time_since_epoch().count());
    // A driver that is late may read reports before it hears of anything else.
    if (scenario_.late_reports > 0 && draw(Draw::order, t, 0, 3) == 0) report();
    for (; next_event_ < events_.size() && events_[next_event_].at == now_; ++next_event_) {
      happen(events_[next_event_]);
    }
    if (draw(Draw::advance, t, 0, 5) != 0) {
      ++result_.events;
      core_.advance(now_);
    }
    int rounds = 0;
    do {
      ++result_.events;
      core_.decide(now_);
      for (std::size_t i = 0; i < scenario_.lanes.size(); ++i) act(lanes_[i]);
      if (++rounds > kMostRounds) {
        result_.violations.push_back({"drain", "an instant does not end"});
        return;
      }
    } while (report() && !broken());
    if (!check_ || broken()) return;
    const bool all_told =
        std::all_of(lanes_.begin(), lanes_.end(), [](const LaneRun& l) { return l.unread.empty(); });
    check_->instant_over(now_, all_told);
  }

  void happen(const Event& event) {
    ++result_.events;
    switch (event.kind) {
      case Kind::task_comes:
        return task_comes(event.index);
      case Kind::task_goes: {
        const TaskId task = task_id(event.index);
        if (promises_.holds(task)) promises_.remove(task, now_);
        return;
      }
      case Kind::reload:
        return reload(scenario_.reloads[event.index]);
      case Kind::evict:
        return evict(event.index);
      case Kind::bring_back:
        return bring_back(event.index);
      case Kind::submit:
        return submit(event.index);
      case Kind::cancel:
        return cancel(event.index);
      case Kind::loss:
        return lose(scenario_.losses[event.index]);
      case Kind::back: {
        LaneRun& l = lanes_[scenario_.losses[event.index].lane];
        if (!l.up) core_up(l);
        return;
      }
    }
  }

  static TaskId task_id(std::size_t index) { return TaskId{static_cast<std::uint32_t>(index) + 1}; }

  void task_comes(std::size_t index) {
    const Scenario::Task& task = scenario_.tasks[index];
    if (fault_ == DriverFault::promises_all) return promise(index);
    const bool evicted = std::any_of(evicted_.begin(), evicted_.end(), [&](std::size_t e) {
      return scenario_.evictions[e].model == task.model;
    });
    const bool accepted = !evicted && promises_.add({.id = task_id(index),
                                                     .name = std::to_string(index),
                                                     .times = models_[task.model],
                                                     .period = task.period,
                                                     .deadline = task.deadline,
                                                     .priority = task.priority,
                                                     .mandatory_exit = task.mandatory_exit},
                                                    now_);
    ++(accepted ? result_.counts.accepted_tasks : result_.counts.refused_tasks);
  }

  // Without asking anybody whether it can be kept.
  void promise(std::size_t index) {
    const Scenario::Task& task = scenario_.tasks[index];
    const Reservation reservation{.period = task.period,
                                  .deadline = task.deadline,
                                  .priority = task.priority,
                                  .mandatory_exit = task.mandatory_exit,
                                  .budget = kForever,
                                  .home = LaneId{static_cast<std::uint32_t>(index % scenario_.lanes.size())},
                                  .patience = kForever};
    reserved(task_id(index), reservation);
    core_.reserve(task_id(index), reservation, now_);
  }

  void reload(const Scenario::Reload& r) {
    auto longer = std::make_shared<ModelTimes>(*models_[r.model]);
    for (std::vector<BlockTime>& blocks : longer->on_device) {
      for (BlockTime& b : blocks) {
        b.trunk += r.longer;
        b.worst_trunk += r.longer;
      }
    }
    auto models = models_;
    models[r.model] = std::move(longer);
    if (!promises_.load(models, now_)) return;
    models_ = std::move(models);
    if (check_) check_->loaded(models_);
  }

  // As the daemon does it: not while the model is needed.
  void evict(std::size_t index) {
    const Scenario::Eviction& e = scenario_.evictions[index];
    for (std::size_t j = 0; j < jobs_.size(); ++j) {
      if (scenario_.jobs[j].model == e.model && jobs_[j].accepted && core_.job(JobId{j + 1})) return;
    }
    for (std::size_t t = 0; t < scenario_.tasks.size(); ++t) {
      if (scenario_.tasks[t].model == e.model && is_reserved(t)) return;
    }
    for (const std::size_t other : evicted_) {
      if (scenario_.evictions[other].model == e.model && scenario_.evictions[other].device == e.device)
        return;
    }
    evicted_.push_back(index);
    ++result_.counts.evictions;
    set_residence(e, Residence::out);
  }
  void bring_back(std::size_t index) {
    if (std::erase(evicted_, index) > 0) set_residence(scenario_.evictions[index], Residence::in);
  }
  void set_residence(const Scenario::Eviction& e, Residence residence) {
    const ModelId model{static_cast<std::uint32_t>(e.model)};
    if (check_) check_->resides(model, e.device, residence);
    core_.set_residence(model, e.device, residence, now_);
  }

  void submit(std::size_t index) {
    const Scenario::Job& job = scenario_.jobs[index];
    JobSpec spec;
    spec.id = JobId{index + 1};
    spec.tenant = TenantId{static_cast<std::uint32_t>(job.tenant)};
    // A job of a task that was refused is best-effort; one of a task that has gone is turned away.
    if (job.task && (is_reserved(*job.task) || scenario_.tasks[*job.task].until <= now_)) {
      spec.task = task_id(*job.task);
    }
    spec.model = ModelId{static_cast<std::uint32_t>(job.model)};
    spec.times = models_[job.model];
    spec.release = job.release;
    spec.deadline = job.deadline;
    spec.priority = job.priority;
    spec.mandatory_exit = job.mandatory_exit;
    spec.target_confidence = job.target_confidence;
    spec.on_miss = job.on_miss;
    spec.plan = job.plan;
    const std::size_t before = core_.job_count();
    jobs_[index].times = spec.times;
    const auto result = core_.submit(spec, now_);
    jobs_[index].accepted = result.has_value();
    if (check_) check_->submitted(spec, result, before, now_);
  }

  bool is_reserved(std::size_t task) const {
    return fault_ == DriverFault::promises_all ? scenario_.tasks[task].from <= now_
                                               : promises_.holds(task_id(task));
  }

  void cancel(std::size_t index) {
    if (!jobs_[index].accepted) return;
    const JobId id{index + 1};
    const bool could_be = !check_ || check_->can_cancel(id);
    const bool cancelled = core_.cancel(id, now_);
    if (!check_) return;
    if (cancelled) check_->cancelled(id);
    if (cancelled != could_be) {
      result_.violations.push_back(
          {"protocol", "cancel of job " + std::to_string(id.value) + " answers wrongly"});
    }
  }

  void lose(const Scenario::Loss& loss) {
    LaneRun& base = lanes_[loss.lane];
    if (!base.up) return;
    if (base.urgent) core_lost(lane(*base.urgent), loss.told);
    core_lost(base, loss.told);
  }

  void core_lost(LaneRun& l, LaneLoss told) {
    l.up = false;
    l.restart();
    for (LaneRun& other : lanes_) {
      other.lane->fail_moves(now_, [&](const Grant& g) { return jobs_[g.job.value - 1].last_lane == l.id; });
    }
    if (check_) check_->lane_lost(l.id, told);
    ++result_.events;
    core_.lane_lost(l.id, told, now_);
  }

  // A base lane, with its urgent lane.
  void core_up(LaneRun& base) {
    for (LaneRun* l : {&base, base.urgent ? &lane(*base.urgent) : nullptr}) {
      if (l == nullptr) continue;
      l->up = true;
      l->restart();
      if (check_) check_->lane_up(l->id, l->device, l->base, l->preemption);
      ++result_.events;
      if (l->base) {
        core_.urgent_lane_up(l->id, *l->base, l->preemption, now_);
      } else {
        core_.lane_up(l->id, l->device, now_);
      }
    }
  }

  // The lanes of a core do what falls due, and write it down.
  void act(LaneRun& base) {
    if (!base.up || broken()) return;
    if (base.urgent) {
      SimulatedLane& urgent = *lane(*base.urgent).lane;
      urgent.act(now_);
      const bool stands_still = urgent.in_block() && fault_ != DriverFault::runs_both;
      stands_still ? base.lane->suspend(now_) : base.lane->resume(now_);
      take_records(lane(*base.urgent));
    }
    base.lane->act(now_);
    take_records(base);
  }

  void take_records(LaneRun& l) {
    for (LaneRecord& record : l.lane->take_records()) {
      if (check_ && record.block && !l.lane->in_block()) check_->lane_rests(l.id, now_);
      const std::uint64_t n = l.records++;
      const bool late = chance(scenario_.late_reports, Draw::is_late, l.id.value, n);
      const auto most = static_cast<std::uint64_t>(kLatestReport.count());
      const Duration delay{late ? 1 + static_cast<std::int64_t>(draw(Draw::how_late, l.id.value, n, most))
                                : 0};
      l.unread.push_back({now_ + delay, std::move(record)});
    }
  }

  // The core reads what has become due. True: there was something, so lanes may have new work.
  bool report() {
    bool told = false;
    for (LaneRun& l : lanes_) {
      while (!l.unread.empty() && l.unread.front().due <= now_ && !broken()) {
        const LaneRecord record = std::move(l.unread.front().record);
        l.unread.pop_front();
        tell(l.id, record);
        told = true;
      }
    }
    return told;
  }

  void tell(LaneId id, const LaneRecord& record) {
    // A worker gone mad speaks of a grant that it does not run: the core must not listen.
    if (draw(Draw::mad, id.value, record.grant.value, 8) == 0) {
      ++result_.events;
      const GrantNumber other{lane(id).grants + 1};
      if (core_.grant_ended(id, other, GrantEnd::failed, now_)) {
        result_.violations.push_back({"protocol", "the core believes a report of another grant"});
      }
    }
    if (check_) check_->telling(id, record, now_);
    ++result_.events;
    const bool known = record.block ? core_.block_done(*record.block, now_)
                                    : core_.grant_ended(id, record.grant, *record.ended, now_);
    if (check_) check_->told(id, record, known, now_);
  }

  // FNV-1a over 64-bit words.
  void trace(std::initializer_list<std::uint64_t> words) {
    ++result_.events;
    for (const std::uint64_t word : words) hash_ = (hash_ ^ word) * 0x100000001b3U;
    result_.trace_hash = hash_;
  }

  // Commands
  void grant(const Grant& g, Reason) override {
    trace({1, g.lane.value, g.number.value, g.job.value, static_cast<std::uint64_t>(g.first_block), g.exits});
    if (check_) check_->granted(g, now_);
    if (broken()) return;
    LaneRun& l = lane(g.lane);
    l.grants = g.number.value;
    l.lane->post(g, g.from ? now_ + move_time(g, l.device) : TimePoint{});
    if (g.from && chance(scenario_.failed_moves, Draw::failed_move, g.lane.value, g.number.value)) {
      l.lane->fail_moves(now_, [&](const Grant& other) { return other.number == g.number; });
    }
  }

  void stop(LaneId id, GrantNumber number, Reason why) override {
    trace({2, id.value, number.value, static_cast<std::uint64_t>(why)});
    if (broken()) return;
    if (check_) check_->stop_told(id, number);
    if (fault_ != DriverFault::ignores_stop) lane(id).lane->stop(number);
  }

  bool withdraw(LaneId id, GrantNumber number, Reason) override {
    trace({3, id.value, number.value});
    if (broken()) return false;
    ++result_.counts.withdrawals;
    LaneRun& l = lane(id);
    // The lane may get there first: it begins what is posted to it, or ends its block and goes on. It may
    // also meet the withdrawal over the grant: then it gives it up, and says so without a block.
    if (chance(scenario_.races, Draw::race, id.value, number.value)) {
      if (chance(30, Draw::race_kind, id.value, number.value) && l.lane->waits(number)) l.lane->stop(number);
      act(l.base ? lane(*l.base) : l);
    }
    const bool taken_back = l.lane->withdraw(number);
    result_.counts.late_withdrawals += !taken_back;
    if (!taken_back && fault_ != DriverFault::withdraw_lies) return false;
    if (check_) check_->taken_back(id, number, now_);
    return true;
  }

  void set_exits(LaneId id, GrantNumber number, ExitMask exits, Reason) override {
    trace({4, id.value, number.value, exits});
    if (broken()) return;
    if (check_) check_->exits_set(id, number, exits, now_);
    lane(id).lane->set_exits(number, exits);
  }

  void finish(JobId id, Outcome outcome, Reason why) override {
    trace({5, id.value, static_cast<std::uint64_t>(outcome), static_cast<std::uint64_t>(why)});
    if (check_ && !broken()) check_->finished(id, outcome, why, now_);
  }

  void release(JobId id) override {
    trace({6, id.value});
    if (check_ && fault_ != DriverFault::forgets_release) check_->freed(id, now_);
  }

  // Observer
  void job_state(JobId id, JobState from, JobState to, TimePoint) override {
    if (check_) check_->state_changed(id, from, to, now_);
  }
  void preempted(LaneId, JobId, JobId, TimePoint) override { ++result_.counts.preemptions; }
  void suspended(LaneId, JobId, JobId, TimePoint) override { ++result_.counts.suspended; }
  void throttled(JobId, TaskId, TimePoint, TimePoint) override { ++result_.counts.throttled; }
  void overran(JobId id, TaskId task, Duration, TimePoint) override {
    if (check_) check_->overran(id, task, now_);
  }
  void in_force(TaskId task, TimePoint) override {
    if (check_) check_->in_force(task, now_);
  }
  void carried(JobId id, TimePoint) override {
    if (check_) check_->carried(id, now_);
  }
  void put_down(JobId id, TimePoint) override {
    if (check_) check_->put_down(id);
  }

  // Promises::Listener
  void reserved(TaskId task, const Reservation& reservation) override {
    ++result_.events;
    if (check_) check_->reserved(task, reservation);
  }
  void unreserved(TaskId task) override {
    ++result_.events;
    if (check_) check_->unreserved(task, now_);
  }

  const Scenario& scenario_;
  const DriverFault fault_;
  TimePoint now_{};
  ScenarioResult result_;
  std::uint64_t hash_ = 0xcbf29ce484222325U;
  Core core_;
  Promises promises_;
  std::optional<Invariants> check_;
  std::vector<std::shared_ptr<const ModelTimes>> models_;  // as loaded now
  std::vector<JobRun> jobs_;
  std::vector<std::size_t> evicted_;  // evictions that are under way
  std::deque<LaneRun> lanes_;         // base lanes, then urgent lanes
  std::vector<Event> events_;
  std::size_t next_event_ = 0;
};

}  // namespace

void ScenarioResult::Counts::add(const Counts& c) {
  jobs += c.jobs;
  blocks += c.blocks;
  preemptions += c.preemptions;
  withdrawals += c.withdrawals;
  late_withdrawals += c.late_withdrawals;
  lost_lanes += c.lost_lanes;
  batched += c.batched;
  enqueued += c.enqueued;
  moved += c.moved;
  failed_moves += c.failed_moves;
  evictions += c.evictions;
  rejected_full += c.rejected_full;
  replans += c.replans;
  suspended += c.suspended;
  throttled += c.throttled;
  overran += c.overran;
  accepted_tasks += c.accepted_tasks;
  refused_tasks += c.refused_tasks;
  guaranteed += c.guaranteed;
  paid += c.paid;
  outlived += c.outlived;
  compared += c.compared;
  for (const auto& [outcome, n] : c.outcomes) outcomes[outcome] += n;
}

ScenarioResult run_scenario(const Scenario& scenario, Checks checks, DriverFault fault) {
  return Run(scenario, checks, fault).run();
}

}  // namespace einet
