// A progress line for people on stderr: redrawn in place on a terminal, and left out where stderr is a file
// or a pipe, which get only whole lines.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "config/time.h"

namespace einet {

class ProgressBar {
 public:
  // `clock` outlives the bar.
  ProgressBar(std::string title, const Clock& clock);
  // Clears the line.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // At most ten times a second it draws "title [####....] done/of words, 12s left". Precondition: done <= of.
  void show(std::size_t done, std::size_t of, std::string_view words);

 private:
  std::string title_;
  const Clock& clock_;
  TimePoint start_, drawn_;
  bool terminal_;
};

}  // namespace einet
