#include "daemon/worker/batch_times.h"

#include <algorithm>
#include <array>

namespace einet {
namespace {

constexpr std::size_t kRuns = 3;

using Times = std::vector<Duration>;  // by block

// Of all blocks with their exits, for as many jobs as there are states.
Result<Times> measure(const Program& program, LaneModel& lane, std::span<TrunkState* const> states,
                      const Clock& clock) {
  const auto blocks = static_cast<std::size_t>(program.block_count());
  std::vector<std::vector<float>> memory(states.size(),
                                         std::vector<float>(static_cast<std::size_t>(program.classes())));
  const std::vector<std::span<float>> scores(memory.begin(), memory.end());
  std::vector<std::array<Duration, kRuns>> times(blocks);
  for (std::size_t round = 0; round < kRuns; ++round) {
    for (std::size_t b = 0; b < blocks; ++b) {
      const TimePoint start = clock.now();
      if (auto ok = lane.run_trunks(static_cast<int>(b), states); !ok) return ok.error();
      if (auto ok = lane.run_exits(static_cast<int>(b), states, scores); !ok) return ok.error();
      times[b][round] = clock.now() - start;
    }
  }
  Times medians;
  for (auto& of : times) {
    std::sort(of.begin(), of.end());
    medians.push_back(std::max(of[kRuns / 2], Duration{1}));
  }
  return medians;
}

}  // namespace

Result<std::vector<double>> measure_batches(const Program& program, LaneModel& lane,
                                            std::span<TrunkState* const> states, const Clock& clock) {
  std::vector<double> out = {1};
  const auto alone = measure(program, lane, states.first(1), clock);
  if (!alone) return alone.error();
  for (std::size_t jobs = 2; out.size() < states.size(); jobs *= 2) {
    jobs = std::min(jobs, states.size());
    const auto together = measure(program, lane, states.first(jobs), clock);
    if (!together) return together.error();
    double most = out.back();
    for (std::size_t b = 0; b < alone->size(); ++b) {
      most = std::max(most,
                      static_cast<double>((*together)[b].count()) / static_cast<double>((*alone)[b].count()));
    }
    while (out.size() < jobs)
      out.push_back(std::clamp(most, out.back(), static_cast<double>(out.size() + 1)));
  }
  return out;
}

}  // namespace einet
