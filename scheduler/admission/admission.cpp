#include "scheduler/admission/admission.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <utility>

#include "config/check.h"
#include "config/text.h"
#include "scheduler/admission/lane_analysis.h"

namespace einet {
namespace {

// The decision core waits for the answer: what a decision, and looking for what would fit instead, may cost.
constexpr std::uint64_t kDecisionEffort = 500'000;
constexpr std::uint64_t kSearchEffort = 500'000;
// A worst case beyond this (36 years) fits nowhere; smaller ones can be summed.
constexpr Duration kMostTime = kForever / 4;

struct Lane {
  LaneId id;
  DeviceId device;
  Preemption preemption;
};

struct Task {
  TaskRequest request;
  std::size_t home = 0;  // index into State::lanes
};

struct Server {
  Budget budget;
  std::size_t home = 0;
  std::string name{};  // for words only
};

// Everything that has been decided. Copied for every "what if": a refusal leaves no trace.
struct State {
  std::vector<Lane> lanes;
  struct Stretch {
    Duration time{};
    int blocks = 1;
  };
  std::map<DeviceId, Stretch> longest_stretch;
  std::map<TaskId, Task> tasks;
  std::map<TenantId, Server> servers;
};

// One lane of a state, analysed.
struct LaneResult {
  LaneLoad asked;           // as the state says
  LaneLoad load;            // with the tasks that need the urgent lane
  std::vector<TaskId> ids;  // by task of the load
  std::vector<LaneBound> bounds;

  bool fits() const {
    return std::all_of(bounds.begin(), bounds.end(),
                       [](const LaneBound& b) { return b.verdict == LaneBound::Verdict::fits; });
  }
};

using Results = std::vector<LaneResult>;  // by lane

std::string quoted(const std::string& name) {
  return "task \"" + escape(name, 60) + "\"";
}

std::string on_lane(LaneId lane) {
  return " on lane " + std::to_string(lane.value);
}

}  // namespace

class Admission::Impl {
 public:
  explicit Impl(const AdmissionOptions& options) : options_(options) {
    EINET_CHECK(options.margin >= 1 && options.overhead >= Duration{}, "worst cases are not made smaller");
  }

  void add_lane(const Lane& lane) {
    for (const Lane& other : state_.lanes) EINET_CHECK(other.id != lane.id, "a lane is added once");
    state_.lanes.push_back(lane);
    results_.push_back({});
    Effort effort{kDecisionEffort};
    results_ = analyse_all(state_, effort);
  }

  boost::system::result<void, Refusal> set_longest_stretch(DeviceId device, Duration stretch, int blocks) {
    State next = state_;
    next.longest_stretch[device] = {stretch, blocks};
    return keep_all(std::move(next));
  }

  boost::system::result<Reservation, Refusal> add(const TaskRequest& request) {
    if (std::optional<Refusal> refusal = check(request)) return *std::move(refusal);
    std::optional<Refusal> why;
    Effort effort{kDecisionEffort};
    if (place(request, effort, &why)) return *reservation(request.id);
    EINET_CHECK(why.has_value(), "what does not fit has a reason");
    suggest(request, *why);
    return *std::move(why);
  }

  void remove(TaskId id) {
    State next = state_;
    if (next.tasks.erase(id) > 0) settle(std::move(next));
  }

  boost::system::result<Budget, Refusal> add_budget(TenantId tenant, const std::string& name, Duration amount,
                                                    Duration period) {
    if (options_.policy == Policy::fifo) return Refusal{.words = kFifoWords};
    if (amount <= Duration{} || period < amount || period > kMostTime) {
      return Refusal{.words = "a budget is an amount above 0 in a period that is not shorter"};
    }
    std::optional<Refusal> why;
    Effort effort{kDecisionEffort};
    for (std::size_t lane = 0; lane < state_.lanes.size(); ++lane) {
      State next = state_;
      const Server server{{amount, period, state_.lanes[lane].id}, lane, name};
      next.servers.insert_or_assign(tenant, server);
      Results results = analyse_with(next, lane, effort);
      if (asked_share(results[lane].asked) <= 1 && commit_if_fits(next, results)) return server.budget;
      keep_nearest(why, refusal_of(next, results));
    }
    if (!why) why = Refusal{.words = "there is no lane"};
    why->words = "the budget does not fit: " + why->words;
    return *std::move(why);
  }

  void remove_budget(TenantId tenant) {
    State next = state_;
    if (next.servers.erase(tenant) > 0) settle(std::move(next));
  }

  boost::system::result<void, Refusal> replace_times(const std::shared_ptr<const ModelTimes>& old_times,
                                                     const std::shared_ptr<const ModelTimes>& new_times) {
    State next = state_;
    for (auto& [id, task] : next.tasks) {
      if (task.request.times != old_times) continue;
      task.request.times = new_times;
      if (std::optional<Refusal> refusal = check(task.request)) return *std::move(refusal);
      if (!runs_on(task.request, next.lanes[task.home].device)) {
        return Refusal{.words = quoted(task.request.name) + ": its model no longer runs" +
                                on_lane(next.lanes[task.home].id),
                       .task = task.request.name};
      }
    }
    return keep_all(std::move(next));
  }

  std::optional<TaskBound> bound(TaskId id) const {
    const auto task = state_.tasks.find(id);
    if (task == state_.tasks.end()) return std::nullopt;
    const LaneBound& bound = *find(task->second.home, id).bound;
    return TaskBound{.home = state_.lanes[task->second.home].id,
                     .response = bound.response,
                     .blocking = bound.blocking,
                     .slack = task->second.request.deadline - bound.response,
                     .limit = bound.limit};
  }

  std::optional<Reservation> reservation(TaskId id) const {
    const auto task = state_.tasks.find(id);
    if (task == state_.tasks.end()) return std::nullopt;
    const TaskRequest& r = task->second.request;
    const LaneTask& on_lane = *find(task->second.home, id).task;
    Duration budget{};
    for (const Duration block : on_lane.blocks) budget += block;
    return Reservation{.period = r.period,
                       .deadline = r.deadline,
                       .priority = r.priority,
                       .mandatory_exit = r.mandatory_exit,
                       .budget = budget,
                       .home = state_.lanes[task->second.home].id,
                       .patience = on_lane.access == Access::waits ? kForever : Duration{}};
  }

  std::vector<TaskId> tasks() const {
    std::vector<TaskId> ids;
    for (const auto& [id, task] : state_.tasks) ids.push_back(id);
    return ids;
  }

  double lane_utilisation(LaneId id) const {
    for (std::size_t i = 0; i < state_.lanes.size(); ++i) {
      if (state_.lanes[i].id == id) return asked_share(results_[i].load);
    }
    return 0;
  }

 private:
  static constexpr const char* kFifoWords =
      "the policy \"fifo\" promises nothing; use edf, fixed-priority or imprecise";

  struct OnLane {
    const LaneTask* task;
    const LaneBound* bound;
  };

  OnLane find(std::size_t home, TaskId id) const {
    const LaneResult& lane = results_[home];
    const auto it = std::find(lane.ids.begin(), lane.ids.end(), id);
    EINET_CHECK(it != lane.ids.end(), "an accepted task is on its lane");
    const auto i = static_cast<std::size_t>(it - lane.ids.begin());
    return {&lane.load.tasks[i], &lane.bounds[i]};
  }

  // --- Requests. ---

  std::optional<Refusal> check(const TaskRequest& r) const {
    const auto refuse = [&](const std::string& words) {
      return Refusal{.words = quoted(r.name) + ": " + words, .task = r.name};
    };
    if (options_.policy == Policy::fifo) return Refusal{.words = kFifoWords};
    if (r.period <= Duration{} || r.period > kForever) return refuse("the period must be above 0");
    if (r.deadline <= Duration{} || r.deadline > kMostTime) {
      return refuse("the deadline must be above 0 and below 36 years");
    }
    const int exits = static_cast<int>(r.times->accuracy.size());
    if (exits == 0 ? r.mandatory_exit != -1 : r.mandatory_exit < 0 || r.mandatory_exit >= exits) {
      return refuse("found mandatory exit " + std::to_string(r.mandatory_exit) +
                    (exits == 0 ? "; the model has no exits"
                                : "; the model has exits 0 to " + std::to_string(exits - 1)));
    }
    return std::nullopt;
  }

  static bool runs_on(const TaskRequest& r, DeviceId device) {
    return device.value < r.times->on_device.size() && !r.times->on_device[device.value].empty();
  }

  Duration worst_case(Duration measured) const {
    const double scaled = std::ceil(static_cast<double>(measured.count()) * options_.margin);
    if (!(scaled < static_cast<double>(kMostTime.count()))) return kMostTime;
    // A margin of 1 changes nothing, whatever a double can hold.
    const Duration time = options_.margin == 1 ? measured : Duration{static_cast<std::int64_t>(scaled)};
    return std::max(time + options_.overhead, Duration{1});
  }

  // The blocks of the mandatory part: trunks up to the mandatory exit, and that exit alone.
  std::vector<Duration> mandatory_blocks(const TaskRequest& r, DeviceId device) const {
    const std::vector<BlockTime>& times = r.times->on_device[device.value];
    const int last = r.mandatory_exit >= 0 ? r.mandatory_exit : static_cast<int>(times.size()) - 1;
    std::vector<Duration> blocks;
    for (int k = 0; k <= last; ++k) {
      const BlockTime& block = times[static_cast<std::size_t>(k)];
      blocks.push_back(
          worst_case(block.worst_trunk + (k == r.mandatory_exit ? block.worst_exit : Duration{})));
    }
    return blocks;
  }

  // The longest block with which a task may be in the way of all tasks of a lane: of an optional part, or of
  // a job that its own lane is too busy for.
  Duration other_block(const State& state, const Task& task, std::size_t lane) const {
    const DeviceId device = state.lanes[lane].device;
    if (!runs_on(task.request, device)) return {};
    const std::vector<BlockTime>& times = task.request.times->on_device[device.value];
    std::size_t first = 0;
    if (task.home == lane) {
      first = task.request.mandatory_exit < 0 ? times.size()
                                              : static_cast<std::size_t>(task.request.mandatory_exit) + 1;
    }
    Duration longest{};
    for (std::size_t k = first; k < times.size(); ++k) {
      longest = std::max(longest, worst_case(times[k].worst_trunk + times[k].worst_exit));
    }
    return longest;
  }

  // --- What if. ---

  LaneResult load_of(const State& state, std::size_t lane) const {
    LaneResult out;
    out.asked.policy = options_.policy;
    const auto longest = state.longest_stretch.find(state.lanes[lane].device);
    if (longest != state.longest_stretch.end() && longest->second.time > Duration{}) {
      const auto& [time, blocks] = longest->second;
      out.asked.less_urgent_block = worst_case(time) + (blocks - 1) * options_.overhead;
    }
    for (const auto& [id, task] : state.tasks) {
      out.asked.less_urgent_block = std::max(out.asked.less_urgent_block, other_block(state, task, lane));
      if (task.home != lane) continue;
      out.ids.push_back(id);
      out.asked.tasks.push_back(
          {.name = task.request.name,
           .period = task.request.period,
           .deadline = task.request.deadline,
           .priority = task.request.priority,
           .blocks = mandatory_blocks(task.request, state.lanes[lane].device),
           .access = state.lanes[lane].preemption == Preemption::instant ? Access::takes : Access::waits});
    }
    for (const auto& [tenant, server] : state.servers) {
      if (server.home != lane) continue;
      out.asked.servers.push_back(
          {.name = server.name, .amount = server.budget.amount, .period = server.budget.period});
    }
    return out;
  }

  // Lanes of which nothing has changed keep their results.
  Results analyse_all(const State& state, Effort& effort) const {
    Results results;
    for (std::size_t lane = 0; lane < state.lanes.size(); ++lane) {
      LaneResult result = load_of(state, lane);
      if (results_[lane].asked == result.asked && results_[lane].ids == result.ids) {
        result = results_[lane];
      } else {
        analyse_lane(result, results_[lane], state.lanes[lane].preemption, effort);
      }
      results.push_back(std::move(result));
    }
    return results;
  }

  // With something new on this lane. One that is hard to analyse leaves those behind it their part of the
  // effort.
  Results analyse_with(const State& state, std::size_t lane, Effort& effort) const {
    const std::uint64_t part = effort.left / (state.lanes.size() - lane);
    Effort its{part};
    Results results = analyse_all(state, its);
    effort.left -= part - its.left;
    return results;
  }

  static void analyse_lane(LaneResult& lane, const LaneResult& before, Preemption preemption,
                           Effort& effort) {
    lane.load = lane.asked;
    if (preemption != Preemption::as_needed) {
      lane.bounds = analyse(lane.load, effort);
      return;
    }
    // As it was, if that will do: a task whose access changes makes newer ones wait (Core::reserve).
    for (std::size_t i = 0; i < lane.ids.size(); ++i) {
      const auto same = std::find(before.ids.begin(), before.ids.end(), lane.ids[i]);
      if (same == before.ids.end()) continue;
      lane.load.tasks[i].access =
          before.load.tasks[static_cast<std::size_t>(same - before.ids.begin())].access;
    }
    lane.bounds = analyse(lane.load, effort);
    if (lane.fits()) return;
    if (lane.load != lane.asked) {
      lane.load = lane.asked;
      lane.bounds = analyse(lane.load, effort);
    }
    // Those that cannot wait for a block take the core. That is work which the others did not wait for
    // before, so it may make more of them unable to wait. Where one that takes the core does not fit, all
    // take it: then at least it waits for nobody who waits.
    for (bool last = false; !last && !lane.fits();) {
      std::vector<LaneTask>& tasks = lane.load.tasks;
      for (std::size_t i = 0; i < tasks.size(); ++i) {
        if (lane.bounds[i].verdict == LaneBound::Verdict::fits) continue;
        last |= tasks[i].access == Access::takes;
        tasks[i].access = Access::takes;
      }
      if (last) {
        for (LaneTask& task : tasks) task.access = Access::takes;
      }
      lane.bounds = analyse(lane.load, effort);
    }
  }

  bool commit_if_fits(State& next, Results& results) {
    if (!std::all_of(results.begin(), results.end(), [](const LaneResult& r) { return r.fits(); })) {
      return false;
    }
    state_ = std::move(next);
    results_ = std::move(results);
    return true;
  }

  boost::system::result<void, Refusal> keep_all(State next) {
    Effort effort{kDecisionEffort};
    Results results = analyse_all(next, effort);
    if (commit_if_fits(next, results)) return {};
    return refusal_of(next, results);
  }

  // Something went away: what is left fits as before.
  void settle(State next) {
    Effort effort{kDecisionEffort};
    Results results = analyse_all(next, effort);
    state_ = std::move(next);
    results_ = std::move(results);
  }

  // First fit. True: placed. `why`: the refusal of the lane that was nearest, if wanted.
  bool place(const TaskRequest& request, Effort& effort, std::optional<Refusal>* why) {
    for (std::size_t lane = 0; lane < state_.lanes.size(); ++lane) {
      std::optional<std::pair<State, Results>> tried = try_lane(request, lane, effort);
      if (!tried) continue;
      if (commit_if_fits(tried->first, tried->second)) return true;
      keep_nearest(*why, refusal_of(tried->first, tried->second));
    }
    if (!*why) {
      *why = Refusal{.words = quoted(request.name) + ": no lane can run its model", .task = request.name};
    }
    return false;
  }

  std::optional<std::pair<State, Results>> try_lane(const TaskRequest& request, std::size_t lane,
                                                    Effort& effort) const {
    if (!runs_on(request, state_.lanes[lane].device)) return std::nullopt;
    State next = state_;
    next.tasks.insert_or_assign(request.id, Task{request, lane});
    Results results = analyse_with(next, lane, effort);
    return std::pair{std::move(next), std::move(results)};
  }

  bool would_fit(const TaskRequest& request, Effort& effort) const {
    for (std::size_t lane = 0; lane < state_.lanes.size() && effort.left > 0; ++lane) {
      const auto tried = try_lane(request, lane, effort);
      if (tried && std::all_of(tried->second.begin(), tried->second.end(),
                               [](const LaneResult& r) { return r.fits(); })) {
        return true;
      }
    }
    return false;
  }

  // --- Refusals. ---

  Refusal refusal_of(const State& state, const Results& results) const {
    for (std::size_t lane = 0; lane < results.size(); ++lane) {
      const double asked = asked_share(results[lane].asked);
      if (asked <= 1) continue;
      char share[32];
      std::snprintf(share, sizeof share, "%.1f%%", 100 * asked);
      return {.words = "tasks and budgets would need " + std::string(share) + " of lane " +
                       std::to_string(state.lanes[lane].id.value)};
    }
    std::optional<Refusal> worst;
    for (std::size_t lane = 0; lane < results.size(); ++lane) {
      for (std::size_t i = 0; i < results[lane].bounds.size(); ++i) {
        const LaneBound& bound = results[lane].bounds[i];
        if (bound.verdict == LaneBound::Verdict::fits) continue;
        Refusal r = refusal_of(results[lane].load.tasks[i], bound, state.lanes[lane].id);
        if (!worst || r.lateness >= worst->lateness) worst = std::move(r);  // of equals the newest
      }
    }
    EINET_CHECK(worst.has_value(), "something does not fit");
    return *std::move(worst);
  }

  static Refusal refusal_of(const LaneTask& task, const LaneBound& bound, LaneId lane) {
    if (bound.verdict != LaneBound::Verdict::misses) {
      return {.words = quoted(task.name) + on_lane(lane) + ": " + bound.limit, .task = task.name};
    }
    const Duration lateness = bound.response - task.deadline;
    return {.words = quoted(task.name) + " would miss its deadline of " + format_duration(task.deadline) +
                     " by " + format_duration(lateness) + on_lane(lane) + " (response " +
                     format_duration(bound.response) + ": " + bound.limit + ")",
            .task = task.name,
            .lateness = lateness};
  }

  // Of several lanes, the one where least is missing is told of.
  static void keep_nearest(std::optional<Refusal>& best, Refusal refusal) {
    const auto rank = [](const Refusal& r) { return r.lateness > Duration{} ? r.lateness : kForever; };
    if (!best || rank(refusal) < rank(*best)) best = std::move(refusal);
  }

  // Looks for what would fit instead. Every answer was tried; with little effort left, there may be none.
  void suggest(const TaskRequest& request, Refusal& refusal) const {
    Effort effort{kSearchEffort};
    TaskRequest other = request;
    int fits = -1;
    for (int too_many = request.mandatory_exit; fits + 1 < too_many;) {
      other.mandatory_exit = (fits + too_many) / 2;
      if (would_fit(other, effort)) {
        fits = other.mandatory_exit;
      } else {
        too_many = other.mandatory_exit;
      }
    }
    if (fits >= 0) refusal.largest_mandatory_exit = fits;
    refusal.smallest_period = find_period(request, effort);

    if (refusal.largest_mandatory_exit) {
      refusal.words += "; mandatory exit " + std::to_string(fits) + " would fit";
    }
    if (refusal.smallest_period) {
      refusal.words += "; a period of " + format_duration(*refusal.smallest_period) + " would fit";
    }
    if (!refusal.largest_mandatory_exit && !refusal.smallest_period && effort.left > 0) {
      refusal.words += "; no earlier exit and no longer period would fit";
    }
  }

  std::optional<Duration> find_period(const TaskRequest& request, Effort& effort) const {
    const auto fits = [&](Duration period) {
      TaskRequest other = request;
      other.period = period;
      if (request.deadline == request.period) other.deadline = period;
      return would_fit(other, effort);
    };
    // To 3 digits: nobody chooses a period to the nanosecond.
    const Duration step = std::max(request.period / 1000, Duration{1});
    std::int64_t none = 0;  // in steps beyond the period
    std::int64_t some = 1;
    constexpr std::int64_t kMost = std::int64_t{1} << 24;
    while (some < kMost && request.period + some * step < kMostTime && !fits(request.period + some * step)) {
      none = std::exchange(some, some * 4);
      if (effort.left == 0) return std::nullopt;
    }
    if (some >= kMost || request.period + some * step >= kMostTime) return std::nullopt;
    while (none + 1 < some && effort.left > 0) {
      const std::int64_t middle = none + (some - none) / 2;
      (fits(request.period + middle * step) ? some : none) = middle;
    }
    return request.period + some * step;
  }

  AdmissionOptions options_;
  State state_;
  Results results_;  // of state_
};

Admission::Admission(const AdmissionOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Admission::~Admission() = default;

void Admission::add_lane(LaneId lane, DeviceId device, Preemption preemption) {
  impl_->add_lane({lane, device, preemption});
}
boost::system::result<void, Refusal> Admission::set_longest_stretch(DeviceId device, Duration stretch,
                                                                    int blocks) {
  return impl_->set_longest_stretch(device, stretch, blocks);
}
boost::system::result<Reservation, Refusal> Admission::add(const TaskRequest& request) {
  return impl_->add(request);
}
void Admission::remove(TaskId id) {
  impl_->remove(id);
}
boost::system::result<Budget, Refusal> Admission::add_budget(TenantId tenant, const std::string& name,
                                                             Duration amount, Duration period) {
  return impl_->add_budget(tenant, name, amount, period);
}
void Admission::remove_budget(TenantId tenant) {
  impl_->remove_budget(tenant);
}
boost::system::result<void, Refusal> Admission::replace_times(
    const std::shared_ptr<const ModelTimes>& old_times, const std::shared_ptr<const ModelTimes>& new_times) {
  return impl_->replace_times(old_times, new_times);
}
std::optional<TaskBound> Admission::bound(TaskId id) const {
  return impl_->bound(id);
}
std::optional<Reservation> Admission::reservation(TaskId id) const {
  return impl_->reservation(id);
}
std::vector<TaskId> Admission::tasks() const {
  return impl_->tasks();
}
double Admission::utilisation(LaneId lane) const {
  return impl_->lane_utilisation(lane);
}

void throw_exception_from_error(const Refusal& refusal, const boost::source_location&) {
  check_failed(__FILE__, __LINE__, "has_value()", refusal.words.c_str());
}

}  // namespace einet
