// Checkpoints: what Training::save writes and Training::load reads.
#include <sstream>

#include <torch/serialize.h>
#include <torch/utils.h>

#include "config/files.h"
#include "models/torch/program_network.h"
#include "models/torch/training_state.h"
#include "models/torch/zoo.h"

namespace einet {
namespace {

// Weights as many as a package holds, and AdamW's two moments of each.
constexpr ByteCount kMaxCheckpoint{3 * PackageLimits::kWeightsFile.value};
constexpr std::string_view kCheckpointKind = "einet checkpoint 3";

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

}  // namespace

Result<void> Training::save(const std::filesystem::path& checkpoint) const {
  return guarded([&]() -> Result<void> {
    const State& s = *state_;
    torch::serialize::OutputArchive archive, network, update;
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
    archive.write("precision", c10::IValue(static_cast<std::int64_t>(s.compute.precision)));
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
    s.update->save(update);
    archive.write("weights", network);
    archive.write("update", update);
    std::ostringstream out;
    archive.save_to(out);
    const std::string bytes = std::move(out).str();
    if (ByteCount{bytes.size()} > kMaxCheckpoint) {
      return error(checkpoint.string() + ": would have " + format_bytes(ByteCount{bytes.size()}) +
                   "; at most " + format_bytes(kMaxCheckpoint) + " are allowed");
    }
    return write_file(checkpoint, bytes);
  });
}

Result<Training> Training::load(const std::filesystem::path& checkpoint, Compute compute) {
  const auto device = open_device(compute.device);
  if (!device) return device.error();
  const auto bytes = read_file(checkpoint, kMaxCheckpoint);
  if (!bytes) return bytes.error();
  auto training = guarded([&]() -> Result<Training> {
    torch::serialize::InputArchive archive, network, update;
    std::istringstream in(*bytes);
    archive.load_from(in, device->device);
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
    // Checkpoints of before do not say.
    if (c10::IValue v; archive.try_read("precision", v)) {
      state->precision = static_cast<Compute::Precision>(v.toInt());
    }
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
    state->settle(*device, compute);
    archive.read("update", update);
    state->update->load(update);
    return Training(std::move(state));
  });
  if (training) return training;
  return within(checkpoint.string() + ": cannot be read as a checkpoint", training.error());
}

}  // namespace einet
