#include "daemon/einetd/supervisor.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>

#include "config/ranks.h"
#include "config/text.h"

namespace einet {
namespace {

using boost::system::error_code;
using Descriptor = boost::asio::posix::stream_descriptor;

// A worker that starts or loads must say something within this time (a large model takes seconds to load).
constexpr Duration kStartPatience = std::chrono::seconds(60);
// When the daemon ends, workers may finish the block that they run.
constexpr Duration kEndPatience = std::chrono::seconds(2);
// A device whose worker died this often in a row is unhealthy.
constexpr int kUnhealthyDeaths = 3;

// Waits only: the descriptor stays its owner's.
void watch(std::unique_ptr<Descriptor>& slot, boost::asio::io_context& io, int fd) {
  slot = std::make_unique<Descriptor>(io, fd);
}
void unwatch(std::unique_ptr<Descriptor>& slot) {
  if (slot) slot->release();
  slot.reset();
}

}  // namespace

Supervisor::Supervisor(Parts parts, std::function<void()> on_settled)
    : parts_(std::move(parts)),
      on_settled_(std::move(on_settled)),
      workers_(parts_.config.devices.size()),
      hang_timer_(parts_.io),
      end_timer_(parts_.io) {
  for (std::uint32_t d = 0; d < workers_.size(); ++d) {
    workers_[d].device = DeviceId{d};
    workers_[d].delay = parts_.config.worker.restart_delay;
    workers_[d].restart = std::make_unique<boost::asio::steady_timer>(parts_.io);
    workers_[d].residence.assign(parts_.catalog.size(), Residence::in);
  }
}

Supervisor::~Supervisor() {
  for (Worker& w : workers_) {
    parts_.driver.detach(w.device, LaneLoss::for_good);
    for (auto* slot : {&w.death, &w.control, &w.doorbell}) unwatch(*slot);
  }
}

void Supervisor::start() {
  for (Worker& w : workers_) start(w);
  check_hangs();
}

WorkerView Supervisor::view(DeviceId id) const {
  const Worker& w = workers_[id.value];
  WorkerView view{.pid = w.process ? w.process->pid() : 0, .restarts = std::max(0, w.starts - 1)};
  view.rank = "nice " + std::to_string(parts_.rank.lane_nice);
  view.urgent_rank = view.rank;
  if (w.places == lane::Places::all && parts_.rank.real_time == Rank::RealTime::yes) {
    view.rank += "/fifo " + std::to_string(kReservedLanePriority);
    view.urgent_rank = "fifo " + std::to_string(kUrgentLanePriority);
  }
  const bool never_ran = w.up_since == TimePoint{} && !w.complaint.empty();  // then that says more
  if (w.deaths >= kUnhealthyDeaths && !runs_well(w) && !never_ran) {
    view.warnings.push_back("device " + device_name(w) + " is unhealthy: its worker died " +
                            std::to_string(w.deaths) + " times in a row, last with " + w.last_death + "; " +
                            (w.state == State::up ? "it has run every model once and serves again"
                                                  : "it serves again when it has run every model once"));
  } else if ((w.state == State::down || w.state == State::starting) && !w.complaint.empty()) {
    view.warnings.push_back("device " + device_name(w) +
                            ": its worker does not run: " + printable(w.complaint, 500));
  }
  if (w.state == State::up && parts_.config.devices[id.value].has_urgent_lanes() && !preempts(w)) {
    view.warnings.push_back(
        "device " + device_name(w) +
        ": urgent jobs wait for the end of the block in progress, for its worker could not take the "
        "cores or the real-time rank of its lanes; the log has the reasons");
  }
  return view;
}

bool Supervisor::runs_well(const Worker& w) const {
  return w.state == State::up && parts_.clock.now() - w.up_since > parts_.config.worker.restart_delay_max;
}

bool Supervisor::preempts(const Worker& w) const {
  const DeviceConfig& device = parts_.config.devices[w.device.value];
  return w.process && (w.places == lane::Places::all || device.is_gpu()) &&
         w.process->channel().lanes() > device.lanes;
}

// ---- a worker's life ----

void Supervisor::start(Worker& w) {
  ++w.starts;
  const DaemonCores::All all(parts_.cores);  // a worker's threads keep off no core
  auto process = WorkerProcess::start(parts_.worker, parts_.config.devices[w.device.value], parts_.rank,
                                      parts_.arena.fd());
  if (!process) {
    parts_.log.error("worker not started", {{"device", device_name(w)}, {"reason", process.error().message}});
    for (std::uint32_t m = 0; m < parts_.catalog.size(); ++m) {
      refuse(w, ModelId{m}, "the worker of device " + device_name(w) + " cannot be started");
    }
    forget_evictions(w);
    parts_.driver.pump();
    settle(w);
    return restart_later(w);
  }
  w.process = std::move(*process);
  w.state = State::starting;
  w.answered = 0;
  w.holds.assign(parts_.catalog.size(), false);
  w.heard = parts_.clock.now();
  watch(w.death, parts_.io, w.process->pidfd());
  watch(w.control, parts_.io, w.process->control().fd());
  watch(w.doorbell, parts_.io, w.process->channel().doorbell_fd());
  wait_death(w);
  wait_control(w);
  wait_doorbell(w);
  parts_.log.info("worker started",
                  {{"device", device_name(w)}, {"pid", w.process->pid()}, {"start", w.starts}});
}

void Supervisor::wait_death(Worker& w) {
  w.death->async_wait(Descriptor::wait_read, [this, &w](error_code ended) {
    if (!ended) died(w);
  });
}

void Supervisor::wait_doorbell(Worker& w) {
  w.doorbell->async_wait(Descriptor::wait_read, [this, &w](error_code ended) {
    if (ended) return;
    parts_.driver.pump();
    if (w.doorbell) wait_doorbell(w);
  });
}

void Supervisor::wait_control(Worker& w) {
  w.control->async_wait(Descriptor::wait_read, [this, &w](error_code ended) {
    if (ended) return;
    lane::FromWorker message;
    const Result<lane::Received> received = w.process->control().receive(message, lane::Waiting::never);
    if (!received) return kill(w, "its message makes no sense: " + received.error().message);
    if (*received == lane::Received::closed) return;  // its death is seen by pidfd
    if (*received == lane::Received::message) take(w, message);
    if (w.control) wait_control(w);
  });
}

void Supervisor::take_last_words(Worker& w) {
  lane::FromWorker message;
  for (;;) {
    const Result<lane::Received> received = w.process->control().receive(message, lane::Waiting::never);
    if (!received || *received != lane::Received::message) return;
    if (const auto* line = std::get_if<lane::LogLine>(&message)) take(w, *line);
  }
}

void Supervisor::take(Worker& w, const lane::LogLine& line) {
  const std::initializer_list<LogField> fields{{"device", device_name(w)}, {"text", line.text}};
  if (line.severity == lane::Severity::info) return parts_.log.info("worker says", fields);
  if (line.severity == lane::Severity::warning) return parts_.log.warn("worker says", fields);
  w.complaint = line.text;
  parts_.log.error("worker says", fields);
}

void Supervisor::take(Worker& w, lane::FromWorker& message) {
  w.heard = parts_.clock.now();
  if (const auto* line = std::get_if<lane::LogLine>(&message)) return take(w, *line);
  if (w.state == State::ending) return;
  if (const auto* ready = std::get_if<lane::Ready>(&message)) {
    if (w.state != State::starting) return kill(w, "it said twice that it is ready");
    w.state = State::loading;
    w.complaint.clear();
    w.places = ready->places;
    const bool ranks = w.places == lane::Places::all && parts_.rank.real_time == Rank::RealTime::yes;
    if (ranks && !w.process->set_lane_threads(ready->threads)) {
      return kill(w, "the threads that it names are not those of its lanes");
    }
    return tend(w);
  }
  if (const auto* moved = std::get_if<lane::StateMoved>(&message)) {
    if (auto ok = parts_.driver.state_moved(w.device, *moved); !ok) return kill(w, ok.error().message);
    return parts_.driver.pump();
  }
  if (auto* loaded = std::get_if<lane::ModelLoaded>(&message)) return answered(w, *loaded);
  if (const auto* refused = std::get_if<lane::ModelRefused>(&message)) return answered(w, *refused);
  answered(w, std::get<lane::ModelUnloaded>(message));
}

// ---- what its device's memory holds ----

void Supervisor::answered(Worker& w, lane::ModelLoaded& message) {
  const ModelId model = message.model;
  if (w.loads != model) return kill(w, "it answered for a model out of turn");
  w.loads.reset();
  w.lack.reset();
  if (w.started_for == model) w.started_for.reset();
  if (w.state == State::loading) ++w.answered;
  if (auto ok = accept(w, model, std::move(message.description)); !ok) {
    refuse(w, model, ok.error().message);
    parts_.driver.pump();
    return unload(w, model);
  }
  parts_.log.info("model loaded", {{"model", parts_.catalog.model(model).name}, {"device", device_name(w)}});
  w.holds[model.value] = true;
  if (w.state == State::up) {
    set_residence(w, model, Residence::in);
    parts_.driver.pump();
  }
  tend(w);
}

void Supervisor::answered(Worker& w, const lane::ModelRefused& message) {
  if (w.loads != message.model) return kill(w, "it answered for a model out of turn");
  w.loads.reset();
  w.lack.reset();
  if (message.lacks.value > 0) {
    w.lack = {message.model, message.lacks, message.reason};
    return tend(w);
  }
  if (w.state == State::loading) ++w.answered;
  refuse(w, message.model, message.reason);
  parts_.driver.pump();
  tend(w);
}

void Supervisor::answered(Worker& w, const lane::ModelUnloaded& message) {
  if (w.unloads != message.model) return kill(w, "it answered for a model out of turn");
  w.unloads.reset();
  w.freed_at = parts_.clock.now();
  if (w.lack) {
    const std::uint64_t freed = parts_.catalog.model(message.model).description.weights.value;
    w.lack->bytes.value -= std::min(freed, w.lack->bytes.value);
    if (w.lack->bytes.value == 0) w.lack.reset();
  }
  tend(w);
}

// Error: why it must be refused.
Result<void> Supervisor::accept(Worker& w, ModelId model, lane::ModelDescription description) {
  auto times = parts_.catalog.times_with(model, w.device, description);
  if (!times) return times.error();
  if (auto ok = parts_.tasks.model_loads(model, w.device, *times); !ok) return ok;
  if (!description.moves.empty() && (*times)->moves[w.device.value].empty()) {
    parts_.log.info(
        "jobs stay on this device: their states have another form than on the one that loaded it first",
        {{"model", parts_.catalog.model(model).name}, {"device", device_name(w)}});
  }
  if (!description.doubt.empty()) {
    parts_.log.warn("block times may not hold", {{"model", parts_.catalog.model(model).name},
                                                 {"device", device_name(w)},
                                                 {"reason", description.doubt}});
  }
  parts_.catalog.loaded(model, std::move(description), std::move(*times));
  return {};
}

void Supervisor::refuse(Worker& w, ModelId model, const std::string& reason, Residence residence) {
  if (w.started_for == model) w.started_for.reset();
  const std::shared_ptr<const ModelTimes> before = parts_.catalog.model(model).times;
  parts_.catalog.refused(model, w.device, reason);
  parts_.tasks.model_lost(model, w.device, before, reason);
  if (w.state == State::down || w.state == State::starting) return;  // not the model's fault
  parts_.log.warn(
      "model refused",
      {{"model", parts_.catalog.model(model).name}, {"device", device_name(w)}, {"reason", reason}});
  set_residence(w, model, residence);
}

void Supervisor::set_residence(Worker& w, ModelId model, Residence residence) {
  Residence& known = w.residence[model.value];
  if (known == residence) return;
  if (known == Residence::out) --evicted_;
  if (residence == Residence::out) ++evicted_;
  known = residence;
  parts_.catalog.set_evicted(model, w.device, residence == Residence::out);
  parts_.driver.set_residence(model, w.device, residence);
  if (residence != Residence::out) parts_.tasks.residence_changed(model);
}

// Its worker is gone, and perhaps for long: what waits for a model to come back is answered now. The next
// worker says anew what it holds.
void Supervisor::forget_evictions(Worker& w) {
  for (std::uint32_t m = 0; m < w.residence.size(); ++m) {
    if (w.residence[m] == Residence::out) set_residence(w, ModelId{m}, Residence::in);
  }
}

bool Supervisor::is_needed(ModelId model) const {
  return parts_.driver.use(model).jobs > 0 || parts_.tasks.need(model);
}

template <class F>
std::optional<ModelId> Supervisor::longest_so(F&& f) const {
  std::optional<ModelId> first;
  for (std::uint32_t m = 0; m < parts_.catalog.size(); ++m) {
    if (!f(ModelId{m})) continue;
    if (!first || parts_.driver.use(ModelId{m}).since < parts_.driver.use(*first).since) first = ModelId{m};
  }
  return first;
}

void Supervisor::use_changed() {
  if (evicted_ == 0 || looks_) return;
  looks_ = true;
  boost::asio::post(parts_.io, [this] {
    looks_ = false;
    for (Worker& w : workers_) tend(w);
  });
}

bool Supervisor::make_room(DeviceId device, TimePoint granted) {
  Worker& w = workers_[device.value];
  if (w.unloads || granted <= w.freed_at) return true;
  if (!to_evict(w, ByteCount{})) return false;
  boost::asio::post(parts_.io, [this, &w] {
    if (w.state != State::up || w.unloads) return;
    if (const auto victim = to_evict(w, ByteCount{})) evict(w, *victim, "a job's state");
  });
  return true;
}

void Supervisor::tend(Worker& w) {
  if ((w.state != State::loading && w.state != State::up) || w.loads || w.unloads || done_) return;
  const std::optional<ModelId> next = next_to_load(w);
  if (!next) {
    if (w.state == State::loading) went_up(w);
    return;
  }
  if (!w.lack || w.lack->model != *next) return load(w, *next);
  if (const auto victim = to_evict(w, w.lack->bytes)) {
    return evict(w, *victim, parts_.catalog.model(*next).name);
  }
  if (w.state == State::up) {
    // Its jobs wait until others have ended. But if there are none, what fills the memory is room for the
    // states of jobs that have gone, which a worker keeps for the next ones.
    if (longest_so([&](ModelId m) { return w.holds[m.value] && is_needed(m); })) {
      // Tasks do not wait for other tasks, which stay.
      const auto ends = [&](ModelId m) { return w.holds[m.value] && parts_.driver.use(m).jobs > 0; };
      if (!longest_so(ends)) {
        parts_.tasks.no_room(*next, w.device);
        parts_.driver.pump();
      }
      return;
    }
    if (w.started_for != next) {
      w.started_for = next;
      parts_.log.warn("worker starts again for memory",
                      {{"device", device_name(w)}, {"model", parts_.catalog.model(*next).name}});
      start_again(w);
      return parts_.driver.pump();
    }
    // So others fill the device.
  }
  const Lack lack = *std::exchange(w.lack, std::nullopt);
  const bool comes_back = w.state == State::loading && parts_.catalog.model(*next).runs_on(w.device);
  if (w.state == State::loading) ++w.answered;
  if (!comes_back) {
    refuse(w, *next, lack.reason + "; no other model can make room", Residence::no_room);
    parts_.driver.pump();
  }
  tend(w);
}

// First each model once, then what is needed, whose jobs wait longest.
std::optional<ModelId> Supervisor::next_to_load(Worker& w) {
  if (w.state == State::loading) {
    for (; w.answered < parts_.catalog.size(); ++w.answered) {
      const ModelId model{static_cast<std::uint32_t>(w.answered)};
      const bool deadly = std::find(w.deadly.begin(), w.deadly.end(), model) != w.deadly.end();
      if (!deadly && parts_.catalog.may_load(model)) return model;
    }
    return std::nullopt;
  }
  return longest_so([&](ModelId m) { return w.residence[m.value] == Residence::out && is_needed(m); });
}

// None: what could go has not that much memory.
std::optional<ModelId> Supervisor::to_evict(const Worker& w, ByteCount least) const {
  std::uint64_t sum = 0;
  const auto oldest = longest_so([&](ModelId m) {
    const bool could_go = w.holds[m.value] && !is_needed(m);
    if (could_go) sum += parts_.catalog.model(m).description.weights.value;
    return could_go;
  });
  return sum >= least.value ? oldest : std::nullopt;
}

void Supervisor::evict(Worker& w, ModelId model, const std::string& for_what) {
  parts_.log.info(
      "model evicted",
      {{"model", parts_.catalog.model(model).name}, {"device", device_name(w)}, {"for", for_what}});
  if (w.state == State::up) {
    ++evictions_;
    set_residence(w, model, Residence::out);
  }
  unload(w, model);
}

void Supervisor::load(Worker& w, ModelId model) {
  ask(w, w.loads, model, lane::LoadModel{.model = model, .path = parts_.catalog.path(model).string()});
}

void Supervisor::unload(Worker& w, ModelId model) {
  w.holds[model.value] = false;
  ask(w, w.unloads, model, lane::UnloadModel{model});
}

void Supervisor::ask(Worker& w, std::optional<ModelId>& what, ModelId model, lane::ToWorker message) {
  what = model;
  w.asked_at = parts_.clock.now();
  if (auto ok = w.process->control().send(message, lane::Waiting::never); !ok) kill(w, ok.error().message);
}

void Supervisor::went_up(Worker& w) {
  w.state = State::up;
  w.up_since = parts_.clock.now();
  w.patience.assign(static_cast<std::size_t>(w.process->channel().lanes()), Patience());
  parts_.log.info("worker up", {{"device", device_name(w)}, {"pid", w.process->pid()}});
  if (!done_) {
    const bool urgent_lanes = preempts(w);
    parts_.driver.attach(
        w.device, w.process->channel(), [&w](int lane) { w.process->raise(lane); },
        [&w](const lane::ToWorker& message) {
          return w.process->control().send(message, lane::Waiting::never);
        },
        urgent_lanes ? Driver::UrgentLanes::use : Driver::UrgentLanes::leave);
    for (std::uint32_t m = 0; m < w.residence.size(); ++m) {
      if (!parts_.catalog.model(ModelId{m}).runs_on(w.device)) continue;
      set_residence(w, ModelId{m}, w.holds[m] ? Residence::in : Residence::out);
    }
    const DeviceConfig& device = parts_.config.devices[w.device.value];
    for (const LaneId lane : parts_.driver.base_lanes(w.device)) {
      parts_.tasks.lane_up(lane, w.device,
                           urgent_lanes ? preemption_named(device.preemption) : Preemption::boundary);
    }
    parts_.driver.pump();
    tend(w);
  }
  settle(w);
}

void Supervisor::settle(Worker& w) {
  w.settled = true;
  if (!on_settled_ ||
      !std::all_of(workers_.begin(), workers_.end(), [](const Worker& x) { return x.settled; }))
    return;
  std::exchange(on_settled_, nullptr)();
}

void Supervisor::died(Worker& w) {
  take_last_words(w);
  parts_.driver.detach(w.device, LaneLoss::comes_back);
  const std::string how = w.process->reap();
  const bool asked = w.state == State::ending;
  if (!done_ && !asked) {
    parts_.log.error("worker died", {{"device", device_name(w)}, {"pid", w.process->pid()}, {"how", how}});
  }
  if (!done_ && w.state == State::loading && w.loads) {
    w.deadly.push_back(*w.loads);
    refuse(w, w.deadly.back(), "the worker died while it loaded the package (" + how + ")");
  }
  if (runs_well(w)) {
    w.delay = parts_.config.worker.restart_delay;
    w.deaths = 0;
  }
  if (!asked) {
    w.last_death = how + (w.complaint.empty() ? "" : ": " + printable(w.complaint, 500));
    if (++w.deaths == kUnhealthyDeaths) {
      parts_.log.error("device unhealthy", {{"device", device_name(w)}, {"deaths", w.deaths}, {"how", how}});
    }
  }
  if (w.state == State::starting && !w.settled) {  // it cannot even say that it is ready
    for (std::uint32_t m = 0; m < parts_.catalog.size(); ++m) {
      refuse(w, ModelId{m}, "the worker of device " + device_name(w) + " does not start");
    }
  }
  if (w.state == State::starting) settle(w);
  w.state = State::down;
  if (!done_ && !asked) forget_evictions(w);
  w.loads.reset();
  w.unloads.reset();
  w.lack.reset();
  for (auto* slot : {&w.death, &w.control, &w.doorbell}) unwatch(*slot);
  w.process.reset();
  if (!done_) {
    asked ? start(w) : restart_later(w);
  } else if (std::none_of(workers_.begin(), workers_.end(),
                          [](const Worker& x) { return x.process != nullptr; })) {
    end_timer_.cancel();
    boost::asio::post(parts_.io, std::exchange(done_, nullptr));
  }
  parts_.driver.pump();
}

void Supervisor::restart_later(Worker& w) {
  parts_.log.info("worker restarts", {{"device", device_name(w)}, {"in", w.delay}});
  w.restart->expires_after(w.delay);
  w.delay = std::min(w.delay * 2, parts_.config.worker.restart_delay_max);
  w.restart->async_wait([this, &w](error_code cancelled) {
    if (!cancelled && !done_) start(w);
  });
}

void Supervisor::reload() {
  parts_.log.info("loading all packages again");
  for (const std::filesystem::path& path : parts_.catalog.reload()) {
    parts_.log.warn("package is new: restart the daemon to load it", {{"package", path.string()}});
  }
  for (Worker& w : workers_) {
    w.deadly.clear();
    w.delay = parts_.config.worker.restart_delay;
    if (w.process) start_again(w);  // else it starts soon
  }
  parts_.driver.pump();
}

void Supervisor::start_again(Worker& w) {
  parts_.driver.detach(w.device, LaneLoss::comes_back);
  w.state = State::ending;
  w.heard = parts_.clock.now();
  end(w);
}

void Supervisor::end(Worker& w) {
  w.process->channel().close();
  // A worker that does not read is killed when patience ends.
  (void)w.process->control().send(lane::ToWorker(lane::Shutdown{}), lane::Waiting::never);
}

void Supervisor::kill(Worker& w, const std::string& why) {
  parts_.log.error("worker killed", {{"device", device_name(w)}, {"pid", w.process->pid()}, {"reason", why}});
  w.process->kill();
}

void Supervisor::broken(DeviceId device, const std::string& why) {
  Worker& w = workers_[device.value];
  if (w.process) kill(w, why);
}

// ---- hangs ----

void Supervisor::check_hangs() {
  const TimePoint now = parts_.clock.now();
  for (Worker& w : workers_) {
    if (!w.process) continue;
    const Duration patience = w.state == State::ending ? kEndPatience : kStartPatience;
    const bool asked = w.state == State::up && (w.loads || w.unloads);
    const bool late = asked ? now - w.asked_at > patience : w.state != State::up && now - w.heard > patience;
    if (late || (w.state == State::up && hangs(w, now))) kill(w, "it hangs");
  }
  hang_timer_.expires_after(parts_.config.worker.hang / 4);
  hang_timer_.async_wait([this](error_code cancelled) {
    if (!cancelled) check_hangs();
  });
}

// A lane hangs when its block runs longer than the longest block of any model on this device may, and `hang`
// more; or when it has work and has not begun it for that long (a stopped process, a lost wake-up).
bool Supervisor::hangs(Worker& w, TimePoint now) {
  Duration longest{};
  for (std::uint32_t m = 0; m < parts_.catalog.size(); ++m) {
    const CatalogModel& model = parts_.catalog.model(ModelId{m});
    if (model.loaded()) longest = std::max(longest, model.times->longest_stretch(w.device));
  }
  const Duration limit = longest + parts_.config.worker.hang;
  for (int lane = 0; lane < w.process->channel().lanes(); ++lane) {
    if (hangs(w, lane, now, limit)) return true;
  }
  const std::optional<TimePoint> asked = parts_.driver.state_asked_since(w.device);
  return asked && now - *asked > parts_.config.worker.hang;
}

// While its urgent lane has the core a lane gets no further: that time does not count.
bool Supervisor::hangs(Worker& w, int lane, TimePoint now, Duration limit) {
  const lane::DaemonEnd& channel = w.process->channel();
  const int urgent = lane + parts_.config.devices[w.device.value].lanes;
  Duration stood_still{};
  if (urgent < channel.lanes()) {
    stood_still = channel.ran(urgent);
    if (const auto since = channel.running_since(urgent)) stood_still += std::max(now - *since, Duration{0});
  }
  Patience& patience = w.patience[static_cast<std::size_t>(lane)];
  const std::optional<TimePoint> running = channel.running_since(lane);
  const bool waits = !running && channel.outstanding(lane) > 0;
  if (!running && !waits) {
    patience.since = kNever;
  } else if (patience.since == kNever || patience.running != running) {
    patience = {.running = running, .since = running.value_or(now), .stood_still = stood_still};
  }
  return patience.since != kNever && now - patience.since - (stood_still - patience.stood_still) > limit;
}

// ---- the end ----

void Supervisor::shutdown(std::function<void()> done) {
  hang_timer_.cancel();
  bool any = false;
  for (Worker& w : workers_) {
    w.restart->cancel();
    if (!w.process) continue;
    any = true;
    end(w);
  }
  if (!any) {
    boost::asio::post(parts_.io, std::move(done));
    return;
  }
  done_ = std::move(done);
  end_timer_.expires_after(kEndPatience);
  end_timer_.async_wait([this](error_code cancelled) {
    if (cancelled) return;
    for (Worker& w : workers_) {
      if (w.process) kill(w, "it did not end when told to");
    }
  });
}

}  // namespace einet
