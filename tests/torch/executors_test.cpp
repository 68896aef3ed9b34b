// The zoo's modules, their lowered programs in the ATen executor, and the same programs in the oneDNN
// executor, and in CUDA lanes where there is a device, must give the same answers: relative 1e-5 in fp32
// (1e-4 on CUDA, whose convolutions sum in other ways), at every exit and for every trunk state.
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <thread>

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/nn/init.h>
#include <torch/utils.h>

#include "models/cuda_backend.h"
#include "models/onednn/onednn_backend.h"
#include "models/torch/aten_executor.h"
#include "models/torch/zoo.h"

namespace einet {
namespace {

constexpr double kTolerance = 1e-5;

double tolerance_of(const Backend& backend) {
  return backend.name() == "cuda" ? 1e-4 : kTolerance;
}

// All that can run here.
const std::vector<std::unique_ptr<Backend>>& backends() {
  static const auto all = [] {
    std::vector<std::unique_ptr<Backend>> made;
    made.push_back(make_aten_backend());
    made.push_back(make_onednn_backend({}));
    if (auto cuda = make_cuda_backend(0)) made.push_back(std::move(*cuda));
    return made;
  }();
  return all;
}

struct Case {
  const char* network;
  Shape input;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.network << " on " << format_shape(c.input);
}

Normalisation normalisation_for(Shape input) {
  Normalisation n;
  for (int c = 0; c < input.channels; ++c) {
    n.mean.push_back(0.3F + 0.05F * static_cast<float>(c));
    n.deviation.push_back(0.4F - 0.05F * static_cast<float>(c));
  }
  return n;
}

// Batch norm starts as the identity, which would hide an error in folding it: every value becomes random.
std::shared_ptr<Network> random_network(const Case& c) {
  const torch::NoGradGuard no_grad;
  torch::manual_seed(11);
  auto network = make_network(c.network, c.input, 10).value();
  network->eval();
  for (auto& named : network->named_parameters()) {
    // What fades towards the last layers would hide differences in the first: variances that stay (He et al.:
    // Delving Deep into Rectifiers, ICCV 2015), but where a residual sum would let them grow.
    const bool summed =
        named.key().find("second.") != std::string::npos || named.key().find("third.") != std::string::npos;
    const auto keep_variance = [&](double gain) {
      torch::nn::init::kaiming_normal_(named.value(), 0, torch::kFanIn, torch::kReLU);
      named.value().mul_(gain);
    };
    if (named.key().find("convolution.weight") != std::string::npos && !summed) keep_variance(1);
    // Untrained exits answer nearly the same for every class; larger weights spread the scores.
    if (named.key().find("linear.weight") != std::string::npos) keep_variance(1.6);
    if (named.key().find("norm.weight") != std::string::npos) named.value().uniform_(0.5, 1.5);
    if (named.key().find("norm.bias") != std::string::npos) named.value().uniform_(-0.5, 0.5);
  }
  for (auto& named : network->named_buffers()) {
    if (named.key().find("running_mean") != std::string::npos) named.value().uniform_(-0.3, 0.3);
    if (named.key().find("running_var") != std::string::npos) named.value().uniform_(0.5, 2.0);
  }
  return network;
}

std::vector<std::byte> random_image(Shape input, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> image(static_cast<std::size_t>(input.elements()));
  for (std::byte& b : image) b = static_cast<std::byte>(random() & 0xff);
  return image;
}

using Scores = std::vector<std::vector<float>>;  // by exit

// What a backend answers at every exit; exits not in `exits` are skipped. With several lanes the job goes to
// the next one after every block, while another job takes the one that it leaves.
Scores scores_of(Backend& backend, const Package& package, const std::vector<std::byte>& image,
                 ExitMask exits = ~ExitMask{0}, std::size_t lane_count = 1) {
  backend.enter_lane();
  const auto model = backend.load(package).value();
  std::vector<std::unique_ptr<LaneModel>> lanes;
  while (lanes.size() < lane_count) lanes.push_back(model->make_lane().value());
  const auto state = backend.make_state(model->state_bytes()).value();
  const auto other = backend.make_state(model->state_bytes()).value();
  const std::vector<std::byte> zeros(image.size());
  Scores out;
  EXPECT_TRUE(lanes[0]->begin({ElementType::u8, image}, *state));
  for (std::size_t b = 0; b < static_cast<std::size_t>(package.info.program.block_count()); ++b) {
    LaneModel& lane = *lanes[b % lane_count];
    EXPECT_TRUE(lane.run_trunk(static_cast<int>(b), *state));
    out.emplace_back(10);
    if ((exits & exit_bit(static_cast<int>(b))) != 0) {
      EXPECT_TRUE(lane.run_exit(static_cast<int>(b), *state, out.back()));
    }
    if (lane_count == 1) continue;
    EXPECT_TRUE(lane.begin({ElementType::u8, zeros}, *other));
    EXPECT_TRUE(lane.run_trunk(0, *other));
  }
  return out;
}

torch::Tensor input_tensor(const std::vector<std::byte>& image, Shape s, const Normalisation& n) {
  const torch::Tensor bytes = torch::from_blob(const_cast<std::byte*>(image.data()),
                                               {1, s.channels, s.height, s.width}, torch::kUInt8);
  return (bytes.to(torch::kFloat32) / 255 - torch::tensor(n.mean).view({1, -1, 1, 1})) /
         torch::tensor(n.deviation).view({1, -1, 1, 1});
}

std::vector<float> softmax_of(const torch::Tensor& logits) {
  const torch::Tensor scores = torch::softmax(logits, 1);
  return {scores.const_data_ptr<float>(), scores.const_data_ptr<float>() + scores.numel()};
}

// The largest difference of the logarithms (that is, of the logits), relative to the largest logarithm.
// Infinite where one is not finite.
double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double most = 0, scale = 1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double expected = std::log(static_cast<double>(a[i]));
    const double apart = std::abs(expected - std::log(static_cast<double>(b[i])));
    if (!std::isfinite(apart)) return INFINITY;
    most = std::max(most, apart);
    scale = std::max(scale, std::abs(expected));
  }
  return most / scale;
}

TEST(Comparison, TellsNoNumbersFromNumbers) {
  const float none = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(difference({0.5F, 0.25F, 0.25F}, {0.5F, none, 0.25F}), INFINITY);
  EXPECT_EQ(difference({none, none}, {none, none}), INFINITY);
}

void expect_same(const Scores& expected, const Scores& found, const Backend& backend) {
  ASSERT_EQ(expected.size(), found.size());
  for (std::size_t e = 0; e < expected.size(); ++e) {
    EXPECT_LE(difference(expected[e], found[e]), tolerance_of(backend)) << backend.name() << ", exit " << e;
  }
}

// The same trunks; every exit becomes a random function of the whole trunk state, so that its scores depend
// on every element of it: each tensor through a 1x1 convolution and flattened, all through one linear map.
struct Probe {
  std::vector<torch::Tensor> convolutions;  // by tensor of the state
  torch::Tensor linear;

  torch::Tensor operator()(const State& state) const {
    std::vector<torch::Tensor> flat;
    for (std::size_t i = 0; i < state.size(); ++i) {
      flat.push_back(torch::conv2d(state[i], convolutions[i]).flatten(1));
    }
    return torch::linear(torch::cat(flat, 1), linear);
  }
};
struct Probed {
  Package package;
  std::vector<Probe> probes;  // by block
};

Probed probed(const Package& original) {
  const Program& program = original.info.program;
  Probed out{original, {}};
  std::vector<Block> blocks;
  // Exits' registers are free again, so all are numbered anew.
  std::map<Register, Register> renamed = {{0, 0}};
  Register next = 1;
  const auto random_weight = [&](const std::string& name, std::vector<std::int64_t> shape) {
    std::int64_t fan_in = 1;
    for (std::size_t i = 1; i < shape.size(); ++i) fan_in *= shape[i];
    const torch::Tensor w = torch::randn(shape) / std::sqrt(static_cast<double>(fan_in));
    out.package.weights[name + ".weight"] = {
        shape, {w.const_data_ptr<float>(), w.const_data_ptr<float>() + w.numel()}};
    out.package.weights[name + ".bias"] = {{shape[0]},
                                           std::vector<float>(static_cast<std::size_t>(shape[0]))};
    return w;
  };
  for (int b = 0; b < program.block_count(); ++b) {
    Block block;
    for (Operation operation : program.block(b).trunk) {
      for (Register& r : operation.inputs) r = renamed.at(r);
      operation.output = renamed[operation.output] = next++;
      block.trunk.push_back(operation);
    }
    constexpr int kProbeChannels = 4;
    const auto add = [&](Action action, std::vector<Register> inputs) {
      block.exit.push_back({std::move(action), std::move(inputs), next});
      return next++;
    };
    Probe probe;
    std::vector<Register> flat;
    std::int64_t elements = 0;
    for (const Register r : program.state_after(b)) {
      const Shape s = program.shape(r);
      const std::string name = "probe" + std::to_string(b) + "." + std::to_string(flat.size());
      probe.convolutions.push_back(random_weight(name, {kProbeChannels, s.channels, 1, 1}));
      const Convolution convolution = {kProbeChannels, {}, 1, false, name + ".weight", name + ".bias"};
      flat.push_back(add(Flatten{}, {add(convolution, {renamed.at(r)})}));
      elements += kProbeChannels * s.pixels();
    }
    const std::string name = "probe" + std::to_string(b);
    probe.linear = random_weight(name, {10, elements});
    const Register all = add(Concatenation{}, flat);
    add(Softmax{}, {add(Linear{10, false, name + ".weight", name + ".bias"}, {all})});
    out.probes.push_back(std::move(probe));
    blocks.push_back(std::move(block));
  }
  out.package.info.program = Program::make(program.input(), 10, std::move(blocks)).value();
  std::erase_if(out.package.weights,
                [&](const auto& w) { return !out.package.info.program.tensors().contains(w.first); });
  return out;
}

class Executors : public ::testing::TestWithParam<Case> {
 protected:
  Executors() : network_(random_network(GetParam())), normalisation_(normalisation_for(GetParam().input)) {}

  Scores module_scores(const std::vector<std::byte>& image) {
    const torch::NoGradGuard no_grad;
    Scores out;
    for (const auto& logits : network_->forward(input_tensor(image, GetParam().input, normalisation_))) {
      out.push_back(softmax_of(logits));
    }
    return out;
  }

  std::shared_ptr<Network> network_;
  Normalisation normalisation_;
};

TEST_P(Executors, AnswerAsTheModuleAtEveryExit) {
  const Package package = network_->lower(normalisation_).value();
  for (unsigned seed = 0; seed < 3; ++seed) {
    const auto image = random_image(GetParam().input, seed);
    const Scores expected = module_scores(image);
    for (const auto& backend : backends())
      expect_same(expected, scores_of(*backend, package, image), *backend);
  }
}

TEST_P(Executors, HoldTheModulesStateAfterEveryTrunk) {
  const torch::NoGradGuard no_grad;
  const Probed probe = probed(network_->lower(normalisation_).value());
  const auto image = random_image(GetParam().input, 5);
  Scores expected;
  State state = {input_tensor(image, GetParam().input, normalisation_)};
  for (int b = 0; b < network_->block_count(); ++b) {
    state = network_->trunk(b, state);
    expected.push_back(softmax_of(probe.probes[static_cast<std::size_t>(b)](state)));
  }
  for (const auto& backend : backends()) {
    expect_same(expected, scores_of(*backend, probe.package, image), *backend);
  }
}

TEST_P(Executors, AnswerTheSameWithEarlierExitsSkipped) {
  const Package package = network_->lower(normalisation_).value();
  const auto image = random_image(GetParam().input, 6);
  const int last = package.info.program.block_count() - 1;
  for (const auto& backend : backends()) {
    const Scores all = scores_of(*backend, package, image);
    const Scores one = scores_of(*backend, package, image, exit_bit(last));
    EXPECT_EQ(all.back(), one.back()) << backend->name();
  }
}

TEST_P(Executors, AnswerTheSameWhereAJobGoesFromLaneToLane) {
  const Package package = network_->lower(normalisation_).value();
  const auto image = random_image(GetParam().input, 9);
  for (const auto& backend : backends()) {
    EXPECT_EQ(scores_of(*backend, package, image), scores_of(*backend, package, image, ~ExitMask{0}, 2))
        << backend->name();
  }
}

// As in a worker: a lane's thread runs jobs while another one makes models ready.
TEST_P(Executors, AnswerTheSameWhileLanesAreMade) {
  const Package package = network_->lower(normalisation_).value();
  const auto image = random_image(GetParam().input, 12);
  for (const auto& backend : backends()) {
    const Scores expected = scores_of(*backend, package, image);
    const auto model = backend->load(package).value();
    const auto answers = [&](LaneModel& lane, TrunkState& state) {
      Scores out;
      EXPECT_TRUE(lane.begin({ElementType::u8, image}, state));
      for (std::size_t b = 0; b < expected.size(); ++b) {
        EXPECT_TRUE(lane.run_trunk(static_cast<int>(b), state));
        EXPECT_TRUE(lane.run_exit(static_cast<int>(b), state, out.emplace_back(10)));
      }
      return out;
    };
    const auto running = model->make_lane().value();
    std::atomic<bool> made = false;
    std::thread thread([&] {
      backend->enter_lane(LaneKind::base);
      const auto state = backend->make_state(model->state_bytes()).value();
      do {
        EXPECT_EQ(answers(*running, *state), expected) << backend->name();
      } while (!made);
    });
    const auto state = backend->make_state(model->state_bytes()).value();
    for (const LaneKind kind : {LaneKind::urgent, LaneKind::base, LaneKind::urgent}) {
      const auto lane = model->make_lane({.kind = kind}).value();
      EXPECT_EQ(answers(*lane, *state), expected) << backend->name();
    }
    made = true;
    thread.join();
  }
}

// Three jobs at once, in a lane made for four; each skips another exit. Block by block, and with several of
// them in flight.
TEST_P(Executors, AnswerTheSameInABatch) {
  const Package package = network_->lower(normalisation_).value();
  const int blocks = package.info.program.block_count();
  for (const auto& backend : backends()) {
    backend->enter_lane();
    const auto model = backend->load(package).value();
    std::vector<std::vector<std::byte>> images;
    std::vector<Scores> alone;
    std::vector<std::unique_ptr<TrunkState>> memory;
    std::vector<TrunkState*> states;
    for (unsigned job = 0; job < 3; ++job) {
      images.push_back(random_image(GetParam().input, 20 + job));
      alone.push_back(scores_of(*backend, package, images.back()));
      memory.push_back(backend->make_state(model->state_bytes()).value());
      states.push_back(memory.back().get());
    }
    for (const int in_flight : {1, 3}) {
      const auto lane =
          model->make_lane({.kind = LaneKind::base, .largest_batch = 4, .in_flight = in_flight}).value();
      for (std::size_t job = 0; job < 3; ++job) {
        ASSERT_TRUE(lane->begin({ElementType::u8, images[job]}, *states[job]));
      }
      std::vector<Scores> together(3, Scores(static_cast<std::size_t>(blocks), std::vector<float>(10)));
      for (int b = 0; b < blocks; ++b) {
        std::vector<std::span<float>> scores;
        for (std::size_t job = 0; job < 3; ++job) {
          const bool skips = static_cast<std::size_t>(b) % 4 == job;
          scores.push_back(skips ? std::span<float>()
                                 : std::span<float>(together[job][static_cast<std::size_t>(b)]));
        }
        if (in_flight == 1) {
          ASSERT_TRUE(lane->run_trunks(b, states));
          ASSERT_TRUE(lane->run_exits(b, states, scores));
          continue;
        }
        ASSERT_TRUE(b < in_flight || lane->await().has_value());
        ASSERT_TRUE(lane->launch(b, states, scores));
      }
      for (int left = in_flight > 1 ? std::min(blocks, in_flight) : 0; left > 0; --left) {
        ASSERT_TRUE(lane->await());
      }
      for (std::size_t job = 0; job < 3; ++job) {
        for (std::size_t b = job; b < alone[job].size(); b += 4) {
          EXPECT_EQ(together[job][b], std::vector<float>(10)) << "nothing was written";
          together[job][b] = alone[job][b];
        }
        expect_same(alone[job], together[job], *backend);
      }
    }
  }
}

// Were the comparison blind, it would pass here too.
TEST_P(Executors, AreToldApartByOneChangedWeight) {
  Package package = network_->lower(normalisation_).value();
  const auto image = random_image(GetParam().input, 7);
  const Scores expected = module_scores(image);
  package.weights.at(std::get<Convolution>(package.info.program.block(0).trunk[0].action).weight)
      .values[12] += 0.5F;
  for (const auto& backend : backends()) {
    const Scores found = scores_of(*backend, package, image);
    EXPECT_GT(difference(expected[0], found[0]), tolerance_of(*backend)) << backend->name();
  }
}

TEST_P(Executors, TakeFloatsAsTheyTakeBytes) {
  const Package package = network_->lower(normalisation_).value();
  const auto image = random_image(GetParam().input, 8);
  std::vector<float> floats;
  for (const std::byte b : image) floats.push_back(static_cast<float>(std::to_integer<int>(b)) / 255);
  const auto backend = make_aten_backend();
  const auto model = backend->load(package).value();
  const auto lane = model->make_lane().value();
  TrunkState state(model->state_bytes());
  ASSERT_TRUE(lane->begin({ElementType::f32, std::as_bytes(std::span(floats))}, state));
  ASSERT_TRUE(lane->run_trunk(0, state));
  std::vector<float> scores(10);
  ASSERT_TRUE(lane->run_exit(0, state, scores));
  EXPECT_LE(difference(scores, scores_of(*backend, package, image)[0]), kTolerance);
  floats[3] = NAN;
  EXPECT_FALSE(lane->begin({ElementType::f32, std::as_bytes(std::span(floats))}, state));
  EXPECT_FALSE(lane->begin({ElementType::u8, std::span(image).first(5)}, state));
}

// A job that moves to the next executor after every block, from the first or from another one on.
class ExecutorsInTurn : public Executors {
 protected:
  struct Place {
    explicit Place(Backend& backend, const Package& package)
        : model(backend.load(package).value()),
          lane(model->make_lane().value()),
          state(backend.make_state(model->state_bytes()).value()) {}
    std::unique_ptr<LoadedModel> model;
    std::unique_ptr<LaneModel> lane;
    std::unique_ptr<TrunkState> state;
  };

  static void move(const Place& from, const Place& to, int next_block) {
    ASSERT_EQ(from.model->carried_bytes(next_block), to.model->carried_bytes(next_block));
    std::vector<std::byte> carried(from.model->carried_bytes(next_block).value);
    ASSERT_TRUE(from.model->save_state(next_block, *from.state, carried));
    ASSERT_TRUE(to.model->load_state(next_block, carried, *to.state));
  }
};

TEST_P(ExecutorsInTurn, AnswerAsTheModuleAtEveryExit) {
  const Package package = network_->lower(normalisation_).value();
  const auto image = random_image(GetParam().input, 10);
  const Scores expected = module_scores(image);
  std::vector<Place> places;
  for (const auto& backend : backends()) {
    backend->enter_lane();
    places.emplace_back(*backend, package);
  }
  for (std::size_t first = 0; first < places.size(); ++first) {
    const Place* here = &places[first];
    ASSERT_TRUE(here->lane->begin({ElementType::u8, image}, *here->state));
    Scores found;
    for (std::size_t b = 0; b < expected.size(); ++b) {
      const int block = static_cast<int>(b);
      const Place& there = places[(first + b) % places.size()];
      if (b > 0) move(*here, there, block);
      here = &there;
      ASSERT_TRUE(here->lane->run_trunk(block, *here->state));
      ASSERT_TRUE(here->lane->run_exit(block, *here->state, found.emplace_back(10)));
    }
    expect_same(expected, found, *backends().back());  // CUDA, if it takes part, with its tolerance
  }
}

INSTANTIATE_TEST_SUITE_P(Zoo, ExecutorsInTurn,
                         ::testing::Values(Case{"b-alexnet", {1, 28, 28}}, Case{"b-alexnet", {3, 32, 32}},
                                           Case{"fine-resnet", {1, 28, 28}}, Case{"msdnet-21", {3, 32, 32}},
                                           Case{"msdnet-40", {3, 32, 32}}));

INSTANTIATE_TEST_SUITE_P(Zoo, Executors,
                         ::testing::Values(Case{"b-alexnet", {1, 28, 28}}, Case{"b-alexnet", {3, 32, 32}},
                                           Case{"b-alexnet-compressed", {3, 32, 32}},
                                           Case{"early-alexnet", {1, 28, 28}},
                                           Case{"fine-resnet", {1, 28, 28}}, Case{"flex-vgg-16", {3, 32, 32}},
                                           Case{"vgg-16", {3, 32, 32}}, Case{"vgg-16-single", {3, 32, 32}},
                                           Case{"resnet-50", {3, 32, 32}},

                                           Case{"msdnet-21", {3, 32, 32}}, Case{"msdnet-21", {1, 28, 28}},
                                           Case{"msdnet-21-compressed", {3, 32, 32}},
                                           Case{"msdnet-40", {3, 32, 32}}));

TEST(Zoo, HasTheNetworksOfTheTableWithTheirExits) {
  const std::map<std::string, int> exits = {{"b-alexnet", 3},   {"early-alexnet", 3}, {"fine-resnet", 10},
                                            {"flex-vgg-16", 5}, {"vgg-16", 14},       {"resnet-50", 6},
                                            {"msdnet-21", 21},  {"msdnet-40", 40}};
  for (const auto& [name, count] : exits) {
    const auto network = make_network(name, {3, 32, 32}, 100);
    ASSERT_TRUE(network) << name;
    EXPECT_EQ((*network)->block_count(), count) << name;
    EXPECT_EQ((*network)->network_name(), name);
  }
}

std::int64_t weights_of(const std::string& name) {
  std::int64_t count = 0;
  for (const auto& p : make_network(name, {3, 32, 32}, 10).value()->parameters()) count += p.numel();
  return count;
}

TEST(Zoo, HasEachNetworkWithOneExitAndCompressedToo) {
  for (const std::string name : {"b-alexnet", "flex-vgg-16", "resnet-50", "msdnet-40"}) {
    for (const char* variant : {"-single", "-compressed"}) {
      const auto network = make_network(name + variant, {3, 32, 32}, 10);
      ASSERT_TRUE(network) << name << variant;
      EXPECT_EQ((*network)->block_count(), 1);
      EXPECT_EQ((*network)->network_name(), name + variant);
    }
    EXPECT_LT(weights_of(name + "-single"), weights_of(name));
    EXPECT_LT(weights_of(name + "-compressed"), 0.7 * static_cast<double>(weights_of(name + "-single")));
  }
}

// A single network answers what the last exit of the multi-exit one would: it has the same trunk.
TEST(Zoo, HasTheSameTrunkInASingleNetwork) {
  const torch::NoGradGuard no_grad;
  const auto whole = make_network("msdnet-21", {3, 32, 32}, 10).value();
  const auto single = whole->single_exit("x");
  whole->eval();
  const torch::Tensor image = torch::randn({2, 3, 32, 32});
  EXPECT_TRUE(torch::equal(whole->forward(image).back(), single->forward(image).back()));
}

TEST(Zoo, NamesTheNearestNetwork) {
  const auto network = make_network("b-alexnt", {1, 28, 28}, 10);
  ASSERT_FALSE(network);
  EXPECT_NE(network.error().message.find("did you mean \"b-alexnet\""), std::string::npos);
  EXPECT_FALSE(make_network("b-alexnet-single-compressed", {1, 28, 28}, 10));
  EXPECT_FALSE(make_network("-single", {1, 28, 28}, 10));
}

TEST(Zoo, RefusesInputsThatItsPoolingCannotDivide) {
  EXPECT_FALSE(make_network("fine-resnet", {1, 8, 8}, 10));
  EXPECT_FALSE(make_network("fine-resnet", {1, 28, 32}, 10));
  EXPECT_FALSE(make_network("b-alexnet", {0, 28, 28}, 10));
  EXPECT_FALSE(make_network("vgg-16", {1, 28, 28}, 10));
}

}  // namespace
}  // namespace einet
