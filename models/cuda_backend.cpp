#include "models/cuda_backend.h"

#include <dlfcn.h>

namespace einet {

Error no_cuda(const std::string& why) {
  return error("no CUDA device can be used here (" + why + ")");
}

Result<std::unique_ptr<Backend>> make_cuda_backend(int index) {
  void* const library = ::dlopen("libeinet_cuda.so", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return no_cuda(std::string(::dlerror()) +
                   "; it is part of the full build with a LibTorch for CUDA: tools/setup full");
  }
  auto* const make = reinterpret_cast<MakeCudaBackend>(::dlsym(library, "einet_cuda_backend"));
  if (make == nullptr) return no_cuda(::dlerror());
  std::string why;
  std::unique_ptr<Backend> backend(make(index, &why));
  if (!backend) return no_cuda(why);
  return backend;
}

}  // namespace einet
