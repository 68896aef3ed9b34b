// Writes a network of tools/bench peers as a package, for images of one channel and 28 x 28 pixels (the
// drawn digits, that einet-load sends). Its weights are made up; its times are measured afterwards
// (einet-worker --profile).
//
//   bench_networks FOLDER PER_STAGE WIDTH      writes FOLDER/wrn-N-WIDTH.einet, N = 6 PER_STAGE + 4
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "networks.h"

int main(int argc, char** argv) {
  using namespace einet;
  const int per_stage = argc == 4 ? std::atoi(argv[2]) : 0;
  const int width = argc == 4 ? std::atoi(argv[3]) : 0;
  if (per_stage < 1 || 3 * per_stage + 1 > kMaxBlocks || width < 1 || width > 16) {
    std::fprintf(stderr,
                 "usage: bench_networks FOLDER PER_STAGE WIDTH   (1 to %d residual blocks in each stage, "
                 "width 1 to 16)\n",
                 (kMaxBlocks - 1) / 3);
    return 2;
  }
  const Package package = wide_resnet({1, 28, 28}, per_stage, width);
  const auto path = std::filesystem::path(argv[1]) / (package.info.name + ".einet");
  if (const auto written = write_package(path, package); !written) {
    std::fprintf(stderr, "bench_networks: %s\n", written.error().message.c_str());
    return 1;
  }
}
