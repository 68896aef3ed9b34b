// The daemon's log: one line per happening, key=value, to stderr. Every value is escaped here, so that
// nothing from a client can forge a line or reach a terminal raw; and lines are written by a thread of their
// own from a bounded queue, so that a stuck reader of stderr never holds up the scheduler.
#pragma once

#include <concepts>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "config/ids.h"
#include "config/time.h"

namespace spdlog {
class logger;
namespace details {
class thread_pool;
}
}  // namespace spdlog

namespace einet {

// One key=value. The key is our own literal; the value may be anything.
struct LogField {
  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(v) {}
  LogField(std::string_view k, std::integral auto v) : key(k), value(std::to_string(v)) {}
  LogField(std::string_view k, Duration v) : key(k), value(format_duration_short(v)) {}
  template <class Tag, class T>
  LogField(std::string_view k, Id<Tag, T> v) : key(k), value(std::to_string(v.value)) {}

  std::string_view key;
  std::string value;
};

// `what key=value key="a value"`: values are escaped, and quoted where they hold a space, "=" or nothing at
// all.
std::string format_log(std::string_view what, std::initializer_list<LogField> fields);

class Log {
 public:
  // `level`: one of log_level_names().
  explicit Log(const std::string& level);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // Whether debug lines are written: ask before building the many fields of a line per job.
  bool debugs() const;
  void debug(std::string_view what, std::initializer_list<LogField> fields = {});
  void info(std::string_view what, std::initializer_list<LogField> fields = {});
  void warn(std::string_view what, std::initializer_list<LogField> fields = {});
  void error(std::string_view what, std::initializer_list<LogField> fields = {});

 private:
  std::shared_ptr<spdlog::details::thread_pool> writer_;
  std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace einet
