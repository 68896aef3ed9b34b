#include "planner/baselines.h"

#include <algorithm>
#include <charconv>
#include <random>
#include <vector>

#include "config/text.h"

namespace einet {
namespace {

constexpr int kDefaultHybrid = 4;
constexpr int kDefaultRandom = 100;

// The exits from `first` up to, not including, `end`.
ExitMask exits_between(int first, int end) {
  ExitMask mask = 0;
  for (int k = first; k < end; ++k) mask |= exit_bit(k);
  return mask;
}

// At least `percent` of all exits of the network, at equal distances from the first to the last: a plan
// without the first has no answer for jobs that are stopped early. What is done already is not planned again.
ExitMask spread(const PlanProblem& p, int percent) {
  const int n = p.blocks();
  const int gaps = (n * percent + 99) / 100 - 1;
  ExitMask mask = exit_bit(0);
  for (int i = 1; i <= gaps; ++i) mask |= exit_bit((n - 1) * i / gaps);
  return mask & exits_between(p.first_block, n);
}

// Adds to `plan` the exit from `first` on that helps most, as long as one helps.
Plan greedy(const PlanProblem& p, const Survival& survival, Plan plan, int first) {
  for (;;) {
    Plan best = plan;
    for (int k = first; k < p.blocks(); ++k) {
      const ExitMask wider = plan.exits | exit_bit(k);
      const double worth = expected_accuracy(p, survival, wider);
      if (worth > best.expected_accuracy) best = Plan{wider, worth};
    }
    if (best.exits == plan.exits) return plan;
    plan = best;
  }
}

Plan hybrid(const PlanProblem& p, const Survival& survival, int m) {
  const int end = std::min(p.blocks(), p.first_block + m);
  Plan best{0, p.held};
  for (ExitMask subset = 1; subset < exit_bit(end - p.first_block); ++subset) {
    const ExitMask exits = subset << p.first_block;
    const double worth = expected_accuracy(p, survival, exits);
    if (worth > best.expected_accuracy) best = Plan{exits, worth};
  }
  return greedy(p, survival, best, end);
}

Plan random_best(const PlanProblem& p, const Survival& survival, int count) {
  std::mt19937_64 random(1);
  Plan best{0, p.held};
  for (int i = 0; i < count; ++i) {
    const ExitMask exits = random() & exits_between(p.first_block, p.blocks());
    const double worth = expected_accuracy(p, survival, exits);
    if (i == 0 || worth > best.expected_accuracy) best = Plan{exits, worth};
  }
  return best;
}

struct Named {
  std::string_view name;
  Planner planner;
};
constexpr Named kPlain[] = {
    {"exact", {Planner::Kind::exact, 0}},
    {"all", {Planner::Kind::all, 0}},
    {"static:25", {Planner::Kind::fraction, 25}},
    {"static:50", {Planner::Kind::fraction, 50}},
    {"static:100", {Planner::Kind::fraction, 100}},
    {"single", {Planner::Kind::single, 0}},
    {"hybrid", {Planner::Kind::hybrid, kDefaultHybrid}},
    {"greedy", {Planner::Kind::greedy, 0}},
    {"random", {Planner::Kind::random, kDefaultRandom}},
};

Result<int> parse_parameter(std::string_view text, int min, int max) {
  int value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size() || value < min || value > max) {
    return error("found \"" + escape(text, 60) + "\"; expected a whole number from " + std::to_string(min) +
                 " to " + std::to_string(max));
  }
  return value;
}

}  // namespace

Result<Planner> parse_planner(std::string_view text) {
  for (const Named& plain : kPlain) {
    if (text == plain.name) return plain.planner;
  }
  const auto with_parameter = [&](std::string_view prefix, Planner::Kind kind, int min,
                                  int max) -> Result<Planner> {
    const Result<int> value = parse_parameter(text.substr(prefix.size()), min, max);
    if (!value) return within("planner " + std::string(prefix) + "N", value.error());
    return Planner{kind, *value};
  };
  if (text.starts_with("hybrid:")) return with_parameter("hybrid:", Planner::Kind::hybrid, 0, kMaxHybrid);
  if (text.starts_with("random:")) return with_parameter("random:", Planner::Kind::random, 1, kMaxRandom);

  std::vector<std::string_view> names;
  for (const Named& plain : kPlain) names.push_back(plain.name);
  std::string message = "planner: found \"" + escape(text, 60) + "\"; expected " + one_of(names) +
                        " (hybrid:m and random:N too)";
  if (const std::string_view near = nearest(text, names); !near.empty()) {
    message += "; did you mean \"" + std::string(near) + "\"?";
  }
  return error(std::move(message));
}

std::string name(const Planner& planner) {
  for (const Named& plain : kPlain) {
    if (planner.kind == plain.planner.kind && planner.parameter == plain.planner.parameter) {
      return std::string(plain.name);
    }
  }
  return (planner.kind == Planner::Kind::hybrid ? "hybrid:" : "random:") + std::to_string(planner.parameter);
}

Plan make_plan(const Planner& planner, const PlanProblem& p, const Survival& survival, PlanSearch& search) {
  const auto worth_of = [&](ExitMask exits) { return Plan{exits, expected_accuracy(p, survival, exits)}; };
  switch (planner.kind) {
    case Planner::Kind::exact:
      return search.exact(p, survival);
    case Planner::Kind::all:
      return worth_of(exits_between(p.first_block, p.blocks()));
    case Planner::Kind::fraction:
      return worth_of(spread(p, planner.parameter));
    case Planner::Kind::single:
      return worth_of(exits_between(std::max(p.first_block, p.blocks() - 1), p.blocks()));
    case Planner::Kind::hybrid:
      return hybrid(p, survival, planner.parameter);
    case Planner::Kind::greedy:
      return greedy(p, survival, Plan{0, p.held}, p.first_block);
    case Planner::Kind::random:
      break;
  }
  return random_best(p, survival, planner.parameter);
}

}  // namespace einet
