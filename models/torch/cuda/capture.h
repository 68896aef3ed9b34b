// Recording work as a CUDA graph, for trainings and lanes alike. For this folder only.
#pragma once

#include <exception>

#include <ATen/cuda/CUDAGraph.h>
#include <c10/util/Exception.h>

namespace einet {

// Records what `work` enqueues on the current stream, without running it. Throws what `work` throws; the
// stream can be used again then. `pool`: that of a graph that never runs at the same time, whose memory it
// may use, too; none: its own.
template <class F>
void capture(at::cuda::CUDAGraph& graph, cudaStreamCaptureMode mode, F&& work,
             at::cuda::MempoolId_t pool = {0, 0}) {
  graph.capture_begin(pool, mode);
  try {
    work();
  } catch (...) {
    const std::exception_ptr why = std::current_exception();
    try {
      graph.capture_end();
    } catch (const c10::Error&) {
      // It follows from the first error, which says why.
    }
    std::rethrow_exception(why);
  }
  graph.capture_end();
}

}  // namespace einet
