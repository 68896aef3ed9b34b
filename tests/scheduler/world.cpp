#include "world.h"

#include <algorithm>
#include <tuple>

namespace einet {

// A lane and what its blocks truly do.
struct World::LaneInWorld final : SimulatedWork {
  LaneInWorld(World& w, std::uint32_t i, DeviceId d) : world(w), index(i), device(d) { restart(); }

  void restart() {
    lane = std::make_unique<SimulatedLane>(LaneId{index}, *this, GrantNumber{grants});
    up = true;
  }

  Duration trunk(JobId id, int block) override {
    block_ended();
    Job& j = world.job(id);
    const std::string what = "job " + std::to_string(id.value) + " block " + std::to_string(block);
    ++world.counts_.blocks;
    if (j.running) world.violation(what + " runs on two lanes");
    if (j.finished) world.violation(what + " begun after the job's outcome");
    if (j.released) world.violation(what + " begun after the job was freed");
    if (j.stop_told) world.violation(what + " begun after the stop");
    if (block != j.next_block) {
      world.violation(what + " out of order, expected " + std::to_string(j.next_block));
    }
    if (block > 0 && j.last_lane && world.lanes_[*j.last_lane]->device != device) {
      world.violation(what + " runs far from its state");
    }
    if (world.now_ > j.spec.deadline && j.spec.on_miss == OnMiss::stop) {
      world.violation(what + " begun after the deadline");
    }
    j.running = index;
    current = id;
    current_block = block;
    return truly(j.spec.times->on_device[device.value][static_cast<std::size_t>(block)].trunk, Duration{1});
  }

  Duration exit(JobId id, int exit) override {
    const Job& j = world.job(id);
    if (j.spec.times->accuracy.empty()) return {};
    return truly(j.spec.times->on_device[device.value][static_cast<std::size_t>(exit)].exit, Duration{});
  }

  std::optional<ExitAnswer> answer(JobId id, int exit) override {
    if (world.job(id).spec.times->accuracy.empty()) return std::nullopt;
    return ExitAnswer{
        .exit = exit, .top_class = 0, .confidence = static_cast<float>(world.from_to(0, 10)) / 10};
  }

  Duration truly(Duration expected, Duration least) {
    if (!world.chance(world.jitter_percent_)) return expected;
    return std::max(least, expected + Duration{world.from_to(-2, 4)});
  }

  // The truth, at the moment when it happens.
  void block_ended() {
    if (current == JobId{}) return;
    Job& j = world.job(current);
    j.running.reset();
    j.next_block = current_block + 1;
    j.last_lane = index;
    current = {};
  }

  World& world;
  std::uint32_t index;
  DeviceId device;
  std::uint64_t grants = 0;
  bool up = false;
  std::unique_ptr<SimulatedLane> lane;
  std::deque<DelayedRecord> unread;
  JobId current;  // whose block it runs; 0: none
  int current_block = 0;
};

World::World(std::uint64_t seed, Fault fault) : random_(seed), fault_(fault) {
  policy_ = static_cast<Policy>(from_to(0, 2));
  max_jobs_ = chance(20) ? 4 : 1000;
  late_reports_percent_ = chance(50) ? 0 : 40;
  jitter_percent_ = chance(30) ? 0 : 50;
  const int devices = chance(70) ? 1 : 2;
  core_.emplace(CoreOptions{.policy = policy_, .max_jobs = max_jobs_}, static_cast<Commands&>(*this),
                static_cast<Observer&>(*this));
  const int lanes = from_to(devices, 4);
  for (int i = 0; i < lanes; ++i) {
    const auto index = static_cast<std::uint32_t>(i);
    const DeviceId device{static_cast<std::uint32_t>(i % devices)};
    lanes_.push_back(std::make_unique<LaneInWorld>(*this, index, device));
    core_->lane_up(LaneId{index}, device, now_);
  }
  make_jobs();
}

World::~World() = default;

std::shared_ptr<const ModelTimes> World::make_model() {
  auto model = std::make_shared<ModelTimes>();
  const int blocks = from_to(1, 6);
  const bool exits = chance(60);
  const std::size_t devices =
      std::any_of(lanes_.begin(), lanes_.end(), [](const auto& l) { return l->device.value == 1; }) ? 2 : 1;
  const std::size_t only = devices == 2 && chance(40) ? static_cast<std::size_t>(from_to(0, 1)) : 2;
  model->on_device.resize(devices);
  for (std::size_t d = 0; d < devices; ++d) {
    if (only != 2 && d != only) continue;
    for (int b = 0; b < blocks; ++b) {
      BlockTime time{.trunk = Duration{from_to(1, 8)}, .exit = Duration{exits ? from_to(0, 3) : 0}};
      time.worst_trunk = time.trunk + Duration{from_to(0, 4)};
      time.worst_exit = time.exit;
      model->on_device[d].push_back(time);
    }
  }
  if (exits) {
    for (int b = 0; b < blocks; ++b) model->accuracy.push_back(from_to(0, 100) / 100.0);
    if (chance(70)) std::sort(model->accuracy.begin(), model->accuracy.end());
  }
  return model;
}

void World::make_jobs() {
  const int count = from_to(1, 25);
  std::vector<std::shared_ptr<const ModelTimes>> models;
  for (int i = 0; i < 4; ++i) models.push_back(make_model());
  for (int i = 0; i < count; ++i) {
    Job j;
    j.submit_at = TimePoint{Duration{from_to(0, 80)}};
    j.spec.id = JobId{static_cast<std::uint64_t>(i) + 1};
    j.spec.times = models[static_cast<std::size_t>(from_to(0, 3))];
    j.spec.release = j.submit_at + Duration{chance(50) ? 0 : from_to(0, 20)};
    if (!chance(25)) j.spec.deadline = j.spec.release + Duration{from_to(1, 60)};
    j.spec.priority = from_to(0, 3);
    j.spec.on_miss = chance(15) ? OnMiss::keep_on : OnMiss::stop;
    j.spec.plan = chance(60) ? PlanMode::exact : chance(50) ? PlanMode::all : PlanMode::last;
    if (chance(30)) j.spec.mandatory_exit = from_to(0, j.spec.times->blocks() - 1);
    if (chance(30)) j.spec.target_confidence = from_to(5, 10) / 10.0;
    if (chance(15)) j.cancel_at = j.submit_at + Duration{from_to(0, 40)};
    jobs_.push_back(std::move(j));
  }
}

void World::violation(const std::string& what) {
  violations_.push_back("t=" + std::to_string(now_.time_since_epoch().count()) + ": " + what);
}

TimePoint World::next_instant() const {
  TimePoint next = fault_ == Fault::sleeps_late ? kNever : core_->next_wakeup();
  for (const Job& j : jobs_) {
    if (j.submit_at > now_) next = std::min(next, j.submit_at);
    if (j.cancel_at && *j.cancel_at > now_) next = std::min(next, *j.cancel_at);
  }
  for (const auto& l : lanes_) {
    next = std::min(next, l->up ? l->lane->next_event() : now_ + Duration{3});
    if (!l->unread.empty()) next = std::min(next, l->unread.front().due);
  }
  return next;
}

void World::run() {
  instant();
  for (TimePoint next = next_instant(); next < kNever && now_ < TimePoint{Duration{100'000}};
       next = next_instant()) {
    now_ = next;
    instant();
    if (broken() || violations_.size() > 20) return;
  }
  for (const Job& j : jobs_) {
    const std::string what = "job " + std::to_string(j.spec.id.value);
    if (j.accepted && !j.finished) violation(what + " has no outcome");
    if (j.accepted && !j.released) violation(what + " was never freed");
  }
  if (core_->job_count() != 0) violation("the core still holds jobs:\n" + core_->dump());
}

void World::instant() {
  if (chance(30)) report();  // a driver may read late reports first
  for (Job& j : jobs_) {
    if (j.submit_at == now_) {
      const std::size_t before = core_->job_count();
      const auto result = core_->submit(j.spec, now_);
      j.accepted = result.has_value();
      counts_.jobs += j.accepted;
      const bool full = before == max_jobs_;
      if (result.has_error()) {
        counts_.rejected_full += full;
        if (!full && result.error() != Reason::no_lane) violation("a job was rejected without need");
      } else if (full) {
        violation("the queue is not bounded");
      }
    }
    if (j.cancel_at == now_ && j.accepted) {
      const auto view = core_->job(j.spec.id);
      const bool could_be = view && view->state != JobState::ended;
      const bool cancelled = core_->cancel(j.spec.id, now_);
      j.cancelled = cancelled;
      if (cancelled != could_be) violation("cancel answers wrongly");
    }
  }
  lanes_come_and_go();
  if (chance(80)) core_->advance(now_);
  do {
    core_->decide(now_);
    act();
  } while (report());
  check_quiet();
}

void World::lanes_come_and_go() {
  // Late in the run every lane comes back, so that every job can end.
  const bool settle = now_ > TimePoint{Duration{200}};
  for (auto& l : lanes_) {
    if (l->up && !settle && chance(1)) {
      const bool whole_device = chance(50);
      for (auto& other : lanes_) {
        if (other->up && (other == l || (whole_device && other->device == l->device))) lose(other->index);
      }
    } else if (!l->up && (settle || chance(30))) {
      l->restart();
      core_->lane_up(LaneId{l->index}, l->device, now_);
    }
  }
}

// The state of every job that the core believes there dies with the lane.
void World::lose(std::uint32_t index) {
  LaneInWorld& l = *lanes_[index];
  ++counts_.lost_lanes;
  l.up = false;
  l.unread.clear();
  l.current = {};
  l.lane = std::make_unique<SimulatedLane>(LaneId{index}, l, GrantNumber{l.grants});
  for (Job& j : jobs_) {
    if (j.running == index) j.running.reset();
    const bool here = j.holder ? j.holder == index : j.last_lane == index;
    if (!here) continue;
    j.holder.reset();
    j.last_lane.reset();
    j.next_block = 0;
    j.stop_told = false;
  }
  core_->lane_lost(LaneId{index}, chance(70) ? LaneLoss::comes_back : LaneLoss::for_good, now_);
}

// Lanes do what falls due, and write it down.
void World::act() {
  for (auto& l : lanes_) {
    if (!l->up || broken()) continue;
    l->lane->act(now_);
    for (const LaneRecord& record : l->lane->take_records()) {
      if (record.block && l->lane->next_event() == kNever) l->block_ended();
      const TimePoint due = now_ + Duration{chance(late_reports_percent_) ? from_to(1, 10) : 0};
      l->unread.push_back({due, record});
    }
  }
}

// The core reads what has become due. True: there was something, so lanes may have new work.
bool World::report() {
  bool told = false;
  for (auto& l : lanes_) {
    while (!l->unread.empty() && l->unread.front().due <= now_ && !broken()) {
      const LaneRecord record = l->unread.front().record;
      l->unread.pop_front();
      deliver(l->index, record);
      told = true;
    }
  }
  return told;
}

// The truth as far as the core has been told.
void World::deliver(std::uint32_t index, const LaneRecord& record) {
  Job* held = nullptr;
  for (Job& j : jobs_) {
    if (j.holder == index && j.grant == record.grant) held = &j;
  }
  if (held == nullptr) return violation("a record of no grant");
  if (record.block) {
    const BlockReport& block = *record.block;
    const bool in_time = block.end <= held->spec.deadline || held->spec.on_miss == OnMiss::keep_on;
    if (!held->finished && in_time) {
      if (block.answer) {
        held->best_exit = block.answer->exit;
        held->target_reached |= block.answer->confidence >= held->spec.target_confidence;
      }
      if (block.block == held->spec.times->blocks() - 1)
        held->all_blocks_in_time = block.end <= held->spec.deadline;
    }
    if (!core_->block_done(block, now_)) violation("the core does not know its block");
  } else {
    held->holder.reset();
    held->stop_told = false;
    if (!core_->grant_ended(LaneId{index}, record.grant, *record.ended, now_)) {
      violation("the core does not know its grant");
    }
  }
}

// Once all reports are read, the lanes hold exactly what the scheduling-point rule says.
void World::check_quiet() {
  const bool unread =
      std::any_of(lanes_.begin(), lanes_.end(), [](const auto& l) { return !l->unread.empty(); });
  if (unread || broken()) return;
  for (const auto& l : lanes_) {
    if (!l->up) continue;
    const Job* running = nullptr;
    bool posted_behind = false;
    for (const Job& j : jobs_) {
      if (j.running == l->index) running = &j;
      posted_behind |= j.holder == l->index && j.running != l->index;
    }
    for (const Job& posted : jobs_) {
      const bool behind = posted.holder == l->index && &posted != running;
      if (behind && running != nullptr && goes_on(*running, *l) && more_urgent(posted.spec, running->spec)) {
        violation("job " + std::to_string(posted.spec.id.value) + " waits behind the less urgent job " +
                  std::to_string(running->spec.id.value) + ", which was not told to stop");
      }
    }
    for (const Job& ready : jobs_) {
      if (ready.state != JobState::ready || ready.released) continue;
      const auto view = core_->job(ready.spec.id);
      const bool begun_elsewhere = view->next_block > 0 && lanes_[*ready.last_lane]->device != l->device;
      const auto& on_device = ready.spec.times->on_device;
      if (begun_elsewhere || on_device[l->device.value].empty()) continue;
      const std::string what =
          "job " + std::to_string(ready.spec.id.value) + " is ready, and lane " + std::to_string(l->index);
      if (running == nullptr) {
        violation(what + " is idle");
      } else if (goes_on(*running, *l) && more_urgent(ready.spec, running->spec)) {
        violation(what + " goes on with the less urgent job " + std::to_string(running->spec.id.value));
      } else if (!posted_behind && core_->job(running->spec.id)->plan >> l->current_block == 1) {
        violation(what + ", whose job ends, has no successor posted");
      }
    }
  }
}

// Whether the lane will run another block of its job, as far as it was told and the deadline lets it.
bool World::goes_on(const Job& j, const LaneInWorld& l) const {
  constexpr Duration kLongestBlock{11};
  const bool ends = j.finished || j.told_exits >> l.current_block <= 1;
  const bool expires = j.spec.on_miss == OnMiss::stop && j.spec.deadline <= now_ + kLongestBlock;
  return !ends && !expires && !j.stop_told;
}

bool World::more_urgent(const JobSpec& a, const JobSpec& b) const {
  if (policy_ == Policy::fifo) return false;  // nobody makes room
  const auto key = [&](const JobSpec& s) {
    if (policy_ == Policy::edf) return std::tuple(s.deadline, s.release, TimePoint{}, s.id);
    return std::tuple(TimePoint{Duration{-s.priority}}, s.deadline, s.release, s.id);
  };
  return key(a) < key(b);
}

// --- Commands ---

void World::grant(const Grant& g, Reason) {
  if (broken()) return;
  Job& j = job(g.job);
  const std::string what = "job " + std::to_string(g.job.value);
  if (j.holder) violation(what + " is granted to two lanes");
  if (j.running) violation(what + " is granted while it runs");
  if (j.finished) violation(what + " is granted after its outcome");
  j.holder = g.lane.value;
  j.grant = g.number;
  j.told_exits = g.exits;
  j.stop_told = false;
  LaneInWorld& l = *lanes_[g.lane.value];
  if (!l.up) return violation(what + " is granted to a lost lane");
  l.grants = g.number.value;
  if (!broken()) l.lane->post(g);
}

void World::stop(LaneId lane, GrantNumber number, Reason) {
  if (broken()) return;
  for (Job& j : jobs_) {
    if (j.holder == lane.value && j.grant == number) j.stop_told = true;
  }
  if (fault_ != Fault::ignores_stop) lanes_[lane.value]->lane->stop(number);
}

bool World::withdraw(LaneId lane, GrantNumber number, Reason) {
  if (broken()) return false;
  LaneInWorld& l = *lanes_[lane.value];
  ++counts_.withdrawals;
  // The lane may get there first: it begins what is posted to it, or ends its block and goes on.
  // It may also meet the withdrawal over the grant: then it gives it up, and says so without a block.
  if (chance(20)) {
    if (chance(30) && l.lane->waits(number)) l.lane->stop(number);
    l.lane->act(now_);
  }
  const bool taken_back = l.lane->withdraw(number);
  counts_.late_withdrawals += !taken_back;
  if (!taken_back && fault_ != Fault::withdraw_lies) return false;
  for (Job& j : jobs_) {
    if (j.holder == lane.value && j.grant == number) j.holder.reset();
  }
  return true;
}

void World::set_exits(LaneId lane, GrantNumber number, ExitMask exits, Reason) {
  if (broken()) return;
  ++counts_.replans;
  for (Job& j : jobs_) {
    if (j.holder == lane.value && j.grant == number) j.told_exits = exits;
  }
  lanes_[lane.value]->lane->set_exits(number, exits);
}

void World::finish(JobId id, Outcome outcome, Reason why) {
  if (broken()) return;
  Job& j = job(id);
  ++counts_.outcomes[outcome];
  const std::string what = "job " + std::to_string(id.value) + " ended as " + std::string(name(outcome)) +
                           " (" + std::string(name(why)) + ")";
  if (!j.accepted) violation(what + " without having been accepted");
  if (j.finished) violation(what + " a second time");
  j.finished = true;
  if (j.spec.on_miss == OnMiss::stop && now_ > j.spec.deadline + Duration{1}) violation(what + " late");
  const bool exits = !j.spec.times->accuracy.empty();
  const bool suffices = j.best_exit >= std::max(0, j.spec.mandatory_exit);
  const auto& accuracy = j.spec.times->accuracy;
  // Exits that the lane has passed are out of reach.
  const bool nothing_better =
      exits && suffices &&
      std::all_of(accuracy.begin() + std::max(j.best_exit, j.next_block), accuracy.end(),
                  [&](double a) { return a <= accuracy[static_cast<std::size_t>(j.best_exit)]; });
  switch (outcome) {
    case Outcome::completed:
      if (!j.all_blocks_in_time && !j.target_reached && !nothing_better) violation(what + ", but was not");
      break;
    case Outcome::deadline:
      if (!exits || !suffices) violation(what + " without a sufficient answer");
      break;
    case Outcome::missed:
      if (exits ? suffices : j.all_blocks_in_time) violation(what + " with a sufficient answer");
      break;
    case Outcome::cancelled:
      if (!j.cancelled) violation(what + " without being asked");
      break;
    case Outcome::failed:
      if (counts_.lost_lanes == 0) violation(what + " without a reason");
      break;
    case Outcome::rejected:
      violation(what + " after it was accepted");
  }
}

void World::release(JobId id) {
  Job& j = job(id);
  const std::string what = "job " + std::to_string(id.value);
  if (fault_ == Fault::forgets_release) return;
  if (j.released) violation(what + " is freed twice");
  if (!j.finished) violation(what + " is freed before its outcome");
  if (j.running) violation(what + " is freed while it runs");
  if (j.holder) violation(what + " is freed while a lane has its grant");
  j.released = true;
}

void World::job_state(JobId id, JobState from, JobState to, TimePoint) {
  Job& j = job(id);
  if (j.state != from || !is_legal(from, to))
    violation("job " + std::to_string(id.value) + " changes state wrongly");
  j.state = to;
}

}  // namespace einet
