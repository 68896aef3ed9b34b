// One warp per row: a classifier's few hundred logits are read from the cache three times, which costs less than
// anything that more threads would have to tell each other.
#include <cstddef>

#include "models/torch/cuda/answer.h"

namespace einet {
namespace {

constexpr int kWarp = 32;
constexpr unsigned kAll = 0xffffffffu;

template <class Join>
__device__ float over_warp(float value, Join join) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value = join(value, __shfl_xor_sync(kAll, value, distance));
  }
  return value;
}

// Less the largest logit, so that nothing overflows. Infinite or undefined logits give undefined scores, which
// the lane's caller refuses.
__global__ void softmax(const float* __restrict__ logits, int classes, float* __restrict__ scores) {
  logits += static_cast<std::size_t>(blockIdx.x) * classes;
  scores += static_cast<std::size_t>(blockIdx.x) * classes;
  const int first = static_cast<int>(threadIdx.x);
  float top = -INFINITY;
  for (int c = first; c < classes; c += kWarp) top = fmaxf(top, logits[c]);
  top = over_warp(top, [](float a, float b) { return fmaxf(a, b); });
  float sum = 0;
  for (int c = first; c < classes; c += kWarp) sum += expf(logits[c] - top);
  sum = over_warp(sum, [](float a, float b) { return a + b; });
  for (int c = first; c < classes; c += kWarp) scores[c] = expf(logits[c] - top) / sum;
}

}  // namespace

cudaError_t enqueue_answer(const float* logits, int rows, int classes, float* scores, cudaStream_t stream) {
  softmax<<<static_cast<unsigned>(rows), kWarp, 0, stream>>>(logits, classes, scores);
  return cudaGetLastError();
}

}  // namespace einet
