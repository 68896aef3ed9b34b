#include "daemon/worker/profile.h"

#include <cstdio>

#ifdef EINET_HAS_ONEDNN
#include "models/onednn/onednn_backend.h"
#include "models/profiler.h"
#endif

namespace einet {

#ifdef EINET_HAS_ONEDNN

int profile_packages(std::span<const std::filesystem::path> packages) {
  const auto backend = make_onednn_backend({});
  for (const std::filesystem::path& package : packages) {
    if (auto ok = profile_package(*backend, package, {}, {}); !ok) {
      std::fprintf(stderr, "einet-worker: %s\n", ok.error().message.c_str());
      return 1;
    }
    std::fprintf(stderr, "einet-worker: %s has a profile of this machine\n", package.c_str());
  }
  return 0;
}

#else

int profile_packages(std::span<const std::filesystem::path>) {
  std::fputs(
      "einet-worker: this build has no oneDNN (EINET_WITH_ONEDNN is off), so there is nothing to measure\n",
      stderr);
  return 2;
}

#endif

}  // namespace einet
