#include "scheduler/simulation/guarded_run.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

namespace einet {
namespace {

constexpr int kHungAfterSeconds = 3;

// What the child leaves behind, however it ends.
struct Slate {
  std::atomic<std::uint64_t> seed;
  std::atomic<std::uint64_t> worlds;
  std::atomic<std::uint64_t> events;
  std::atomic<bool> broken;
  char invariant[32];
  char words[16384];
};

void write_down(char* place, std::size_t size, const std::string& text) {
  const std::size_t n = std::min(size - 1, text.size());
  std::memcpy(place, text.data(), n);
  place[n] = '\0';
}

class SharedSlate {
 public:
  SharedSlate()
      : place_(::mmap(nullptr, sizeof(Slate), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
    EINET_CHECK(place_ != MAP_FAILED, "there is memory for a few pages");
    slate_ = new (place_) Slate{};
  }
  ~SharedSlate() { ::munmap(place_, sizeof(Slate)); }
  SharedSlate(const SharedSlate&) = delete;
  SharedSlate& operator=(const SharedSlate&) = delete;
  Slate* operator->() const { return slate_; }

 private:
  void* place_;
  Slate* slate_ = nullptr;
};

double since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

GuardedRuns run_guarded(const std::function<Scenario(std::uint64_t)>& make, std::uint64_t first,
                        std::uint64_t count, double seconds, Checks checks, ChildErrors errors,
                        DriverFault fault) {
  SharedSlate slate;
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  EINET_CHECK(child >= 0, "there is room for one more process");
  if (child == 0) {
    if (errors == ChildErrors::hidden) {
      const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
      ::dup2(nowhere, STDERR_FILENO);
    }
    const itimerval limit{.it_interval = {}, .it_value = {.tv_sec = kHungAfterSeconds, .tv_usec = 0}};
    for (std::uint64_t i = 0; i < count && (i == 0 || since(start) < seconds); ++i) {
      slate->seed = first + i;
      // The default action of SIGPROF ends the process.
      ::setitimer(ITIMER_PROF, &limit, nullptr);
      const ScenarioResult result = run_scenario(make(first + i), checks, fault);
      ++slate->worlds;
      slate->events += result.events;
      if (result.violations.empty()) continue;
      const Violation& violation = result.violations.front();
      write_down(slate->invariant, sizeof slate->invariant, violation.invariant);
      write_down(slate->words, sizeof slate->words, violation.what + "\n" + result.dump);
      slate->broken = true;
      break;
    }
    ::_exit(0);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  GuardedRuns runs{.worlds = slate->worlds, .events = slate->events, .seconds = since(start)};
  if (slate->broken) {
    runs.finding = Finding{slate->seed, slate->invariant, slate->words};
  } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    const bool hung = WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF;
    runs.finding =
        Finding{slate->seed, hung ? "hang" : "crash",
                hung ? "it did not end within " + std::to_string(kHungAfterSeconds) + " s of processor time\n"
                     : "the run ended with status " + std::to_string(status) + "\n"};
  }
  return runs;
}

}  // namespace einet
