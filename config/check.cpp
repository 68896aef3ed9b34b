#include "config/check.h"

#include <cstdio>
#include <cstdlib>

namespace einet {

void check_failed(const char* file, int line, const char* expression, const char* words) noexcept {
  std::fprintf(stderr, "%s:%d: check failed: %s: %s\n", file, line, expression, words);
  std::abort();
}

}  // namespace einet
