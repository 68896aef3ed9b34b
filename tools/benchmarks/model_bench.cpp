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

namespace einet {
namespace {

// Where a model's weights come to lie matters more than the blocks: each comparison loads both anew, in
// turns.
constexpr int kLoads = 8;
constexpr int kRounds = 25;  // per load

// Writes networks down layer by layer, and makes up their weights.
class Network {
 public:
  Network(std::string name, Shape input, int classes)
      : name_(std::move(name)), classes_(classes), net_(input, classes) {
    shapes_ = {input};
  }
  Register input() const { return net_.input(); }
  void begin_block() { net_.begin_block(); }

  Register convolution(Register x, int channels, int kernel, int stride = 1,
                       std::vector<Register> residual = {}) {
    const Shape in = shape(x);
    Convolution c{channels, {kernel, kernel, stride, stride, kernel / 2, kernel / 2}, 1, true, weight(),
                  bias()};
    residual.insert(residual.begin(), x);
    return add(c, residual, {channels, (in.height - 1) / stride + 1, (in.width - 1) / stride + 1});
  }
  Register pool(Register x) {
    return add(MaxPool{{2, 2, 2, 2, 0, 0}}, {x},
               {shape(x).channels, shape(x).height / 2, shape(x).width / 2});
  }
  Register concatenate(const std::vector<Register>& in) {
    Shape y = shape(in[0]);
    for (std::size_t i = 1; i < in.size(); ++i) y.channels += shape(in[i]).channels;
    return add(Concatenation{}, in, y);
  }
  int channels(Register x) const { return shape(x).channels; }

  void exit(Register x) {
    net_.begin_exit();
    const Register mean = add(GlobalMean{}, {x}, Shape::vector(channels(x)));
    const Register scores = add(Linear{classes_, false, weight(), bias()}, {mean}, Shape::vector(classes_));
    add(Softmax{}, {scores}, Shape::vector(classes_));
  }

  Package finish() && {
    auto program = std::move(net_).finish();
    EINET_CHECK(program.has_value(), program ? "" : program.error().message.c_str());
    Package package{{name_, "1", std::move(*program), {}, {}, {}, {}, {}}, {}};
    const std::size_t count = static_cast<std::size_t>(package.info.program.input().channels);
    package.info.normalisation = {std::vector<float>(count, 0), std::vector<float>(count, 1)};
    for (const auto& [tensor, shape] : package.info.program.tensors()) {
      std::size_t n = 1;
      for (const std::int64_t d : shape) n *= static_cast<std::size_t>(d);
      package.weights.emplace(tensor, Tensor{shape, std::vector<float>(n, 0.01F)});
    }
    return package;
  }

 private:
  Shape shape(Register r) const { return shapes_[static_cast<std::size_t>(r)]; }
  Register add(Action action, std::vector<Register> in, Shape out) {
    shapes_.push_back(out);
    return net_.add(std::move(action), std::move(in));
  }
  std::string weight() { return "layer" + std::to_string(layers_) + ".weight"; }
  std::string bias() { return "layer" + std::to_string(layers_++) + ".bias"; }

  std::string name_;
  int classes_;
  ProgramBuilder net_;
  std::vector<Shape> shapes_;
  int layers_ = 0;
};

// Simonyan and Zisserman 2015, configuration D; a block per convolution.
Package vgg16() {
  Network net("vgg16", {3, 32, 32}, 10);
  Register x = net.input();
  for (const auto& [channels, count] : {std::pair{64, 2}, {128, 2}, {256, 3}, {512, 3}, {512, 3}}) {
    for (int i = 1; i <= count; ++i) {
      net.begin_block();
      x = net.convolution(x, channels, 3);
      if (i == count) x = net.pool(x);
      net.exit(x);
    }
  }
  return std::move(net).finish();
}

// He et al. 2016, bottlenecks [3, 4, 6, 3]; a block per bottleneck.
Package resnet50() {
  Network net("resnet50", {3, 32, 32}, 10);
  net.begin_block();
  Register x = net.convolution(net.input(), 64, 3);
  net.exit(x);
  for (const auto& [width, count, stride] : {std::tuple{64, 3, 1}, {128, 4, 2}, {256, 6, 2}, {512, 3, 2}}) {
    for (int i = 0; i < count; ++i) {
      net.begin_block();
      const int step = i == 0 ? stride : 1;
      const Register shortcut = i == 0 ? net.convolution(x, 4 * width, 1, step) : x;
      x = net.convolution(net.convolution(x, width, 1), width, 3, step);
      x = net.convolution(x, 4 * width, 1, 1, {shortcut});
      net.exit(x);
    }
  }
  return std::move(net).finish();
}

// In the manner of MSDNet (Huang et al. 2018): 21 blocks of small layers on three scales, several registers
// carried.
Package multi_scale() {
  Network net("multi-scale", {3, 32, 32}, 10);
  std::vector<Register> scales;
  for (int b = 0; b < 21; ++b) {
    net.begin_block();
    if (b == 0) {
      scales = {net.convolution(net.input(), 16, 3)};
      scales.push_back(net.convolution(scales[0], 32, 3, 2));
      scales.push_back(net.convolution(scales[1], 64, 3, 2));
    }
    std::vector<Register> next;
    for (std::size_t s = 0; s < scales.size(); ++s) {
      const int growth = 6 << s;
      const auto neck = [&](Register x, int channels, int stride) {
        return net.convolution(net.convolution(x, std::min(net.channels(x), 4 * channels), 1), channels, 3,
                               stride);
      };
      if (s == 0) {
        next.push_back(net.concatenate({scales[s], neck(scales[s], growth, 1)}));
      } else {
        const Register same = neck(scales[s], growth / 2, 1);
        next.push_back(net.concatenate({scales[s], same, neck(scales[s - 1], growth / 2, 2)}));
      }
    }
    scales = next;
    net.exit(scales.back());
  }
  return std::move(net).finish();
}

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
    for (const auto network : {vgg16, resnet50, multi_scale}) measure(network());
  }
}
