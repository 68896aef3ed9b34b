// CUDA lanes, without a CUDA header: they and LibTorch are in libeinet_cuda.so (models/torch/cuda), which is
// loaded when a CUDA device is asked for. A build without LibTorch has no such library, and says so.
#pragma once

#include <memory>
#include <string>

#include "config/result.h"
#include "models/executor.h"

namespace einet {

// A backend "cuda" on the device with this index. A lane is a stream; a job's state lies on the device; every
// block is a CUDA graph. Error: no library, no driver, or no such device, and what to do.
Result<std::unique_ptr<Backend>> make_cuda_backend(int index);

// "no CUDA device can be used here (WHY)".
Error no_cuda(const std::string& why);

// What libeinet_cuda.so exports as "einet_cuda_backend". Null: `why` says why not.
using MakeCudaBackend = Backend* (*)(int index, std::string* why);

}  // namespace einet
