// The trace: one JSON line per event, for reports, pictures, tests and replay (docs/trace.md). Events are
// small plain records in a bounded buffer; a thread of its own turns them into text and writes them, so that
// tracing does not disturb what it shows. When the buffer is full, events are left out and counted.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "config/result.h"
#include "config/unique_fd.h"
#include "daemon/einetd/trace_lines.h"

namespace einet {

class Trace {
 public:
  static constexpr std::size_t kBufferedEvents = 1u << 16;

  // Creates the file. One that has something in it becomes PATH.1 first, in the place of an older one; what
  // is no plain file, such as a FIFO, is written as it is. Error: names the path and the reason.
  static Result<std::unique_ptr<Trace>> open(const std::filesystem::path&);
  // Writes what is buffered.
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  // One thread may call these (any one); none waits for the disk.
  void add(const TraceEvent&);
  // A line that is text already, without the newline, in its place among the events. Never left out: for what
  // happens rarely.
  void add_line(std::string);
  void set_names(TraceNames);
  // `broken` is called once if the file can no longer be written, from the writing thread: with the path and
  // the reason. Nothing is written after that; at most the file's last line is then incomplete.
  void when_broken(std::function<void(const std::string&)> broken);

 private:
  // A line of text, and how many of the buffer's events are before it.
  struct Text {
    std::size_t after = 0;
    std::string line;
  };
  struct Batch {
    std::vector<TraceEvent> events;
    std::vector<Text> texts;
    std::uint64_t lost = 0;  // after the events
  };
  Trace(UniqueFd file, std::filesystem::path);
  void write_out();
  static void append(std::string& out, const Batch&, const TraceNames&);
  bool write_all(const std::string&);

  const UniqueFd file_;
  const std::filesystem::path path_;
  std::mutex mutex_;
  std::condition_variable ended_;
  Batch waiting_;  // under mutex_, like all below
  std::shared_ptr<const TraceNames> names_;
  std::function<void(const std::string&)> broken_;
  std::string failure_;  // why nothing is written any more
  bool ending_ = false;
  std::thread writer_;  // last: starts when all else is there
};

}  // namespace einet
