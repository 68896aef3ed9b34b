// einet-model predictor: trains what predicts a sample's accuracy at the exits to come, and says how well it
// does. No neural-network library.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "config/result.h"

namespace einet {

struct PredictorCommand {
  std::filesystem::path profiles;                // models/profiles.h
  std::optional<std::filesystem::path> package;  // that it is written into
  std::uint64_t seed = 1;
};
// Trains on the validation split, and learns there how one answer is best made of several, and what became of
// samples that looked alike. Judges on the test split or, without one, on every fifth validation sample,
// which then trains nothing; prints that to stdout. Error: no validation split or too few samples; a package
// of another network than the profiles', or of another training of it, as far as its CS-profile tells.
Result<void> run(const PredictorCommand&);

}  // namespace einet
