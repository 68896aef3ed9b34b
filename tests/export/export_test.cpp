// Packages that tools/export made of PyTorch networks, read as einet-worker reads them and run by the oneDNN
// executor: the answers are PyTorch's, relative 1e-5. make_packages.py writes both before this program runs.
#include <cmath>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "config/files.h"
#include "models/onednn/onednn_backend.h"
#include "models/safetensors.h"

namespace einet {
namespace {

constexpr double kTolerance = 1e-5;

const std::filesystem::path kFolder = EINET_EXPORTED_FOLDER;

// What PyTorch answered: inputs [samples, …] and the logarithms of the scores [samples, blocks, classes].
struct Answers {
  std::size_t samples = 0;
  std::vector<float> inputs, log_scores;
};

std::vector<float> floats(const TensorView& tensor) {
  std::vector<float> values(tensor.bytes.size() / sizeof(float));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

Answers read_answers(const std::string& network) {
  const auto bytes = read_file(kFolder / (network + ".answers"), ByteCount{16u << 20}).value();
  const auto tensors = read_safetensors(bytes).value();
  const TensorView& input = tensors.at("input");
  return {static_cast<std::size_t>(input.shape[0]), floats(input), floats(tensors.at("log_scores"))};
}

// The largest difference of a logarithm from PyTorch's over all samples and the given exits, relative to the
// exit's largest logarithm. Infinite where something is not finite.
double difference(const Package& package, const Answers& answers, ExitMask exits) {
  const auto backend = make_onednn_backend({});
  backend->enter_lane();
  const auto model = backend->load(package).value();
  const auto lane = model->make_lane().value();
  TrunkState state(model->state_bytes());
  const Program& program = package.info.program;
  std::vector<float> scores(static_cast<std::size_t>(program.classes()));
  const std::size_t elements = static_cast<std::size_t>(program.input().elements());
  const float* expected = answers.log_scores.data();
  EXPECT_EQ(answers.log_scores.size(),
            answers.samples * static_cast<std::size_t>(program.block_count()) * scores.size());
  double most = 0;
  for (std::size_t s = 0; s < answers.samples; ++s) {
    const std::span input = std::span(answers.inputs).subspan(s * elements, elements);
    EXPECT_TRUE(lane->begin({ElementType::f32, std::as_bytes(input)}, state));
    for (int b = 0; b < program.block_count(); ++b, expected += scores.size()) {
      EXPECT_TRUE(lane->run_trunk(b, state));
      if ((exits & exit_bit(b)) == 0) continue;
      EXPECT_TRUE(lane->run_exit(b, state, scores));
      double apart = 0, largest = 0;
      for (std::size_t c = 0; c < scores.size(); ++c) {
        const double log_score = static_cast<double>(expected[c]);
        const double of_this = std::abs(std::log(static_cast<double>(scores[c])) - log_score);
        if (!std::isfinite(of_this)) return INFINITY;
        apart = std::max(apart, of_this);
        largest = std::max(largest, std::abs(log_score));
      }
      most = std::max(most, apart / largest);
    }
  }
  return most;
}

class Exported : public ::testing::TestWithParam<const char*> {
 protected:
  const Package package_ = read_package(kFolder / (std::string(GetParam()) + ".einet")).value();
  const Answers answers_ = read_answers(GetParam());
};

TEST_P(Exported, AnswersAsPyTorchAtEveryExit) {
  EXPECT_LE(difference(package_, answers_, ~ExitMask{0}), kTolerance);
}

TEST_P(Exported, AnswersAsPyTorchAtTheLastExitWithTheOthersSkipped) {
  EXPECT_LE(difference(package_, answers_, exit_bit(package_.info.program.block_count() - 1)), kTolerance);
}

// Were the comparison blind, it would pass here too. Of every tensor all values change, since a single one
// may only meet zeros behind a relu.
TEST_P(Exported, IsToldApartByAnyChangedTensor) {
  for (const auto& [name, unused] : package_.weights) {
    Package changed = package_;
    for (float& value : changed.weights.at(name).values) value = 1.1F * value + 0.05F;
    EXPECT_GT(difference(changed, answers_, ~ExitMask{0}), kTolerance) << name;
  }
}

TEST_P(Exported, IsToldApartFromWhatIsNoNumber) {
  Answers changed = answers_;
  changed.log_scores.back() = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(difference(package_, changed, ~ExitMask{0}), INFINITY);
}

INSTANTIATE_TEST_SUITE_P(Networks, Exported,
                         ::testing::Values("mlp", "plain", "resnet", "branchy", "msdnet", "tangled0",
                                           "tangled1", "tangled2"),
                         [](const auto& network) { return std::string(network.param); });

std::size_t count(const Program& program, std::string_view operation) {
  std::size_t n = 0;
  for (const Block& block : program.blocks()) {
    for (const auto* part : {&block.trunk, &block.exit}) {
      for (const Operation& op : *part) n += name(op.action) == operation;
    }
  }
  return n;
}

TEST(ExportedResnet, HasItsBatchNormReluAndAdditionsInsideItsConvolutions) {
  const Program program = read_package_info(kFolder / "resnet.einet").value().program;
  // A stem, four residual steps of two convolutions, of which two have a third at their shortcut, and the
  // batch norm of each of four exits, which follows no convolution of its own.
  EXPECT_EQ(count(program, "convolution"), 1U + 4 * 2 + 2 + 4);
  EXPECT_EQ(count(program, "global_mean"), 4U);
  EXPECT_EQ(count(program, "addition"), 0U);
  EXPECT_EQ(count(program, "relu"), 0U);
  EXPECT_EQ(count(program, "flatten"), 0U);
}

TEST(ExportedMsdnet, KeepsOneMapOfEachScaleAsItsState) {
  const Program program = read_package_info(kFolder / "msdnet.einet").value().program;
  EXPECT_EQ(program.state_after(0).size(), 3U);
}

TEST(ExportedPlain, SaysWhatThePackageSaysAboutItself) {
  const PackageInfo info = read_package_info(kFolder / "plain.einet").value();
  EXPECT_EQ(info.name, "plain");
  EXPECT_EQ(info.program.input(), (Shape{3, 32, 32}));
  EXPECT_EQ(info.normalisation.mean, (std::vector<float>{0.4F, 0.5F, 0.6F}));
  EXPECT_EQ(info.normalisation.deviation, (std::vector<float>{0.2F, 0.3F, 0.4F}));
  EXPECT_EQ(info.labels.at(3), "class \"3\"");
}

}  // namespace
}  // namespace einet
