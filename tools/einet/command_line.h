// The command line of `einet`: what may be said, in words for --help, and which command it starts.
#pragma once

#include <iosfwd>

namespace einet::cli {

// Returns the exit code (exit_code.h). `out` gets data (and help that was asked for), `err` words.
int run(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

}  // namespace einet::cli
