// The models that a worker has loaded, each with one LaneModel per lane (weights are shared). Filled by the
// control thread while the lanes run; nothing is ever taken out.
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
  std::unique_ptr<LoadedModel> loaded;
  std::vector<std::unique_ptr<LaneModel>> lanes;
};

class ModelTable {
 public:
  // `memory` counts the weights; it, `backend` and `clock` outlive this.
  ModelTable(Backend& backend, DeviceMemory& memory, const Clock& clock, int lanes)
      : backend_(backend), memory_(memory), clock_(clock), lanes_(lanes) {}
  ~ModelTable();
  ModelTable(const ModelTable&) = delete;
  ModelTable& operator=(const ModelTable&) = delete;

  // Reads the package, makes it ready in every lane, runs each block there once (so that the first job finds
  // memory and caches warm, and a model that cannot run is refused here), measures what it takes to move a
  // job at each boundary, and describes all that for the daemon. One thread. Error: why the model is refused.
  Result<lane::ModelDescription> load(ModelId, const std::filesystem::path&);

  // Null: not loaded. Any thread.
  const WorkerModel* find(ModelId) const;

 private:
  // The same, its memory taken already.
  Result<lane::ModelDescription> load(ModelId, Package);

  Backend& backend_;
  DeviceMemory& memory_;
  const Clock& clock_;
  int lanes_;
  std::array<std::atomic<const WorkerModel*>, lane::kMaxModels> models_{};
};

// What the daemon needs of a package that this backend has loaded, but for `moves`. Error: more classes than
// a lane channel carries, labels too long for a message, or a profile of another GPU than the backend's.
Result<lane::ModelDescription> describe(const LoadedModel&, const Backend&);

}  // namespace einet
