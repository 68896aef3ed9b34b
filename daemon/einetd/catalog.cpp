#include "daemon/einetd/catalog.h"

#include <algorithm>
#include <system_error>

#include "config/text.h"

namespace einet {
namespace {

constexpr std::string_view kSuffix = ".einet";

std::vector<std::filesystem::path> packages_in(const std::filesystem::path& folder, std::error_code& code) {
  std::vector<std::filesystem::path> paths;
  std::filesystem::directory_iterator entries(folder, code);
  for (; !code && entries != std::filesystem::directory_iterator(); entries.increment(code)) {
    if (entries->path().extension() == kSuffix) paths.push_back(entries->path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::vector<BlockTime> block_times(const lane::ModelDescription& d) {
  std::vector<BlockTime> out;
  for (const lane::BlockTimes& t : d.times) {
    out.push_back(
        {.trunk = t.trunk.p50, .exit = t.exit.p50, .worst_trunk = t.trunk.max, .worst_exit = t.exit.max});
  }
  return out;
}

// Whether a job's state on one device can be loaded on the other: it takes the same bytes at every boundary.
bool same_state(const std::vector<lane::MoveTime>& a, const std::vector<lane::MoveTime>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return x.bytes == y.bytes; });
}

// What the worker measured, and what asking it adds.
std::vector<MoveTime> move_times(const lane::ModelDescription& d) {
  constexpr Duration kAsking = std::chrono::microseconds(50);
  std::vector<MoveTime> out;
  for (const lane::MoveTime& m : d.moves) out.push_back({m.out + kAsking, m.in + kAsking});
  return out;
}

}  // namespace

std::uint64_t CatalogModel::elements() const {
  std::uint64_t n = 1;
  for (const int extent : description.input) n *= static_cast<std::uint64_t>(extent);
  return n;
}

Result<Catalog> Catalog::scan(const std::filesystem::path& folder, std::vector<int> in_flight,
                              std::string_view expect) {
  Catalog catalog(folder, std::move(in_flight), expect);
  std::error_code code;
  catalog.paths_ = packages_in(folder, code);
  if (code) {
    return error(folder.string() + ": cannot read the model directory: " + code.message() +
                 "; create it, or set models in the configuration");
  }
  if (catalog.paths_.size() > lane::kMaxModels) {
    return error(folder.string() + ": found " + std::to_string(catalog.paths_.size()) +
                 " packages; at most " + std::to_string(lane::kMaxModels) +
                 " are allowed; keep the others in another folder");
  }
  for (const std::filesystem::path& path : catalog.paths_) {
    CatalogModel model;
    model.evicted.resize(catalog.in_flight_.size());
    model.name = escape(path.stem().string(), 64);
    model.well_named = is_plain_name(path.stem().string());
    model.reason =
        model.well_named ? "not loaded yet" : "the name of a model has 1 to 64 letters, digits or _-.";
    catalog.models_.push_back(std::move(model));
  }
  return catalog;
}

Result<ModelId> Catalog::find(std::string_view name) const {
  std::vector<std::string_view> names;
  for (std::uint32_t i = 0; i < models_.size(); ++i) {
    if (models_[i].name == name) return ModelId{i};
    if (models_[i].loaded()) names.push_back(models_[i].name);
  }
  std::string words = "there is no model \"" + escape(name, 64) + "\"";
  if (const std::string_view near = nearest(name, names); !near.empty()) {
    words += "; did you mean \"" + std::string(near) + "\"?";
  } else if (names.empty()) {
    words += "; no model is loaded";
  } else if (names.size() <= 8) {
    words += "; there is " + one_of(names);
  }
  return error(words);
}

std::vector<std::filesystem::path> Catalog::reload() {
  for (CatalogModel& model : models_) {
    model.description.digest.clear();
    model.doubt.clear();
  }
  std::error_code ignored;  // what cannot be read now has nothing new to tell
  std::vector<std::filesystem::path> found = packages_in(folder_, ignored);
  std::erase_if(found,
                [&](const auto& path) { return std::binary_search(paths_.begin(), paths_.end(), path); });
  return found;
}

// The best that the package has of what is asked for. Null: its exits' mean accuracies.
std::shared_ptr<const Forecast> Catalog::forecast(const PredictorParameters& parameters) const {
  if (expect_ == "statistics") return nullptr;
  if (expect_ == "lookalikes" && parameters.lookalikes) {
    return std::make_shared<const Lookalikes>(Lookalikes::make(*parameters.lookalikes).value());
  }
  if (parameters.layers.empty()) return nullptr;
  return std::make_shared<const Predictor>(Predictor::make(parameters).value());
}

Result<std::shared_ptr<const ModelTimes>> Catalog::times_with(
    ModelId id, DeviceId device, const lane::ModelDescription& description) const {
  const CatalogModel& model = models_[id.value];
  const lane::ModelDescription& known = model.description;
  if (description.times.empty()) {
    return error("the package has no profile of this device; measure one: einet-worker --profile");
  }
  if (!known.digest.empty() && known.digest != description.digest) {
    return error("the package has changed; send the daemon SIGHUP to load all packages again");
  }
  if (known.blocks != 0 && (known.blocks != description.blocks || known.classes != description.classes ||
                            known.input != description.input)) {
    return error("the package holds a network of another shape now; restart the daemon to load it");
  }
  ModelTimes times;
  if (model.loaded()) times = *model.times;
  times.on_device.resize(in_flight_.size());
  times.on_device[device.value] = block_times(description);
  times.moves.resize(in_flight_.size());
  // What is known is of the device that loaded it first since the last reload, whose moves are as they are.
  const bool fits = known.digest.empty() || known.moves.empty() || same_state(known.moves, description.moves);
  times.moves[device.value] = fits ? move_times(description) : std::vector<MoveTime>();
  times.batch.resize(in_flight_.size());
  times.batch[device.value] = description.batch;
  times.in_flight = in_flight_;
  times.accuracy = description.accuracy;
  // Without a CS-profile the core must still know that the model has exits, and that deeper is better.
  for (int b = static_cast<int>(times.accuracy.size()); b < description.blocks; ++b) {
    times.accuracy.push_back(static_cast<double>(b + 1) / description.blocks);
  }
  times.forecast = description.predictor ? forecast(*description.predictor) : nullptr;
  return std::make_shared<const ModelTimes>(std::move(times));
}

void Catalog::loaded(ModelId id, lane::ModelDescription description,
                     std::shared_ptr<const ModelTimes> times) {
  CatalogModel& model = models_[id.value];
  model.predictor = nullptr;
  if (description.predictor) {
    model.predictor = std::make_shared<const Predictor>(Predictor::make(*description.predictor).value());
  }
  if (!description.doubt.empty()) model.doubt = description.doubt;
  if (model.description.digest.empty()) model.description = std::move(description);
  model.times = std::move(times);
  model.reason.clear();
}

void Catalog::refused(ModelId id, DeviceId device, const std::string& reason) {
  CatalogModel& model = models_[id.value];
  if (!model.loaded()) {
    model.reason = reason;
    return;
  }
  ModelTimes times = *model.times;
  times.on_device[device.value].clear();
  const bool none =
      std::all_of(times.on_device.begin(), times.on_device.end(), [](auto& t) { return t.empty(); });
  model.times = none ? nullptr : std::make_shared<const ModelTimes>(std::move(times));
  if (none) model.reason = reason;
}

}  // namespace einet
