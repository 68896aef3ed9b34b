// The packages and profiles that are committed: readers and formats change, and these must follow.
#include <filesystem>

#include <gtest/gtest.h>

#include "models/package.h"
#include "models/profiles.h"

namespace einet {
namespace {

TEST(Pretrained, EveryPackageAndEveryProfileCanBeRead) {
  int packages = 0;
  int profiles = 0;
  const std::filesystem::path folder(EINET_SOURCE_DIR "/models/pretrained");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".einet")) {
      const auto package = read_package(entry.path());
      EXPECT_TRUE(package) << package.error().message;
      ++packages;
    } else if (name.ends_with(".profiles.zst")) {
      const auto set = ProfileSet::read(entry.path());
      EXPECT_TRUE(set) << set.error().message;
      ++profiles;
    }
  }
  EXPECT_GT(packages, 0);
  EXPECT_GT(profiles, 0);
}

}  // namespace
}  // namespace einet
