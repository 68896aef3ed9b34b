// Jobs' states on their way out of this worker and into it: what the daemon's SaveState and LoadState ask
// for, and what that takes. On the control thread; lanes go on meanwhile. Why a job moves is the daemon's
// business.
#pragma once

#include <vector>

#include "config/time.h"
#include "daemon/worker/model_table.h"
#include "daemon/worker/slot_table.h"
#include "ipc/lane/control.h"
#include "models/executor.h"

namespace einet {

// Do what the daemon asks for, and give the answer to it. When they refuse, the memory may have got its size,
// and a slot that was to be loaded be empty; no state is lost that a job could go on with.
lane::StateMoved save_state(const lane::SaveState&, const ModelTable&, SlotTable&);
lane::StateMoved load_state(const lane::LoadState&, const ModelTable&, SlotTable&);

// Does both at every boundary as if it were asked to, with a state of the model whose contents do not matter,
// and takes the times: one per block (lane::ModelDescription::moves). Error: it cannot be done.
Result<std::vector<lane::MoveTime>> measure_moves(const LoadedModel&, TrunkState&, const Clock&);

}  // namespace einet
