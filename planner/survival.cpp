// The five kinds of survival function, and the indexed table behind the two that are made from data.
#include "planner/survival.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include "config/time.h"

namespace einet {

// Knots in ascending order, and an index of equal cells over them, so that a lookup starts where t lies
// instead of in the middle.
struct Survival::Table {
  std::vector<double> t;
  std::vector<double> s;                     // points only
  std::vector<std::uint32_t> first_in_cell;  // one entry more than cells: knots before the cell's start
  double cells_per_ns = 0;

  // Most cells hold no knot at all: then a lookup needs no search.
  static constexpr std::size_t cells_for(std::size_t knots) { return 4 * knots; }
  std::size_t cells() const { return cells_for(t.size()); }

  void index() {
    const double range = t.back() - t.front();
    cells_per_ns = range > 0 ? static_cast<double>(cells()) / range : 0;
    if (!std::isfinite(cells_per_ns)) cells_per_ns = 0;
    first_in_cell.assign(cells() + 1, static_cast<std::uint32_t>(t.size()));
    for (std::size_t i = t.size(); i-- > 0;) first_in_cell[cell_of(t[i])] = static_cast<std::uint32_t>(i);
    for (std::size_t c = cells(); c-- > 0;)
      first_in_cell[c] = std::min(first_in_cell[c], first_in_cell[c + 1]);
  }

  // Precondition: t.front() <= x <= t.back().
  std::size_t cell_of(double x) const {
    return std::min(static_cast<std::size_t>((x - t.front()) * cells_per_ns), cells() - 1);
  }

  // How many knots lie before x.
  std::size_t knots_before(double x) const {
    if (x <= t.front()) return 0;
    if (x > t.back()) return t.size();
    // cell_of never falls as x rises: knots of earlier cells lie before x, those of later cells do not.
    const std::size_t cell = cell_of(x);
    const auto begin = t.begin() + first_in_cell[cell];
    const auto end = t.begin() + first_in_cell[cell + 1];
    return static_cast<std::size_t>(std::lower_bound(begin, end, x) - t.begin());
  }
};

namespace {

Error refused(const std::string& what, const std::string& found, const char* allowed) {
  return error(what + ": found " + found + "; expected " + allowed);
}

std::string time_text(double ns) {
  constexpr double kLimit = 0x1p62;  // of durations
  if (!(std::abs(ns) < kLimit)) return std::to_string(ns);
  return format_duration(Duration{std::llround(ns)});
}

std::string entry(const char* list, std::size_t i) {
  return std::string(list) + "[" + std::to_string(i) + "]";
}

// A table's index counts its knots in 32 bits.
constexpr std::size_t kMaxKnots = std::numeric_limits<std::uint32_t>::max() - 1;

}  // namespace

Survival::Survival(Kind kind, double a, double b, std::shared_ptr<const Table> table)
    : kind_(kind), a_(a), b_(b), table_(std::move(table)) {}

Result<Survival> Survival::uniform(double from_ns, double to_ns) {
  if (!std::isfinite(from_ns)) return refused("from", time_text(from_ns), "a finite time");
  if (!std::isfinite(to_ns)) return refused("to", time_text(to_ns), "a finite time");
  if (from_ns > to_ns) return refused("to", time_text(to_ns), "a time at or after `from`");
  return Survival(Kind::uniform, to_ns, 1 / (to_ns - from_ns));
}

Result<Survival> Survival::exponential(double mean_ns) {
  if (!std::isfinite(mean_ns) || mean_ns <= 0)
    return refused("mean", time_text(mean_ns), "a finite time above 0");
  return Survival(Kind::exponential, -1 / mean_ns, 0);
}

Result<Survival> Survival::normal(double mean_ns, double sd_ns) {
  if (!std::isfinite(mean_ns)) return refused("mean", time_text(mean_ns), "a finite time");
  if (!std::isfinite(sd_ns) || sd_ns <= 0) return refused("sd", time_text(sd_ns), "a finite time above 0");
  return Survival(Kind::normal, mean_ns, 1 / (sd_ns * std::numbers::sqrt2));
}

Result<Survival> Survival::sample(std::span<const double> kills_ns) {
  if (kills_ns.empty() || kills_ns.size() > kMaxKnots) return error("kills: expected at least one time");
  for (std::size_t i = 0; i < kills_ns.size(); ++i) {
    if (!std::isfinite(kills_ns[i]))
      return refused(entry("kills", i), time_text(kills_ns[i]), "a finite time");
  }
  auto table = std::make_shared<Table>();
  table->t.assign(kills_ns.begin(), kills_ns.end());
  std::sort(table->t.begin(), table->t.end());
  table->index();
  return Survival(Kind::sample, 0, 0, std::move(table));
}

Result<Survival> Survival::points(std::span<const double> t_ns, std::span<const double> s) {
  return ChangingPoints(std::max<std::size_t>(1, t_ns.size())).set(t_ns, s);
}

ChangingPoints::ChangingPoints(std::size_t max_points)
    : max_points_(max_points), table_(std::make_shared<Survival::Table>()) {
  table_->t.reserve(max_points);
  table_->s.reserve(max_points);
  table_->first_in_cell.reserve(Survival::Table::cells_for(max_points) + 1);
}

Result<Survival> ChangingPoints::set(std::span<const double> t_ns, std::span<const double> s) {
  if (t_ns.empty() || t_ns.size() > std::min(max_points_, kMaxKnots)) {
    return error("t: found " + std::to_string(t_ns.size()) + " points; expected from 1 to " +
                 std::to_string(std::min(max_points_, kMaxKnots)));
  }
  if (s.size() != t_ns.size()) {
    return error("s: found " + std::to_string(s.size()) + " values; expected as many as in t, " +
                 std::to_string(t_ns.size()));
  }
  for (std::size_t i = 0; i < t_ns.size(); ++i) {
    if (!std::isfinite(t_ns[i]) || (i > 0 && t_ns[i] <= t_ns[i - 1])) {
      return refused(entry("t", i), time_text(t_ns[i]), "a finite time after the one before");
    }
    if (!(s[i] >= 0 && s[i] <= 1))
      return refused(entry("s", i), std::to_string(s[i]), "a probability from 0 to 1");
    if (i > 0 && s[i] > s[i - 1]) {
      return refused(entry("s", i), std::to_string(s[i]), "at most the one before: survival must not rise");
    }
  }
  table_->t.assign(t_ns.begin(), t_ns.end());
  table_->s.assign(s.begin(), s.end());
  table_->index();
  return Survival(Survival::Kind::points, 0, 0, table_);
}

double Survival::operator()(double t_ns) const {
  switch (kind_) {
    case Kind::uniform:
      if (std::isinf(b_)) return t_ns <= a_ ? 1.0 : 0.0;
      return std::clamp((a_ - t_ns) * b_, 0.0, 1.0);
    case Kind::exponential:
      return t_ns <= 0 ? 1.0 : std::exp(t_ns * a_);
    case Kind::normal:
      return 0.5 * std::erfc((t_ns - a_) * b_);
    case Kind::sample: {
      const auto total = static_cast<double>(table_->t.size());
      return (total - static_cast<double>(table_->knots_before(t_ns))) / total;
    }
    case Kind::points:
      break;
  }
  const Table& table = *table_;
  const std::size_t next = table.knots_before(t_ns);
  if (next == 0) return table.s.front();
  if (next == table.t.size()) return table.s.back();
  const double share = (t_ns - table.t[next - 1]) / (table.t[next] - table.t[next - 1]);
  // Clamped: rounding must not carry a value past its neighbours, or S could rise.
  return std::clamp(table.s[next - 1] + share * (table.s[next] - table.s[next - 1]), table.s[next],
                    table.s[next - 1]);
}

std::optional<Line> Survival::line() const {
  if (kind_ != Kind::uniform || std::isinf(b_)) return std::nullopt;
  return Line{a_, b_};
}

}  // namespace einet
