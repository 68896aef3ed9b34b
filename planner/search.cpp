// The exact search: dynamic programming where survival is a line, labels elsewhere.
#include "planner/chain.h"
#include "planner/label_search.h"
#include "planner/linear_search.h"
#include "planner/planner.h"

namespace einet {

struct PlanSearch::Impl {
  explicit Impl(std::size_t max_labels) : labels(max_labels) {}
  LinearSearch linear;
  LabelSearch<> labels;
  double gap = 0;
};

PlanSearch::PlanSearch(std::size_t max_labels) : impl_(std::make_unique<Impl>(max_labels)) {}
PlanSearch::~PlanSearch() = default;
PlanSearch::PlanSearch(PlanSearch&&) noexcept = default;
PlanSearch& PlanSearch::operator=(PlanSearch&&) noexcept = default;

Plan PlanSearch::exact(const PlanProblem& problem, const Survival& survival) {
  const Chain chain(problem, survival);
  // Where S is the part of a line between 0 and 1, the best plan L* over the uncut line is also the best over
  // S, as long as its worth is the same over both. For no chain P is worth more over S than over the line:
  // drop the exits of P at which S is 0, which gain nothing; at all others S = min(1, line) <= line, and
  // gains are positive. So worth_S(P) <= worth_line(P) <= worth_line(L*) = worth_S(L*). It fails only where
  // results of L* come before the line has fallen to 1; then the labels decide.
  if (const auto line = survival.line()) {
    const LinearSearch::Found found = impl_->linear.best(chain, *line);
    const double worth = expected_accuracy(problem, survival, found.exits);
    impl_->gap = problem.held + found.gain - worth;
    if (impl_->gap <= LabelSearch<>::kTolerance) return Plan{found.exits, worth};
  }
  const LabelSearch<>::Found found = impl_->labels.best(chain, survival);
  impl_->gap = found.gap;
  return Plan{found.exits, expected_accuracy(problem, survival, found.exits)};
}

double PlanSearch::gap() const {
  return impl_->gap;
}

}  // namespace einet
