// Writes the networks of tools/bench peers as packages, for images of one channel and 28 x 28 pixels (the
// drawn digits, that einet-load sends). Their weights are made up; their times are measured afterwards
// (einet-worker --profile).
//
//   bench_networks FOLDER
#include <cstdio>
#include <filesystem>

#include "networks.h"

int main(int argc, char** argv) {
  using namespace einet;
  if (argc != 2) {
    std::fputs("usage: bench_networks FOLDER\n", stderr);
    return 2;
  }
  for (const int per_stage : {1, 2, 6, 12}) {
    const Package package = wide_resnet({1, 28, 28}, per_stage);
    const auto path = std::filesystem::path(argv[1]) / (package.info.name + ".einet");
    if (const auto written = write_package(path, package); !written) {
      std::fprintf(stderr, "bench_networks: %s\n", written.error().message.c_str());
      return 1;
    }
  }
}
