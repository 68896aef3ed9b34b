// einetd put together: all its parts in the order of their dependencies, and its life from the first socket
// to the last outcome. What the parts do is in their own files.
#pragma once

#include <filesystem>

#include "config/daemon_config.h"
#include "config/result.h"

namespace einet {

// Runs the daemon until SIGTERM or SIGINT, and then until running jobs have ended or the configured drain
// time is over. `worker`: the einet-worker program. Error: it could not start; the words say why.
Result<void> run_daemon(const DaemonConfig&, const std::filesystem::path& worker);

}  // namespace einet
