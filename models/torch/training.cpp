#include "models/torch/training.h"

#include <cmath>
#include <dlfcn.h>
#include <numbers>
#include <numeric>
#include <sstream>

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <torch/autograd.h>
#include <torch/cuda.h>
#include <torch/nn/functional/loss.h>
#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>
#include <torch/serialize.h>
#include <torch/utils.h>

#include "config/check.h"
#include "config/files.h"
#include "models/torch/program_network.h"
#include "models/torch/zoo.h"

namespace einet {
namespace {

constexpr ByteCount kMaxCheckpoint{std::uint64_t{1} << 30};
constexpr std::string_view kCheckpointKind = "einet checkpoint 2";
constexpr double kMomentum = 0.9;
constexpr double kTemperature = 3;  // of the answers that are distilled
constexpr int kPadding = 4;         // of images that are cropped
constexpr double kMaxGradientNorm = 5;
constexpr int kEvaluationBatch = 50;

// The learning rate climbs linearly to its peak, then falls along half a cosine (Loshchilov, Hutter: SGDR,
// ICLR 2017, equation 5, one cycle; Goyal et al. 2017 for the warm-up). `progress` in [0, 1) of the whole
// training. SGD is used in long trainings, where a shorter part is enough to warm up.
double rate_at(double progress, const Recipe& recipe) {
  const double warm_up = recipe.optimiser == Optimiser::sgd ? 0.025 : 0.15;
  if (progress < warm_up) return recipe.learning_rate * (0.1 + 0.9 * progress / warm_up);
  const double rest = (progress - warm_up) / (1 - warm_up);
  return recipe.learning_rate * (0.005 + 0.995 * (1 + std::cos(std::numbers::pi * rest)) / 2);
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

// LibTorch's part for GPUs is loaded when it is asked for: loading it takes a second and its memory.
Result<torch::Device> open_device(Compute::Device device) {
  if (device == Compute::Device::cpu) return torch::Device(torch::kCPU);
  const bool loaded = ::dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) != nullptr;
  if (!loaded || !torch::cuda::is_available()) {
    return error(std::string("no CUDA device can be used here (") +
                 (loaded ? "the driver shows none" : "this LibTorch is built without CUDA") +
                 "); use --device cpu");
  }
  at::globalContext().setDeterministicCuDNN(true);
  return torch::Device(torch::kCUDA);
}

// Images as tensors: on the CPU they share the images' memory, on a device they are a copy.
struct View {
  torch::Tensor pixels, labels;

  View(const Images& images, torch::Device device) {
    const std::int64_t n = static_cast<std::int64_t>(images.size());
    const auto& s = images.shape;
    // from_blob wants a pointer to non-const; nothing writes through it.
    pixels = torch::from_blob(const_cast<std::uint8_t*>(images.pixels.data()),
                              {n, s.channels, s.height, s.width}, torch::kUInt8)
                 .to(device);
    labels = torch::from_blob(const_cast<std::uint8_t*>(images.labels.data()), {n}, torch::kUInt8).to(device);
  }
};

torch::Tensor to_input(const torch::Tensor& bytes, const Normalisation& n) {
  const std::int64_t channels = static_cast<std::int64_t>(n.mean.size());
  const auto mean = torch::tensor(n.mean).view({1, channels, 1, 1}).to(bytes.device());
  const auto deviation = torch::tensor(n.deviation).view({1, channels, 1, 1}).to(bytes.device());
  return ((bytes.to(torch::kFloat32) / 255 - mean) / deviation).contiguous(torch::MemoryFormat::ChannelsLast);
}

// A random change of every image, from LibTorch's generator for the CPU.
torch::Tensor augment(const torch::Tensor& images, Augmentation augmentation) {
  if (augmentation == Augmentation::none) return images;
  const std::int64_t n = images.size(0), h = images.size(2), w = images.size(3);
  const auto device = images.device();
  const auto shift = [&] { return torch::randint(2 * kPadding + 1, {n, 1, 1}, torch::kInt64).to(device); };
  const torch::Tensor row = torch::arange(h, torch::kInt64).view({1, h, 1}).to(device) + shift();
  torch::Tensor column = torch::arange(w, torch::kInt64).view({1, 1, w}).to(device).expand({n, 1, w});
  if (augmentation == Augmentation::crop_flip) {
    const torch::Tensor mirrored = torch::randint(2, {n, 1, 1}, torch::kInt64).to(device);
    column = torch::where(mirrored == 1, w - 1 - column, column);
  }
  column = column + shift();
  const torch::Tensor image = torch::arange(n, torch::kInt64).view({n, 1, 1}).to(device);
  const torch::Tensor padded = torch::constant_pad_nd(images, {kPadding, kPadding, kPadding, kPadding});
  return padded.permute({0, 2, 3, 1}).index({image, row, column}).permute({0, 3, 1, 2});
}

// Mixed precision while it lives.
class Autocast {
 public:
  Autocast(torch::Device device, Compute::Precision precision)
      : device_(device.type()), on_(precision == Compute::Precision::bf16) {
    if (!on_) return;
    at::autocast::set_autocast_dtype(device_, torch::kBFloat16);
    at::autocast::set_autocast_enabled(device_, true);
  }
  ~Autocast() {
    if (!on_) return;
    at::autocast::set_autocast_enabled(device_, false);
    at::autocast::clear_cache();  // it holds the weights of this step
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  c10::DeviceType device_;
  bool on_;
};

// Later exits weigh more: the early ones must not take the trunk for themselves.
double exit_weight(int exit, int exits) {
  return 0.4 + 0.6 * (exit + 1) / exits;
}

// The weighted mean of the exits' losses.
torch::Tensor joint_loss(const std::vector<torch::Tensor>& logits, const torch::Tensor& labels,
                         const Recipe& recipe) {
  namespace functional = torch::nn::functional;
  const auto to_label = functional::CrossEntropyFuncOptions().label_smoothing(recipe.label_smoothing);
  const torch::Tensor teacher = torch::softmax(logits.back().detach().to(torch::kFloat32) / kTemperature, 1);
  torch::Tensor sum;
  double weights = 0;
  for (std::size_t e = 0; e < logits.size(); ++e) {
    const torch::Tensor scores = logits[e].to(torch::kFloat32);
    torch::Tensor loss = functional::cross_entropy(scores, labels, to_label);
    if (recipe.distillation > 0 && e + 1 < logits.size()) {
      // Hinton, Vinyals, Dean (2015), section 2: the square of the temperature keeps the gradient's size.
      const torch::Tensor student = torch::log_softmax(scores / kTemperature, 1);
      const torch::Tensor distance = torch::kl_div(student, teacher, at::Reduction::Sum) / scores.size(0) *
                                     (kTemperature * kTemperature);
      loss = (1 - recipe.distillation) * loss + recipe.distillation * distance;
    }
    const double weight = exit_weight(static_cast<int>(e), static_cast<int>(logits.size()));
    sum = e == 0 ? weight * loss : sum + weight * loss;
    weights += weight;
  }
  return sum / weights;
}

Result<void> check(const Recipe& recipe, const Images& learn) {
  if (learn.size() >= static_cast<std::size_t>(recipe.batch)) return check(recipe);
  return error("there are " + std::to_string(learn.size()) + " training images, less than one batch of " +
               std::to_string(recipe.batch));
}

// What a checkpoint's network was: one of the zoo, or a conversion of a program, whose weights are read
// later.
Result<std::shared_ptr<Network>> make_again(const Recipe& recipe, Shape input, int classes,
                                            const std::string& program_text, const std::vector<int>& cuts) {
  if (program_text.empty()) return make_network(recipe.network, input, classes);
  auto program = read_program(program_text, "program", input, classes);
  if (!program) return program.error();
  Weights zeros;
  for (const auto& [name, shape] : program->tensors()) {
    std::int64_t elements = 1;
    for (const std::int64_t n : shape) elements *= n;
    zeros[name] = {shape, std::vector<float>(static_cast<std::size_t>(elements))};
  }
  PackageInfo info{.name = recipe.network,
                   .version = "1",
                   .program = std::move(*program),
                   .normalisation = {},
                   .labels = {},
                   .times = {},
                   .confidences = {},
                   .digest = {}};
  return make_converted(recipe.network, {{std::move(info), std::move(zeros)}, cuts}, recipe.learn);
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
  std::vector<Epoch> history;
  Normalisation normalisation;
  std::string program;    // of what was converted; empty for a network of the zoo
  std::vector<int> cuts;  // the conversion's
  std::shared_ptr<Network> network;
  std::unique_ptr<torch::optim::Optimizer> optimiser;
  torch::Device device = torch::kCPU;
  Compute::Precision precision = Compute::Precision::fp32;

  // Puts the network where it is trained. The weights' values are there already.
  void settle(torch::Device on, Compute::Precision with) {
    device = on;
    precision = with;
    network->to(device);
    if (device.is_cuda()) {
      for (torch::Tensor& weight : network->parameters()) {
        if (weight.dim() == 4) weight.set_data(weight.contiguous(torch::MemoryFormat::ChannelsLast));
      }
    }
    if (recipe.optimiser == Optimiser::sgd) {
      optimiser = std::make_unique<torch::optim::SGD>(network->parameters(),
                                                      torch::optim::SGDOptions(recipe.learning_rate)
                                                          .momentum(kMomentum)
                                                          .nesterov(true)
                                                          .weight_decay(recipe.weight_decay));
    } else {
      optimiser = std::make_unique<torch::optim::AdamW>(
          network->parameters(),
          torch::optim::AdamWOptions(recipe.learning_rate).weight_decay(recipe.weight_decay));
    }
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
const std::vector<Training::Epoch>& Training::history() const {
  return state_->history;
}

Result<Training> Training::begin(const Recipe& recipe, const Images& learn, Compute compute) {
  if (auto ok = check(recipe, learn); !ok) return ok.error();
  const auto device = open_device(compute.device);
  if (!device) return device.error();
  return guarded([&]() -> Result<Training> {
    torch::manual_seed(recipe.seed);
    auto network = make_network(recipe.network, shape_of(learn), learn.classes);
    if (!network) return network.error();
    auto state = std::make_unique<State>();
    state->recipe = recipe;
    state->normalisation = measure(learn);
    state->network = *network;
    state->settle(*device, compute.precision);
    return Training(std::move(state));
  });
}

Result<Training> Training::convert(const Recipe& recipe, const Conversion& conversion, const Images& learn,
                                   Compute compute) {
  if (auto ok = check(recipe, learn); !ok) return ok.error();
  const auto device = open_device(compute.device);
  if (!device) return device.error();
  return guarded([&]() -> Result<Training> {
    torch::manual_seed(recipe.seed);
    auto network = make_converted(recipe.network, conversion, recipe.learn);
    if (!network) return network.error();
    auto state = std::make_unique<State>();
    state->recipe = recipe;
    state->normalisation = conversion.source.info.normalisation;
    state->program = write_program(conversion.source.info.program);
    state->cuts = conversion.cuts;
    state->network = *network;
    if (auto fits = state->check_fits(learn); !fits) return fits.error();
    state->settle(*device, compute.precision);
    return Training(std::move(state));
  });
}

Result<void> Training::run_epoch(const Images& learn, const Images& validate,
                                 const std::function<void(const Step&)>& on_step) {
  State& s = *state_;
  EINET_CHECK(epochs_done() < s.recipe.epochs, "an epoch is left");
  if (auto fits = s.check_fits(learn); !fits) return fits.error();
  Epoch epoch;
  const auto trained = guarded([&]() -> Result<void> {
    const View data(learn, s.device);
    const auto batch = static_cast<std::size_t>(s.recipe.batch);
    std::vector<std::int64_t> order = epoch_order(learn.size(), s.recipe.seed, epochs_done());
    if (s.recipe.epoch_images > 0) order.resize(std::min(order.size(), s.recipe.epoch_images));
    // Whole batches only: batch norm over a few left-over images would disturb the running means.
    const std::size_t steps = std::max<std::size_t>(1, order.size() / batch);
    order.resize(std::min(order.size(), steps * batch));
    const torch::Tensor all = torch::tensor(order).to(s.device);
    // What augmentation and dropout draw depends on seed and epoch alone too.
    torch::manual_seed(s.recipe.seed + static_cast<std::uint64_t>(epochs_done()) * 0xd1342543de82ef95u);
    s.network->train();
    double loss_sum = 0;
    for (std::size_t step = 0; step < steps; ++step) {
      const double progress =
          (epochs_done() + static_cast<double>(step) / static_cast<double>(steps)) / s.recipe.epochs;
      for (auto& group : s.optimiser->param_groups()) group.options().set_lr(rate_at(progress, s.recipe));
      const torch::Tensor chosen = all.slice(0, static_cast<std::int64_t>(step * batch),
                                             static_cast<std::int64_t>((step + 1) * batch));
      const torch::Tensor labels = data.labels.index_select(0, chosen).to(torch::kInt64);
      const torch::Tensor images = augment(data.pixels.index_select(0, chosen), s.recipe.augmentation);
      torch::Tensor loss;
      {
        const Autocast autocast(s.device, s.precision);
        loss = joint_loss(s.network->forward(to_input(images, s.normalisation)), labels, s.recipe);
      }
      s.optimiser->zero_grad();
      // SGD's usual rates are for the exits' sum (MSDNet); AdamW does not depend on the loss's size.
      const double size = s.recipe.optimiser == Optimiser::sgd ? s.network->block_count() : 1;
      (loss * size).backward();
      torch::nn::utils::clip_grad_norm_(s.network->parameters(), kMaxGradientNorm);
      s.optimiser->step();
      loss_sum += loss.item<double>();
      if (!std::isfinite(loss_sum)) {
        return error("the loss is no longer a number; start again with a learning rate below " +
                     std::to_string(s.recipe.learning_rate));
      }
      epoch.loss = loss_sum / static_cast<double>(step + 1);
      on_step({std::min(order.size(), (step + 1) * batch), order.size(), epoch.loss});
    }
    return {};
  });
  if (!trained) return trained.error();
  const auto judged = answers(validate);
  if (!judged) return judged.error();
  for (int e = 0; e < judged->exits; ++e) epoch.accuracy.push_back(judged->accuracy(e));
  s.history.push_back(std::move(epoch));
  return {};
}

Result<CsProfile> Training::answers(const Images& images) const {
  const State& s = *state_;
  if (auto fits = s.check_fits(images); !fits) return fits.error();
  return guarded([&]() -> Result<CsProfile> {
    const torch::NoGradGuard no_grad;
    const View data(images, s.device);
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
        const torch::Tensor confident = confidence.cpu(), correct = (top == labels).cpu();
        for (int i = first; i < last; ++i) {
          const auto at =
              static_cast<std::size_t>(i) * static_cast<std::size_t>(out.exits) + static_cast<std::size_t>(e);
          out.confidence[at] = std::min(1.f, confident.const_data_ptr<float>()[i - first]);
          out.correct[at] = correct.const_data_ptr<bool>()[i - first] ? 1 : 0;
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
    archive.write("optimiser_kind", c10::IValue(static_cast<std::int64_t>(s.recipe.optimiser)));
    archive.write("learning_rate", c10::IValue(s.recipe.learning_rate));
    archive.write("weight_decay", c10::IValue(s.recipe.weight_decay));
    archive.write("augmentation", c10::IValue(static_cast<std::int64_t>(s.recipe.augmentation)));
    archive.write("label_smoothing", c10::IValue(s.recipe.label_smoothing));
    archive.write("distillation", c10::IValue(s.recipe.distillation));
    archive.write("learn", c10::IValue(static_cast<std::int64_t>(s.recipe.learn)));
    archive.write("program", c10::IValue(s.program));
    archive.write("cuts", torch::tensor(s.cuts, torch::kInt64));
    archive.write("seed", c10::IValue(static_cast<std::int64_t>(s.recipe.seed)));
    // A row per epoch: loss, accuracies.
    std::vector<double> history;
    for (const Epoch& epoch : s.history) {
      history.push_back(epoch.loss);
      history.insert(history.end(), epoch.accuracy.begin(), epoch.accuracy.end());
    }
    archive.write("history",
                  torch::tensor(history, torch::kFloat64)
                      .view({static_cast<std::int64_t>(s.history.size()), 1 + s.network->block_count()}));
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

Result<Training> Training::load(const std::filesystem::path& checkpoint, Compute compute) {
  const auto device = open_device(compute.device);
  if (!device) return device.error();
  const auto bytes = read_file(checkpoint, kMaxCheckpoint);
  if (!bytes) return bytes.error();
  auto training = guarded([&]() -> Result<Training> {
    torch::serialize::InputArchive archive, network, optimiser;
    std::istringstream in(*bytes);
    archive.load_from(in, *device);
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
    r.optimiser = static_cast<Optimiser>(value("optimiser_kind").toInt());
    r.learning_rate = value("learning_rate").toDouble();
    r.weight_decay = value("weight_decay").toDouble();
    r.augmentation = static_cast<Augmentation>(value("augmentation").toInt());
    r.label_smoothing = value("label_smoothing").toDouble();
    r.distillation = value("distillation").toDouble();
    r.learn = static_cast<Learn>(value("learn").toInt());
    state->program = value("program").toStringRef();
    r.seed = static_cast<std::uint64_t>(value("seed").toInt());
    torch::Tensor shape, mean, deviation, history, cuts;
    archive.read("shape", shape);
    archive.read("mean", mean);
    archive.read("deviation", deviation);
    archive.read("history", history);
    archive.read("cuts", cuts);
    for (const torch::Tensor& cut : cuts.unbind()) {
      state->cuts.push_back(static_cast<int>(cut.item<std::int64_t>()));
    }
    const auto at = [&](int i) { return static_cast<int>(shape[i].item<std::int64_t>()); };
    auto made = make_again(r, {at(0), at(1), at(2)}, at(3), state->program, state->cuts);
    if (!made) return made.error();
    state->network = *made;
    const auto floats = [](const torch::Tensor& saved) {
      const torch::Tensor t = saved.cpu();
      return std::vector<float>(t.const_data_ptr<float>(), t.const_data_ptr<float>() + t.numel());
    };
    state->normalisation = {floats(mean), floats(deviation)};
    for (const torch::Tensor& row : history.cpu().unbind()) {
      const double* const values = row.const_data_ptr<double>();
      state->history.push_back({values[0], {values + 1, values + row.numel()}});
    }
    archive.read("weights", network);
    state->network->load(network);
    state->settle(*device, compute.precision);
    archive.read("optimiser", optimiser);
    state->optimiser->load(optimiser);
    return Training(std::move(state));
  });
  if (training) return training;
  return within(checkpoint.string() + ": cannot be read as a checkpoint", training.error());
}

}  // namespace einet
