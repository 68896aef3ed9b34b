// `einet task add | remove | list`: reserving lane time for recurring jobs, and what is promised for it. Each
// returns the exit code (exit_code.h).
#pragma once

#include <string>

#include "tools/einet/context.h"

namespace einet::cli {

int run_task_add(const Context&, const client::TaskRequest&);
int run_task_remove(const Context&, const std::string& name);
int run_task_list(const Context&);

}  // namespace einet::cli
