// All that a training knows, for the trainer (training.cpp) and its checkpoints (checkpoint.cpp).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <c10/util/Exception.h>

#include "models/torch/batches.h"
#include "models/torch/device.h"
#include "models/torch/network.h"
#include "models/torch/training.h"
#include "models/torch/update.h"

namespace einet {

struct Training::State {
  Recipe recipe;
  std::vector<Epoch> history;
  Normalisation normalisation;
  std::string program;    // of what was converted; empty for a network of the zoo
  std::vector<int> cuts;  // the conversion's
  std::shared_ptr<Network> network;
  OpenDevice open;
  Compute compute;
  std::optional<Compute::Precision> precision;  // that the checkpoint says it was trained in
  // From here on set by settle().
  std::optional<Update> update;
  torch::Tensor inputs, labels;      // of the step, in places that stay the same: graphs know no others
  torch::Tensor loss;                // of all steps of the epoch, f64 []
  std::unique_ptr<CudaGraph> graph;  // a step; null on the CPU and before the first steps

  torch::Device device() const { return open.device; }
  // Images per step: the recipe's, unless an epoch has fewer.
  std::size_t batch() const;

  // Puts the network where it is trained. The weights' values are there already.
  void settle(OpenDevice on, Compute how);
  // One step of the training on inputs and labels, which adds to the loss.
  void step();
  Result<void> check_fits(const Images& images) const;
};

// LibTorch reports its errors as exceptions; none leaves this folder.
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

}  // namespace einet
