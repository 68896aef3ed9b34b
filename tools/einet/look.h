// The commands that look at the daemon or cancel jobs: `einet status`, `models`, `jobs`, `watch`, `cancel`.
// Each returns the exit code (exit_code.h).
#pragma once

#include <cstdint>
#include <vector>

#include "tools/einet/context.h"

namespace einet::cli {

int run_status(const Context&);
int run_models(const Context&);
// Whether to say what each job's plan rests on.
enum class Explain : std::uint8_t { no, plans };
int run_jobs(const Context&, Explain);
// Prints events as they come, until the connection ends or `max_events` (0: no limit) have come.
int run_watch(const Context&, client::Client::Watch what, std::uint64_t max_events);
int run_cancel(const Context&, const std::vector<std::uint64_t>& jobs);

}  // namespace einet::cli
