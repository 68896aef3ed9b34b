// Small numbers under which the workers keep the states of jobs in progress. The lowest free one is taken
// first, so that workers keep as many states as there were jobs in progress at once, and no more.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

#include "config/check.h"
#include "ipc/lane/grant.h"

namespace einet {

class JobSlots {
 public:
  std::uint32_t take() {
    if (free_.empty()) {
      EINET_CHECK(used_ < lane::kMaxJobSlots, "there are no more jobs than limits.jobs allows");
      return used_++;
    }
    const std::uint32_t slot = free_.top();
    free_.pop();
    return slot;
  }
  void give_back(std::uint32_t slot) { free_.push(slot); }

 private:
  std::uint32_t used_ = 0;  // slots below it were taken at least once
  std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> free_;
};

}  // namespace einet
