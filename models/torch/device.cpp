#include "models/torch/device.h"

#include <dlfcn.h>

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <torch/cuda.h>

#include "models/cuda_backend.h"

namespace einet {
namespace {

Result<OpenDevice> open_cuda() {
  void* const library = ::dlopen("libeinet_cuda.so", RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) return no_cuda(::dlerror());
  if (!torch::cuda::is_available()) return no_cuda("the driver shows none");
  auto* const get = reinterpret_cast<Cuda* (*)()>(::dlsym(library, "einet_cuda"));
  if (get == nullptr) return no_cuda(::dlerror());
  at::globalContext().setAllowTF32CuDNN(false);
  OpenDevice open{torch::Device(torch::kCUDA, 0), get()};
  open.cuda->enter();
  return open;
}

}  // namespace

Result<OpenDevice> open_device(Compute::Device device) {
  if (device == Compute::Device::cpu) return OpenDevice{};
  auto open = open_cuda();
  if (!open) return error(open.error().message + "; use --device cpu");
  return open;
}

Autocast::Autocast(torch::Device device, Compute::Precision precision)
    : device_(device.type()), on_(precision == Compute::Precision::bf16) {
  if (!on_) return;
  at::autocast::set_autocast_dtype(device_, torch::kBFloat16);
  at::autocast::set_autocast_enabled(device_, true);
}

Autocast::~Autocast() {
  if (!on_) return;
  at::autocast::set_autocast_enabled(device_, false);
  at::autocast::clear_cache();  // it holds the weights of this step
}

}  // namespace einet
