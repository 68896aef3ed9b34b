#include "scheduler/admission/lane_analysis.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "config/check.h"
#include "config/text.h"

namespace einet {
namespace {

// Sums of products of durations; every single one is < 2^63.
__extension__ using Wide = __int128;

constexpr std::int64_t kLimit = kForever.count();  // nothing is looked at beyond it

// A task as the formulas see it, in ns.
struct Demand {
  std::int64_t period;
  std::int64_t deadline;
  std::int64_t cost = 0;  // C: all blocks
  std::int64_t last = 0;  // q: its last block
  std::int64_t longest = 0;
  std::int64_t carry = 0;  // how long before a window a job may be released that still runs in it
  bool waits;              // may have to wait for a less urgent block on the base lane
  bool takes;              // may use the urgent lane
};

// Jobs released in a closed window of length t that begins with a release; t >= 0.
std::int64_t releases(std::int64_t t, std::int64_t period) {
  return period == kLimit ? 1 : t / period + 1;
}

class Analysis {
 public:
  Analysis(const LaneLoad& load, Effort& effort) : load_(load), effort_(effort), bounds_(load.tasks.size()) {
    for (const LaneTask& task : load.tasks) {
      Demand d{.period = task.period.count(),
               .deadline = task.deadline.count(),
               .waits = task.access != Access::takes,
               .takes = task.access != Access::waits};
      Wide cost = 0;
      for (const Duration block : task.blocks) {
        cost += block.count();
        d.longest = std::max(d.longest, block.count());
      }
      EINET_CHECK(!task.blocks.empty() && d.period > 0 && d.deadline > 0, "a task has blocks and time");
      d.cost = static_cast<std::int64_t>(std::min<Wide>(cost, kLimit));
      d.last = task.blocks.back().count();
      d.carry = std::max<std::int64_t>(d.deadline - d.cost, 0);
      any_takes_ |= d.takes;
      demands_.push_back(d);
    }
  }

  std::vector<LaneBound> run() {
    if (load_.policy == Policy::fifo) {
      analyse_fifo();
    } else {
      for (std::size_t i = 0; i < load_.tasks.size(); ++i) {
        if (bounds_[i].limit.empty()) analyse_level_of(i);  // once for all of a level
      }
    }
    return std::move(bounds_);
  }

 private:
  // A job of `task` whose deadline is `length` after the beginning of a busy time, and what it then meets.
  struct Point {
    std::size_t task;
    std::int64_t length;
    std::int64_t release;     // of the job, after that beginning
    std::int64_t before = 0;  // less urgent work up to the release
    std::int64_t blocking = 0;
    const LaneTask* blocker = nullptr;
    std::int64_t phase = 0;  // at most so long does a less urgent block stay on the base lane
    std::int64_t start = 0;  // of the job's last block
    std::int64_t end = 0;
    std::int64_t response = 0;
  };

  const Demand& of(std::size_t task) const { return demands_[task]; }
  // A job of `other` may be less urgent than one with this deadline, though it was released before the busy
  // time began.
  bool later(std::size_t other, std::int64_t length) const { return of(other).deadline - 1 > length; }

  // --- Levels: edf, fixed-priority, imprecise. ---

  // A task is in the level of another if jobs of both are ordered by their deadlines. Where the order inside
  // a priority is not known, each task is a level of its own, and all others of its priority are more urgent.
  void analyse_level_of(std::size_t task) {
    const bool own_level = load_.same_priority == SamePriority::any_order;
    level_.clear();
    higher_.clear();
    lower_.clear();
    for (std::size_t i = 0; i < load_.tasks.size(); ++i) {
      const int priority = load_.tasks[i].priority;
      const int own = load_.policy == Policy::edf ? priority : load_.tasks[task].priority;
      const bool same = priority == own && (!own_level || i == task);
      (same ? level_ : priority >= own ? higher_ : lower_).push_back(i);
    }
    analyse_level();
  }

  void analyse_level() {
    double asked = 0;
    for (const LaneServer& s : load_.servers) {
      asked += static_cast<double>(s.amount.count()) / static_cast<double>(s.period.count());
    }
    std::int64_t furthest = 0;
    for (const auto* tasks : {&higher_, &level_}) {
      for (const std::size_t i : *tasks) {
        if (of(i).period != kLimit) {
          asked += static_cast<double>(of(i).cost) / static_cast<double>(of(i).period);
        }
      }
    }
    std::int64_t within = 0;
    for (const std::size_t i : level_) {
      furthest = std::max(furthest, of(i).deadline);
      within = std::max(within, of(i).longest);
    }
    std::int64_t below = load_.less_urgent_block.count();
    for (const std::size_t i : lower_) below = std::max(below, of(i).longest);
    if (asked > 1 + 1e-12) {
      for (const std::size_t i : level_) {
        bounds_[i].verdict = LaneBound::Verdict::overload;
        bounds_[i].limit = "the lane is asked for more than it has";
      }
      return;
    }
    // Blocks of the level itself are in the way only of deadlines that are nearer than its furthest.
    const std::int64_t busy = busy_time(below, kLimit);
    const std::int64_t blocked_busy = busy_time(std::max(below, within), furthest);
    for (const std::size_t i : level_) analyse_task(i, busy, blocked_busy, furthest);
  }

  // The longest time for which work of this level and above, and a less urgent block before it, can keep the
  // lane; `most`: at least so long, or not found.
  std::int64_t busy_time(std::int64_t block, std::int64_t most) {
    const bool some_wait = waits_above(kLimit);
    return fixpoint(1, most, [&](std::int64_t t) {
      Wide sum = std::max<std::int64_t>(block - 1, 0);
      for (const LaneServer& s : load_.servers) sum += of_server(s, t - 1);
      for (const std::size_t i : higher_) sum += Wide{releases(t - 1, of(i).period)} * of(i).cost;
      for (const std::size_t i : level_) sum += any_jobs(i, t - 1);
      for (const std::size_t i : lower_) {
        if (some_wait && of(i).takes) sum += any_jobs(i, t - 1);
      }
      spend(load_.tasks.size() + load_.servers.size());
      return sum;
    });
  }

  // All that a task may run in a window of length t, also jobs from before it.
  Wide any_jobs(std::size_t task, std::int64_t t) const {
    const Demand& d = of(task);
    return Wide{releases(d.takes && d.period != kLimit ? t + d.carry : t, d.period)} * d.cost;
  }

  // Of a window that begins with a job that it may serve: the end of one server window, then the next ones.
  static Wide of_server(const LaneServer& s, std::int64_t t) {
    return Wide{releases(t + s.period.count() - s.amount.count(), s.period.count())} * s.amount.count();
  }

  // The least t >= from with t = demand(t); `most` if there is none below it, or no effort is left to find
  // it.
  template <class F>
  std::int64_t fixpoint(std::int64_t from, std::int64_t most, const F& demand) {
    for (std::int64_t t = from; t < most;) {
      if (effort_.left == 0) break;
      const Wide next = demand(t);
      if (next <= t) return t;
      t = static_cast<std::int64_t>(std::min<Wide>(next, most));
    }
    return most;
  }

  void analyse_task(std::size_t i, std::int64_t busy, std::int64_t blocked_busy, std::int64_t furthest) {
    const Demand& own = of(i);
    // The level's deadlines after synchronous releases, in ascending order, from this task's first.
    std::vector<std::int64_t> next;
    for (const std::size_t j : level_) {
      std::int64_t first = of(j).deadline;
      if (first < own.deadline) {
        first = of(j).period == kLimit
                    ? kLimit
                    : first + ((own.deadline - first - 1) / of(j).period + 1) * of(j).period;
      }
      next.push_back(first);
    }
    std::optional<Point> worst;
    bool known = busy < kLimit;
    for (;;) {
      const std::int64_t length = *std::min_element(next.begin(), next.end());
      const std::int64_t release = length - own.deadline;
      if (length >= kLimit || (release >= busy && (length >= furthest || release >= blocked_busy))) break;
      if (effort_.left == 0) {
        known = false;
        break;
      }
      Point p{.task = i, .length = length, .release = release};
      for (std::size_t k = 0; k < next.size(); ++k) {
        if (next[k] == length) {
          const std::int64_t period = of(level_[k]).period;
          next[k] = period == kLimit || length >= kLimit - period ? kLimit : length + period;
        }
      }
      find_blocking(p);
      delay_release(p, *std::min_element(next.begin(), next.end()) - own.deadline);
      if (!worst || exceeds(p, worst->response)) {
        find_response(p);
        if (p.end >= kLimit) {
          known = false;
          break;
        }
        if (!worst || p.response > worst->response) worst = p;
      }
    }
    LaneBound& bound = bounds_[i];
    if (worst) {
      bound.response = Duration{worst->response};
      bound.blocking = Duration{worst->blocking};
      bound.limit = words(*worst);
    }
    if (worst && worst->response > own.deadline) {
      bound.verdict = LaneBound::Verdict::misses;
    } else if (known) {
      bound.verdict = LaneBound::Verdict::fits;
    } else {
      bound.verdict = LaneBound::Verdict::unknown;
      bound.limit = "the worst case was not found: the lane is full for too many periods";
    }
  }

  // Whether the response at this point is longer than that. Much cheaper than to find it.
  bool exceeds(const Point& p, std::int64_t response) {
    const Demand& own = of(p.task);
    const std::int64_t end = p.release + response;
    const std::int64_t start = end - own.last;
    return demand(p, start, start) > end || (any_takes_ && demand(p, start, end - 1) > end);
  }

  void find_response(Point& p) {
    const Demand& own = of(p.task);
    p.start = fixpoint(0, kLimit, [&](std::int64_t t) { return demand(p, t, t) - own.last; });
    if (p.start >= kLimit) {
      p.end = kLimit;
      return;
    }
    // Only work that may take the core interrupts the last block.
    p.end = fixpoint(p.start + own.last, kLimit, [&](std::int64_t t) { return demand(p, p.start, t - 1); });
    p.response = std::max(p.end - p.release, own.cost);
  }

  void find_blocking(Point& p) {
    const Demand& own = of(p.task);
    std::int64_t block = own.waits ? load_.less_urgent_block.count() : 0;
    for_less_urgent(p, [&](std::size_t j) {
      if (of(j).longest <= block || !(own.waits || (of(j).takes && outranks_some(j)))) return;
      block = of(j).longest;
      p.blocker = &load_.tasks[j];
    });
    p.blocking = std::max<std::int64_t>(block - 1, 0);
    if (own.waits && any_takes_ && block > 0) p.phase = phase_of(p, p.blocking);
  }

  // A job that takes the core waits for no block on the base lane. But more urgent work that does not take it
  // may have been waiting for one when the job was released, and is the later for it. All of that is over
  // then, so it takes no longer than the time until the release: the worst release is the one that leaves
  // room for it, within the releases (up to `next`) that the same deadlines go before.
  void delay_release(Point& p, std::int64_t next) {
    if (of(p.task).waits || !waits_above(p.length)) return;
    std::int64_t block = load_.less_urgent_block.count();
    for_less_urgent(p, [&](std::size_t j) { block = std::max(block, of(j).longest); });
    if (block == 0) return;
    const std::int64_t phase = phase_of(p, block - 1);
    Wide before = block - 1;
    for (const auto* tasks : {&level_, &lower_}) {
      for (const std::size_t j : *tasks) {
        if (j != p.task && of(j).takes) before += phase < kLimit ? any_jobs(j, phase) : Wide{kLimit};
      }
    }
    p.before = static_cast<std::int64_t>(std::min<Wide>(before, std::max(next, p.release)));
    p.release = std::max(p.release, p.before);
  }

  // Whether work that does not take the core may be more urgent than a job with this deadline.
  bool waits_above(std::int64_t length) const {
    const auto waits = [&](std::size_t j) { return of(j).waits; };
    return !load_.servers.empty() || std::any_of(higher_.begin(), higher_.end(), waits) ||
           std::any_of(level_.begin(), level_.end(),
                       [&](std::size_t j) { return of(j).waits && of(j).deadline <= length; });
  }

  template <class F>
  void for_less_urgent(const Point& p, const F& f) const {
    for (const std::size_t j : lower_) f(j);
    for (const std::size_t j : level_) {
      if (later(j, p.length)) f(j);
    }
  }

  // For how long a less urgent block, of which so much is left, may stay on the base lane.
  std::int64_t phase_of(const Point& p, std::int64_t left) {
    return fixpoint(left, kLimit, [&](std::int64_t t) {
      Wide sum = left;
      for (std::size_t j = 0; j < demands_.size(); ++j) {
        if (j != p.task && of(j).takes) sum += any_jobs(j, t);
      }
      spend(demands_.size());
      return sum;
    });
  }

  // There is work that jobs of this task may take the core from.
  bool outranks_some(std::size_t task) const {
    if (load_.less_urgent_block > Duration{}) return true;
    return std::any_of(load_.tasks.begin(), load_.tasks.end(), [&](const LaneTask& other) {
      const LaneTask& t = load_.tasks[task];
      if (load_.policy != Policy::edf && other.priority != t.priority) return other.priority < t.priority;
      if (load_.same_priority == SamePriority::any_order) return &other != &t;
      return other.deadline - Duration{1} > t.deadline;
    });
  }

  // What is done before the job ends, if it lets go of the core until `until`, and until `taken` to those who
  // take it: blocking, its own blocks and its predecessors', and more urgent work, equal keys included.
  Wide demand(const Point& p, std::int64_t until, std::int64_t taken) {
    Wide sum = Wide{p.before} + p.blocking;
    for (const LaneServer& s : load_.servers) sum += of_server(s, until);
    for (const auto* tasks : {&higher_, &level_, &lower_}) {
      for (const std::size_t j : *tasks) sum += demand_of(j, tasks, p, until, taken);
    }
    spend(load_.tasks.size() + load_.servers.size());
    return sum;
  }

  Wide demand_of(std::size_t j, const std::vector<std::size_t>* group, const Point& p, std::int64_t until,
                 std::int64_t taken) const {
    const Demand& d = of(j);
    const std::int64_t t = d.takes ? std::max(until, taken) : until;
    if (j == p.task) {
      // Where the order is not known, later jobs of the task may go first, too.
      const std::int64_t last = p.length - d.deadline;
      const bool any_order = load_.same_priority == SamePriority::any_order;
      return Wide{releases(any_order ? std::max(last, t) : last, d.period)} * d.cost;
    }
    if (group == &higher_) return Wide{releases(t, d.period)} * d.cost;
    Wide jobs = 0;
    if (group == &level_ && d.deadline <= p.length)
      jobs = releases(std::min(p.length - d.deadline, t), d.period);
    Wide cost = jobs * d.cost;
    // Less urgent jobs may take the core from the less urgent block that this job waits for.
    if (p.phase > 0 && d.takes) {
      cost = p.phase < kLimit ? std::min(any_jobs(j, t), cost + any_jobs(j, p.phase)) : any_jobs(j, t);
    }
    return cost;
  }

  // "12ms own, 9ms blocking, 13.2ms of "ctl", 2ms of others"
  std::string words(const Point& p) const {
    const std::int64_t own = of(p.task).cost;
    std::string text = format_duration(Duration{own}) + " own";
    if (p.blocking > 0) {
      text += ", " + format_duration(Duration{p.blocking}) + " blocking";
      if (p.blocker != nullptr) text += " by \"" + escape(p.blocker->name, 60) + "\"";
    }
    Wide most = 0;
    Wide all = 0;
    std::string whose;
    const auto count = [&](Wide amount, const std::string& name) {
      all += amount;
      if (amount > most) {
        most = amount;
        whose = name;
      }
    };
    for (const LaneServer& s : load_.servers) count(of_server(s, p.start), s.name);
    for (const auto* tasks : {&higher_, &level_, &lower_}) {
      for (const std::size_t j : *tasks) {
        const Wide amount = demand_of(j, tasks, p, p.start, p.end - 1);
        if (j != p.task) {
          count(amount, load_.tasks[j].name);
        } else if (amount > own) {
          text += ", " + ns(amount - own) + " of its other jobs";
        }
      }
    }
    if (most > 0) text += ", " + ns(most) + " of \"" + escape(whose, 60) + "\"";
    if (all > most) text += ", " + ns(all - most) + " of others";
    if (p.before > 0) text += ", " + ns(p.before) + " of less urgent work that began before it";
    if (p.release > 0) text += "; " + ns(p.release) + " of all this pass before its release";
    return text;
  }

  static std::string ns(Wide t) {
    return format_duration(Duration{static_cast<std::int64_t>(std::min<Wide>(t, kLimit - 1))});
  }

  // --- fifo: nothing is interrupted, so a job waits for all that was released before it, or with it. ---

  void analyse_fifo() {
    const bool overload = asked_share(load_) > 1 + 1e-12;
    const std::int64_t busy =
        overload ? kLimit
                 : fixpoint(1, kLimit, [&](std::int64_t t) { return fifo_work(demands_.size(), t - 1); });
    for (std::size_t i = 0; i < bounds_.size(); ++i) {
      LaneBound& bound = bounds_[i];
      if (overload) {
        bound.verdict = LaneBound::Verdict::overload;
        bound.limit = "the lane is asked for more than it has";
        continue;
      }
      const bool known = busy < kLimit && fifo_bound(i, busy);
      if (bound.response > load_.tasks[i].deadline) {
        bound.verdict = LaneBound::Verdict::misses;
      } else if (known) {
        bound.verdict = LaneBound::Verdict::fits;
      } else {
        bound.limit = "the worst case was not found: the lane is full for too many periods";
      }
    }
  }

  // Work that goes before the end of a job of `task` released at t, itself included: of two jobs released at
  // one instant, that of the earlier task goes first.
  Wide fifo_work(std::size_t task, std::int64_t t) {
    Wide sum = 0;
    for (std::size_t j = 0; j < demands_.size(); ++j) {
      const Demand& d = demands_[j];
      if (j <= task) {
        sum += Wide{releases(t, d.period)} * d.cost;
      } else if (t > 0) {
        sum += Wide{releases(t - 1, d.period)} * d.cost;
      }
    }
    spend(demands_.size());
    return sum;
  }

  // False: not all of it was looked at.
  bool fifo_bound(std::size_t task, std::int64_t busy) {
    LaneBound& bound = bounds_[task];
    std::vector<std::int64_t> next(demands_.size(), 0);
    for (std::size_t j = task + 1; j < next.size(); ++j) next[j] = 1;
    for (;;) {
      const std::int64_t release = *std::min_element(next.begin(), next.end());
      if (release > busy) return true;
      if (effort_.left == 0) return false;
      const Duration response{static_cast<std::int64_t>(fifo_work(task, release) - release)};
      if (response > bound.response) {
        bound.response = response;
        bound.limit = ns(demands_[task].cost) + " own, the rest was released before";
      }
      for (std::size_t j = 0; j < next.size(); ++j) {
        if (next[j] != release) continue;
        next[j] = demands_[j].period >= kLimit - release ? kLimit : release + demands_[j].period;
      }
    }
  }

  void spend(std::size_t terms) { effort_.left -= std::min<std::uint64_t>(effort_.left, terms); }

  const LaneLoad& load_;
  Effort& effort_;
  std::vector<Demand> demands_;  // by task
  bool any_takes_ = false;
  std::vector<LaneBound> bounds_;
  std::vector<std::size_t> higher_;  // tasks of the levels above the analysed one
  std::vector<std::size_t> level_;
  std::vector<std::size_t> lower_;
};

}  // namespace

double asked_share(const LaneLoad& load) {
  double sum = 0;
  for (const LaneServer& s : load.servers) {
    sum += static_cast<double>(s.amount.count()) / static_cast<double>(s.period.count());
  }
  for (const LaneTask& task : load.tasks) {
    if (task.period == kForever) continue;
    for (const Duration block : task.blocks) {
      sum += static_cast<double>(block.count()) / static_cast<double>(task.period.count());
    }
  }
  return sum;
}

std::vector<LaneBound> analyse(const LaneLoad& load, Effort& effort) {
  if (load.tasks.empty()) return {};
  return Analysis(load, effort).run();
}

}  // namespace einet
