#include "scheduler/lives.h"

#include <algorithm>
#include <cmath>

namespace einet {

void LifeTable::add(Groups& groups, double age) {
  constexpr double kFades = 1 - 1 / kMemory;
  for (Groups* all : {&deaths_, &ends_}) {
    for (double& count : *all) count *= kFades;
  }
  lives_ = lives_ * kFades + 1;
  const auto group = static_cast<std::size_t>(std::clamp(age, 0.0, 1.0) * kAges);
  groups[std::min<std::size_t>(group, kAges - 1)] += 1;
}

LifeTable::Curve LifeTable::curve() const {
  Curve curve;
  curve[0] = 1;
  double living = lives_;
  for (std::size_t i = 0; i < kAges; ++i) {
    // Those that ended by themselves within the group were at risk for half of it.
    const double at_risk = std::max(deaths_[i], living - ends_[i] / 2) + 1;
    curve[i + 1] = curve[i] * (1 - deaths_[i] / at_risk);
    living = std::max(0.0, living - deaths_[i] - ends_[i]);
  }
  return curve;
}

double LifeTable::at(const Curve& curve, double age) {
  const double place = std::clamp(age, 0.0, 1.0) * kAges;
  const auto before = std::min<std::size_t>(static_cast<std::size_t>(place), kAges - 1);
  return std::lerp(curve[before], curve[before + 1], place - static_cast<double>(before));
}

Lives::Lives(std::size_t room) {
  classes_.reserve(room);
}

LifeTable* Lives::of(const JobSpec& spec) {
  const auto known = std::find_if(classes_.begin(), classes_.end(), [&](const Class& c) {
    return c.tenant == spec.tenant && c.model == spec.model && c.task == spec.task;
  });
  if (known != classes_.end()) return &known->table;
  if (classes_.size() < classes_.capacity()) {
    return &classes_.emplace_back(Class{spec.tenant, spec.model, spec.task}).table;
  }
  return classes_.empty() ? nullptr : &classes_.back().table;
}

}  // namespace einet
