#include "progress.h"

#include <cstdio>
#include <unistd.h>

namespace einet {

ProgressBar::ProgressBar(std::string title, const Clock& clock)
    : title_(std::move(title)),
      clock_(clock),
      start_(clock.now()),
      drawn_(start_),
      terminal_(::isatty(STDERR_FILENO) == 1) {}

ProgressBar::~ProgressBar() {
  if (terminal_) std::fputs("\r\x1b[K", stderr);
}

void ProgressBar::show(std::size_t done, std::size_t of, std::string_view words) {
  constexpr Duration kRedraw = std::chrono::milliseconds(100);
  const TimePoint now = clock_.now();
  if (!terminal_ || done == 0 || (now - drawn_ < kRedraw && done < of)) return;
  drawn_ = now;
  constexpr std::size_t kWidth = 30;
  const std::size_t filled = kWidth * done / of;
  const Duration left =
      (now - start_) / static_cast<std::int64_t>(done) * static_cast<std::int64_t>(of - done);
  std::fprintf(stderr, "\r\x1b[K%s [%s%s] %zu/%zu %.*s, %s left", title_.c_str(),
               std::string(filled, '#').c_str(), std::string(kWidth - filled, '.').c_str(), done, of,
               static_cast<int>(words.size()), words.data(), format_duration_short(left).c_str());
  std::fflush(stderr);
}

}  // namespace einet
