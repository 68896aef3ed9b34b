#include "models/torch/training.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <torch/autograd.h>
#include <torch/utils.h>

#include "config/check.h"
#include "models/torch/loss.h"
#include "models/torch/program_network.h"
#include "models/torch/training_state.h"
#include "models/torch/zoo.h"

namespace einet {
namespace {

// The learning rate climbs linearly to its peak, then falls along half a cosine (Loshchilov, Hutter: SGDR,
// ICLR 2017, equation 5, one cycle; Goyal et al. 2017 for the warm-up). `progress` in [0, 1) of the whole
// training. SGD is used in long trainings, where a shorter part is enough to warm up.
double rate_at(double progress, const Recipe& recipe) {
  const double warm_up = recipe.optimiser == Optimiser::sgd ? 0.025 : 0.15;
  if (progress < warm_up) return recipe.learning_rate * (0.1 + 0.9 * progress / warm_up);
  const double rest = (progress - warm_up) / (1 - warm_up);
  return recipe.learning_rate * (0.005 + 0.995 * (1 + std::cos(std::numbers::pi * rest)) / 2);
}

Result<void> check(const Recipe& recipe, const Images& learn) {
  if (learn.size() >= static_cast<std::size_t>(recipe.batch)) return check(recipe);
  return error("there are " + std::to_string(learn.size()) + " training images, less than one batch of " +
               std::to_string(recipe.batch));
}

// The softmax scores of every exit, image by image and exit by exit, in evaluation mode.
void answer_all(Network& network, const Normalisation& normalisation, const Images& images,
                torch::Device device, Compute::Precision precision,
                const std::function<void(std::span<const float>)>& on_scores) {
  const torch::NoGradGuard no_grad;
  const std::int64_t batch = device.is_cuda() ? 500 : 50;
  const DeviceImages data(images, device);
  const Normaliser normalise(normalisation, device);
  const auto n = static_cast<std::int64_t>(images.size());
  network.eval();
  for (std::int64_t first = 0; first < n; first += batch) {
    std::vector<torch::Tensor> scores;
    {
      const Autocast autocast(device, precision);
      scores = network.forward(normalise(data.pixels.slice(0, first, std::min(n, first + batch))));
    }
    for (torch::Tensor& exit : scores) exit = torch::softmax(exit.to(torch::kFloat32), 1);
    const torch::Tensor all = torch::stack(scores, 1).cpu().contiguous();
    const auto classes = static_cast<std::size_t>(all.size(2));
    const float* const values = all.const_data_ptr<float>();
    for (std::size_t row = 0; row < static_cast<std::size_t>(all.size(0) * all.size(1)); ++row) {
      on_scores({values + row * classes, classes});
    }
  }
}

CsProfile profile_of(Network& network, const Normalisation& normalisation, const Images& images,
                     torch::Device device, Compute::Precision precision) {
  CsProfile out;
  out.samples = static_cast<int>(images.size());
  out.exits = network.block_count();
  answer_all(network, normalisation, images, device, precision, [&](std::span<const float> scores) {
    const std::size_t image = out.confidence.size() / static_cast<std::size_t>(out.exits);
    const auto top = std::max_element(scores.begin(), scores.end());
    out.confidence.push_back(std::min(1.F, *top));
    out.correct.push_back(top - scores.begin() == images.labels[image] ? 1 : 0);
  });
  return out;
}

}  // namespace

std::size_t Training::State::batch() const {
  const auto batch = static_cast<std::size_t>(recipe.batch);
  return recipe.epoch_images > 0 ? std::min(batch, recipe.epoch_images) : batch;
}

void Training::State::settle(OpenDevice on, Compute how) {
  open = on;
  compute = how;
  network->to(device());
  if (device().is_cuda()) {
    for (torch::Tensor& weight : network->parameters()) {
      if (weight.dim() == 4) weight.set_data(weight.contiguous(torch::MemoryFormat::ChannelsLast));
    }
  }
  update.emplace(network->parameters(), recipe);
  const Shape in = network->input();
  const auto n = static_cast<std::int64_t>(batch());
  inputs = torch::zeros({n, in.channels, in.height, in.width})
               .to(device())
               .contiguous(torch::MemoryFormat::ChannelsLast);
  labels = torch::zeros({n}, torch::kInt64).to(device());
  loss = torch::zeros({}, torch::kFloat64).to(device());
}

void Training::State::step() {
  update->clear();
  torch::Tensor of_batch;
  {
    const Autocast autocast(device(), compute.precision);
    of_batch = joint_loss(network->forward(inputs), labels, recipe);
  }
  // SGD's usual rates are for the exits' sum (MSDNet); AdamW does not depend on the loss's size.
  const double size = recipe.optimiser == Optimiser::sgd ? network->block_count() : 1;
  (of_batch * size).backward();
  update->step();
  loss.add_(of_batch.detach());
}

Result<void> Training::State::check_fits(const Images& images) const {
  if (shape_of(images) == network->input() && images.classes == network->classes()) return {};
  return error("the images are " + format_shape(shape_of(images)) + " in " + std::to_string(images.classes) +
               " classes, the network was made for " + format_shape(network->input()) + " in " +
               std::to_string(network->classes()));
}

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
int Training::block_count() const {
  return state_->network->block_count();
}
const std::vector<Training::Epoch>& Training::history() const {
  return state_->history;
}
std::optional<Compute::Precision> Training::precision() const {
  return state_->precision;
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
    state->settle(*device, compute);
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
    state->settle(*device, compute);
    return Training(std::move(state));
  });
}

Result<void> Training::run_epoch(const Images& learn, const Images& validate,
                                 const std::function<void(const Step&)>& on_step) {
  State& s = *state_;
  EINET_CHECK(epochs_done() < s.recipe.epochs, "an epoch is left");
  for (const Images* images : {&learn, &validate}) {
    if (auto fits = s.check_fits(*images); !fits) return fits.error();
  }
  return guarded([&]() -> Result<void> {
    // Looking at the loss waits for the device.
    const std::size_t steps_per_look = s.device().is_cuda() ? 50 : 1;
    const bool recorded = s.open.cuda != nullptr && s.compute.steps == Compute::Steps::graph;
    // Libraries set themselves up in the first steps.
    constexpr std::size_t kStepsBeforeGraph = 4;
    const DeviceImages data(learn, s.device());
    const Normaliser normalise(s.normalisation, s.device());
    const std::size_t batch = s.batch();
    std::vector<std::int64_t> order = epoch_order(learn.size(), s.recipe.seed, epochs_done());
    if (s.recipe.epoch_images > 0) order.resize(std::min(order.size(), s.recipe.epoch_images));
    // Whole batches only: batch norm over a few left-over images would disturb the running means.
    const std::size_t steps = order.size() / batch;
    EINET_CHECK(steps > 0, "begin saw to it that there is a batch");
    const torch::Tensor all = torch::tensor(order).to(s.device());
    // What augmentation and dropout draw depends on seed and epoch alone too.
    torch::manual_seed(s.recipe.seed + static_cast<std::uint64_t>(epochs_done()) * 0xd1342543de82ef95u);
    const Changes changes(s.recipe.augmentation, steps * batch, s.device());
    s.network->train();
    s.loss.zero_();
    Epoch epoch;
    for (std::size_t step = 0; step < steps; ++step) {
      const double progress =
          (epochs_done() + static_cast<double>(step) / static_cast<double>(steps)) / s.recipe.epochs;
      const auto first = static_cast<std::int64_t>(step * batch);
      const torch::Tensor chosen = all.slice(0, first, first + static_cast<std::int64_t>(batch));
      s.inputs.copy_(normalise(changes.apply(data.pixels.index_select(0, chosen), first)));
      s.labels.copy_(data.labels.index_select(0, chosen));
      s.update->set_rate(rate_at(progress, s.recipe));
      if (recorded && !s.graph && step >= kStepsBeforeGraph) {
        s.graph = s.open.cuda->record([&] { s.step(); });
      }
      if (s.graph) {
        s.graph->replay();
      } else {
        s.step();
      }
      if ((step + 1) % steps_per_look != 0 && step + 1 != steps) continue;
      epoch.loss = s.loss.item<double>() / static_cast<double>(step + 1);
      if (!std::isfinite(epoch.loss)) {
        return error("the loss is no longer a number; start again with a learning rate below " +
                     std::to_string(s.recipe.learning_rate));
      }
      on_step({(step + 1) * batch, steps * batch, epoch.loss});
    }
    const CsProfile judged =
        profile_of(*s.network, s.normalisation, validate, s.device(), s.compute.precision);
    for (int e = 0; e < judged.exits; ++e) epoch.accuracy.push_back(judged.accuracy(e));
    s.history.push_back(std::move(epoch));
    return {};
  });
}

Result<CsProfile> Training::answers(const Images& images) const {
  const State& s = *state_;
  if (auto fits = s.check_fits(images); !fits) return fits.error();
  return guarded([&]() -> Result<CsProfile> {
    return profile_of(*s.network, s.normalisation, images, s.device(), Compute::Precision::fp32);
  });
}

Result<void> Training::answer(const Images& images,
                              const std::function<void(std::span<const float>)>& on_scores) const {
  const State& s = *state_;
  if (auto fits = s.check_fits(images); !fits) return fits.error();
  return guarded([&]() -> Result<void> {
    answer_all(*s.network, s.normalisation, images, s.device(), Compute::Precision::fp32, on_scores);
    return {};
  });
}

Result<Package> Training::to_package(std::string name) const {
  return guarded([&]() -> Result<Package> {
    auto package = state_->network->lower(state_->normalisation);
    if (package) package->info.name = std::move(name);
    return package;
  });
}

}  // namespace einet
