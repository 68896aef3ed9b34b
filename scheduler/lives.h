// How long jobs lived before: for each class of jobs, the probability that such a job still has its lane
// after some time, estimated from those that have ended. What a plan makes of that is exit_planner.h's.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "scheduler/job.h"

namespace einet {

// The lives of one class. An age is lane time, as a share of what all blocks with all exits take (medians of
// the profile): what a job would have had the time to execute. The estimate is that of Kaplan and Meier
// ("Nonparametric Estimation from Incomplete Observations", 1958), grouped by age as in a life table: jobs
// that were stopped died at that age; those that ended by themselves lived at least as long (censored).
// Older lives count less: each by a factor of 1 - 1 / kMemory for every life since. One life more, which
// nothing stops, is always counted: so nobody is taken for certain to die, and a job whose lane is free goes
// on.
class LifeTable {
 public:
  static constexpr int kAges = 32;  // groups of equal width; older jobs are in the last one
  static constexpr double kMemory = 256;
  static constexpr double kEnough = 16;  // fewer lives, by what they count, say nothing

  void stopped(double age) { add(deaths_, age); }
  void finished(double age) { add(ends_, age); }

  bool says_something() const { return lives_ >= kEnough; }
  double lives() const { return lives_; }  // by what they count

  // The probability that a job lives to the beginning of each group: 1 at the first, never rising, above 0.
  // In between it is taken to be linear, and constant after the last.
  using Curve = std::array<double, kAges + 1>;
  Curve curve() const;
  static double at(const Curve&, double age);

 private:
  using Groups = std::array<double, kAges>;
  void add(Groups&, double age);

  Groups deaths_{};
  Groups ends_{};
  double lives_ = 0;
};

// The tables of all classes: jobs of the same tenant, model and task. Allocates at construction only.
class Lives {
 public:
  static constexpr std::size_t kMaxClasses = 1024;  // those that come after share the last one's table

  // `room`: for how many classes; 0: lives are not asked for.
  explicit Lives(std::size_t room);
  // Valid as long as this; null where there is no room at all.
  LifeTable* of(const JobSpec&);

 private:
  struct Class {
    TenantId tenant;
    ModelId model;
    TaskId task;
    LifeTable table{};
  };
  std::vector<Class> classes_;
};

}  // namespace einet
