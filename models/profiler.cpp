#include "models/profiler.h"

#include <algorithm>
#include <pthread.h>
#include <sched.h>
#include <vector>

#include "config/time.h"

namespace einet {
namespace {

constexpr int kWarmUpRounds = 20;

// As a lane: at real-time rank where that is allowed, so that nothing cools the caches in between. The
// thread's own rank comes back with the end of the object.
class LaneRank {
 public:
  LaneRank() {
    ::pthread_getschedparam(::pthread_self(), &policy_, &before_);
    sched_param lowest{};
    lowest.sched_priority = ::sched_get_priority_min(SCHED_FIFO);
    real_time_ = ::pthread_setschedparam(::pthread_self(), SCHED_FIFO, &lowest) == 0;
  }
  ~LaneRank() { ::pthread_setschedparam(::pthread_self(), policy_, &before_); }
  LaneRank(const LaneRank&) = delete;
  LaneRank& operator=(const LaneRank&) = delete;
  std::string words() const { return real_time_ ? "real-time rank" : "ordinary rank"; }

 private:
  int policy_ = SCHED_OTHER;
  sched_param before_{};
  bool real_time_ = false;
};

// Nearest rank. Precondition: not empty.
PartTime summary(std::vector<Duration> times) {
  std::sort(times.begin(), times.end());
  const auto rank = [&](std::size_t percent) { return times[(times.size() * percent + 99) / 100 - 1]; };
  return {rank(50), rank(99), times.back()};
}

// One byte image of noise: the time of a block does not depend on the values.
std::vector<std::byte> noise(Shape shape) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(shape.elements()));
  std::uint32_t state = 1;
  for (std::byte& b : bytes) {
    state = state * 1664525u + 1013904223u;
    b = static_cast<std::byte>(state >> 24);
  }
  return bytes;
}

}  // namespace

Result<EtProfile> measure_times(Backend& backend, const Package& package, const ProfileOptions& options,
                                const std::function<void(int)>& progress) {
  EINET_CHECK(options.rounds > 0, "something is measured");
  backend.enter_lane();
  const auto model = backend.load(package);
  if (!model) return model.error();
  const auto lane = (*model)->make_lane();
  if (!lane) return lane.error();
  const int blocks = package.info.program.block_count();
  std::vector<std::vector<Duration>> trunk(static_cast<std::size_t>(blocks)), exit(trunk);
  const std::vector<std::byte> image = noise(package.info.program.input());
  std::vector<float> scores(static_cast<std::size_t>(package.info.program.classes()));
  const auto state_memory = backend.make_state((*model)->state_bytes());
  if (!state_memory) return state_memory.error();
  TrunkState& state = **state_memory;
  const LaneRank rank;
  for (int round = -kWarmUpRounds; round < options.rounds; ++round) {
    if (auto ok = (*lane)->begin({ElementType::u8, image}, state); !ok) return ok.error();
    for (int b = 0; b < blocks; ++b) {
      // As lanes account for their blocks: what others took of this core meanwhile is no part of them.
      const Duration start = backend.lane_time();
      if (auto ok = (*lane)->run_trunk(b, state); !ok) return ok.error();
      const Duration middle = backend.lane_time();
      if (auto ok = (*lane)->run_exit(b, state, scores); !ok) return ok.error();
      const Duration end = backend.lane_time();
      if (round < 0) continue;
      trunk[static_cast<std::size_t>(b)].push_back(middle - start);
      exit[static_cast<std::size_t>(b)].push_back(end - middle);
    }
    if (round >= 0 && progress) progress(round + 1);
  }
  EtProfile profile;
  profile.device = options.device;
  profile.machine = backend.machine();
  profile.method = std::string(backend.name()) + ", one thread, " + rank.words() + ", lane time of " +
                   std::to_string(options.rounds) + " rounds of all blocks and exits after " +
                   std::to_string(kWarmUpRounds) + " to warm up";
  for (auto& times : trunk) profile.trunk.push_back(summary(std::move(times)));
  for (auto& times : exit) profile.exit.push_back(summary(std::move(times)));
  return profile;
}

Result<void> profile_package(Backend& backend, const std::filesystem::path& directory,
                             const ProfileOptions& options, const std::function<void(int)>& progress) {
  auto package = read_package(directory);
  if (!package) return package.error();
  auto profile = measure_times(backend, *package, options, progress);
  if (!profile) return profile.error();
  auto& times = package->info.times;
  std::erase_if(times, [&](const EtProfile& p) { return p.device == options.device; });
  times.push_back(std::move(*profile));
  return write_package(directory, *package);
}

}  // namespace einet
