// Profiles of a network that was never trained: samples of different difficulty, exits that get better with
// depth and agree with each other as real ones do, and scores that promise too much.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <vector>

#include "models/profiles.h"

namespace einet::test {

struct SyntheticProfiles {
  int blocks = 5;
  int classes = 10;
  int kept = 0;  // 0: the usual number
  std::map<Split, int> samples = {{Split::validation, 200}, {Split::test, 300}};
  std::uint64_t seed = 1;
};

inline ProfileRecord make_synthetic_profiles(const SyntheticProfiles& want) {
  const auto blocks = static_cast<std::size_t>(want.blocks);
  ProfileRecord record;
  record.network = "synthetic-" + std::to_string(want.blocks);
  record.data = "made-up";
  record.classes = want.classes;
  record.blocks = want.blocks;
  const auto part = [](int us) {
    const Duration d = std::chrono::microseconds{us};
    return PartTime{d, d * 2, d * 3};
  };
  EtProfile times{"cpu", "no machine", "made up", {}, {}};
  for (int b = 0; b < want.blocks; ++b) {
    times.trunk.push_back(part(80 + 20 * (b % 3)));
    times.exit.push_back(part(30 + 10 * (b % 2)));
  }
  record.times.push_back(times);
  times.device = "cuda";
  std::swap(times.trunk, times.exit);
  record.times.push_back(times);

  std::mt19937_64 random(want.seed);
  std::normal_distribution<double> normal;
  std::uniform_int_distribution<int> any_class(0, want.classes - 1);
  for (const auto& [split, samples] : want.samples) {
    SplitRecord answers(want.blocks, want.classes,
                        want.kept > 0 ? want.kept : std::min(want.classes, ProfilesLimits::kUsuallyKept));
    std::vector<double> doubt(static_cast<std::size_t>(want.classes));  // what all exits of a sample share
    std::vector<float> scores(doubt.size());
    for (int s = 0; s < samples; ++s) {
      const int label = any_class(random);
      const double ease = 1.5 * normal(random);
      for (double& d : doubt) d = normal(random);
      answers.add_label(label);
      for (std::size_t b = 0; b < blocks; ++b) {
        const double depth = static_cast<double>(b + 1) / static_cast<double>(blocks);
        double sum = 0;
        for (std::size_t c = 0; c < scores.size(); ++c) {
          const double skill = static_cast<int>(c) == label ? 1.0 + 2.0 * std::sqrt(depth) + ease : 0.0;
          scores[c] = static_cast<float>(std::exp(2.0 * (skill + doubt[c] + 0.5 * normal(random))));
          sum += scores[c];
        }
        for (float& score : scores) score = static_cast<float>(score / sum);
        answers.add_scores(scores);
      }
    }
    record.splits.emplace(split, std::move(answers));
  }
  return record;
}

}  // namespace einet::test
