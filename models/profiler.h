// Measures how long the blocks and exits of a package take on this machine: its ET-profile. Used by
// einet-model and by einet-worker, so that an edge box without LibTorch can profile what it runs.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "models/executor.h"
#include "models/package.h"

namespace einet {

struct ProfileOptions {
  std::string device = "cpu";  // the device kind that the profile is for
  int rounds = 500;            // > 0; of all blocks and exits, after some to warm up
};

// Runs the package's network `rounds` times as a lane would: on this thread, at real-time rank where that is
// allowed (the rank is given back), in processor time of this thread. `progress` is told the rounds done; it
// may be empty.
Result<EtProfile> measure_times(Backend&, const Package&, const ProfileOptions&,
                                const std::function<void(int rounds)>& progress);

// Reads a package, measures it and writes it back with the new profile in place of the device's old one, all
// or nothing.
Result<void> profile_package(Backend&, const std::filesystem::path& directory, const ProfileOptions&,
                             const std::function<void(int rounds)>& progress);

}  // namespace einet
