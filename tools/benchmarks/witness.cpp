// bench_witness CORE FILE: whether the machine itself stands still. A thread of the highest rank there is,
// alone on its core, that wakes every 200 us: where it wakes late, no program could have run there in time.
// Writes a line `begin_ns,end_ns` (CLOCK_MONOTONIC) for every time it was more than 100 us late, until
// SIGTERM.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <sched.h>
#include <sys/mman.h>
#include <vector>

namespace {

constexpr std::int64_t kEvery = 200'000;
constexpr std::int64_t kLate = 100'000;
constexpr std::int64_t kSecond = 1'000'000'000;

std::atomic<bool> ended{false};
static_assert(std::atomic<bool>::is_always_lock_free);

struct Pause {
  std::int64_t begin, end;
};

std::int64_t now() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * kSecond + t.tv_nsec;
}

int fail(const char* what) {
  std::fprintf(stderr, "bench_witness: %s: %s\n", what, std::strerror(errno));
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: bench_witness CORE FILE\n", stderr);
    return 2;
  }
  cpu_set_t core;
  CPU_ZERO(&core);
  CPU_SET(std::atoi(argv[1]), &core);
  if (::sched_setaffinity(0, sizeof core, &core) != 0) return fail("cannot be pinned");
  const sched_param parameter{.sched_priority = ::sched_get_priority_max(SCHED_FIFO)};
  if (::sched_setscheduler(0, SCHED_FIFO, &parameter) != 0) return fail("cannot have its rank");
  ::mlockall(MCL_CURRENT | MCL_FUTURE);
  std::signal(SIGTERM, [](int) { ended = true; });
  std::FILE* const file = std::fopen(argv[2], "w");
  if (file == nullptr) return fail(argv[2]);

  std::vector<Pause> pauses;
  pauses.reserve(1 << 16);
  for (std::int64_t due = now() + kEvery; !ended; due += kEvery) {
    const timespec at{due / kSecond, due % kSecond};
    if (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) != 0) continue;
    const std::int64_t woke = now();
    if (woke - due <= kLate) continue;
    pauses.push_back({due, woke});
    due = woke;
  }
  for (const Pause& p : pauses) {
    std::fprintf(file, "%lld,%lld\n", static_cast<long long>(p.begin), static_cast<long long>(p.end));
  }
  return std::fclose(file) == 0 ? 0 : fail(argv[2]);
}
