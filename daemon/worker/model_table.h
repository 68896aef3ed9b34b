// The models that a worker has loaded, each with one LaneModel per lane (weights are shared). They come and
// go while the lanes run others.
#pragma once

#include <array>
#include <atomic>
#include <filesystem>
#include <memory>
#include <vector>

#include "config/ids.h"
#include "config/result.h"
#include "daemon/worker/device_memory.h"
#include "ipc/lane/control.h"
#include "models/executor.h"

namespace einet {

struct WorkerModel {
  ByteCount weights;  // as taken of the device's memory
  std::unique_ptr<LoadedModel> loaded;
  std::vector<std::unique_ptr<LaneModel>> lanes;
};

// Why a model is not loaded.
struct LoadRefusal {
  std::string message;
  // Of the device's memory, which is the reason: so much at least. Zero: another reason.
  ByteCount lacks{};
};

class ModelTable {
 public:
  // For the lanes of `configure`. `memory` counts the weights; all outlive this.
  ModelTable(Backend& backend, DeviceMemory& memory, const Clock& clock, const lane::Configure& configure)
      : backend_(backend), memory_(memory), clock_(clock), configure_(configure) {}
  ~ModelTable();
  ModelTable(const ModelTable&) = delete;
  ModelTable& operator=(const ModelTable&) = delete;

  // Reads the package, makes it ready in every lane, runs each block there once (so that the first job finds
  // memory and caches warm, and a model that cannot run is refused here), measures what batches take, and
  // what it takes to move a job at each boundary, and describes all that for the daemon. A thread that has
  // called Backend::enter_lane; one at a time.
  boost::system::result<lane::ModelDescription, LoadRefusal> load(ModelId, const std::filesystem::path&);
  // Gives its memory back, if it is loaded. Nobody uses it now. Any thread.
  void unload(ModelId);

  // Null: not loaded. Valid until it is unloaded. Any thread.
  const WorkerModel* find(ModelId) const;

 private:
  // The same, the memory of its weights taken already.
  Result<lane::ModelDescription> load(ModelId, Package, ByteCount weights);
  Result<std::vector<double>> measure_batches(const WorkerModel&) const;

  Backend& backend_;
  DeviceMemory& memory_;
  const Clock& clock_;
  const lane::Configure& configure_;
  std::array<std::atomic<const WorkerModel*>, lane::kMaxModels> models_{};
};

// What the daemon needs of a package that this backend has loaded, but for `moves`. Error: more classes than
// a lane channel carries, labels too long for a message, or a profile of another GPU than the backend's.
Result<lane::ModelDescription> describe(const LoadedModel&, const Backend&);

}  // namespace einet
