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

bool LaneModel::any_wanted(std::span<const std::span<float>> scores) {
  return std::any_of(scores.begin(), scores.end(), [](std::span<float> of) { return !of.empty(); });
}

Result<void> LaneModel::run_trunks(int block, std::span<TrunkState* const> states) {
  for (TrunkState* const state : states) {
    if (auto ok = run_trunk(block, *state); !ok) return ok;
  }
  return {};
}

Result<void> LaneModel::run_exits(int block, std::span<TrunkState* const> states,
                                  std::span<const std::span<float>> scores) {
  for (std::size_t i = 0; i < states.size(); ++i) {
    if (scores[i].empty()) continue;
    if (auto ok = run_exit(block, *states[i], scores[i]); !ok) return ok;
  }
  return {};
}

Result<void> LaneModel::launch(int block, std::span<TrunkState* const> states,
                               std::span<const std::span<float>> scores) {
  if (auto ok = run_trunks(block, states); !ok) return ok;
  return any_wanted(scores) ? run_exits(block, states, scores) : Result<void>{};
}

}  // namespace einet
