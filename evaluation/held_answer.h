// The answer that a job holds after some of its exits were executed, and the ways to make one answer of
// several.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "models/profiles.h"

namespace einet {

enum class Aggregation : std::uint8_t {
  last,            // the deepest executed exit's answer
  most_confident,  // the answer of the largest calibrated confidence so far; of equal ones the deepest
  // The class with the largest product of scores over all executed exits, each exit's raised to the power
  // 1 / temperature ("Towards Anytime Classification in Early-Exit Architectures by Enforcing Conditional
  // Monotonicity", NeurIPS 2023: product anytime). A class that any exit gives no score is out; if every
  // class is out, the deepest exit's answer counts alone.
  product,
};

inline constexpr std::size_t kAggregations = 3;

// "last", "most-confident" or "product". Error: anything else.
Result<Aggregation> parse_aggregation(std::string_view name);
std::string_view name(Aggregation);

// One sample's answer, exit by exit. Reused from sample to sample: allocates at construction only.
class HeldAnswer {
 public:
  // `temperature`: one per exit, > 0, read for as long as this lives; only product looks at it.
  HeldAnswer(Aggregation aggregation, int classes, std::span<const double> temperature);

  // No exit is executed.
  void clear();
  // The exit is executed. `calibrated`: the probability that its answer is right, judged by its own
  // confidence.
  void add(const ProfileSplit& split, int sample, int exit, double calibrated);

  // The class; -1: none yet.
  int answer() const { return answer_; }
  // In [0, 1], the larger the surer: the calibrated confidence of the exit that gave the answer; for product
  // no probability, but d / (1 + d) with d the distance to the next class in logarithms.
  double confidence() const { return confidence_; }

 private:
  void multiply(const ProfileSplit& split, int sample, int exit);

  // Of one class, besides what counts for every class.
  struct Product {
    double log = 0;
    int zeros = 0;
    bool named = false;
  };

  Aggregation aggregation_;
  std::span<const double> temperature_;
  int answer_ = -1;
  double confidence_ = 0;
  std::vector<Product> products_;  // one per class
  std::vector<int> named_;         // the classes that some executed exit has named
  int zeros_ = 0;                  // exits that gave no score to any class that they did not name
};

}  // namespace einet
