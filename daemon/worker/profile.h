// `einet-worker --profile`: measures packages on this machine, for boxes that have no LibTorch and so no
// einet-model.
#pragma once

#include <filesystem>
#include <span>
#include <string_view>

namespace einet {

// Profiles each package for this device, "cpu" or "cuda:N", and writes the profile into it; says so, or what
// went wrong, on stderr. The exit code: 0; 1 for a package that could not be profiled or a device that cannot
// be used; 2 for a device of another name.
int profile_packages(std::string_view device, std::span<const std::filesystem::path> packages);

}  // namespace einet
