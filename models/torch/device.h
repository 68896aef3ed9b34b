// Where a training computes: LibTorch's device, its settings, and what of CUDA the trainer needs beyond
// LibTorch's CPU part. That lies in a library of its own, libeinet_cuda.so (models/torch/cuda), loaded when
// CUDA is asked for: loading it takes a second and its memory. For models/torch only.
#pragma once

#include <functional>
#include <memory>

#include <torch/types.h>

#include "config/result.h"
#include "models/torch/training.h"

namespace einet {

// Work that was recorded on a stream, to be repeated with one launch.
class CudaGraph {
 public:
  virtual ~CudaGraph() = default;
  // Enqueues the work; it reads and writes the same tensors as when it was recorded.
  virtual void replay() = 0;
};

// Calls throw c10::Error as LibTorch does.
class Cuda {
 public:
  virtual ~Cuda() = default;
  // The calling thread's work goes to a stream of its own from now on: the default one cannot be recorded.
  virtual void enter() = 0;
  // Records what `work` enqueues on that stream, without running it. Precondition: the same work ran there
  // before, so that libraries have set up what cannot be recorded, and it waits for nothing on the device.
  virtual std::unique_ptr<CudaGraph> record(const std::function<void()>& work) = 0;
};

// What a training computes on. `cuda` is null on the CPU; it lives as long as the process.
struct OpenDevice {
  torch::Device device = torch::kCPU;
  Cuda* cuda = nullptr;
};

// On CUDA this thread enters a stream, and fp32 is fp32, not TF32. Error: no such device, with the reason.
Result<OpenDevice> open_device(Compute::Device device);

// Mixed precision while it lives.
class Autocast {
 public:
  Autocast(torch::Device device, Compute::Precision precision);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  c10::DeviceType device_;
  bool on_;
};

}  // namespace einet
