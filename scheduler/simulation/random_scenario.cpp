#include "scheduler/simulation/random_scenario.h"

#include <algorithm>

namespace einet {
namespace {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  int from_to(int low, int high) {
    return low + static_cast<int>(next() % (static_cast<std::uint64_t>(high - low) + 1));
  }
  bool chance(int percent) { return from_to(1, 100) <= percent; }
  std::uint64_t next() {  // splitmix64 (Steele, Lea, Flood 2014)
    std::uint64_t x = state_ += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
  }

 private:
  std::uint64_t state_;
};

constexpr int kBusyTime = 150;  // ns; what happens by itself happens before

class Maker {
 public:
  explicit Maker(std::uint64_t seed)
      : dice_(seed), learns_(~seed), batches_(seed * 3 + 1), in_flight_(seed * 5 + 2) {}

  Scenario make() {
    s_.seed = dice_.next();
    s_.policy = static_cast<Policy>(dice_.from_to(0, 3));
    s_.max_jobs = dice_.chance(10) ? 4 : 100;
    if (s_.policy == Policy::imprecise && dice_.chance(20)) {
      s_.promote_at_laxity = Duration{dice_.from_to(1, 20)};
    }
    // Half of the worlds hold no surprises, so that the core must do exactly what the rules say; in others
    // blocks keep to their worst times, so that what was promised must hold; the rest are wild.
    const int mood = dice_.from_to(0, 3);
    wild_ = mood == 3;
    if (mood >= 2) s_.times = dice_.chance(70) ? TrueTimes::spread : TrueTimes::worst;
    if (wild_) {
      s_.late_reports = dice_.chance(60) ? 40 : 0;
      s_.races = dice_.chance(70) ? 20 : 0;
    }
    lanes();
    if (devices_ > 1) {
      faster_ = learns_.chance(30) ? learns_.from_to(2, 5) : 1;
      moves_ = learns_.chance(60);
      s_.failed_moves = wild_ && moves_ && learns_.chance(50) ? 40 : 0;
    }
    s_.survival.lived = learns_.chance(30);
    batching_ = batches_.chance(25);
    if (in_flight_.chance(25)) {
      for (int d = 0; d < devices_; ++d) blocks_.push_back(in_flight_.from_to(1, kMaxInFlight));
    }
    for (int i = dice_.from_to(1, 4); i > 0; --i) s_.models.push_back(model());
    for (int i = dice_.from_to(1, 3); i > 0; --i) s_.tenants.push_back(tenant());
    const bool tasks = dice_.chance(60);
    if (tasks) {
      for (int i = dice_.from_to(1, 5); i > 0; --i) s_.tasks.push_back(task());
    }
    for (std::size_t t = 0; t < s_.tasks.size(); ++t) task_jobs(t);
    for (int i = dice_.from_to(tasks ? 0 : 1, 20); i > 0; --i) s_.jobs.push_back(job());
    if (mood >= 2 && dice_.chance(40)) overruns();
    if (dice_.chance(wild_ ? 50 : 10)) losses();
    if (dice_.chance(20)) reload();
    if (learns_.chance(25)) evictions();
    return std::move(s_);
  }

 private:
  TimePoint instant(int low, int high) { return TimePoint{Duration{dice_.from_to(low, high)}}; }
  template <class List>
  std::size_t any_of(const List& list) {
    return static_cast<std::size_t>(dice_.from_to(0, static_cast<int>(list.size()) - 1));
  }

  void lanes() {
    devices_ = dice_.chance(75) ? 1 : 2;
    const auto preemption = static_cast<Preemption>(dice_.chance(60) ? 0 : dice_.from_to(1, 2));
    const int lanes = dice_.from_to(devices_, 4);
    if (devices_ == 2 && lanes > 2 && learns_.chance(30)) devices_ = 3;
    for (int i = 0; i < lanes; ++i) {
      s_.lanes.push_back({.device = DeviceId{static_cast<std::uint32_t>(i % devices_)},
                          .preemption = dice_.chance(80) ? preemption : Preemption::boundary});
    }
  }

  std::shared_ptr<const ModelTimes> model() {
    auto model = std::make_shared<ModelTimes>();
    const int blocks = dice_.from_to(1, 6);
    const bool exits = dice_.chance(60);
    const int only = devices_ > 1 && dice_.chance(40) ? dice_.from_to(0, 1) : -1;  // of the first two
    model->on_device.resize(static_cast<std::size_t>(devices_));
    for (int d = 0; d < devices_; ++d) {
      Dice& dice = d < 2 ? dice_ : learns_;
      if (only != -1 && (d < 2 ? d != only : dice.chance(50))) continue;
      for (int b = 0; b < blocks; ++b) {
        BlockTime time{.trunk = Duration{dice.from_to(1, 8)},
                       .exit = Duration{exits ? dice.from_to(0, 3) : 0}};
        Duration more{dice.from_to(0, 4)};
        if (d == 1) {
          for (Duration* part : {&time.trunk, &time.exit, &more})
            *part = (*part + Duration{faster_ - 1}) / faster_;
        }
        time.worst_trunk = time.trunk + more;
        time.worst_exit = time.exit;
        model->on_device[static_cast<std::size_t>(d)].push_back(time);
      }
    }
    const auto on = std::count_if(model->on_device.begin(), model->on_device.end(),
                                  [](const auto& times) { return !times.empty(); });
    if (moves_ && on > 1) {
      model->moves.resize(model->on_device.size());
      for (std::size_t d = 0; d < model->moves.size(); ++d) {
        for (std::size_t b = 0; b < model->on_device[d].size(); ++b)
          model->moves[d].push_back({Duration{learns_.from_to(0, 3)}, Duration{learns_.from_to(0, 3)}});
      }
    }
    if (batching_) batch(*model);
    model->in_flight = blocks_;
    if (exits) {
      for (int b = 0; b < blocks; ++b) model->accuracy.push_back(dice_.from_to(0, 100) / 100.0);
      if (dice_.chance(70)) std::sort(model->accuracy.begin(), model->accuracy.end());
      if (learns_.chance(30)) model->forecast = untrained_forecast(model->accuracy);
    }
    return model;
  }

  void batch(ModelTimes& model) {
    model.batch.resize(model.on_device.size());
    for (std::size_t d = 0; d < model.batch.size(); ++d) {
      if (model.on_device[d].empty() || batches_.chance(20)) continue;
      double times = 1;
      for (int jobs = batches_.from_to(2, 5); jobs > 0; --jobs) {
        model.batch[d].push_back(times);
        times += batches_.from_to(0, 4) / 4.0;
      }
    }
  }

  Scenario::Tenant tenant() {
    Scenario::Tenant tenant;
    if (dice_.chance(40)) tenant.weight = dice_.from_to(1, 5);
    if (dice_.chance(15)) {
      tenant.budget = Duration{dice_.from_to(5, 20)};
      tenant.window = *tenant.budget + Duration{dice_.from_to(10, 80)};
    }
    return tenant;
  }

  int mandatory_exit(std::size_t model) {
    const ModelTimes& times = *s_.models[model];
    return times.accuracy.empty() ? -1 : dice_.from_to(0, times.blocks() - 1);
  }

  Scenario::Task task() {
    Scenario::Task task;
    task.model = any_of(s_.models);
    Duration work{};
    for (const auto& blocks : s_.models[task.model]->on_device) {
      Duration sum{};
      for (const BlockTime& b : blocks) sum += b.worst_trunk + b.worst_exit;
      work = std::max(work, sum);
    }
    task.period = work + Duration{dice_.from_to(0, 90)};
    task.deadline = dice_.chance(40) ? task.period : work + Duration{dice_.from_to(0, 40)};
    task.priority = dice_.from_to(0, 3);
    task.mandatory_exit = mandatory_exit(task.model);
    if (dice_.chance(30)) task.from = instant(0, kBusyTime / 2);
    if (dice_.chance(20)) task.until = task.from + Duration{dice_.from_to(1, kBusyTime)};
    return task;
  }

  // Jobs of a task, at most as often as it said; or, from a hostile sender, earlier.
  void task_jobs(std::size_t index) {
    const Scenario::Task& task = s_.tasks[index];
    const bool hostile = dice_.chance(15);
    const int late = dice_.chance(50) ? 0 : 20;
    const TimePoint end{Duration{kBusyTime}};
    TimePoint at = task.from + Duration{dice_.from_to(0, 20)};
    for (int k = 0; at < end && k < 12; ++k) {
      Scenario::Job j = job();
      j.task = index;
      j.model = task.model;
      j.priority = task.priority;
      j.mandatory_exit = task.mandatory_exit;
      j.release = at;
      j.submit = dice_.chance(80) ? at : TimePoint{at.time_since_epoch() * dice_.from_to(0, 9) / 10};
      j.submit = std::max(j.submit, std::min(task.from, at));
      j.deadline = at + task.deadline;
      if (dice_.chance(70)) j.target_confidence = 2;
      if (j.cancel < kNever) j.cancel = j.submit + Duration{dice_.from_to(0, 40)};
      s_.jobs.push_back(j);
      at += hostile && dice_.chance(60) ? task.period / 3 : task.period + Duration{dice_.from_to(0, late)};
    }
  }

  Scenario::Job job() {
    Scenario::Job j;
    j.submit = instant(0, kBusyTime / 2);
    j.release = j.submit + Duration{dice_.chance(50) ? 0 : dice_.from_to(0, 20)};
    if (!dice_.chance(25)) j.deadline = j.release + Duration{dice_.from_to(0, 60)};
    if (dice_.chance(15)) j.cancel = j.submit + Duration{dice_.from_to(0, 40)};
    j.model = any_of(s_.models);
    j.tenant = any_of(s_.tenants);
    j.priority = dice_.from_to(0, 3);
    if (dice_.chance(30)) j.mandatory_exit = mandatory_exit(j.model);
    if (dice_.chance(30)) j.target_confidence = dice_.from_to(5, 10) / 10.0;
    if (dice_.chance(15)) j.on_miss = OnMiss::keep_on;
    j.plan = dice_.chance(60) ? PlanMode::exact : dice_.chance(50) ? PlanMode::all : PlanMode::last;
    return j;
  }

  void overruns() {
    for (Scenario::Job& j : s_.jobs) {
      if (dice_.chance(15)) j.overrun = Duration{dice_.from_to(1, 12)};
      if (j.task && dice_.chance(50)) j.on_miss = OnMiss::keep_on;
    }
  }

  void losses() {
    for (int i = dice_.from_to(1, 4); i > 0; --i) {
      Scenario::Loss loss{.lane = any_of(s_.lanes), .at = instant(0, kBusyTime)};
      const bool for_good = dice_.chance(30);
      loss.told = for_good ? LaneLoss::for_good : LaneLoss::comes_back;
      if (!for_good || dice_.chance(50)) loss.back = loss.at + Duration{dice_.from_to(1, 40)};
      s_.losses.push_back(loss);
      if (!dice_.chance(30)) continue;
      // Its whole device.
      for (std::size_t l = 0; l < s_.lanes.size(); ++l) {
        if (l == loss.lane || s_.lanes[l].device != s_.lanes[loss.lane].device) continue;
        s_.losses.push_back(loss);
        s_.losses.back().lane = l;
      }
    }
  }

  void reload() {
    s_.reloads.push_back(
        {.model = any_of(s_.models), .at = instant(0, kBusyTime), .longer = Duration{dice_.from_to(0, 4)}});
  }

  void evictions() {
    for (int i = learns_.from_to(1, 4); i > 0; --i) {
      Scenario::Eviction eviction{
          .model = static_cast<std::size_t>(learns_.from_to(0, static_cast<int>(s_.models.size()) - 1)),
          .device = DeviceId{static_cast<std::uint32_t>(learns_.from_to(0, devices_ - 1))},
          .at = TimePoint{Duration{learns_.from_to(0, kBusyTime)}}};
      eviction.back = eviction.at + Duration{learns_.from_to(1, 60)};
      s_.evictions.push_back(eviction);
    }
  }

  Dice dice_;
  Dice learns_, batches_, in_flight_;  // their own, so that a world stays what it was otherwise
  Scenario s_;
  int devices_ = 1;
  int faster_ = 1;      // the second device, by so much
  bool moves_ = false;  // jobs between them
  bool batching_ = false;
  std::vector<int> blocks_;  // in flight, by device; empty: 1
  bool wild_ = false;
};

}  // namespace

Scenario random_scenario(std::uint64_t seed) {
  return Maker(seed).make();
}

}  // namespace einet
