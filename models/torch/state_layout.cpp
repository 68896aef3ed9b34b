#include "models/torch/state_layout.h"

namespace einet {
namespace {

constexpr std::size_t kNowhere = SIZE_MAX;
constexpr std::size_t kAlignment = 64;

}  // namespace

StateLayout::StateLayout(const Program& program)
    : offset_(static_cast<std::size_t>(program.register_count()), kNowhere), size_(offset_.size()) {
  place(program, 0);
  for (int b = 0; b < program.block_count(); ++b) {
    for (const Register r : program.state_after(b)) place(program, r);
  }
}

void StateLayout::place(const Program& program, Register r) {
  const auto i = static_cast<std::size_t>(r);
  if (offset_[i] != kNowhere) return;
  offset_[i] = bytes_;
  size_[i] = static_cast<std::size_t>(program.shape(r).elements()) * sizeof(float);
  bytes_ += (size_[i] + kAlignment - 1) / kAlignment * kAlignment;
}

std::vector<std::int64_t> batch_of_one(Shape s) {
  if (s.is_vector()) return {1, s.channels};
  return {1, s.channels, s.height, s.width};
}

}  // namespace einet
