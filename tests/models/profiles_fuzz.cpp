// The profiles reader on foreign bytes, compressed or not: what it accepts, all of its readers can walk
// through.
#include <cstdlib>

#include "models/profiles.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace einet;
  const auto set = ProfileSet::parse(std::string(reinterpret_cast<const char*>(data), size), "x");
  if (!set) return set.error().message.empty() ? std::abort(), 0 : 0;
  for (const Split split : kSplits) {
    const ProfileSplit* const samples = set->split(split);
    if (samples == nullptr) continue;
    for (int s = 0; s < samples->samples(); ++s) {
      for (int e = 0; e < samples->exits(); ++e) {
        float sum = static_cast<float>(samples->classes() - samples->kept()) * samples->score_of_others(s, e);
        for (int k = 0; k < samples->kept(); ++k) sum += samples->score(s, e, k);
        if (samples->top(s, e) >= set->classes() || samples->label(s) >= set->classes() || !(sum < 1.01F)) {
          std::abort();
        }
      }
    }
  }
  return 0;
}
