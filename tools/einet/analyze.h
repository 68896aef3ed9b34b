// `einet analyze`: says of a task set (docs/files.md) whether any of its jobs could miss a deadline, and
// what limits each task. The analysis is the daemon's own (scheduler/admission); here are only files and
// words.
#pragma once

#include <filesystem>
#include <iosfwd>

namespace einet {

struct AnalyzeArguments {
  std::filesystem::path
      set;  // SET.toml; offsets and horizons do not matter: tasks may release when they like
  enum class Output { table, json } output = Output::table;
};

// Returns the exit code: 0 if no job of a task can miss; 1 if one can, or if it cannot be excluded; 2 with
// one line on `words` that names the place, and nothing on `out`. With Output::json `out` gets one line:
// {"schedulable":true,"policy":"edf","lanes":1,"preemption":"boundary","placement":"global","utilisation":0.4,
//  "tasks":[{"task":"a","verdict":"fits","lane":null,"response_ns":4,"deadline_ns":9,"slack_ns":5,
//            "blocking_ns":0,"why":"…"}]}
// Verdicts: fits, misses, overload, "not proven", refused, best-effort; numbers that are not known are null.
int run_analyze(const AnalyzeArguments&, std::ostream& out, std::ostream& words);

}  // namespace einet
