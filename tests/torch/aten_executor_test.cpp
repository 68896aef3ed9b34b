// The ATen executor is the reference for other executors; its own reference are plain loops in double
// precision.
#include "models/torch/aten_executor.h"

#include <algorithm>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "random_package.h"
#include "reference_executor.h"

namespace einet {
namespace {

RC_GTEST_PROP(AtenExecutor, AgreesWithPlainLoopsOnEveryOperation, ()) {
  const Package package = test::random_package();
  const PackageInfo& info = package.info;
  test::Noise noise(static_cast<std::uint32_t>(test::draw(0, 1 << 30)));
  std::vector<float> input(static_cast<std::size_t>(info.program.input().elements()));
  for (float& v : input) v = noise.next();
  std::vector<float> normalised = input;
  const auto pixels = static_cast<std::size_t>(info.program.input().pixels());
  for (std::size_t i = 0; i < input.size(); ++i) {
    normalised[i] =
        (input[i] - info.normalisation.mean[i / pixels]) / info.normalisation.deviation[i / pixels];
  }
  const auto expected = test::ReferenceExecutor(package).run(normalised);

  const auto backend = make_aten_backend();
  backend->enter_lane();
  const auto model = backend->load(package);
  RC_ASSERT(model.has_value());
  const auto lane = (*model)->make_lane();
  RC_ASSERT(lane.has_value());
  TrunkState state((*model)->state_bytes());
  RC_ASSERT((*lane)->begin({ElementType::f32, std::as_bytes(std::span(input))}, state).has_value());
  for (int b = 0; b < info.program.block_count(); ++b) {
    std::vector<float> scores(static_cast<std::size_t>(info.program.classes()));
    RC_ASSERT((*lane)->run_trunk(b, state).has_value());
    RC_ASSERT((*lane)->run_exit(b, state, scores).has_value());
    const auto& right = expected[static_cast<std::size_t>(b)];
    const double largest = *std::max_element(right.begin(), right.end());
    for (std::size_t c = 0; c < scores.size(); ++c) {
      RC_ASSERT(std::abs(static_cast<double>(scores[c]) - right[c]) <= 1e-5 * largest);
    }
  }
}

}  // namespace
}  // namespace einet
