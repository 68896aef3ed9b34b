// Recording work as a CUDA graph, for trainings and lanes alike. For this folder only.
#pragma once

#include <cuda_runtime_api.h>

#include <ATen/cuda/CUDAGraph.h>
#include <c10/util/Exception.h>

namespace einet {

// By LibTorch's allocator or by CUDA itself.
inline bool is_out_of_memory(const c10::Error& e) {
  if (dynamic_cast<const c10::OutOfMemoryError*>(&e) != nullptr) return true;
  const auto* const by_cuda = dynamic_cast<const c10::AcceleratorError*>(&e);
  return by_cuda != nullptr && by_cuda->get_error_code() == cudaErrorMemoryAllocation;
}

// A recording that did not begin or end as it should: LibTorch's allocator may take it for underway from then
// on, and the process cannot use the device any more.
class BrokenRecording final : public c10::Error {
 public:
  explicit BrokenRecording(const c10::Error& why) : c10::Error(why) {}
};

// Records what `work` enqueues on the current stream, without running it. Throws BrokenRecording, or else a
// c10::Error of `work`, or of the device that has no memory for the graph; the stream can be used again then.
// `pool`: that of a graph that never runs at the same time, whose memory it may use, too; none: its own.
template <class F>
void capture(at::cuda::CUDAGraph& graph, cudaStreamCaptureMode mode, F&& work,
             at::cuda::MempoolId_t pool = {0, 0}) {
  const auto end = [&](const c10::Error* why = nullptr) {
    try {
      graph.capture_end();
    } catch (const c10::Error& e) {
      if (is_out_of_memory(e)) throw;  // the recording has ended: the graph is made of it last
      throw BrokenRecording(why != nullptr ? *why : e);  // the first error says more
    }
  };
  try {
    graph.capture_begin(pool, mode);
  } catch (const c10::Error& e) {
    throw BrokenRecording(e);
  }
  try {
    work();
  } catch (const c10::Error& e) {
    end(&e);
    throw;
  }
  end();
}

}  // namespace einet
