// `einet`, the command line of einetd.
#include <iostream>

#include "tools/einet/command_line.h"

int main(int argc, char** argv) {
  return einet::cli::run(argc, argv, std::cout, std::cerr);
}
