#include "scheduler/admission/global_analysis.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "config/check.h"

namespace einet {
namespace {

__extension__ using Wide = __int128;
constexpr std::int64_t kLimit = kForever.count();

struct Demand {
  std::int64_t period;
  std::int64_t deadline;
  int priority;
  std::int64_t blocks;
  std::int64_t cost = 0;
  std::int64_t last = 0;
  std::int64_t longest = 0;
  std::int64_t response = 0;  // no job that meets its deadline ends later, as far as is known
};

// How another task's jobs stand to the job that is looked at.
enum class Order : std::uint8_t { more_urgent, by_deadline, any, less_urgent };

class Analysis {
 public:
  Analysis(const LaneLoad& load, int lanes, Effort& effort) : load_(load), lanes_(lanes), effort_(effort) {
    EINET_CHECK(lanes >= 1 && load.servers.empty() && load.less_urgent_block == Duration{},
                "tasks alone share the lanes");
    for (const LaneTask& task : load.tasks) {
      Demand d{.period = task.period.count(),
               .deadline = task.deadline.count(),
               .priority = task.priority,
               .blocks = static_cast<std::int64_t>(task.blocks.size())};
      Wide cost = 0;
      for (const Duration block : task.blocks) {
        cost += block.count();
        d.longest = std::max(d.longest, block.count());
      }
      d.cost = static_cast<std::int64_t>(std::min<Wide>(cost, kLimit));
      d.last = load.policy == Policy::fifo ? d.cost : task.blocks.back().count();
      d.response = d.deadline;
      demands_.push_back(d);
    }
  }

  std::vector<LaneBound> run() {
    std::vector<LaneBound> bounds(demands_.size());
    if (asked_share(load_) > lanes_ + 1e-9) {
      for (LaneBound& bound : bounds) {
        bound.verdict = LaneBound::Verdict::overload;
        bound.limit = "the lanes are asked for more than they have";
      }
      return bounds;
    }
    // What is known of the responses bounds what is carried into an interval; better bounds make better ones.
    constexpr int kRounds = 8;
    bool better = true;
    for (int round = 0; round < kRounds && better; ++round) {
      better = false;
      for (std::size_t i = 0; i < demands_.size(); ++i) {
        bounds[i] = look_at(i);
        if (bounds[i].verdict != LaneBound::Verdict::fits) continue;
        const std::int64_t response = bounds[i].response.count();
        better |= response < demands_[i].response;
        demands_[i].response = std::min(demands_[i].response, response);
      }
    }
    return bounds;
  }

 private:
  Order order(std::size_t other, std::size_t task) const {
    if (load_.policy == Policy::edf) return Order::by_deadline;
    const int priority = demands_[other].priority;
    const int own = demands_[task].priority;
    if (priority != own) return priority > own ? Order::more_urgent : Order::less_urgent;
    return load_.same_priority == SamePriority::any_order ? Order::any : Order::by_deadline;
  }

  // At most so many jobs of a task are there at once.
  static std::int64_t at_once(const Demand& d) {
    return d.period == kLimit ? 1 : (d.deadline - 1) / d.period + 1;
  }

  // What jobs of the task may run in an interval of length t: the first one as late as it may, the others as
  // early. Where they are so long that they overlap, every job that may be there, for as long as it may.
  static Wide work(const Demand& d, std::int64_t t) {
    if (d.period == kLimit) return std::min(d.cost, t);
    if (d.cost > d.period) return Wide{(t + d.response - 1) / d.period + 1} * std::min(d.cost, t);
    const std::int64_t reach = t + std::max<std::int64_t>(d.response - d.cost, 0);
    return Wide{reach / d.period} * d.cost + std::min(d.cost, reach % d.period);
  }

  // Of jobs that end, a period apart, in an interval of length t: each has at most the time to its end.
  static Wide ending(const Demand& d, std::int64_t t) {
    if (t <= 0) return 0;
    if (d.period == kLimit) return std::min(d.cost, t);
    return Wide{t / d.period} * d.cost + std::min(d.cost, t % d.period);
  }

  // Of jobs with deadlines in an interval of length t: they end before these by what their task has to spare.
  static Wide due(const Demand& d, std::int64_t t) { return ending(d, t - (d.deadline - d.response)); }

  // Of the own task's jobs before this one.
  static Wide earlier(const Demand& d) { return d.period == kLimit ? 0 : ending(d, d.response - d.period); }

  // What other work may do while a job waits for `waits` in all, before it starts its last block.
  struct Others {
    Wide blocks;
    Wide all;
  };

  Others others(std::size_t i, std::int64_t waits) {
    const std::int64_t length = demands_[i].cost - demands_[i].last + waits;
    const Wide blocks = less_urgent(i, length, waits);
    return {blocks, std::min(more_urgent(i, length, waits) + blocks, any_work(i, length, waits))};
  }

  LaneBound look_at(std::size_t i) {
    const Demand& own = demands_[i];
    LaneBound bound;
    bound.limit = format_duration(Duration{own.cost}) + " own";
    // Any wait that others cannot fill on all lanes is a bound; a small one is looked for.
    const std::int64_t most = own.deadline - own.cost + 1;
    if (most < 1) {
      bound.limit += ", more than the deadline";
      return bound;
    }
    std::int64_t filled = 0;
    std::int64_t waits = 1;
    for (;;) {
      const Wide all = others(i, waits).all;
      if (all < Wide{lanes_} * waits) break;
      if (waits == most || effort_.left == 0) {
        bound.limit += "; it may have to wait for more than " + format_duration(Duration{most - 1});
        return bound;
      }
      filled = waits;
      waits = static_cast<std::int64_t>(
          std::min<Wide>(std::max<Wide>(all / lanes_ + 1, waits + waits / 16), most));
    }
    while (filled + 1 < waits) {
      const std::int64_t middle = filled + (waits - filled) / 2;
      (others(i, middle).all < Wide{lanes_} * middle ? waits : filled) = middle;
    }
    bound.verdict = LaneBound::Verdict::fits;
    bound.response = Duration{own.cost + waits - 1};
    const auto blocking =
        static_cast<std::int64_t>(std::min<Wide>(others(i, waits).blocks / lanes_, waits - 1));
    bound.blocking = Duration{blocking};
    if (blocking > 0) bound.limit += ", " + format_duration(bound.blocking) + " blocking";
    if (blocking < waits - 1)
      bound.limit += ", " + format_duration(Duration{waits - 1 - blocking}) + " of others";
    return bound;
  }

  // All that others can run, however urgent.
  Wide any_work(std::size_t i, std::int64_t length, std::int64_t waits) const {
    const std::int64_t own_jobs = 2 * at_once(demands_[i]) - 2;  // before and after this one
    Wide sum = Wide{own_jobs} * std::min(demands_[i].cost, waits);
    for (std::size_t j = 0; j < demands_.size(); ++j) {
      if (j != i) sum += std::min(work(demands_[j], length), Wide{waits} * at_once(demands_[j]));
    }
    return sum;
  }

  Wide more_urgent(std::size_t i, std::int64_t length, std::int64_t waits) {
    const Demand& own = demands_[i];
    effort_.left -= std::min<std::uint64_t>(effort_.left, 2 * demands_.size());
    Wide sum = std::min(earlier(own), Wide{waits} * (at_once(own) - 1));
    if (load_.same_priority == SamePriority::any_order) {
      sum += Wide{at_once(own) - 1} * std::min(own.cost, waits);  // later ones may go first, too
    }
    for (std::size_t j = 0; j < demands_.size(); ++j) {
      if (j == i) continue;
      const Demand& d = demands_[j];
      Wide most = 0;
      if (load_.policy == Policy::fifo) {
        most = ending(d, d.response);  // released before, and not over
      } else {
        const Order o = order(j, i);
        if (o == Order::less_urgent) continue;
        most = work(d, length);
        if (o == Order::by_deadline) most = std::min(most, due(d, own.deadline));
      }
      sum += std::min(most, Wide{waits} * at_once(d));
    }
    return sum;
  }

  // Blocks of less urgent jobs that the job may have to wait for. At its release, on every lane; later, where
  // a more urgent job takes the lane at its boundary, on every other lane. No lane begins a less urgent block
  // while the job waits, so between two such takings there is one that is more urgent and new.
  Wide less_urgent(std::size_t i, std::int64_t length, std::int64_t waits) {
    if (load_.policy == Policy::fifo) return 0;
    const Demand& own = demands_[i];
    Wide all = 0;  // whatever is in progress, it is not more than these tasks' work
    Wide arrivals = 0;
    first_.clear();
    later_.clear();
    for (std::size_t j = 0; j < demands_.size(); ++j) {
      const Demand& d = demands_[j];
      const Order o = j == i ? Order::less_urgent : order(j, i);
      const std::int64_t at_most = std::min<std::int64_t>(at_once(d), lanes_) - (j == i ? 1 : 0);
      // Released while the job is there, and more urgent.
      std::int64_t within = o == Order::less_urgent ? 0 : length;
      if (o == Order::by_deadline) within = std::min(within, own.deadline - d.deadline);
      if (j == i && load_.same_priority == SamePriority::any_order) within = length;
      if (within > 0) arrivals += d.period == kLimit ? 1 : (within - 1) / d.period + 1;
      if (o == Order::more_urgent || at_most <= 0) continue;
      const std::int64_t block = std::min(d.longest - 1, waits);
      // A job that was there before, and has a later deadline, has a longer relative one.
      const bool before = j != i && (o != Order::by_deadline || d.deadline - 1 > own.deadline);
      if (before) first_.insert(first_.end(), static_cast<std::size_t>(at_most), block);
      later_.insert(later_.end(), static_cast<std::size_t>(at_most), block);
      all += std::min(j == i ? Wide{at_most} * d.cost : work(d, length), Wide{waits} * at_most);
    }
    const Wide takings = std::min<Wide>(own.blocks - 1, arrivals);
    return std::min(all, largest(first_, lanes_) + takings * largest(later_, lanes_ - 1));
  }

  static Wide largest(std::vector<std::int64_t>& blocks, int count) {
    const auto n = std::min<std::size_t>(blocks.size(), static_cast<std::size_t>(count));
    std::partial_sort(blocks.begin(), blocks.begin() + static_cast<std::ptrdiff_t>(n), blocks.end(),
                      std::greater<>());
    return std::accumulate(blocks.begin(), blocks.begin() + static_cast<std::ptrdiff_t>(n), Wide{0});
  }

  const LaneLoad& load_;
  int lanes_;
  Effort& effort_;
  std::vector<Demand> demands_;
  std::vector<std::int64_t> first_;  // scratch
  std::vector<std::int64_t> later_;
};

}  // namespace

std::vector<LaneBound> analyse_global(const LaneLoad& load, int lanes, Effort& effort) {
  return Analysis(load, lanes, effort).run();
}

}  // namespace einet
