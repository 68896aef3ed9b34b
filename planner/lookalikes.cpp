#include "planner/lookalikes.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

namespace einet {
namespace {

Error found(const std::string& place, std::size_t n, const std::string& expected) {
  return error(place + ": found " + std::to_string(n) + "; expected " + expected);
}

Result<void> check_probability(const std::string& place, float p) {
  if (p >= 0 && p <= 1) return {};
  return error(place + ": found " + std::to_string(p) + "; expected a number from 0 to 1");
}

}  // namespace

Result<void> check(const LookalikeParameters& p) {
  const std::size_t exits = p.mean.size();
  if (exits < 1 || exits > kMaxBlocks) {
    return found("exits", exits, "from 1 to " + std::to_string(kMaxBlocks));
  }
  for (const float mean : p.mean) {
    if (auto ok = check_probability("mean", mean); !ok) return ok;
  }
  if (p.groups.size() != exits) return found("exits with groups", p.groups.size(), std::to_string(exits));
  for (std::size_t exit = 0; exit < exits; ++exit) {
    const std::string place = "exit " + std::to_string(exit);
    const auto& groups = p.groups[exit];
    if (groups.empty() || groups.size() > LookalikeParameters::kMaxGroups) {
      return found(place + ", groups", groups.size(),
                   "from 1 to " + std::to_string(LookalikeParameters::kMaxGroups));
    }
    for (std::size_t g = 0; g < groups.size(); ++g) {
      if (auto ok = check_probability(place + ", held", groups[g].held); !ok) return ok;
      if (g > 0 && groups[g].held < groups[g - 1].held) return error(place + ", held: it must never fall");
      if (groups[g].accuracy.size() != exits - exit) {
        return found(place + ", accuracies", groups[g].accuracy.size(), std::to_string(exits - exit));
      }
      for (const float accuracy : groups[g].accuracy) {
        if (auto ok = check_probability(place + ", accuracy", accuracy); !ok) return ok;
      }
    }
  }
  return {};
}

Result<Lookalikes> Lookalikes::make(LookalikeParameters parameters) {
  if (auto ok = check(parameters); !ok) return ok.error();
  return Lookalikes(std::make_shared<const LookalikeParameters>(std::move(parameters)));
}

double Lookalikes::expect(const Seen& seen, std::span<double> accuracy) const {
  const auto next = static_cast<std::size_t>(std::bit_width(seen.executed));
  if (next == 0) {
    std::copy(parameters_->mean.begin(), parameters_->mean.end(), accuracy.begin());
    return 0;
  }
  const std::vector<LookalikeParameters::Group>& groups = parameters_->groups[next - 1];
  const auto above =
      std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.held > seen.held; });
  const auto& high = above == groups.end() ? groups.back() : *above;
  const auto& low = above == groups.begin() ? groups.front() : *(above - 1);
  const double share =
      high.held > low.held ? std::clamp((seen.held - low.held) / (high.held - low.held), 0.0, 1.0) : 0;
  // `later`: 0 is the answer held.
  const auto mixed = [&](std::size_t later) {
    return low.accuracy[later] + share * (high.accuracy[later] - low.accuracy[later]);
  };
  for (std::size_t later = 1; later < low.accuracy.size(); ++later) accuracy[next - 1 + later] = mixed(later);
  return mixed(0);
}

}  // namespace einet
