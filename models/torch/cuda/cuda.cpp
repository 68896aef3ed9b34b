// Streams and graphs for trainings, from LibTorch's CUDA part (models/torch/device.h says what for). This
// folder is libeinet_cuda.so, and alone includes CUDA headers.
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>

#include "models/torch/cuda/capture.h"
#include "models/torch/device.h"

namespace einet {
namespace {

class Graph final : public CudaGraph {
 public:
  explicit Graph(const std::function<void()>& work) {
    c10::cuda::device_synchronize();
    // A recording gets memory of its own, and none of what the allocator keeps of earlier steps.
    c10::cuda::CUDACachingAllocator::emptyCache();
    capture(graph_, cudaStreamCaptureModeGlobal, work);
  }

  void replay() override { graph_.replay(); }

 private:
  at::cuda::CUDAGraph graph_;
};

class LibTorchCuda final : public Cuda {
 public:
  void enter() override { c10::cuda::setCurrentCUDAStream(c10::cuda::getStreamFromPool()); }
  std::unique_ptr<CudaGraph> record(const std::function<void()>& work) override {
    return std::make_unique<Graph>(work);
  }
};

}  // namespace
}  // namespace einet

extern "C" einet::Cuda* einet_cuda() {
  static einet::LibTorchCuda cuda;
  return &cuda;
}
