// Where the registers of a job's state lie, for executors on ATen: fp32, channel, row, column order, each at
// a place of its own. For models/torch only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/program.h"

namespace einet {

class StateLayout {
 public:
  explicit StateLayout(const Program&);

  std::size_t bytes() const { return bytes_; }
  // Of a register that outlives its block, or the input (0).
  std::size_t offset(Register r) const { return offset_[static_cast<std::size_t>(r)]; }
  std::size_t size(Register r) const { return size_[static_cast<std::size_t>(r)]; }

 private:
  void place(const Program&, Register r);

  std::vector<std::size_t> offset_, size_;
  std::size_t bytes_ = 0;
};

// The sizes of a tensor that holds the register of one sample.
std::vector<std::int64_t> batch_of_one(Shape shape);

}  // namespace einet
