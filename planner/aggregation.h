// One answer made of the answers of several exits.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "config/result.h"

namespace einet {

enum class Aggregation : std::uint8_t {
  last,            // the deepest executed exit's answer
  most_confident,  // the answer of the largest calibrated confidence so far; of equal ones the deepest
  // The class with the largest product of scores over all executed exits, each exit's raised to the power
  // 1 / temperature ("Towards Anytime Classification in Early-Exit Architectures by Enforcing Conditional
  // Monotonicity", NeurIPS 2023: product anytime). A class that any exit gives no score is out; if every
  // class is out, the deepest exit's answer counts alone.
  product,
  // The same, with the logarithms of the product so far times a discount before each further exit: what weak
  // early exits said counts the less, the more came after it. A discount of 1 is product; towards 0 it
  // becomes last.
  discounted,
};

inline constexpr std::size_t kAggregations = 4;
inline constexpr std::array<Aggregation, kAggregations> kEveryAggregation{
    Aggregation::last, Aggregation::most_confident, Aggregation::product, Aggregation::discounted};

// "last", "most-confident", "product" or "discounted". Error: anything else.
Result<Aggregation> parse_aggregation(std::string_view name);
std::string_view name(Aggregation);

// The scores that an exit gave to some classes; every other class got `others`.
struct NamedScores {
  std::span<const std::uint16_t> classes;  // at least one, none twice
  std::span<const float> scores;           // as many, in [0, 1]
  float others = 0;
};

// The product of one sample, exit by exit. Reused from sample to sample: allocates at construction only.
class ProductAnswer {
 public:
  // `discount` in (0, 1].
  explicit ProductAnswer(int classes, double discount = 1);
  ~ProductAnswer() = default;
  // A copy has room for all classes, so that it allocates no more than the original. Assigning one for as
  // many classes copies those that were named, and allocates nothing.
  ProductAnswer(const ProductAnswer&);
  ProductAnswer& operator=(const ProductAnswer&);
  ProductAnswer(ProductAnswer&&) = default;
  ProductAnswer& operator=(ProductAnswer&&) = default;

  // No exit is executed.
  void clear();
  // The exit is executed. temperature > 0: its own.
  void multiply(const NamedScores&, double temperature);

  // The class; -1: no exit has been executed.
  int answer() const { return answer_; }
  // How sure it is, in [0, 1]: no probability, but d / (1 + d) with d the distance to the next class in
  // logarithms; 1 if no other class is left, 0 if none is. Classes that were never named are left as long as
  // every exit gave them a score.
  double confidence() const { return confidence_; }
  // The product as one exit might have said it: its root of as many as were multiplied (discounted), scaled
  // to sum 1; one per class. False: every class is out. Precondition: some exit was executed, and all classes
  // were named.
  bool scores(std::span<float> into) const;

 private:
  // Of one class, besides what counts for every class.
  struct Class {
    double log = 0;
    int zeros = 0;
    bool named = false;
  };

  std::vector<Class> classes_;
  std::vector<int> named_;  // the classes that some executed exit has named
  int zeros_ = 0;           // exits that gave no score to any class that they did not name
  double discount_;
  double weight_ = 0;  // of all exits, discounted
  int answer_ = -1;
  double confidence_ = 0;
};

}  // namespace einet
