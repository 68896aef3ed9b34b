// The trace: one JSON line per event, for reports, pictures and tests (docs/trace.md). Events are small plain
// records in a bounded buffer; a thread of its own turns them into text and writes them, so that tracing does
// not disturb what it shows. When the buffer is full, events are left out and counted.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "config/ids.h"
#include "config/result.h"
#include "config/time.h"
#include "config/unique_fd.h"
#include "scheduler/core.h"

namespace einet {

struct TraceEvent {
  enum class Kind : std::uint8_t {
    submit,
    reject,
    grant,
    stop,
    withdraw,
    block,
    preempt,
    outcome,
    lane_up,
    lane_lost
  };

  Kind kind{};
  Outcome outcome{};
  Reason reason{};
  TimePoint at{};
  JobId job{};
  TenantId tenant{};
  ModelId model{};
  int priority = 0;
  LaneId lane{};
  GrantNumber grant{};
  ExitMask exits = 0;   // grant
  int block = -1;       // grant: the first
  ExitAnswer answer{};  // block: of its exit, if that was executed; outcome: the best
  TimePoint release{};  // submit
  TimePoint deadline = kNever;
  TimePoint start{};  // block
  TimePoint end{};
  TimePoint granted{};  // block: when its grant was posted
  JobId by{};           // preempt
  int preemptions = 0;  // outcome
};

// The names that ids stand for. Grows, never changes.
struct TraceNames {
  std::vector<std::string> tenants;  // by TenantId
  std::vector<std::string> models;   // by ModelId
  std::vector<std::string> devices;  // by LaneId
};

// One JSON object, without the newline. Fields that an event does not have are left out.
std::string format_trace(const TraceEvent&, const TraceNames&);

class Trace {
 public:
  static constexpr std::size_t kBufferedEvents = 1u << 16;

  // Creates or empties the file. Error: names the path and the reason.
  static Result<std::unique_ptr<Trace>> open(const std::filesystem::path&);
  // Writes what is buffered.
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  // One thread may call these (any one); neither waits for the disk.
  void add(const TraceEvent&);
  void set_names(TraceNames);

 private:
  explicit Trace(UniqueFd file);
  void write_out();

  UniqueFd file_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::vector<TraceEvent> buffer_;  // under mutex_, like all below
  std::shared_ptr<const TraceNames> names_;
  std::uint64_t lost_ = 0;
  bool ending_ = false;
  std::thread writer_;  // last: starts when all else is there
};

}  // namespace einet
