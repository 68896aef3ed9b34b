// `einet`, the command line of einetd.
#include <iostream>

#include "config/files.h"
#include "tools/einet/command_line.h"
#include "tools/einet/exit_code.h"

int main(int argc, char** argv) {
  const int code = einet::cli::run(argc, argv, std::cout, std::cerr);
  const auto written = einet::flush_stdout();
  if (written) return code;
  std::cerr << "einet: " << written.error().message << "\n";
  return code == einet::cli::kOk ? einet::cli::kFailed : code;
}
