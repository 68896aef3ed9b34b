// `einet-worker --profile`: measures packages on this machine, for boxes that have no LibTorch and so no
// einet-model.
#pragma once

#include <filesystem>
#include <span>

namespace einet {

// Profiles each package for the device kind "cpu" and writes the profile into it; says so, or what went
// wrong, on stderr. The exit code: 0, 1 for a package that could not be profiled, 2 for a build without
// oneDNN.
int profile_packages(std::span<const std::filesystem::path> packages);

}  // namespace einet
