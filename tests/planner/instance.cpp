#include "instance.h"

#include <algorithm>

namespace einet {
namespace {

rc::Gen<std::vector<double>> whole(std::size_t count, int from, int to) {
  return rc::gen::container<std::vector<double>>(
      count, rc::gen::map(rc::gen::inRange(from, to + 1), [](int v) { return static_cast<double>(v); }));
}

rc::Gen<Instance> with_blocks(int n, int longest_exit) {
  return rc::gen::exec([n, longest_exit] {
    const auto count = static_cast<std::size_t>(n);
    Instance i;
    i.trunk_ns = *whole(count, 0, 10);
    i.exit_ns = *whole(count, 0, longest_exit);
    i.accuracy = *whole(count, 0, 40);
    // Half of the networks get better with depth, as real ones do; these have the longest chains.
    if (*rc::gen::arbitrary<bool>()) std::sort(i.accuracy.begin(), i.accuracy.end());
    for (double& accuracy : i.accuracy) accuracy /= 40;
    i.held = *rc::gen::weightedElement<double>({{3, 0.0}, {1, 0.25}, {1, 0.6}, {1, 1.0}});
    i.first_block = *rc::gen::weightedOneOf<int>({{3, rc::gen::just(0)}, {1, rc::gen::inRange(0, n + 1)}});
    i.kind = *rc::gen::elementOf(std::vector<SurvivalKind>{
        SurvivalKind::uniform, SurvivalKind::late_uniform, SurvivalKind::step, SurvivalKind::exponential,
        SurvivalKind::normal, SurvivalKind::sample, SurvivalKind::points});
    const int end = 10 * n + 5;
    switch (i.kind) {
      case SurvivalKind::uniform:
        i.a = {0, static_cast<double>(*rc::gen::inRange(1, end))};
        break;
      case SurvivalKind::late_uniform:
        i.a = *whole(2, 0, end);
        std::sort(i.a.begin(), i.a.end());
        break;
      case SurvivalKind::step:
        i.a = *whole(1, 0, end);
        break;
      case SurvivalKind::exponential:
      case SurvivalKind::normal:
        i.a = *whole(2, 1, end);
        break;
      case SurvivalKind::sample:
        i.a = *whole(*rc::gen::inRange<std::size_t>(1, 12), 0, end);
        break;
      case SurvivalKind::points:
        i.a = *whole(*rc::gen::inRange<std::size_t>(1, 8), 0, end);
        std::sort(i.a.begin(), i.a.end());
        i.a.erase(std::unique(i.a.begin(), i.a.end()), i.a.end());
        i.b = *whole(i.a.size(), 0, 20);
        std::sort(i.b.rbegin(), i.b.rend());
        for (double& s : i.b) s /= 20;
        break;
    }
    // Times that are no whole numbers, where rounding them cannot step over a jump of S.
    const bool jumps = i.kind == SurvivalKind::step || i.kind == SurvivalKind::sample ||
                       (i.kind == SurvivalKind::late_uniform && i.a[0] == i.a[1]);
    if (!jumps && *rc::gen::arbitrary<bool>()) {
      for (auto* times : {&i.trunk_ns, &i.exit_ns, &i.a}) {
        for (double& t : *times) t *= 1e6 / 7;
      }
    }
    return i;
  });
}

}  // namespace

Survival Instance::survival() const {
  switch (kind) {
    case SurvivalKind::uniform:
    case SurvivalKind::late_uniform:
      return *Survival::uniform(a[0], a[1]);
    case SurvivalKind::step:
      return *Survival::uniform(a[0], a[0]);
    case SurvivalKind::exponential:
      return *Survival::exponential(a[0]);
    case SurvivalKind::normal:
      return *Survival::normal(a[0], a[1]);
    case SurvivalKind::sample:
      return *Survival::sample(a);
    case SurvivalKind::points:
      break;
  }
  return *Survival::points(a, b);
}

std::ostream& operator<<(std::ostream& out, const Instance& i) {
  const auto list = [&](const char* name, const std::vector<double>& values) {
    out << name << " = [";
    for (double v : values) out << v << ", ";
    out << "]\n";
  };
  list("trunk", i.trunk_ns);
  list("exit", i.exit_ns);
  list("accuracy", i.accuracy);
  out << "held = " << i.held << "\nfirst_block = " << i.first_block << "\nsurvival kind "
      << static_cast<int>(i.kind) << "\n";
  list("a", i.a);
  list("b", i.b);
  return out;
}

rc::Gen<Instance> instances(int max_blocks) {
  // Exits as long as trunks, or a tenth of them; with full size, or early cases would all be tiny.
  return rc::gen::resize(
      rc::kNominalSize,
      rc::gen::mapcat(rc::gen::pair(rc::gen::inRange(1, max_blocks + 1), rc::gen::element(1, 8)),
                      [](const std::pair<int, int>& p) { return with_blocks(p.first, p.second); }));
}

double brute_force(const Instance& i) {
  const Survival survival = i.survival();
  const int planned = i.problem().blocks() - i.first_block;
  double best = 0;
  for (ExitMask subset = 0; subset < exit_bit(planned); ++subset) {
    best = std::max(best, expected_accuracy(i.problem(), survival, subset << i.first_block));
  }
  return best;
}

}  // namespace einet
