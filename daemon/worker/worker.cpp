#include "daemon/worker/worker.h"

#include <atomic>
#include <cstdlib>
#include <latch>
#include <memory>
#include <pthread.h>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include "config/device_name.h"
#include "config/time.h"
#include "daemon/worker/device_memory.h"
#include "daemon/worker/lane_place.h"
#include "daemon/worker/lane_program.h"
#include "daemon/worker/model_table.h"
#include "daemon/worker/slot_table.h"
#include "daemon/worker/state_transfer.h"
#include "daemon/worker/urgent_time.h"
#include "ipc/lane/worker_end.h"
#include "models/cuda_backend.h"
#include "models/synthetic/synthetic_backend.h"
#ifdef EINET_HAS_ONEDNN
#include "models/onednn/onednn_backend.h"
#endif

namespace einet {

namespace {

// Never waits: a log line is not worth a late block.
void log(lane::ControlSocket& control, lane::Severity severity, std::string text) {
  (void)control.send(lane::FromWorker(lane::LogLine{severity, std::move(text)}), lane::Waiting::never);
}

Result<std::unique_ptr<Backend>> make_backend(const lane::Configure& configure) {
  if (configure.backend == "synthetic") return make_synthetic_backend();
  if (configure.backend == "synthetic-gpu") {
    const char* const faults = std::getenv(kSyntheticGpuFaults);
    auto made = make_synthetic_gpu_backend(faults != nullptr ? faults : "");
    if (!made) return within(kSyntheticGpuFaults, made.error());
    return made;
  }
  if (const auto index = cuda_index(configure.backend)) return make_cuda_backend(*index);
#ifdef EINET_HAS_ONEDNN
  if (configure.backend == "onednn") return make_onednn_backend({.threads_per_lane = configure.threads});
#endif
  return error("this worker has no backend \"" + configure.backend +
               "\"; build it with EINET_WITH_ONEDNN=ON");
}

class Worker {
 public:
  static Result<std::unique_ptr<Worker>> make(lane::ControlSocket& control, lane::Configure configure) {
    auto backend = make_backend(configure);
    if (!backend) return backend.error();
    auto channel =
        lane::WorkerEnd::map(configure.down.get(), configure.up.get(), std::move(configure.doorbell));
    if (!channel) return channel.error();
    if (channel->lanes() != configure.all_lanes())
      return error("the lane channel has another number of lanes");
    auto arena = lane::map_for_reading(configure.arena.get(), ByteCount{0});
    if (!arena) return within("arena", arena.error());
    return std::unique_ptr<Worker>(new Worker(control, std::move(configure), std::move(*backend),
                                              std::move(*channel), std::move(*arena)));
  }

  // Handles one message. False: it was the last one.
  bool handle(const lane::ToWorker& message) {
    if (const auto* load = std::get_if<lane::LoadModel>(&message)) {
      if (loader_.joinable()) loader_.join();  // it has answered
      loader_ = std::jthread([this, load = *load] { this->load(load); });
    } else if (const auto* unload = std::get_if<lane::UnloadModel>(&message)) {
      jobs_.catch_up();
      models_.unload(unload->model);
      send(lane::ModelUnloaded{unload->model});
    } else if (const auto* save = std::get_if<lane::SaveState>(&message)) {
      send_moved(save_state(*save, models_, jobs_));
    } else if (const auto* arrival = std::get_if<lane::LoadState>(&message)) {
      send_moved(load_state(*arrival, models_, jobs_));
    } else if (std::holds_alternative<lane::Configure>(message)) {
      log(control_, lane::Severity::error, "configured twice; the second time is ignored");
    }
    return !std::holds_alternative<lane::Shutdown>(message);
  }

  // Once every lane has taken its place.
  lane::Ready ready() {
    placed_.wait();
    return {.places = places_, .threads = lane_threads_};
  }

  void send(lane::FromWorker message) {
    // Fails when the daemon is gone; then the next receive says so.
    (void)control_.send(message, lane::Waiting::block);
  }

 private:
  Worker(lane::ControlSocket& control, lane::Configure configure, std::unique_ptr<Backend> backend,
         lane::WorkerEnd channel, lane::Mapping arena)
      : control_(control),
        configure_(std::move(configure)),
        backend_(std::move(backend)),
        channel_(std::move(channel)),
        arena_(std::move(arena)),
        memory_(configure_.memory),
        models_(*backend_, memory_, clock_, configure_),
        jobs_(*backend_, memory_),
        urgent_times_(static_cast<std::size_t>(configure_.lanes)),
        lane_threads_(static_cast<std::size_t>(configure_.all_lanes())),
        placed_(configure_.all_lanes()) {
    backend_->enter_lane();  // this thread moves jobs' states
    for (int lane = 0; lane < configure_.all_lanes(); ++lane) {
      threads_.emplace_back([this, lane] { live(lane); });
    }
  }

  // Lanes go on meanwhile.
  void load(const lane::LoadModel& what) {
    ::pthread_setname_np(::pthread_self(), "loader");
    backend_->enter_lane();  // models are made ready for a lane's number of threads
    auto description = models_.load(what.model, what.path);
    if (description) {
      send(lane::ModelLoaded{what.model, std::move(*description)});
    } else {
      end_if_lost();
      send(lane::ModelRefused{what.model, description.error().message, description.error().lacks});
    }
  }

  void send_moved(lane::StateMoved answer) {
    if (!answer.problem.empty()) end_if_lost();
    send(std::move(answer));
  }

  // Something failed: if it was the device for good, only another process can use it again.
  void end_if_lost() {
    const std::string why = backend_->why_lost();
    if (why.empty()) return;
    log(control_, lane::Severity::error, "the device cannot be used any more: " + why);
    std::_Exit(1);
  }

  void live(int lane) {
    ::pthread_setname_np(::pthread_self(), ("lane " + std::to_string(lane)).c_str());
    LanePlace place(configure_, lane);
    if (const std::string missing = place.take(); !missing.empty()) {
      log(control_, lane::Severity::warning, "lane " + std::to_string(lane) + " " + missing);
      places_ = lane::Places::missing;
    }
    lane_threads_[static_cast<std::size_t>(lane)] = ::gettid();
    placed_.count_down();
    backend_->enter_lane(place.kind());
    lane::LaneEnd end = channel_.lane(lane, clock_);
    UrgentTime& urgent = urgent_times_[static_cast<std::size_t>(lane % configure_.lanes)];
    WorkerLane program(lane, place, *backend_, models_, jobs_, urgent, {arena_.data(), arena_.size()},
                       [this](const std::string& sentence) {
                         log(control_, lane::Severity::warning, sentence);
                         end_if_lost();
                       });
    lane::run_lane(end, program, place.kind() == LaneKind::base ? configure_.in_flight : 1);
  }

  lane::ControlSocket& control_;
  const lane::Configure configure_;
  const SystemClock clock_;
  const std::unique_ptr<Backend> backend_;
  const lane::WorkerEnd channel_;
  const lane::Mapping arena_;
  DeviceMemory memory_;
  ModelTable models_;
  SlotTable jobs_;
  std::vector<UrgentTime> urgent_times_;  // by base lane
  std::vector<int> lane_threads_;         // the kernel's numbers; each written by its lane
  std::latch placed_;
  std::atomic<lane::Places> places_ = lane::Places::all;
  std::vector<std::jthread> threads_;
  std::jthread loader_;
};

}  // namespace

int run_worker(lane::ControlSocket control) {
  std::unique_ptr<Worker> worker;
  for (;;) {
    lane::ToWorker message;
    auto received = control.receive(message, lane::Waiting::block);
    if (!received) {
      log(control, lane::Severity::error, received.error().message);
      continue;
    }
    // The daemon is gone. Lanes may be in the middle of blocks that nobody waits for.
    if (*received == lane::Received::closed) std::_Exit(0);
    if (worker) {
      if (!worker->handle(message)) return 0;
      continue;
    }
    auto* configure = std::get_if<lane::Configure>(&message);
    if (configure == nullptr) {
      if (std::holds_alternative<lane::Shutdown>(message)) return 0;
      log(control, lane::Severity::error, "a message came before the configuration");
      return 1;
    }
    auto made = Worker::make(control, std::move(*configure));
    if (!made) {
      log(control, lane::Severity::error, "cannot start: " + made.error().message);
      return 1;
    }
    worker = std::move(*made);
    worker->send(worker->ready());
  }
}

}  // namespace einet
