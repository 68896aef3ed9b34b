// The worst case of one lane: for every task that the lane serves, a bound on the time from release to end
// that no legal execution exceeds (releases at least a period apart, blocks no longer than said, everything
// else free), and what makes it so long. Arithmetic on durations only; what a model or a reservation is, it
// does not know. docs/scheduling.md explains it.
#pragma once

#include <string>
#include <vector>

#include "scheduler/policy.h"

namespace einet {

// How a task gets at a core that a less urgent block occupies.
enum class Access : std::uint8_t {
  waits,   // for the block's end
  takes,   // the core at once, by the urgent lane
  either,  // it may do one or the other: the analysis assumes the worse
};

// Which of two jobs with one priority goes first (fixed-priority, imprecise).
enum class SamePriority : std::uint8_t {
  by_deadline,
  any_order,  // not known to the analysis
};

// What a task asks of its lane.
struct LaneTask {
  std::string name;              // for words only
  Duration period{};             // > 0, least time between two releases; kForever: there is one job
  Duration deadline{};           // > 0, < 2^62 ns; may exceed the period
  int priority = 0;              // larger is more urgent; edf and fifo ignore it
  std::vector<Duration> blocks;  // at least one, each > 0: worst cases, in order
  Access access = Access::waits;
  friend bool operator==(const LaneTask&, const LaneTask&) = default;
};

// Work that outranks all tasks of the lane: at most `amount` in each window of `period`, windows begin at
// least a period apart.
struct LaneServer {
  std::string name;
  Duration amount{};  // > 0
  Duration period{};  // > 0
  friend bool operator==(const LaneServer&, const LaneServer&) = default;
};

struct LaneLoad {
  Policy policy = Policy::edf;
  SamePriority same_priority = SamePriority::by_deadline;
  std::vector<LaneTask> tasks;
  std::vector<LaneServer> servers;  // none with fifo
  // Longest block of work that all tasks outrank; 0: there is none. With fifo: 0.
  Duration less_urgent_block{};
  friend bool operator==(const LaneLoad&, const LaneLoad&) = default;
};

// The bound of one task, at the worst release found.
struct LaneBound {
  enum class Verdict : std::uint8_t {
    fits,
    misses,    // `response` exceeds the deadline
    overload,  // work that is as urgent asks for more than the lane has: there is no bound
    unknown,   // the worst case was not found within the analysis' limits; not accepted
  };
  Verdict verdict = Verdict::unknown;
  Duration response{};  // fits, misses: after its release, no job ends later
  Duration blocking{};  // of this: for less urgent blocks in progress
  std::string limit;    // what makes it so long, for people: `4ms blocking, 3ms of "ctl"`
};

// Share of the lane that tasks and servers ask for at worst; > 1: too much.
double asked_share(const LaneLoad&);

// How much an analysis may still compute, in evaluations of one task's demand (some 10 ns each). Sets whose
// utilisation is near 1 over very many periods would take for ever; what is not found in time is `unknown`.
struct Effort {
  std::uint64_t left = 20'000'000;
};

// One bound per task, in their order (with fifo: the order of jobs released at one instant). Precondition:
// the ranges above.
//
// fixed-priority and imprecise: a level for each priority, EDF inside; edf: one level. Of a level, every
// interval of L from the release of a busy time to a deadline is looked at: processor demand with blocking
// (Baruah, "The limited-preemption uniprocessor scheduling of sporadic task systems", ECRTS 2005; George,
// Rivierre, Spuri, INRIA RR-2966, 1996, for deadlines beyond the period), refined to the start of the last
// block, which is not interrupted (Bril, Lukkien, Verhaegh, "Worst-case response time analysis of real-time
// tasks under fixed-priority scheduling with deferred preemption", Real-Time Systems 42, 2009; Buttazzo,
// Bertogna, Yao, IEEE TII 9, 2013). fifo: George, Rivierre, Spuri, section 5.
std::vector<LaneBound> analyse(const LaneLoad&, Effort&);

}  // namespace einet
