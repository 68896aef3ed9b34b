// Line plots as PNG images: axes with round numbers, curves, a legend. Drawing only; what the numbers mean is
// the caller's. Text is ASCII.
#pragma once

#include <string>
#include <vector>

#include "config/result.h"

namespace einet {

struct Curve {
  std::string name;
  std::vector<double> y;  // at equal distances from x = 0 to the panel's x_max; at least two
};

// One plot. Curves are drawn in their order, the first on top.
struct Panel {
  std::string title;
  std::string x_label;
  std::string y_label;
  double x_max = 1;  // > 0
  std::vector<Curve> curves;
};

inline constexpr std::size_t kMaxPanels = 16;

// The panels below each other. Error: the PNG library's. Precondition: 1 to kMaxPanels panels.
Result<std::string> draw_png(const std::vector<Panel>& panels);

}  // namespace einet
