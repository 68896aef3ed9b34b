#include "scheduler/simulation/shrink.h"

#include <algorithm>
#include <utility>

namespace einet {
namespace {

using Times = std::shared_ptr<const ModelTimes>;

// Things whose indices others refer to go together with what would be left without them.
void erase_task(Scenario& s, std::size_t t) {
  s.tasks.erase(s.tasks.begin() + static_cast<std::ptrdiff_t>(t));
  for (Scenario::Job& j : s.jobs) {
    if (j.task == t) j.task.reset();
    if (j.task && *j.task > t) --*j.task;
  }
}

void erase_tenant(Scenario& s, std::size_t t) {
  s.tenants.erase(s.tenants.begin() + static_cast<std::ptrdiff_t>(t));
  for (Scenario::Job& j : s.jobs) {
    if (j.tenant >= t && j.tenant > 0) --j.tenant;
  }
}

void erase_model(Scenario& s, std::size_t m) {
  for (std::size_t t = s.tasks.size(); t-- > 0;) {
    if (s.tasks[t].model == m) erase_task(s, t);
  }
  std::erase_if(s.jobs, [&](const Scenario::Job& j) { return j.model == m; });
  std::erase_if(s.reloads, [&](const Scenario::Reload& r) { return r.model == m; });
  s.models.erase(s.models.begin() + static_cast<std::ptrdiff_t>(m));
  const auto renumber = [&](auto& list) {
    for (auto& item : list) item.model -= item.model > m;
  };
  renumber(s.tasks);
  renumber(s.jobs);
  renumber(s.reloads);
  std::erase_if(s.evictions, [&](const Scenario::Eviction& e) { return e.model == m; });
  renumber(s.evictions);
}

void erase_lane(Scenario& s, std::size_t l) {
  if (s.lanes.size() == 1) return;
  const std::uint32_t device = s.lanes[l].device.value;
  s.lanes.erase(s.lanes.begin() + static_cast<std::ptrdiff_t>(l));
  std::erase_if(s.losses, [&](const Scenario::Loss& loss) { return loss.lane == l; });
  for (Scenario::Loss& loss : s.losses) loss.lane -= loss.lane > l;
  const bool lives = std::any_of(s.lanes.begin(), s.lanes.end(),
                                 [&](const Scenario::Lane& lane) { return lane.device.value == device; });
  if (lives) return;
  for (std::size_t m = s.models.size(); m-- > 0;) {
    auto times = std::make_shared<ModelTimes>(*s.models[m]);
    if (device < times->on_device.size()) times->on_device[device].clear();
    if (times->blocks() == 0) {
      erase_model(s, m);
    } else {
      s.models[m] = std::move(times);
    }
  }
}

void change_model(Scenario& s, std::size_t m, const std::function<void(ModelTimes&)>& change) {
  auto times = std::make_shared<ModelTimes>(*s.models[m]);
  change(*times);
  s.models[m] = std::move(times);
  const int last = s.models[m]->accuracy.empty() ? -1 : s.models[m]->blocks() - 1;
  for (Scenario::Task& t : s.tasks) {
    if (t.model == m) t.mandatory_exit = std::min(t.mandatory_exit, last);
  }
  for (Scenario::Job& j : s.jobs) {
    if (j.model == m) j.mandatory_exit = std::min(j.mandatory_exit, last);
  }
}

class Shrinker {
 public:
  Shrinker(const Scenario& s, const std::function<bool(const Scenario&)>& fails, int most_tries)
      : best_(s), fails_(fails), tries_left_(most_tries) {}

  Scenario run() {
    do {
      progress_ = false;
      fewer();
      simpler();
      earlier();
    } while (progress_ && tries_left_ > 0);
    return std::move(best_);
  }

 private:
  template <class Change>
  bool attempt(Change&& change) {
    if (tries_left_ <= 0) return false;
    Scenario candidate = best_;
    change(candidate);
    if (to_toml(candidate) == to_toml(best_)) return false;
    --tries_left_;
    if (!fails_(candidate)) return false;
    best_ = std::move(candidate);
    progress_ = true;
    return true;
  }

  // Takes out runs of things: half of them, then ever smaller runs.
  template <class List, class Erase>
  void thin_out(List Scenario::*list, Erase&& erase) {
    for (std::size_t run = std::max<std::size_t>(1, (best_.*list).size() / 2); run > 0; run /= 2) {
      for (std::size_t end = (best_.*list).size(); end > 0; end -= std::min(run, end)) {
        end = std::min(end, (best_.*list).size());
        const std::size_t begin = end - std::min(run, end);
        attempt([&](Scenario& s) {
          for (std::size_t i = end; i-- > begin;) {
            if (i < (s.*list).size()) erase(s, i);
          }
        });
      }
    }
  }

  void fewer() {
    const auto plainly = [](auto list) {
      return [list](Scenario& s, std::size_t i) {
        (s.*list).erase((s.*list).begin() + static_cast<std::ptrdiff_t>(i));
      };
    };
    thin_out(&Scenario::jobs, plainly(&Scenario::jobs));
    thin_out(&Scenario::tasks, erase_task);
    thin_out(&Scenario::losses, plainly(&Scenario::losses));
    thin_out(&Scenario::reloads, plainly(&Scenario::reloads));
    thin_out(&Scenario::evictions, plainly(&Scenario::evictions));
    thin_out(&Scenario::lanes, erase_lane);
    thin_out(&Scenario::models, erase_model);
    thin_out(&Scenario::tenants, erase_tenant);
  }

  void simpler() {
    attempt([](Scenario& s) { s.late_reports = 0; });
    attempt([](Scenario& s) { s.races = 0; });
    attempt([](Scenario& s) { s.failed_moves = 0; });
    attempt([](Scenario& s) { s.times = TrueTimes::expected; });
    attempt([](Scenario& s) { s.promote_at_laxity = {}; });
    attempt([](Scenario& s) { s.survival = {}; });
    attempt([](Scenario& s) { s.max_jobs = 1000; });
    for (std::size_t i = 0; i < best_.lanes.size(); ++i) {
      attempt([&](Scenario& s) { s.lanes[i].preemption = Preemption::boundary; });
    }
    for (std::size_t i = 0; i < best_.tenants.size(); ++i) {
      attempt([&](Scenario& s) { s.tenants[i] = {}; });
    }
    for (std::size_t i = 0; i < best_.tasks.size(); ++i) {
      attempt([&](Scenario& s) { s.tasks[i].until = kNever; });
      attempt([&](Scenario& s) { s.tasks[i].from = {}; });
      attempt([&](Scenario& s) { s.tasks[i].priority = 0; });
    }
    for (std::size_t i = 0; i < best_.jobs.size(); ++i) simpler_job(i);
    for (std::size_t m = 0; m < best_.models.size(); ++m) simpler_model(m);
  }

  void simpler_job(std::size_t i) {
    attempt([&](Scenario& s) { s.jobs[i].cancel = kNever; });
    attempt([&](Scenario& s) { s.jobs[i].overrun = {}; });
    attempt([&](Scenario& s) { s.jobs[i].target_confidence = 2; });
    attempt([&](Scenario& s) { s.jobs[i].mandatory_exit = -1; });
    attempt([&](Scenario& s) { s.jobs[i].deadline = kNever; });
    attempt([&](Scenario& s) { s.jobs[i].priority = 0; });
    attempt([&](Scenario& s) { s.jobs[i].tenant = 0; });
    attempt([&](Scenario& s) { s.jobs[i].plan = PlanMode::exact; });
    attempt([&](Scenario& s) { s.jobs[i].on_miss = OnMiss::stop; });
    attempt([&](Scenario& s) { s.jobs[i].release = s.jobs[i].submit; });
  }

  void simpler_model(std::size_t m) {
    attempt([&](Scenario& s) { change_model(s, m, [](ModelTimes& t) { t.moves.clear(); }); });
    attempt([&](Scenario& s) { change_model(s, m, [](ModelTimes& t) { t.batch.clear(); }); });
    attempt([&](Scenario& s) { change_model(s, m, [](ModelTimes& t) { t.in_flight.clear(); }); });
    attempt([&](Scenario& s) {
      change_model(s, m, [](ModelTimes& t) {
        t.accuracy.clear();
        t.forecast.reset();
        for (std::vector<BlockTime>& blocks : t.on_device) {
          for (BlockTime& b : blocks) b.exit = b.worst_exit = {};
        }
      });
    });
    while (best_.models[m]->blocks() > 1 && attempt([&](Scenario& s) {
             change_model(s, m, [](ModelTimes& t) {
               for (std::vector<BlockTime>& blocks : t.on_device) {
                 if (!blocks.empty()) blocks.pop_back();
               }
               for (std::vector<MoveTime>& blocks : t.moves) {
                 if (!blocks.empty()) blocks.pop_back();
               }
               if (!t.accuracy.empty()) t.accuracy.pop_back();
             });
           })) {
    }
    attempt([&](Scenario& s) {
      change_model(s, m, [](ModelTimes& t) {
        for (std::vector<BlockTime>& blocks : t.on_device) {
          for (BlockTime& b : blocks)
            b = {.trunk = b.trunk, .exit = {}, .worst_trunk = b.trunk, .worst_exit = {}};
        }
      });
    });
    for (std::size_t d = 0; d < best_.models[m]->on_device.size(); ++d) {
      for (std::size_t b = 0; b < best_.models[m]->on_device[d].size(); ++b) {
        attempt([&](Scenario& s) {
          change_model(s, m, [&](ModelTimes& t) {
            BlockTime& time = t.on_device[d][b];
            time = {.trunk = Duration{1}, .exit = {}, .worst_trunk = Duration{1}, .worst_exit = {}};
          });
        });
      }
    }
  }

  // Nothing happens before it must.
  void earlier() {
    TimePoint first = kNever;
    for (const Scenario::Job& j : best_.jobs) first = std::min(first, j.submit);
    attempt([&](Scenario& s) {
      const Duration by = first < kNever ? first.time_since_epoch() : Duration{};
      const auto move = [&](TimePoint& t) {
        if (t < kNever) t = std::max(TimePoint{}, t - by);
      };
      for (Scenario::Job& j : s.jobs) {
        for (TimePoint* t : {&j.submit, &j.release, &j.deadline, &j.cancel}) move(*t);
      }
      for (Scenario::Task& t : s.tasks) {
        move(t.from);
        move(t.until);
        t.until = std::max(t.until, t.from + Duration{1});
      }
      for (Scenario::Loss& l : s.losses) {
        move(l.at);
        move(l.back);
        l.back = std::max(l.back, l.at + Duration{1});
      }
      for (Scenario::Reload& r : s.reloads) move(r.at);
      for (Scenario::Eviction& e : s.evictions) {
        move(e.at);
        move(e.back);
        e.back = std::max(e.back, e.at + Duration{1});
      }
    });
  }

  Scenario best_;
  const std::function<bool(const Scenario&)>& fails_;
  int tries_left_;
  bool progress_ = false;
};

}  // namespace

Scenario shrink(const Scenario& scenario, const std::function<bool(const Scenario&)>& fails, int most_tries) {
  return Shrinker(scenario, fails, most_tries).run();
}

}  // namespace einet
