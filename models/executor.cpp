#include "models/executor.h"

#include <algorithm>
#include <fstream>
#include <new>

#include "models/carried_state.h"

namespace einet {
namespace {

constexpr std::align_val_t kAlignment{64};

void release(std::byte* memory) {
  ::operator delete[](memory, kAlignment);
}

}  // namespace

TrunkState::TrunkState(ByteCount size) : TrunkState(new (kAlignment) std::byte[size.value], size, release) {}

ByteCount LoadedModel::carried_bytes(int next_block) const {
  return einet::carried_bytes(info().program, next_block);
}

std::string Backend::machine() const {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(std::min(line.size(), line.find(": ") + 2));
  }
  return "unknown processor";
}

Result<std::unique_ptr<TrunkState>> Backend::make_state(ByteCount size) {
  return std::make_unique<TrunkState>(size);
}

}  // namespace einet
