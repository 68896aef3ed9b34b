#include "ipc/lane/grant.h"

#include "ipc/lane/layout.h"

namespace einet::lane {

bool is_legal(const GrantMessage& g) {
  return g.number.value != 0 && g.job.value != 0 && g.job_slot < kMaxJobSlots && g.blocks >= 1 &&
         g.blocks <= kMaxBlocks && g.classes >= 1 && g.classes <= kMaxClasses && g.first_block >= 0 &&
         g.first_block < g.blocks && g.reserved_blocks >= 0 && g.reserved_blocks <= g.blocks &&
         (g.blocks == kMaxBlocks || g.exits >> g.blocks == 0) &&
         (g.input_type == InputType::u8 || g.input_type == InputType::f32);
}

}  // namespace einet::lane
