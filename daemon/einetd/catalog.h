// The models that the daemon knows: one entry per package found in the model directory when the daemon
// started, and what the workers said of it when they loaded it. Packages are opened by workers only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/ids.h"
#include "config/result.h"
#include "ipc/lane/control.h"
#include "scheduler/job.h"

namespace einet {

struct CatalogModel {
  std::string name;
  bool well_named = true;
  std::string reason;                       // why no device runs it; empty when one does
  lane::ModelDescription description;       // of the device that loaded it first since the last reload
  std::shared_ptr<const ModelTimes> times;  // null until a device runs it
  std::string doubt;                        // lane::ModelDescription::doubt of any of its devices; or empty
  std::shared_ptr<const Predictor> predictor;  // judges its answers; null: the package has none
  std::vector<bool> evicted;                   // by DeviceId: from its memory, until a job needs it there

  bool loaded() const { return times != nullptr; }
  bool runs_on(DeviceId d) const { return loaded() && !times->on_device[d.value].empty(); }
  std::uint64_t elements() const;  // of an input
};

class Catalog {
 public:
  // Lists NAME.einet/ in the folder, sorted by name. Error: the folder cannot be read or holds more than
  // lane::kMaxModels, names the path.
  // `in_flight`: DeviceConfig::in_flight of each device. `expect`: PlannerConfig::expect, what models' times
  // have a forecast for.
  static Result<Catalog> scan(const std::filesystem::path& folder, std::vector<int> in_flight,
                              std::string_view expect);

  std::size_t size() const { return models_.size(); }
  const CatalogModel& model(ModelId id) const { return models_[id.value]; }
  const std::filesystem::path& path(ModelId id) const { return paths_[id.value]; }
  // False: a package with a name that no model may have; it stays refused.
  bool may_load(ModelId id) const { return models_[id.value].well_named; }
  // Error: words for the client, with the nearest name.
  Result<ModelId> find(std::string_view name) const;

  // Packages may have been changed on purpose: from now on another content is as good, if the network has the
  // same shape (jobs in progress go on with it). Returns packages that the folder did not have at the start:
  // they are not taken up.
  std::vector<std::filesystem::path> reload();
  // A worker has loaded a model for its device: the times that the model would have. Error: it has no profile
  // of the device, or its content is not what was loaded before; it must then be refused.
  Result<std::shared_ptr<const ModelTimes>> times_with(ModelId, DeviceId,
                                                       const lane::ModelDescription&) const;
  // Takes over what times_with() has checked.
  void loaded(ModelId, lane::ModelDescription, std::shared_ptr<const ModelTimes>);
  void refused(ModelId, DeviceId, const std::string& reason);
  void set_evicted(ModelId model, DeviceId device, bool evicted) {
    models_[model.value].evicted[device.value] = evicted;
  }

 private:
  Catalog(std::filesystem::path folder, std::vector<int> in_flight, std::string_view expect)
      : folder_(std::move(folder)), in_flight_(std::move(in_flight)), expect_(expect) {}
  std::shared_ptr<const Forecast> forecast(const PredictorParameters&) const;

  std::filesystem::path folder_;
  std::vector<int> in_flight_;  // by DeviceId
  std::string expect_;
  std::vector<CatalogModel> models_;
  std::vector<std::filesystem::path> paths_;
};

}  // namespace einet
