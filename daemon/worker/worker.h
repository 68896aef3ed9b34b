// einet-worker behind its main: the conversation on the control socket, and the lanes' threads. It decides
// nothing; what runs when is in the grants.
#pragma once

#include "ipc/lane/control.h"

namespace einet {

// Serves until the daemon says Shutdown or is gone. Returns the exit status: 0, or 1 when it could not start
// (the reason went to the daemon as a log line).
int run_worker(lane::ControlSocket);

}  // namespace einet
