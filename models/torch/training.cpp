#include "models/torch/training.h"

#include <cmath>
#include <numbers>
#include <numeric>
#include <sstream>

#include <torch/autograd.h>
#include <torch/nn/functional/loss.h>
#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adamw.h>
#include <torch/serialize.h>
#include <torch/utils.h>

#include "config/check.h"
#include "config/files.h"
#include "models/torch/network.h"

namespace einet {
namespace {

constexpr ByteCount kMaxCheckpoint{std::uint64_t{1} << 30};
constexpr std::string_view kCheckpointKind = "einet checkpoint 1";
constexpr double kWeightDecay = 0.01;
constexpr double kWarmUp = 0.15;  // share of all steps
constexpr double kMaxGradientNorm = 5;
constexpr int kEvaluationBatch = 50;

// The learning rate climbs linearly to its peak, then falls along half a cosine (Loshchilov, Hutter: SGDR,
// ICLR 2017, equation 5, one cycle; Goyal et al. 2017 for the warm-up). `progress` in [0, 1) of the whole
// training.
double rate_at(double progress, double peak) {
  if (progress < kWarmUp) return peak * (0.1 + 0.9 * progress / kWarmUp);
  const double rest = (progress - kWarmUp) / (1 - kWarmUp);
  return peak * (0.005 + 0.995 * (1 + std::cos(std::numbers::pi * rest)) / 2);
}

// The order in which an epoch sees the images: a permutation that depends on seed and epoch alone, so that a
// resumed training needs no generator state. SplitMix64, Fisher-Yates.
std::vector<std::int64_t> epoch_order(std::size_t images, std::uint64_t seed, int epoch) {
  std::vector<std::int64_t> order(images);
  std::iota(order.begin(), order.end(), 0);
  std::uint64_t state = seed * 0x9e3779b97f4a7c15u + static_cast<std::uint64_t>(epoch) * 0xd1342543de82ef95u;
  for (std::size_t i = images; i > 1; --i) {
    std::uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    std::swap(order[i - 1], order[(z ^ z >> 31) % i]);
  }
  return order;
}

Normalisation measure(const Images& images) {
  const auto channels = static_cast<std::size_t>(images.shape.channels);
  const std::size_t plane = images.shape.bytes() / channels;
  std::vector<double> sum(channels), squares(channels);
  for (std::size_t i = 0; i < images.pixels.size(); ++i) {
    const double v = images.pixels[i] / 255.0;
    sum[i / plane % channels] += v;
    squares[i / plane % channels] += v * v;
  }
  Normalisation out;
  const double n = static_cast<double>(images.size() * plane);
  for (std::size_t c = 0; c < channels; ++c) {
    const double mean = sum[c] / n;
    out.mean.push_back(static_cast<float>(mean));
    out.deviation.push_back(static_cast<float>(std::max(1e-3, std::sqrt(squares[c] / n - mean * mean))));
  }
  return out;
}

Shape shape_of(const Images& images) {
  return {images.shape.channels, images.shape.height, images.shape.width};
}

// The images as tensors that share their memory.
struct View {
  torch::Tensor pixels, labels;

  explicit View(const Images& images) {
    const std::int64_t n = static_cast<std::int64_t>(images.size());
    const auto& s = images.shape;
    // from_blob wants a pointer to non-const; nothing writes through it.
    pixels = torch::from_blob(const_cast<std::uint8_t*>(images.pixels.data()),
                              {n, s.channels, s.height, s.width}, torch::kUInt8);
    labels = torch::from_blob(const_cast<std::uint8_t*>(images.labels.data()), {n}, torch::kUInt8);
  }
};

torch::Tensor to_input(const torch::Tensor& bytes, const Normalisation& n) {
  const std::int64_t channels = static_cast<std::int64_t>(n.mean.size());
  const auto mean = torch::tensor(n.mean).view({1, channels, 1, 1});
  const auto deviation = torch::tensor(n.deviation).view({1, channels, 1, 1});
  return ((bytes.to(torch::kFloat32) / 255 - mean) / deviation).contiguous(torch::MemoryFormat::ChannelsLast);
}

// Later exits weigh more: the early ones must not take the trunk for themselves.
double exit_weight(int exit, int exits) {
  return 0.4 + 0.6 * (exit + 1) / exits;
}

// LibTorch reports its errors as exceptions; none leaves this file.
template <class F>
auto guarded(F&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const c10::Error& e) {
    return error(e.what_without_backtrace());
  } catch (const std::exception& e) {
    return error(e.what());
  }
}

}  // namespace

struct Training::State {
  Recipe recipe;
  int epochs_done = 0;
  Normalisation normalisation;
  std::shared_ptr<Network> network;
  std::unique_ptr<torch::optim::AdamW> optimiser;

  void make_optimiser() {
    optimiser = std::make_unique<torch::optim::AdamW>(
        network->parameters(), torch::optim::AdamWOptions(recipe.learning_rate).weight_decay(kWeightDecay));
  }
  Result<void> check_fits(const Images& images) const {
    if (shape_of(images) == network->input() && images.classes == network->classes()) return {};
    return error("the images are " + format_shape(shape_of(images)) + " in " +
                 std::to_string(images.classes) + " classes, the network was made for " +
                 format_shape(network->input()) + " in " + std::to_string(network->classes()));
  }
};

TrainingSplit split_training(const Images& train) {
  const std::size_t held = train.size() / 10;
  return {train.slice(0, train.size() - held), train.slice(train.size() - held, held)};
}

void set_training_threads(int threads) {
  torch::set_num_threads(threads);
}

Training::Training(std::unique_ptr<State> state) : state_(std::move(state)) {}
Training::Training(Training&&) noexcept = default;
Training& Training::operator=(Training&&) noexcept = default;
Training::~Training() = default;

const Recipe& Training::recipe() const {
  return state_->recipe;
}
int Training::epochs_done() const {
  return state_->epochs_done;
}

Result<Training> Training::begin(const Recipe& recipe, const Images& learn) {
  if (recipe.epochs < 1) return error("epochs is " + std::to_string(recipe.epochs) + "; allowed: 1 and more");
  if (recipe.batch < 2) return error("batch is " + std::to_string(recipe.batch) + "; allowed: 2 and more");
  if (!(recipe.learning_rate > 0)) return error("the learning rate must be above 0");
  if (learn.size() < static_cast<std::size_t>(recipe.batch)) {
    return error("there are " + std::to_string(learn.size()) + " training images, less than one batch of " +
                 std::to_string(recipe.batch));
  }
  torch::manual_seed(recipe.seed);
  auto network = make_network(recipe.network, shape_of(learn), learn.classes);
  if (!network) return network.error();
  auto state = std::make_unique<State>();
  state->recipe = recipe;
  state->normalisation = measure(learn);
  state->network = *network;
  state->make_optimiser();
  return Training(std::move(state));
}

Result<void> Training::run_epoch(const Images& learn, const std::function<void(const Step&)>& on_step) {
  State& s = *state_;
  EINET_CHECK(s.epochs_done < s.recipe.epochs, "an epoch is left");
  if (auto fits = s.check_fits(learn); !fits) return fits.error();
  return guarded([&]() -> Result<void> {
    const View data(learn);
    const auto batch = static_cast<std::size_t>(s.recipe.batch);
    std::vector<std::int64_t> order = epoch_order(learn.size(), s.recipe.seed, s.epochs_done);
    if (s.recipe.epoch_images > 0) order.resize(std::min(order.size(), s.recipe.epoch_images));
    // Whole batches only: batch norm over a few left-over images would disturb the running means.
    const std::size_t steps = std::max<std::size_t>(1, order.size() / batch);
    order.resize(std::min(order.size(), steps * batch));
    const torch::Tensor all = torch::tensor(order);
    s.network->train();
    double loss_sum = 0;
    for (std::size_t step = 0; step < steps; ++step) {
      const double progress =
          (s.epochs_done + static_cast<double>(step) / static_cast<double>(steps)) / s.recipe.epochs;
      for (auto& group : s.optimiser->param_groups())
        group.options().set_lr(rate_at(progress, s.recipe.learning_rate));
      const torch::Tensor chosen = all.slice(0, static_cast<std::int64_t>(step * batch),
                                             static_cast<std::int64_t>((step + 1) * batch));
      const torch::Tensor labels = data.labels.index_select(0, chosen).to(torch::kInt64);
      const auto logits = s.network->forward(to_input(data.pixels.index_select(0, chosen), s.normalisation));
      torch::Tensor loss = torch::zeros({});
      double weights = 0;
      for (std::size_t e = 0; e < logits.size(); ++e) {
        const double weight = exit_weight(static_cast<int>(e), static_cast<int>(logits.size()));
        loss = loss + weight * torch::nn::functional::cross_entropy(logits[e], labels);
        weights += weight;
      }
      loss = loss / weights;
      s.optimiser->zero_grad();
      loss.backward();
      torch::nn::utils::clip_grad_norm_(s.network->parameters(), kMaxGradientNorm);
      s.optimiser->step();
      loss_sum += loss.item<double>();
      if (!std::isfinite(loss_sum)) {
        return error("the loss is no longer a number; start again with a learning rate below " +
                     std::to_string(s.recipe.learning_rate));
      }
      on_step({std::min(order.size(), (step + 1) * batch), order.size(),
               loss_sum / static_cast<double>(step + 1)});
    }
    ++s.epochs_done;
    return {};
  });
}

Result<CsProfile> Training::answers(const Images& images) const {
  const State& s = *state_;
  if (auto fits = s.check_fits(images); !fits) return fits.error();
  return guarded([&]() -> Result<CsProfile> {
    const torch::NoGradGuard no_grad;
    const View data(images);
    CsProfile out;
    out.samples = static_cast<int>(images.size());
    out.exits = s.network->block_count();
    out.confidence.resize(images.size() * static_cast<std::size_t>(out.exits));
    out.correct.resize(out.confidence.size());
    s.network->eval();
    for (int first = 0; first < out.samples; first += kEvaluationBatch) {
      const int last = std::min(out.samples, first + kEvaluationBatch);
      const auto logits = s.network->forward(to_input(data.pixels.slice(0, first, last), s.normalisation));
      const torch::Tensor labels = data.labels.slice(0, first, last).to(torch::kInt64);
      for (int e = 0; e < out.exits; ++e) {
        const auto [confidence, top] = torch::softmax(logits[static_cast<std::size_t>(e)], 1).max(1);
        const torch::Tensor correct = top == labels;
        for (int i = first; i < last; ++i) {
          const auto at =
              static_cast<std::size_t>(i) * static_cast<std::size_t>(out.exits) + static_cast<std::size_t>(e);
          out.confidence[at] = std::min(1.f, confidence[i - first].item<float>());
          out.correct[at] = correct[i - first].item<bool>() ? 1 : 0;
        }
      }
    }
    return out;
  });
}

Result<Package> Training::to_package(std::string name) const {
  return guarded([&]() -> Result<Package> {
    auto package = state_->network->lower(state_->normalisation);
    if (package) package->info.name = std::move(name);
    return package;
  });
}

Result<void> Training::save(const std::filesystem::path& checkpoint) const {
  return guarded([&]() -> Result<void> {
    const State& s = *state_;
    torch::serialize::OutputArchive archive, network, optimiser;
    archive.write("kind", c10::IValue(std::string(kCheckpointKind)));
    archive.write("network", c10::IValue(s.recipe.network));
    archive.write("data", c10::IValue(s.recipe.data));
    archive.write("epochs", c10::IValue(std::int64_t{s.recipe.epochs}));
    archive.write("epoch_images", c10::IValue(static_cast<std::int64_t>(s.recipe.epoch_images)));
    archive.write("batch", c10::IValue(std::int64_t{s.recipe.batch}));
    archive.write("learning_rate", c10::IValue(s.recipe.learning_rate));
    archive.write("seed", c10::IValue(static_cast<std::int64_t>(s.recipe.seed)));
    archive.write("epochs_done", c10::IValue(std::int64_t{s.epochs_done}));
    const Shape in = s.network->input();
    archive.write("shape",
                  torch::tensor({in.channels, in.height, in.width, s.network->classes()}, torch::kInt64));
    archive.write("mean", torch::tensor(s.normalisation.mean));
    archive.write("deviation", torch::tensor(s.normalisation.deviation));
    s.network->save(network);
    s.optimiser->save(optimiser);
    archive.write("weights", network);
    archive.write("optimiser", optimiser);
    std::ostringstream out;
    archive.save_to(out);
    return write_file(checkpoint, out.str());
  });
}

Result<Training> Training::load(const std::filesystem::path& checkpoint) {
  const auto bytes = read_file(checkpoint, kMaxCheckpoint);
  if (!bytes) return bytes.error();
  auto training = guarded([&]() -> Result<Training> {
    torch::serialize::InputArchive archive, network, optimiser;
    std::istringstream in(*bytes);
    archive.load_from(in);
    const auto value = [&](const char* key) {
      c10::IValue v;
      archive.read(key, v);
      return v;
    };
    if (value("kind").toStringRef() != kCheckpointKind) return error("is not a checkpoint of this version");
    auto state = std::make_unique<State>();
    Recipe& r = state->recipe;
    r.network = value("network").toStringRef();
    r.data = value("data").toStringRef();
    r.epochs = static_cast<int>(value("epochs").toInt());
    r.epoch_images = static_cast<std::size_t>(value("epoch_images").toInt());
    r.batch = static_cast<int>(value("batch").toInt());
    r.learning_rate = value("learning_rate").toDouble();
    r.seed = static_cast<std::uint64_t>(value("seed").toInt());
    state->epochs_done = static_cast<int>(value("epochs_done").toInt());
    torch::Tensor shape, mean, deviation;
    archive.read("shape", shape);
    archive.read("mean", mean);
    archive.read("deviation", deviation);
    const auto at = [&](int i) { return static_cast<int>(shape[i].item<std::int64_t>()); };
    auto made = make_network(r.network, {at(0), at(1), at(2)}, at(3));
    if (!made) return made.error();
    state->network = *made;
    const auto floats = [](const torch::Tensor& t) {
      return std::vector<float>(t.const_data_ptr<float>(), t.const_data_ptr<float>() + t.numel());
    };
    state->normalisation = {floats(mean), floats(deviation)};
    archive.read("weights", network);
    state->network->load(network);
    state->make_optimiser();
    archive.read("optimiser", optimiser);
    state->optimiser->load(optimiser);
    return Training(std::move(state));
  });
  if (training) return training;
  return within(checkpoint.string() + ": cannot be read as a checkpoint", training.error());
}

}  // namespace einet
