// Writes small valid packages with given block times and accuracies, for tests that schedule, serve or damage
// packages. They run on every backend; the synthetic one follows their profiles.
#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/check.h"
#include "models/package.h"

namespace einet::test {

struct SyntheticPackage {
  std::string name = "synthetic";
  std::vector<Duration> trunk;   // one per block
  std::vector<Duration> exit;    // one per block
  std::vector<double> accuracy;  // one per block; empty: no cs.profile
  Shape input{1, 8, 8};
  int classes = 10;
  int samples = 1000;  // of the CS-profile
  std::optional<PredictorParameters> predictor{};
};

// A trunk is a relu, an exit a linear layer with weights that tell the classes apart.
inline Package make_synthetic_package(const SyntheticPackage& want) {
  EINET_CHECK(!want.trunk.empty() && want.trunk.size() == want.exit.size(),
              "one trunk and exit time per block");
  const int blocks = static_cast<int>(want.trunk.size());
  ProgramBuilder net(want.input, want.classes);
  Register x = net.input();
  for (int b = 0; b < blocks; ++b) {
    const std::string prefix = "block" + std::to_string(b) + ".";
    net.begin_block();
    x = net.add(Relu{}, {x});
    net.begin_exit();
    const Register features = net.add(Flatten{}, {x});
    net.add(Softmax{},
            {net.add(Linear{want.classes, false, prefix + "weight", prefix + "bias"}, {features})});
  }
  auto program = std::move(net).finish();
  EINET_CHECK(program.has_value(), "the program is valid");

  PackageInfo info{want.name, "1", std::move(*program), {}, {}, {}, {}, {}};
  info.normalisation = {std::vector<float>(static_cast<std::size_t>(want.input.channels), 0.0F),
                        std::vector<float>(static_cast<std::size_t>(want.input.channels), 1.0F)};
  EtProfile times{"cpu", "none", "made up", {}, {}};
  const auto time = [](Duration d) {  // a package has no times of zero
    d = std::max(d, Duration{1});
    return PartTime{d, d, d};
  };
  for (const Duration d : want.trunk) times.trunk.push_back(time(d));
  for (const Duration d : want.exit) times.exit.push_back(time(d));
  info.times.push_back(std::move(times));
  if (!want.accuracy.empty()) {
    EINET_CHECK(want.accuracy.size() == want.trunk.size(), "one accuracy per block");
    info.confidences.samples = want.samples;
    info.confidences.exits = blocks;
    for (int s = 0; s < want.samples; ++s) {
      for (const double accuracy : want.accuracy) {
        const bool right = s < std::lround(accuracy * want.samples);
        info.confidences.correct.push_back(right ? 1 : 0);
        info.confidences.confidence.push_back(right ? 0.9F : 0.4F);
      }
    }
  }
  info.predictor = want.predictor;
  Package package{std::move(info), {}};
  for (const auto& [name, shape] : package.info.program.tensors()) {
    std::int64_t n = 1;
    for (const std::int64_t d : shape) n *= d;
    Tensor tensor{shape, {}};
    for (std::int64_t i = 0; i < n; ++i) tensor.values.push_back(static_cast<float>(i % 7 - 3) / 32);
    package.weights.emplace(name, std::move(tensor));
  }
  return package;
}

// Writes it to FOLDER/NAME.einet and returns that path.
inline std::filesystem::path write_synthetic_package(const std::filesystem::path& folder,
                                                     const SyntheticPackage& want) {
  const std::filesystem::path path = folder / (want.name + ".einet");
  const auto written = write_package(path, make_synthetic_package(want));
  EINET_CHECK(written.has_value(), written ? "" : written.error().message.c_str());
  return path;
}

}  // namespace einet::test
