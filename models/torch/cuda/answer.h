// The end of an exit on a GPU as one kernel (answer.cu), in place of LibTorch's softmax and a copy. For this
// folder only; built where nvcc is found (EINET_HAS_NVCC).
#pragma once

#include <cuda_runtime_api.h>

namespace einet {

// Enqueues the softmax of every row of these logits, which lie on the device, into `scores`, pinned memory of
// the host with as many places: it may be read when the stream has got there. Precondition: at least one row
// and one class. Returns whether it could be enqueued; can be recorded as part of a graph.
cudaError_t enqueue_answer(const float* logits, int rows, int classes, float* scores, cudaStream_t stream);

}  // namespace einet
