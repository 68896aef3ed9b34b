#include <cstdio>

#include "commands.h"
#include "models/onednn/onednn_backend.h"
#include "progress.h"

namespace einet {

Result<void> run(const ProfileCommand& command) {
  const auto backend = make_onednn_backend({});
  const SystemClock clock;
  ProgressBar bar("profile", clock);
  const auto show = [&](int rounds) {
    bar.show(static_cast<std::size_t>(rounds), static_cast<std::size_t>(command.options.rounds), "rounds");
  };
  if (auto ok = profile_package(*backend, command.package, command.options, show); !ok) return ok.error();
  std::fprintf(stderr, "%s has a profile for %s; see: einet-model info %s\n", command.package.c_str(),
               command.options.device.c_str(), command.package.c_str());
  return {};
}

}  // namespace einet
