#include "daemon/worker/profile.h"

#include <cstdio>
#include <string>

#include "config/device_name.h"
#include "config/text.h"
#include "models/cuda_backend.h"
#include "models/profiler.h"
#ifdef EINET_HAS_ONEDNN
#include "models/onednn/onednn_backend.h"
#endif

namespace einet {
namespace {

Result<std::unique_ptr<Backend>> backend_of(std::string_view device) {
  if (const auto index = cuda_index(device)) return make_cuda_backend(*index);
#ifdef EINET_HAS_ONEDNN
  return make_onednn_backend({});
#else
  return error("this build has no oneDNN (EINET_WITH_ONEDNN is off), so there is nothing to measure");
#endif
}

int failed(const Error& why) {
  std::fprintf(stderr, "einet-worker: %s\n", why.message.c_str());
  return 1;
}

}  // namespace

int profile_packages(std::string_view device, std::span<const std::filesystem::path> packages) {
  if (device != "cpu" && !cuda_index(device)) {
    std::fprintf(stderr, "einet-worker: --device \"%s\"; allowed: cpu, or cuda:N with N from 0 to 63\n",
                 escape(device, 60).c_str());
    return 2;
  }
  const auto backend = backend_of(device);
  if (!backend) return failed(backend.error());
  ProfileOptions options;
  options.device = (*backend)->device_kind();
  for (const std::filesystem::path& package : packages) {
    if (auto ok = profile_package(**backend, package, options, {}); !ok) return failed(ok.error());
    std::fprintf(stderr, "einet-worker: %s has a profile of this machine's %s\n", package.c_str(),
                 std::string(device).c_str());
  }
  return 0;
}

}  // namespace einet
