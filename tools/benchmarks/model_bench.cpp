// What running a network as blocks costs: the same trunk block by block with no exit executed, and as one
// program. Both take turns in ABBA rounds on one thread, and the thread's CPU time is measured, so that a
// busy box disturbs little and both alike; medians are compared. Networks: packages named on the command
// line, or three built here with random weights (shapes as published, 32x32 input).
//
//   bench_model [PACKAGE.einet …]
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "config/check.h"
#include "config/time.h"
#include "models/onednn/onednn_backend.h"
#include "networks.h"

namespace einet {
namespace {

// Where a model's weights come to lie matters more than the blocks: each comparison loads both anew, in
// turns.
constexpr int kLoads = 8;
constexpr int kRounds = 25;  // per load

// The same network as one block: all trunks in a row, and the last exit.
Package as_one_block(const Package& package) {
  const Program& program = package.info.program;
  ProgramBuilder net(program.input(), program.classes());
  std::vector<Register> renamed(static_cast<std::size_t>(program.register_count()));
  const auto append = [&](const std::vector<Operation>& part) {
    for (const Operation& op : part) {
      std::vector<Register> inputs;
      for (const Register r : op.inputs) inputs.push_back(renamed[static_cast<std::size_t>(r)]);
      renamed[static_cast<std::size_t>(op.output)] = net.add(op.action, inputs);
    }
  };
  net.begin_block();
  for (const Block& block : program.blocks()) append(block.trunk);
  net.begin_exit();
  append(program.blocks().back().exit);
  auto whole = std::move(net).finish();
  EINET_CHECK(whole.has_value(), whole ? "" : whole.error().message.c_str());
  Package one = package;
  one.info.program = std::move(*whole);
  std::erase_if(one.weights,
                [&](const auto& entry) { return !one.info.program.tensors().contains(entry.first); });
  return one;
}

Duration thread_cpu_time() {
  timespec t{};
  EINET_CHECK(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0, "every thread has a CPU clock");
  return std::chrono::seconds(t.tv_sec) + Duration(t.tv_nsec);
}

// A model, a lane and a job, ready to run.
class Runner {
 public:
  Runner(Backend& backend, const Package& package)
      : input_(static_cast<std::size_t>(package.info.program.input().elements()), 0.5F) {
    auto model = backend.load(package);
    EINET_CHECK(model.has_value(), model ? "" : model.error().message.c_str());
    model_ = std::move(*model);
    auto lane = model_->make_lane();
    EINET_CHECK(lane.has_value(), lane ? "" : lane.error().message.c_str());
    lane_ = std::move(*lane);
    state_ = std::make_unique<TrunkState>(model_->state_bytes());
  }

  // All trunks, no exit.
  Duration run() {
    const InputView input{ElementType::f32, std::as_bytes(std::span(input_))};
    EINET_CHECK(lane_->begin(input, *state_).has_value(), "the input fits");
    const Duration begin = thread_cpu_time();
    for (int b = 0; b < model_->info().program.block_count(); ++b) {
      EINET_CHECK(lane_->run_trunk(b, *state_).has_value(), "the trunk runs");
    }
    return thread_cpu_time() - begin;
  }

 private:
  std::vector<float> input_;
  std::unique_ptr<LoadedModel> model_;
  std::unique_ptr<LaneModel> lane_;
  std::unique_ptr<TrunkState> state_;
};

Duration median(std::vector<Duration> times) {
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

void measure(const Package& package) {
  const auto backend = make_onednn_backend({});
  backend->enter_lane();
  const Package one = as_one_block(package);
  std::vector<Duration> in_blocks, as_whole;
  for (int load = 0; load < kLoads; ++load) {
    Runner first(*backend, load % 2 == 0 ? package : one);
    Runner second(*backend, load % 2 == 0 ? one : package);
    Runner& blocks = load % 2 == 0 ? first : second;
    Runner& whole = load % 2 == 0 ? second : first;
    blocks.run();
    whole.run();
    for (int i = 0; i < kRounds; ++i) {
      in_blocks.push_back(blocks.run());
      as_whole.push_back(whole.run());
      as_whole.push_back(whole.run());
      in_blocks.push_back(blocks.run());
    }
  }
  const Duration a = median(in_blocks);
  const Duration b = median(as_whole);
  std::printf("%-16s %6d  %10s  %10s  %+6.2f %%\n", package.info.name.c_str(),
              package.info.program.block_count(), format_duration_short(a).c_str(),
              format_duration_short(b).c_str(), 100 * (to_us(a) / to_us(b) - 1));
  std::fflush(stdout);
}

}  // namespace
}  // namespace einet

int main(int argc, char** argv) {
  using namespace einet;
  std::printf("%-16s %6s  %10s  %10s  %s\n", "network", "blocks", "in blocks", "as one", "cost");
  for (int i = 1; i < argc; ++i) {
    const auto package = read_package(argv[i]);
    if (!package) {
      std::fprintf(stderr, "bench_model: %s\n", package.error().message.c_str());
      return 2;
    }
    measure(*package);
  }
  if (argc == 1) {
    for (const auto network : {vgg16, resnet50, multi_scale}) measure(network({3, 32, 32}));
  }
}
