// A network in a plain process, as one would run it with LibTorch and no daemon: whole inferences on one
// thread, either one right after the other, or one at each multiple of a period in every second of phases of
// a given length, the first being a pause. tools/bench peers compares einetd with it; the rank comes from
// outside (chrt, nice, taskset).
//
//   bench_peer PACKAGE.einet CSV SECONDS [PERIOD_MS PHASE_S]
//
// Writes a row per inference: due_ns,started_ns,finished_ns (CLOCK_MONOTONIC).
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sys/prctl.h>
#include <time.h>
#include <vector>

#include "config/check.h"
#include "config/time.h"
#include "models/torch/aten_executor.h"
#include "models/torch/training.h"

namespace einet {
namespace {

struct Inference {
  TimePoint due, started, finished;
};

// A package and all that one thread needs to run it.
class Peer {
 public:
  explicit Peer(std::unique_ptr<LoadedModel> model)
      : model_(std::move(model)),
        lane_(*model_->make_lane()),
        state_(model_->state_bytes()),
        input_(static_cast<std::size_t>(program().input().elements()), 0.5F),
        scores_(static_cast<std::size_t>(program().classes())) {}

  void infer() {
    const int last = program().block_count() - 1;
    bool ok = lane_->begin({ElementType::f32, std::as_bytes(std::span(input_))}, state_).has_value();
    for (int b = 0; b <= last; ++b) ok = ok && lane_->run_trunk(b, state_);
    ok = ok && lane_->run_exit(last, state_, scores_);
    EINET_CHECK(ok, "the network runs");
  }

 private:
  const Program& program() const { return model_->info().program; }

  std::unique_ptr<LoadedModel> model_;
  std::unique_ptr<LaneModel> lane_;
  TrunkState state_;
  std::vector<float> input_, scores_;
};

void sleep_until(TimePoint t) {
  const auto ns = t.time_since_epoch().count();
  const timespec at{ns / 1'000'000'000, ns % 1'000'000'000};
  while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) != 0) {
  }
}

Inference infer(Peer& peer, TimePoint due) {
  const SystemClock clock;
  const TimePoint started = clock.now();
  peer.infer();
  return {due, started, clock.now()};
}

std::vector<Inference> saturate(Peer& peer, TimePoint end) {
  std::vector<Inference> done;
  for (TimePoint now = SystemClock().now(); now < end; now = done.back().finished) {
    done.push_back(infer(peer, now));
  }
  return done;
}

std::vector<Inference> repeat(Peer& peer, TimePoint begin, TimePoint end, Duration period, Duration phase) {
  std::vector<Inference> done;
  for (TimePoint due = begin; due < end; due += period) {
    if ((due - begin) / phase % 2 == 0) continue;
    sleep_until(due);
    done.push_back(infer(peer, due));
  }
  return done;
}

Duration seconds(double s) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s));
}

}  // namespace
}  // namespace einet

int main(int argc, char** argv) {
  using namespace einet;
  const bool periodic = argc == 6;
  const Duration length = seconds(argc > 3 ? std::atof(argv[3]) : 0);
  const Duration period = seconds(periodic ? std::atof(argv[4]) / 1e3 : 0);
  const Duration phase = seconds(periodic ? std::atof(argv[5]) : 0);
  const Duration none{};
  if ((argc != 4 && !periodic) || length <= none || (periodic && (period <= none || phase <= none))) {
    std::fputs("usage: bench_peer PACKAGE.einet CSV SECONDS [PERIOD_MS PHASE_S]\n", stderr);
    return 2;
  }
  ::prctl(PR_SET_TIMERSLACK, 1);
  set_training_threads(1);
  auto package = read_package(argv[1]);
  auto model = package ? make_aten_backend()->load(std::move(*package))
                       : Result<std::unique_ptr<LoadedModel>>(package.error());
  if (!model) {
    std::fprintf(stderr, "bench_peer: %s\n", model.error().message.c_str());
    return 1;
  }
  Peer peer(std::move(*model));
  for (int i = 0; i < 5; ++i) peer.infer();
  const TimePoint begin = SystemClock().now(), end = begin + length;
  const auto done = periodic ? repeat(peer, begin, end, period, phase) : saturate(peer, end);
  std::ofstream csv(argv[2]);
  csv << "due_ns,started_ns,finished_ns\n";
  for (const Inference& i : done) {
    csv << i.due.time_since_epoch().count() << ',' << i.started.time_since_epoch().count() << ','
        << i.finished.time_since_epoch().count() << '\n';
  }
  csv.close();
  if (!csv) {
    std::fprintf(stderr, "bench_peer: %s cannot be written\n", argv[2]);
    return 1;
  }
}
