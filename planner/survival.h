// Survival functions: S(t), the probability that a job is still alive when a result would be ready at time t.
// Small immutable values, checked when they are made; how they are learned is not decided here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "config/result.h"

namespace einet {

// The straight line `(zero - t) * fall`. Kept so, because a steep line far from t = 0 would be the difference
// of two large numbers if it were kept by its height there.
struct Line {
  double zero = 0;  // nanoseconds: where it meets 0
  double fall = 0;  // per nanosecond; > 0
  double at(double t_ns) const { return (zero - t_ns) * fall; }
};

// S(t) for t in double nanoseconds from now. It lies in [0, 1] and never rises. Copies are cheap (a table is
// shared). Thread-safe. The makers' errors name the argument, what was found and what is allowed.
class Survival {
 public:
  // 1 until `from`, falling linearly to 0 at `to`. With from = to, a step: 1 up to and at `to`.
  // This is also the survival of a job with a deadline that may be displaced before it: certain to live until
  // `from`, with certainty gone at its deadline `to`. Error: not finite, or from > to.
  static Result<Survival> uniform(double from_ns, double to_ns);
  // exp(-t / mean) for t >= 0. Error: mean not finite or not > 0.
  static Result<Survival> exponential(double mean_ns);
  // 1 - Phi((t - mean) / sd). Error: not finite, or sd not > 0.
  static Result<Survival> normal(double mean_ns, double sd_ns);
  // The share of kills at or after t. Error: no kills, or one that is not finite.
  static Result<Survival> sample(std::span<const double> kills_ns);
  // Through the points (t_ns[i], s[i]), linear between them, constant before the first and after the last.
  // Error: none, lengths that differ, a t that is not after the one before, an s outside [0, 1] or above the
  // one before.
  static Result<Survival> points(std::span<const double> t_ns, std::span<const double> s);

  // Never allocates; constant time except for clustered tables (logarithmic). Precondition: t is not NaN.
  double operator()(double t_ns) const;

  // The line of which S is the part between 0 and 1, if there is one: uniform with from < to.
  std::optional<Line> line() const;

 private:
  friend class ChangingPoints;
  struct Table;
  enum class Kind : std::uint8_t { uniform, exponential, normal, sample, points };
  Survival(Kind kind, double a, double b, std::shared_ptr<const Table> table = nullptr);

  Kind kind_;
  double a_;  // uniform: to; exponential: -1 / mean; normal: mean
  double b_;  // uniform: 1 / (to - from), infinite for a step; normal: 1 / (sd * sqrt 2)
  std::shared_ptr<const Table> table_;
};

// Memory for a survival function that is made anew for every plan. One thread.
class ChangingPoints {
 public:
  // Allocates all there is. 1 <= max_points.
  explicit ChangingPoints(std::size_t max_points);

  // As Survival::points, and its errors; also: more than max_points. What it returns, and copies of that,
  // are this function until the next call. Allocates for an error only.
  Result<Survival> set(std::span<const double> t_ns, std::span<const double> s);

 private:
  std::size_t max_points_;
  std::shared_ptr<Survival::Table> table_;
};

}  // namespace einet
