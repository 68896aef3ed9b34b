// A forecast from samples that were held out from training: what became of those whose held answer was about
// as sure. How the groups are made is evaluation's; this is what is kept of them, and how it is read.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "config/result.h"
#include "planner/forecast.h"

namespace einet {

// The groups as plain data: what a package holds.
struct LookalikeParameters {
  // Samples that were about as sure after one exit.
  struct Group {
    float held = 0;               // how sure they were of the answer held, on average: in [0, 1]
    std::vector<float> accuracy;  // of the answer held now, and once each of the later exits is executed
    friend bool operator==(const Group&, const Group&) = default;
  };
  static constexpr std::size_t kMaxGroups = 64;  // of one exit

  std::vector<float> mean;                 // of every exit alone, over all samples: in [0, 1]
  std::vector<std::vector<Group>> groups;  // per exit, at least one; `held` never falls

  int exits() const { return static_cast<int>(mean.size()); }
  friend bool operator==(const LookalikeParameters&, const LookalikeParameters&) = default;
};

// Error: the first thing that is not as it says above: no exits or more than kMaxBlocks, lists of wrong
// lengths, values out of range.
Result<void> check(const LookalikeParameters&);

// A sample is like those of the two groups that its own answer lies between: a mixture of both, by how near
// they are. The held answer and all that could follow are judged by the same samples, so that what these have
// in common cancels out of the differences that planning is about. Before the first answer it is like the
// mean. Immutable; any number of threads; copies share their data.
class Lookalikes final : public Forecast {
 public:
  // Error: as check().
  static Result<Lookalikes> make(LookalikeParameters);

  const LookalikeParameters& parameters() const { return *parameters_; }
  // Looks at the deepest executed exit and at `seen.held`.
  double expect(const Seen& seen, std::span<double> accuracy) const override;

 private:
  explicit Lookalikes(std::shared_ptr<const LookalikeParameters> p) : parameters_(std::move(p)) {}
  std::shared_ptr<const LookalikeParameters> parameters_;
};

}  // namespace einet
