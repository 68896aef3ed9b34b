#include "evaluation/bootstrap.h"

#include <algorithm>
#include <random>

#include "config/check.h"

namespace einet {
namespace {

struct Figures {
  std::vector<double> accuracy, given_output, gain, gain_given_output;  // one entry per resample
};

Interval middle(std::vector<double>& values) {
  std::sort(values.begin(), values.end());
  const std::size_t tail = values.size() / 40;
  return {values[tail], values[values.size() - 1 - tail]};
}

}  // namespace

std::vector<Comparison> compare(std::span<const SampleColumns> planners, std::size_t base,
                                std::uint64_t seed) {
  EINET_CHECK(base < planners.size() && !planners[base].credit.empty(), "a base and at least one sample");
  const std::size_t samples = planners[base].credit.size();
  // Row by row, all that one drawn sample adds lies side by side.
  const std::size_t width = 2 * planners.size();
  std::vector<float> rows(samples * width);
  for (std::size_t p = 0; p < planners.size(); ++p) {
    EINET_CHECK(planners[p].credit.size() == samples && planners[p].output.size() == samples,
                "planners are judged on the same samples");
    for (std::size_t s = 0; s < samples; ++s) {
      rows[s * width + 2 * p] = planners[p].credit[s];
      rows[s * width + 2 * p + 1] = planners[p].output[s];
    }
  }
  std::vector<double> sums(width);
  const auto figure = [&](std::size_t p) {
    Comparison c;
    const auto ratio = [&](std::size_t q) {
      return sums[2 * q + 1] > 0 ? sums[2 * q] / sums[2 * q + 1] : 0.0;
    };
    c.accuracy.value = sums[2 * p] / static_cast<double>(samples);
    c.gain.value = (sums[2 * p] - sums[2 * base]) / static_cast<double>(samples);
    c.given_output.value = ratio(p);
    c.gain_given_output.value = ratio(p) - ratio(base);
    return c;
  };
  const auto add = [&](std::size_t sample) {
    const float* row = rows.data() + sample * width;
    for (std::size_t i = 0; i < width; ++i) sums[i] += row[i];
  };

  std::vector<Comparison> out;
  for (std::size_t s = 0; s < samples; ++s) add(s);
  for (std::size_t p = 0; p < planners.size(); ++p) out.push_back(figure(p));

  std::vector<Figures> drawn(planners.size());
  std::mt19937_64 random(seed);
  for (int r = 0; r < kResamples; ++r) {
    std::fill(sums.begin(), sums.end(), 0.0);
    // Multiplication instead of a distribution object: the same draws with every standard library.
    for (std::size_t s = 0; s < samples; ++s) add((random() >> 32) * samples >> 32);
    for (std::size_t p = 0; p < planners.size(); ++p) {
      const Comparison c = figure(p);
      drawn[p].accuracy.push_back(c.accuracy.value);
      drawn[p].given_output.push_back(c.given_output.value);
      drawn[p].gain.push_back(c.gain.value);
      drawn[p].gain_given_output.push_back(c.gain_given_output.value);
    }
  }
  for (std::size_t p = 0; p < planners.size(); ++p) {
    out[p].accuracy.interval = middle(drawn[p].accuracy);
    out[p].given_output.interval = middle(drawn[p].given_output);
    out[p].gain.interval = middle(drawn[p].gain);
    out[p].gain_given_output.interval = middle(drawn[p].gain_given_output);
  }
  return out;
}

}  // namespace einet
