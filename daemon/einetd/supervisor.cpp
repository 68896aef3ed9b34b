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
                            ": its worker does not run: " + escape(w.complaint, 500));
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
  return w.process && w.places == lane::Places::all &&
         w.process->channel().lanes() > parts_.config.devices[w.device.value].lanes;
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
    settle(w);
    return restart_later(w);
  }
  w.process = std::move(*process);
  w.state = State::starting;
  w.answered = 0;
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

void Supervisor::take(Worker& w, lane::FromWorker& message) {
  w.heard = parts_.clock.now();
  if (const auto* line = std::get_if<lane::LogLine>(&message)) {
    const std::initializer_list<LogField> fields{{"device", device_name(w)}, {"text", line->text}};
    if (line->severity == lane::Severity::info) return parts_.log.info("worker says", fields);
    if (line->severity == lane::Severity::warning) return parts_.log.warn("worker says", fields);
    w.complaint = line->text;
    return parts_.log.error("worker says", fields);
  }
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
    return load_next(w);
  }
  if (const auto* moved = std::get_if<lane::StateMoved>(&message)) {
    if (auto ok = parts_.driver.state_moved(w.device, *moved); !ok) return kill(w, ok.error().message);
    return parts_.driver.pump();
  }
  auto* loaded_model = std::get_if<lane::ModelLoaded>(&message);
  const auto* refused = std::get_if<lane::ModelRefused>(&message);
  const ModelId model = loaded_model != nullptr ? loaded_model->model : refused->model;
  if (w.state != State::loading || model.value != w.answered)
    return kill(w, "it answered for a model out of turn");
  ++w.answered;
  const std::string& name = parts_.catalog.model(model).name;
  std::string reason = refused != nullptr ? refused->reason : "";
  if (loaded_model != nullptr) {
    if (auto ok = loaded(w, model, std::move(loaded_model->description)); !ok) reason = ok.error().message;
  }
  if (reason.empty()) {
    parts_.log.info("model loaded", {{"model", name}, {"device", device_name(w)}});
  } else {
    refuse(w, model, reason);
    parts_.log.warn("model refused", {{"model", name}, {"device", device_name(w)}, {"reason", reason}});
  }
  load_next(w);
}

// Error: why it must be refused.
Result<void> Supervisor::loaded(Worker& w, ModelId model, lane::ModelDescription description) {
  auto times = parts_.catalog.times_with(model, w.device, description);
  if (!times) return times.error();
  if (auto ok = parts_.tasks.model_loads(model, w.device, *times); !ok) return ok;
  parts_.catalog.loaded(model, std::move(description), std::move(*times));
  return {};
}

void Supervisor::refuse(Worker& w, ModelId model, const std::string& reason) {
  const std::shared_ptr<const ModelTimes> before = parts_.catalog.model(model).times;
  parts_.catalog.refused(model, w.device, reason);
  parts_.tasks.model_lost(model, w.device, before, reason);
}

// One at a time: the control socket need never hold more than one request.
void Supervisor::load_next(Worker& w) {
  for (; w.answered < parts_.catalog.size(); ++w.answered) {
    const ModelId model{static_cast<std::uint32_t>(w.answered)};
    const bool deadly = std::find(w.deadly.begin(), w.deadly.end(), model) != w.deadly.end();
    if (deadly || !parts_.catalog.may_load(model)) continue;
    lane::LoadModel load{.model = model, .path = parts_.catalog.path(model).string()};
    if (auto ok = w.process->control().send(lane::ToWorker(std::move(load)), lane::Waiting::never); !ok) {
      kill(w, ok.error().message);
    }
    return;
  }
  went_up(w);
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
    const DeviceConfig& device = parts_.config.devices[w.device.value];
    for (const LaneId lane : parts_.driver.base_lanes(w.device)) {
      parts_.tasks.lane_up(lane, w.device,
                           urgent_lanes ? preemption_named(device.preemption) : Preemption::boundary);
    }
    parts_.driver.pump();
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
  parts_.driver.detach(w.device, LaneLoss::comes_back);
  const std::string how = w.process->reap();
  const bool asked = w.state == State::ending;
  if (!done_ && !asked) {
    parts_.log.error("worker died", {{"device", device_name(w)}, {"pid", w.process->pid()}, {"how", how}});
  }
  if (!done_ && w.state == State::loading && w.answered < parts_.catalog.size()) {
    w.deadly.push_back(ModelId{static_cast<std::uint32_t>(w.answered)});
    refuse(w, w.deadly.back(), "the worker died while it loaded the package (" + how + ")");
  }
  if (runs_well(w)) {
    w.delay = parts_.config.worker.restart_delay;
    w.deaths = 0;
  }
  if (!asked) {
    w.last_death = how + (w.complaint.empty() ? "" : ": " + escape(w.complaint, 500));
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
  parts_.catalog.reload();
  for (Worker& w : workers_) {
    w.deadly.clear();
    w.delay = parts_.config.worker.restart_delay;
    if (!w.process) continue;  // it starts soon
    parts_.driver.detach(w.device, LaneLoss::comes_back);
    w.state = State::ending;
    w.heard = parts_.clock.now();
    end(w);
  }
  parts_.driver.pump();
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
    if (w.state == State::up ? hangs(w, now) : now - w.heard > patience) kill(w, "it hangs");
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
    if (!model.loaded()) continue;
    for (const BlockTime& t : model.times->on_device[w.device.value]) {
      longest = std::max(longest, t.worst_trunk + t.worst_exit);
    }
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
