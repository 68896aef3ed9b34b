#include "planner/chain.h"

#include "config/check.h"

namespace einet {

Chain::Chain(const PlanProblem& p, const Survival& survival) : held(p.held) {
  EINET_CHECK(p.trunk_ns.size() <= kMaxBlocks && p.exit_ns.size() == p.trunk_ns.size() &&
                  p.accuracy.size() == p.trunk_ns.size(),
              "check(problem) holds");
  double t = 0;
  for (int k = p.first_block; k < p.blocks(); ++k) {
    t += p.trunk_ns[k];
    // An exit that can gain nothing even as the first one executed gains nothing later.
    if (p.accuracy[k] <= p.held || survival(t + p.exit_ns[k]) <= 0) continue;
    trunks[count] = t;
    exit[count] = p.exit_ns[k];
    accuracy[count] = p.accuracy[k];
    number[count] = static_cast<std::int8_t>(k);
    ++count;
  }
}

}  // namespace einet
