#include "scheduler/simulation/invariants.h"

#include <algorithm>
#include <utility>

#include "scheduler/exit_planner.h"

namespace einet {

std::string job_words(JobId id) {
  return "job " + std::to_string(id.value);
}
std::string lane_words(std::size_t lane) {
  return "lane " + std::to_string(lane);
}

namespace {

bool nothing_surprises(const Scenario& s) {
  return s.times == TrueTimes::expected && s.late_reports == 0 && s.races == 0 && s.failed_moves == 0 &&
         std::all_of(s.jobs.begin(), s.jobs.end(),
                     [](const Scenario::Job& j) { return j.overrun == Duration{}; });
}

// What an excess of one block may cost others: the analysis counts a block in progress less 1 ns, for it
// began before.
Duration beyond(Duration excess) {
  return excess > Duration{} ? excess + Duration{1} : Duration{};
}

Duration worst_of(const BlockTime& time) {
  return time.worst_trunk + time.worst_exit;
}

Duration worst_in_batch(const ModelTimes& model, DeviceId device, int block) {
  const int most = model.largest_batch(device);
  const BlockTime& time = model.on_device[device.value][static_cast<std::size_t>(block)];
  return model.in_batch(time.worst_trunk, device, most) + model.in_batch(time.worst_exit, device, most);
}

}  // namespace

Invariants::Invariants(const Scenario& scenario, const Core& core, std::vector<Violation>& violations,
                       ScenarioResult::Counts& counts)
    : scenario_(scenario),
      core_(core),
      violations_(violations),
      counts_(counts),
      strict_(nothing_surprises(scenario)),
      punctual_(scenario.late_reports == 0 && scenario.races == 0),
      jobs_(scenario.jobs.size()),
      tasks_(scenario.tasks.size()),
      budgets_(std::max<std::size_t>(1, scenario.tenants.size())) {
  for (const Scenario::Job& job : scenario.jobs) {
    if (job.task && job.overrun > Duration{}) tasks_[*job.task].overruns = true;
    longest_overrun_ = std::max(longest_overrun_, job.overrun);
  }
}

void Invariants::violation(std::string_view invariant, TimePoint now, const std::string& what) {
  violations_.push_back({std::string(invariant), format_duration(now.time_since_epoch()) + ": " + what});
}

// --- Into the core ---

void Invariants::submitted(const JobSpec& asked, const boost::system::result<Accepted, Reason>& result,
                           std::size_t jobs_before, TimePoint now) {
  Truth& j = truth(asked.id);
  j.spec = asked;
  j.outlook = Outlook(*asked.times);
  j.job = &scenario_.jobs[asked.id.value - 1];
  const std::string what = job_words(asked.id);
  const bool full = jobs_before >= scenario_.max_jobs;
  TaskTruth* const task = asked.task == TaskId{} ? nullptr : &tasks_[asked.task.value - 1];
  const bool no_task = task != nullptr && !task->reservation;
  if (result.has_error()) {
    const bool holds = [&] {
      switch (result.error()) {
        case Reason::queue_full:
          return full;
        case Reason::no_such_task:
          return no_task;
        case Reason::no_lane:
          return counts_.lost_lanes > 0;
        case Reason::deadline_before_release:
          return task == nullptr && asked.deadline <= asked.release;
        case Reason::deadline_in_past:
          return task == nullptr && asked.deadline <= now;
        default:
          return false;
      }
    }();
    counts_.rejected_full += result.error() == Reason::queue_full;
    if (!holds) violation("protocol", now, what + " was rejected: " + std::string(name(result.error())));
    return;
  }
  if (full) violation("sums", now, what + " was accepted beyond the bound of the queue");
  if (no_task) violation("protocol", now, what + " was accepted for a task that is not there");
  j.accepted = true;
  ++counts_.jobs;
  present_.push_back(asked.id.value - 1);
  if (task != nullptr && task->reservation) {
    const Reservation& r = *task->reservation;
    const TimePoint release = std::max(asked.release, task->next_release);
    // A task that has overrun waits longer.
    const bool penalised = task->has_overrun && result->release > release;
    if ((result->release != release && !penalised) || result->deadline != result->release + r.deadline) {
      violation("overrun", now,
                what + " of a task is released at " + format_duration(result->release.time_since_epoch()) +
                    ", not at " + format_duration(release.time_since_epoch()));
    }
    task->next_release = result->release + r.period;
    if (task->patience && !lanes_[r.home.value].gone) {
      j.reservation = r;
      j.reservation->patience = *task->patience;
    }
    j.spec.priority = r.priority;
    j.spec.mandatory_exit = r.mandatory_exit;
    // What was in progress when the promise was made had not been counted.
    j.exempt = task->overruns || result->release < task->promised_at + longest_stretch_;
  } else if (result->release != asked.release || result->deadline != asked.deadline) {
    violation("protocol", now, what + " has other times than it asked for");
  }
  j.spec.release = result->release;
  j.spec.deadline = result->deadline;
}

bool Invariants::can_cancel(JobId id) const {
  const Truth& j = jobs_[id.value - 1];
  return j.accepted && j.state != JobState::ended && j.state != JobState::gone;
}

void Invariants::cancelled(JobId id) {
  truth(id).cancelled = true;
}

void Invariants::reserved(TaskId id, const Reservation& reservation) {
  TaskTruth& task = tasks_[id.value - 1];
  task.reservation = reservation;
  for (const std::size_t i : present_) {
    Truth& j = jobs_[i];
    if (j.spec.task != id || !j.reservation) continue;
    j.reservation = reservation;
    j.reservation->patience = *task.patience;
  }
}

// A job keeps the patience that was promised to it until its mandatory part is done: so nobody's changes
// while jobs are under way.
void Invariants::in_force(TaskId id, TimePoint now) {
  TaskTruth& task = tasks_[id.value - 1];
  const Reservation& told = *task.reservation;
  if (task.patience && *task.patience != told.patience) {
    if (const Truth* j = counts_on(told.home, now)) {
      violation("protocol", now,
                "another patience of task " + std::to_string(id.value) + " is in force while " +
                    job_words(j->spec.id) + " is under way");
    }
  }
  if (task.patience != told.patience) task.in_force_at = now;
  const bool is_new = !task.patience;
  if (is_new) task.promised_at = now;
  task.patience = told.patience;
  for (const std::size_t i : present_) {
    Truth& j = jobs_[i];
    if (j.spec.task != id) continue;
    if (is_new && j.state == JobState::waiting && !lanes_[told.home.value].gone) {
      j.reservation = told;
      j.exempt = task.overruns || j.spec.release < now + longest_stretch_;
    }
    if (j.reservation) j.reservation->patience = told.patience;
  }
}

const Invariants::Truth* Invariants::counts_on(LaneId home, TimePoint now) const {
  for (const std::size_t i : present_) {
    const Truth& j = jobs_[i];
    const bool could_run =
        j.state == JobState::ready || j.state == JobState::granted || j.state == JobState::running;
    if (!could_run || leaves(j, now) || !j.reservation || mandatory_done(j, j.next_block, j.best_exit)) {
      continue;
    }
    if (j.reservation->home == home ? j.spec.release < now : j.holder == home.value) return &j;
  }
  return nullptr;
}

void Invariants::unreserved(TaskId id, TimePoint now) {
  tasks_[id.value - 1].reservation.reset();
  tasks_[id.value - 1].patience.reset();
  for (const std::size_t i : present_) {
    Truth& j = jobs_[i];
    if (j.spec.task != id || !j.reservation) continue;
    j.reservation.reset();
    j.demoted_at = now;
  }
}

void Invariants::budgeted(TenantId tenant, const Budget& budget) {
  budgets_[tenant.value].budget = budget;
}

void Invariants::resides(ModelId model, DeviceId device, Residence residence) {
  const std::pair where(model, device);
  std::erase(evicted_, where);
  if (residence != Residence::in) evicted_.push_back(where);
}

void Invariants::loaded(const std::vector<std::shared_ptr<const ModelTimes>>& models) {
  longest_on_.clear();
  for (const auto& model : models) {
    longest_on_.resize(std::max(longest_on_.size(), model->on_device.size()));
    for (std::size_t device = 0; device < model->on_device.size(); ++device) {
      const DeviceId d{static_cast<std::uint32_t>(device)};
      const int blocks = static_cast<int>(model->on_device[device].size());
      for (int last = 0; last < blocks; ++last) {
        Duration stretch{};
        for (int b = std::max(0, last + 1 - model->blocks_in_flight(d)); b <= last; ++b) {
          stretch += worst_in_batch(*model, d, b);
        }
        longest_on_[device] = std::max(longest_on_[device], stretch);
      }
    }
  }
  longest_stretch_ = *std::max_element(longest_on_.begin(), longest_on_.end());
}

void Invariants::lane_up(LaneId id, DeviceId device, std::optional<LaneId> base, Preemption preemption) {
  if (lanes_.size() <= id.value) lanes_.resize(id.value + 1);
  LaneTruth& l = lanes_[id.value];
  l.device = device;
  l.up = true;
  l.gone = false;
  l.preemption = preemption;
  if (!base) return;
  l.base = base->value;
  lanes_[base->value].urgent = id.value;
}

// The state of every job that the core believes there dies with the lane.
void Invariants::lane_lost(LaneId id, LaneLoss loss) {
  ++counts_.lost_lanes;
  const std::size_t lane = id.value;
  lanes_[lane].up = false;
  lanes_[lane].gone = loss == LaneLoss::for_good;
  lanes_[lane].current = {};
  lanes_[lane].riders.clear();
  lanes_[lane].riders_used = {};
  for (const std::size_t i : present_) {
    Truth& j = jobs_[i];
    // A home that is gone promises nothing.
    if (lanes_[lane].gone && j.reservation && j.reservation->home == id) j.reservation.reset();
    if (j.running == lane) j.running.reset();
    const bool here = j.holder ? j.holder == lane : j.last_lane == lane;
    if (here) {
      j.holder.reset();
      j.stop_told = false;
      begin_again(j);
    } else if (!j.running && j.last_lane == lane && lanes_[*j.holder].device != lanes_[lane].device) {
      j.stranded = true;
    }
  }
  const auto gone_with_it = [&](const LaneTruth& l) { return l.device != lanes_[lane].device || l.gone; };
  if (!std::all_of(lanes_.begin(), lanes_.end(), gone_with_it)) return;
  for (const std::size_t i : present_) {
    Truth& j = jobs_[i];
    if (j.last_lane && !j.holder && lanes_[*j.last_lane].device == lanes_[lane].device) begin_again(j);
  }
}

void Invariants::begin_again(Truth& j) {
  j.last_lane.reset();
  j.next_block = 0;
  j.used = {};
  j.stranded = j.stays = false;
}

Invariants::Truth* Invariants::holder_of(LaneId lane, GrantNumber number) {
  for (const std::size_t i : present_) {
    if (jobs_[i].holder == lane.value && jobs_[i].grant == number) return &jobs_[i];
  }
  return nullptr;
}

void Invariants::telling(LaneId lane, const LaneRecord& record, TimePoint now) {
  Truth* const held = holder_of(lane, record.grant);
  if (held == nullptr) {
    return violation("protocol", now, "a record of " + lane_words(lane.value) + " is of no grant");
  }
  if (!record.block) {
    held->holder.reset();
    held->stop_told = false;
    held->let_go_at = now;
    if (*record.ended == GrantEnd::not_moved) {
      ++counts_.failed_moves;
      held->stays = true;
    }
    if (held->stranded) begin_again(*held);
    return;
  }
  const BlockReport& block = *record.block;
  LaneTruth& l = lanes_[lane.value];
  Duration& used = lanes_[l.base.value_or(lane.value)].used;
  used += block.used;
  if (used > now.time_since_epoch() || block.used > block.end - block.start) {
    violation("one-lane", now, "the lanes of a core have used more time than has passed");
  }
  // Those that ride tell first, each of its share.
  if (held->with) l.riders_used += block.used;
  const Duration whole = held->with ? Duration{} : block.used + std::exchange(l.riders_used, {});
  if ((held->paid & exit_bit(block.block)) != 0) pay(*held, l, block, now);
  if (has_budget(*held)) {
    BudgetTruth& budget = budgets_[held->spec.tenant.value];
    if (budget.carried == held->spec.id && now >= budget.window_end) begin_window(budget, now);
  }
  Duration excess = whole - counted(*held, l, block.block);
  const bool was_within = held->reservation && held->used <= held->reservation->budget;
  held->used += block.used;
  if (was_within) excess = std::max(excess, held->used - held->reservation->budget);
  excess_ += beyond(excess);

  const bool in_time = block.end <= held->spec.deadline || held->spec.on_miss == OnMiss::keep_on;
  if (!held->finished && in_time) {
    if (block.answer) {
      if (block.answer->exit > held->best_exit) held->outlook.take(*block.answer, *held->spec.times);
      held->best_exit = std::max(held->best_exit, block.answer->exit);
      held->target_reached |= block.answer->confidence >= held->spec.target_confidence;
    }
    if (block.block == held->spec.times->blocks() - 1) {
      held->all_blocks_in_time = block.end <= held->spec.deadline;
    }
  }
  const bool has_exits = !held->spec.times->accuracy.empty();
  const bool ends_mandatory = has_exits ? block.answer && block.answer->exit >= held->spec.mandatory_exit
                                        : block.block == held->spec.times->blocks() - 1;
  if (ends_mandatory && !held->mandatory_at) held->mandatory_at = block.end;
}

void Invariants::begin_window(BudgetTruth& budget, TimePoint now) {
  budget.window_end = now + budget.budget->period;
  budget.used = budget.excess = {};
}

void Invariants::pay(const Truth& j, const LaneTruth& l, const BlockReport& report, TimePoint now) {
  BudgetTruth& budget = budgets_[j.spec.tenant.value];
  const auto block = static_cast<std::size_t>(report.block);
  ++counts_.paid;
  counts_.outlived += budget.carried != j.spec.id;
  budget.used += report.used;
  budget.excess +=
      std::max(Duration{}, report.used - worst_of(j.spec.times->on_device[l.device.value][block]));
  const bool promised = punctual_ && scenario_.losses.empty();
  if (promised && budget.used > budget.budget->amount + budget.excess) {
    violation("budget", now,
              "the budget of tenant " + std::to_string(j.spec.tenant.value) + " has paid " +
                  format_duration(budget.used) + " in this window, the last of it for " +
                  job_words(j.spec.id));
  }
}

void Invariants::told(LaneId lane, const LaneRecord& record, bool known, TimePoint now) {
  if (!known) {
    violation("protocol", now, "the core does not know what " + lane_words(lane.value) + " reports");
  }
  Truth* const held = record.block ? holder_of(lane, record.grant) : nullptr;
  if (held == nullptr) return;
  held->reported = record.block->block;
  if (record.block->end > held->unclear_since) held->unclear_since = kNever;
  const auto view = core_.job(held->spec.id);
  if (view && view->best.exit < held->best_exit && view->state != JobState::ended) {
    violation("quality", now,
              job_words(held->spec.id) + " holds the answer of exit " + std::to_string(view->best.exit) +
                  " after that of exit " + std::to_string(held->best_exit));
  }
}

// --- Out of it ---

void Invariants::granted(const Grant& g, TimePoint now) {
  Truth& j = truth(g.job);
  const std::string what = job_words(g.job);
  if (j.holder) violation("one-lane", now, what + " is granted to two lanes");
  if (j.running) violation("one-lane", now, what + " is granted while it runs");
  if (j.finished) violation("outcome", now, what + " is granted after its outcome");
  if (j.spec.release > now) violation("time", now, what + " is granted before its release");
  const LaneTruth& l = lanes_[g.lane.value];
  if (!l.up) violation("protocol", now, what + " is granted to a lost lane");
  if (is_evicted(j, l.device)) violation("order", now, what + " is granted where its model is not");
  if (is_away(j, l) != g.from.has_value()) violation("order", now, what + " is granted far from its state");
  if (g.from && j.last_lane && *g.from != lanes_[*j.last_lane].device) {
    violation("order", now, what + " is to be brought from where its state is not");
  }
  j.moved_before = is_away(j, l) ? g.first_block : -1;
  if (is_away(j, l)) {
    ++counts_.moved;
    j.arrives = now + move_time(j, l);
    if (!may_move(j, lanes_[*j.last_lane].device, l.device)) violation("order", now, what + " must not move");
  }
  j.holder = g.lane.value;
  j.grant = g.number;
  j.with = g.with;
  j.granted_at = now;
  j.told_exits = g.exits;
  j.reported = j.committed = g.first_block - 1;
  j.reserved_blocks = g.reserved_blocks;
  j.paid = 0;
  j.decided = j.executes = 0;
  j.stop_told = false;
  j.unclear_since = kNever;
}

void Invariants::stop_told(LaneId lane, GrantNumber number) {
  if (Truth* const j = holder_of(lane, number)) j->stop_told = true;
}

void Invariants::taken_back(LaneId lane, GrantNumber number, TimePoint now) {
  Truth* const j = holder_of(lane, number);
  if (j == nullptr) return;
  j->holder.reset();
  j->taken_back_at = now;
  if (j->stranded) begin_again(*j);
}

void Invariants::exits_set(LaneId lane, GrantNumber number, ExitMask exits, TimePoint now) {
  ++counts_.replans;
  Truth* const j = holder_of(lane, number);
  if (j == nullptr) return;
  j->told_exits = exits;
  const bool unheard = j->running && lanes_[*j->running].block > j->reported + 1;
  if (unheard && j->decided != 0) j->unclear_since = now;
}

void Invariants::finished(JobId id, Outcome outcome, Reason why, TimePoint now) {
  Truth& j = truth(id);
  ++counts_.outcomes[outcome];
  const std::string what =
      job_words(id) + " ended as " + std::string(name(outcome)) + " (" + std::string(name(why)) + ")";
  if (!j.accepted) violation("outcome", now, what + " without having been accepted");
  if (j.finished) violation("outcome", now, what + " a second time");
  j.finished = true;
  if (j.spec.on_miss == OnMiss::stop && now > j.spec.deadline + Duration{1}) {
    violation("time", now, what + " late");
  }
  check_outcome(j, outcome, what, now);
  check_guarantee(j, outcome, now);
}

void Invariants::check_outcome(const Truth& j, Outcome outcome, const std::string& what, TimePoint now) {
  const bool exits = !j.spec.times->accuracy.empty();
  const bool suffices = j.best_exit >= std::max(0, j.spec.mandatory_exit);
  const int last = j.spec.times->blocks() - 1;
  const auto wrong = [&](const char* words) { violation("outcome", now, what + words); };
  switch (outcome) {
    case Outcome::completed: {
      bool nothing_better = exits && suffices;
      // Exits that the lane has passed are out of reach.
      for (int exit = std::max(j.best_exit + 1, j.next_block); exit <= last; ++exit) {
        nothing_better &= j.outlook.after(exit) <= j.outlook.held();
      }
      if (!j.all_blocks_in_time && !j.target_reached && !nothing_better) wrong(", but was not");
      break;
    }
    case Outcome::deadline:
      if (!exits || !suffices) wrong(" without a sufficient answer");
      break;
    case Outcome::missed:
      if (exits ? suffices : j.all_blocks_in_time) wrong(" with a sufficient answer");
      if (j.spec.deadline == kNever && j.outlook.after(last) > 0) wrong(" without a deadline");
      break;
    case Outcome::cancelled:
      if (!j.cancelled) wrong(" without being asked");
      break;
    case Outcome::failed:
      if (counts_.lost_lanes == 0) wrong(" without a reason");
      break;
    case Outcome::rejected:
      wrong(" after it was accepted");
  }
}

Duration Invariants::excess(TimePoint now) const {
  Duration all = excess_;
  for (const LaneTruth& l : lanes_) {
    if (l.current == JobId{}) continue;
    const Duration ran = now - l.begun - l.stood_still;
    all += beyond(ran - counted(jobs_[l.current.value - 1], l, l.block));
  }
  return all;
}

// What the analysis counts for a block: of reserved work its own worst time, of other work the longest block
// that there may be, or where several are in flight the longest that they may take, and so each its own; on
// an urgent lane, where such a block is the rest of an overrun, none.
Duration Invariants::counted(const Truth& j, const LaneTruth& l, int block) const {
  const auto& times = j.spec.times->on_device[l.device.value];
  const Duration worst = worst_of(times[static_cast<std::size_t>(block)]);
  if (j.reservation) return worst;
  if (l.base) return {};
  if (j.spec.times->blocks_in_flight(l.device) > 1) return worst_in_batch(*j.spec.times, l.device, block);
  return std::max(worst, longest_on_[l.device.value]);
}

// The mandatory part of reserved work is ready at its deadline, or as much later as all that has broken its
// terms can explain.
void Invariants::check_guarantee(const Truth& j, Outcome outcome, TimePoint now) {
  const bool promised = j.reservation && !j.exempt && punctual_ && scenario_.losses.empty();
  if (!promised || outcome == Outcome::cancelled) return;
  ++counts_.guaranteed;
  const Duration excess = this->excess(now);
  if (j.mandatory_at && *j.mandatory_at <= j.spec.deadline + excess) return;
  if (!j.mandatory_at && (excess > Duration{} || j.target_reached)) return;
  const bool others = excess > Duration{};
  violation(others ? "overrun" : "guarantee", now,
            job_words(j.spec.id) + " of task " + std::to_string(j.spec.task.value) +
                " has no mandatory answer at its deadline " +
                format_duration(j.spec.deadline.time_since_epoch()) +
                (j.mandatory_at ? ", but at " + format_duration(j.mandatory_at->time_since_epoch()) : "") +
                (others ? " (others overran by " + format_duration(excess) + ")" : ""));
}

void Invariants::freed(JobId id, TimePoint now) {
  Truth& j = truth(id);
  const std::string what = job_words(id);
  if (j.freed) violation("outcome", now, what + " is freed twice");
  if (!j.finished) violation("outcome", now, what + " is freed before its outcome");
  if (j.running) violation("outcome", now, what + " is freed while it runs");
  if (j.holder) violation("outcome", now, what + " is freed while a lane has its grant");
  j.freed = true;
  std::erase(present_, id.value - 1);
}

void Invariants::state_changed(JobId id, JobState from, JobState to, TimePoint now) {
  Truth& j = truth(id);
  if (j.state != from || !is_legal(from, to)) {
    violation("state", now,
              job_words(id) + " goes from " + std::string(name(from)) + " to " + std::string(name(to)) +
                  "; it was " + std::string(name(j.state)));
  }
  j.state = to;
  if (from != JobState::waiting || to != JobState::ended) return;
  j.never_released = true;
  if (j.spec.task != TaskId{}) given_back(j.spec.task);
}

// The next job of the task may come a period after the last one that was released, or will be.
void Invariants::given_back(TaskId id) {
  TaskTruth& task = tasks_[id.value - 1];
  if (!task.reservation) return;
  task.next_release = {};
  for (const Truth& j : jobs_) {
    if (j.spec.task != id || !j.accepted || j.never_released) continue;
    task.next_release = std::max(task.next_release, j.spec.release + task.reservation->period);
  }
}

void Invariants::overran(JobId id, TaskId task, TimePoint now) {
  ++counts_.overran;
  Truth& j = truth(id);
  if (!j.reservation || j.spec.task != task || j.used <= j.reservation->budget) {
    violation("overrun", now, job_words(id) + " is said to have overrun, and has not");
  }
  tasks_[task.value - 1].has_overrun = true;
  j.demoted_at = now;
  j.reservation.reset();
}

void Invariants::carried(JobId id, TimePoint now) {
  const Truth& j = truth(id);
  BudgetTruth& budget = budgets_[j.spec.tenant.value];
  const std::string what = "a budget carries " + job_words(id);
  if (!budget.budget || j.spec.task != TaskId{}) violation("budget", now, what + ", and must not");
  if (budget.carried != JobId{}) violation("budget", now, what + " beside " + job_words(budget.carried));
  for (const std::size_t i : present_) {
    const Truth& other = jobs_[i];
    const bool runs = other.holder && (other.paid & from_block(other.reported + 1)) != 0;
    if (runs && other.spec.tenant == j.spec.tenant) {
      violation("budget", now, what + " before the block of " + job_words(other.spec.id) + " has ended");
    }
  }
  budget.carried = id;
  if (now >= budget.window_end) begin_window(budget, now);
}

void Invariants::put_down(JobId id) {
  budgets_[truth(id).spec.tenant.value].carried = {};
}

// --- On the lanes ---

Invariants::Truth& Invariants::begins(LaneId lane, JobId id, int block, TimePoint now) {
  Truth& j = truth(id);
  const std::string what = job_words(id) + " block " + std::to_string(block);
  ++counts_.blocks;
  if (j.running) violation("one-lane", now, what + " runs on two lanes");
  if (j.freed) violation("outcome", now, what + " begun after the job was freed");
  if (block > j.committed) violation("order", now, what + " begun without a decision");
  if (block != j.next_block) {
    violation("order", now, what + " out of order, expected " + std::to_string(j.next_block));
  }
  j.running = lane.value;
  return j;
}

void Invariants::committed(LaneId lane, JobId id, int block, TimePoint now) {
  Truth& j = truth(id);
  LaneTruth& l = lanes_[lane.value];
  const std::string what = job_words(id) + " block " + std::to_string(block);
  if (j.finished) violation("outcome", now, what + " begun after the job's outcome");
  if (j.stop_told) violation("order", now, what + " begun after the stop");
  if (now > j.spec.deadline && j.spec.on_miss == OnMiss::stop) {
    violation("time", now, what + " begun after the deadline");
  }
  const int oldest = j.running ? l.block + 1 : j.next_block;
  const bool one_by_one = l.base || oldest < j.reserved_blocks;
  const int in_flight = one_by_one ? 1 : j.spec.times->blocks_in_flight(l.device);
  if (block != j.committed + 1 || block - oldest >= in_flight) {
    violation("order", now, what + " begun too early");
  }
  counts_.enqueued += block > oldest;
  if (has_budget(j) && budgets_[j.spec.tenant.value].carried == id) j.paid |= exit_bit(block);
  if (in_flight > 1) {
    j.decided |= exit_bit(block);
    const bool last = block == j.spec.times->blocks() - 1;
    j.executes |= last ? exit_bit(block) : j.told_exits & exit_bit(block);
  }
  j.committed = block;
  const bool leads = !j.with;
  if (!leads || (l.chosen == id && l.chose_at == now)) return;
  l.chosen = id;
  l.choice = block;
  l.chose_at = now;
}

void Invariants::block_begun(LaneId lane, JobId id, int block, TimePoint now) {
  LaneTruth& l = lanes_[lane.value];
  const JobId before = l.current;
  block_ended(l, now);
  Truth& j = begins(lane, id, block, now);
  j.stranded = false;
  l.current = id;
  l.block = block;
  l.begun = now;
  l.continued = before == id;
  l.stood_still = {};
}

void Invariants::rides(LaneId lane, JobId id, int block, TimePoint now) {
  LaneTruth& l = lanes_[lane.value];
  const Truth& j = begins(lane, id, block, now);
  const Truth& leader = truth(l.current);
  const std::string what = job_words(id) + " rides with " + job_words(leader.spec.id);
  l.riders.push_back(id);
  const auto jobs = static_cast<int>(l.riders.size()) + 1;
  const bool alike = leader.spec.model == j.spec.model && l.block == block && j.with == leader.grant;
  if (!alike) violation("batch", now, what + ", which is unlike it");
  if (j.reservation || leader.reservation || l.base) violation("batch", now, what + ", and must not");
  if (jobs > j.spec.times->largest_batch(l.device)) violation("batch", now, what + ": one too many");
}

void Invariants::block_ended(LaneTruth& l, TimePoint now) {
  if (l.current == JobId{}) return;
  if (l.base) lanes_[*l.base].stood_still += now - l.begun;
  l.riders.push_back(std::exchange(l.current, {}));
  for (const JobId id : std::exchange(l.riders, {})) {
    Truth& j = truth(id);
    j.last_lane = j.running;
    j.running.reset();
    j.next_block = l.block + 1;
  }
}

void Invariants::lane_rests(LaneId lane, TimePoint now) {
  block_ended(lanes_[lane.value], now);
}

}  // namespace einet
