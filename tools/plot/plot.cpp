#include "tools/plot/plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <png.h>
#include <span>
#include <stb_easy_font.h>

#include "config/check.h"

namespace einet {
namespace {

struct Colour {
  int red, green, blue;
};
constexpr Colour kBlack{0, 0, 0}, kGrey{222, 222, 222};
// Told apart by people with any kind of colour vision (Okabe and Ito, "Color Universal Design", 2008).
constexpr std::array<Colour, 7> kColours{Colour{0, 114, 178}, {213, 94, 0},   {0, 158, 115}, {204, 121, 167},
                                         {230, 159, 0},       {86, 180, 233}, {0, 0, 0}};

struct Point {
  double x, y;
};

// Dots of three bytes, white at first. Everything is cut off at the edges.
class Canvas {
 public:
  Canvas(int width, int height)
      : width_(width), height_(height), bytes_(static_cast<std::size_t>(width * height) * 3, 255) {}

  // `share` of the colour over what is there.
  void blend(int x, int y, Colour colour, double share) {
    if (x < 0 || y < 0 || x >= width_ || y >= height_) return;
    unsigned char* dot = bytes_.data() + static_cast<std::size_t>(y * width_ + x) * 3;
    const std::array<int, 3> parts{colour.red, colour.green, colour.blue};
    for (std::size_t i = 0; i < parts.size(); ++i) {
      dot[i] = static_cast<unsigned char>(std::lround(dot[i] + share * (parts[i] - dot[i])));
    }
  }

  // Smooth edges: a dot is covered as far as it lies within half the thickness.
  void line(Point a, Point b, double thickness, Colour colour) {
    const double reach = thickness / 2 + 1;
    const double length2 = (b.x - a.x) * (b.x - a.x) + (b.y - a.y) * (b.y - a.y);
    const auto [left, right] = std::minmax(a.x, b.x);
    const auto [top, bottom] = std::minmax(a.y, b.y);
    for (int y = static_cast<int>(top - reach); y <= static_cast<int>(bottom + reach); ++y) {
      for (int x = static_cast<int>(left - reach); x <= static_cast<int>(right + reach); ++x) {
        const double along = length2 > 0 ? ((x - a.x) * (b.x - a.x) + (y - a.y) * (b.y - a.y)) / length2 : 0;
        const double t = std::clamp(along, 0.0, 1.0);
        const double distance = std::hypot(x - a.x - t * (b.x - a.x), y - a.y - t * (b.y - a.y));
        const double share = std::clamp(thickness / 2 + 0.5 - distance, 0.0, 1.0);
        if (share > 0) blend(x, y, colour, share);
      }
    }
  }

  static int text_width(std::string text) { return kScale * stb_easy_font_width(text.data()); }
  // Upper left corner.
  void text(int x, int y, std::string text) {
    constexpr std::size_t kQuad = 64;  // four corners of x, y, z as floats and a colour of four bytes
    std::string quads(kQuad * 16 * (text.size() + 1), '\0');
    const int count =
        stb_easy_font_print(0, 0, text.data(), nullptr, quads.data(), static_cast<int>(quads.size()));
    for (int i = 0; i < count; ++i) {
      const char* quad = quads.data() + kQuad * static_cast<std::size_t>(i);
      std::array<float, 2> from{}, to{};
      std::memcpy(from.data(), quad, sizeof from);
      std::memcpy(to.data(), quad + kQuad / 2, sizeof to);  // the corner across
      for (int v = static_cast<int>(from[1] * kScale); v < static_cast<int>(to[1] * kScale); ++v) {
        for (int u = static_cast<int>(from[0] * kScale); u < static_cast<int>(to[0] * kScale); ++u) {
          blend(x + u, y + v, kBlack, 1);
        }
      }
    }
  }

  Result<std::string> png() const {
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.width = static_cast<png_uint_32>(width_);
    image.height = static_cast<png_uint_32>(height_);
    image.format = PNG_FORMAT_RGB;
    png_alloc_size_t size = 0;
    std::string out;
    bool ok = png_image_write_to_memory(&image, nullptr, &size, 0, bytes_.data(), 0, nullptr) != 0;
    if (ok) {
      out.resize(size);
      ok = png_image_write_to_memory(&image, out.data(), &size, 0, bytes_.data(), 0, nullptr) != 0;
    }
    if (!ok) return error(std::string("cannot make a PNG image: ") + image.message);
    out.resize(size);
    return out;
  }

  static constexpr int kScale = 2;  // dots per dot of the font
  static constexpr int kTextHeight = 8 * kScale;

 private:
  int width_, height_;
  std::vector<unsigned char> bytes_;
};

constexpr int kWidth = 1200, kHeight = 620;
constexpr int kLeft = 100, kRight = 260, kTop = 50, kBottom = 80;

// 1, 2 or 5 times a power of ten, so that about `count` of them make `span`.
double round_step(double span, int count) {
  const double raw = span / count;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (raw <= factor * power * (1 + 1e-9)) return factor * power;
  }
  return 10 * power;
}

std::string number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6g", value);
  return text.data();
}

class Plot {
 public:
  Plot(Canvas& canvas, const Panel& panel, int top) : canvas_(canvas), panel_(panel), top_(top) {
    double most = 0;
    for (const Curve& curve : panel.curves) {
      EINET_CHECK(curve.y.size() >= 2, "a curve has two points or more");
      most = std::max(most, *std::max_element(curve.y.begin(), curve.y.end()));
    }
    if (most <= 0) most = 1;
    y_step_ = round_step(most, 6);
    y_max_ = y_step_ * std::ceil(most / y_step_ - 1e-9);
  }

  void draw() {
    canvas_.text(kLeft, top_ + 16, panel_.title);
    const double x_step = round_step(panel_.x_max, 8);
    for (int i = 0; i * x_step <= panel_.x_max * (1 + 1e-9); ++i) {
      const Point foot = at(i * x_step, 0);
      canvas_.line(foot, at(i * x_step, y_max_), 1, kGrey);
      const std::string text = number(i * x_step);
      canvas_.text(static_cast<int>(foot.x) - Canvas::text_width(text) / 2, static_cast<int>(foot.y) + 10,
                   text);
    }
    for (int i = 0; i * y_step_ <= y_max_ * (1 + 1e-9); ++i) {
      const Point foot = at(0, i * y_step_);
      canvas_.line(foot, at(panel_.x_max, i * y_step_), 1, kGrey);
      const std::string text = number(i * y_step_);
      canvas_.text(kLeft - 12 - Canvas::text_width(text), static_cast<int>(foot.y) - Canvas::kTextHeight / 2,
                   text);
    }
    canvas_.line(at(0, 0), at(panel_.x_max, 0), 2, kBlack);
    canvas_.line(at(0, 0), at(0, y_max_), 2, kBlack);
    canvas_.text((kLeft + kWidth - kRight - Canvas::text_width(panel_.x_label)) / 2, top_ + kHeight - 36,
                 panel_.x_label);
    canvas_.text(kLeft - 60, top_ + kTop - 14, panel_.y_label);
    for (std::size_t i = panel_.curves.size(); i-- > 0;) draw_curve(i);
  }

 private:
  Point at(double x, double y) const {
    return {kLeft + x / panel_.x_max * (kWidth - kLeft - kRight),
            top_ + kHeight - kBottom - y / y_max_ * (kHeight - kTop - kBottom - 20)};
  }

  void draw_curve(std::size_t number) {
    const Curve& curve = panel_.curves[number];
    const Colour colour = kColours[number % kColours.size()];
    const bool dashed = number / kColours.size() % 2 == 1;
    double drawn = 0;
    // Dashes of 10 dots; a long line is drawn piece by piece.
    const auto draw_part = [&](Point from, Point to) {
      const double length = std::hypot(to.x - from.x, to.y - from.y);
      const int pieces = dashed ? 1 + static_cast<int>(length / 5) : 1;
      const Point along{(to.x - from.x) / pieces, (to.y - from.y) / pieces};
      for (int i = 0; i < pieces; ++i, drawn += length / pieces) {
        if (dashed && std::fmod(drawn, 20) >= 10) continue;
        canvas_.line({from.x + i * along.x, from.y + i * along.y},
                     {from.x + (i + 1) * along.x, from.y + (i + 1) * along.y}, 2.2, colour);
      }
    };
    const double step = panel_.x_max / static_cast<double>(curve.y.size() - 1);
    for (std::size_t i = 1; i < curve.y.size(); ++i) {
      draw_part(at(step * static_cast<double>(i - 1), curve.y[i - 1]),
                at(step * static_cast<double>(i), curve.y[i]));
    }
    const int y = top_ + kTop + 24 + 24 * static_cast<int>(number);
    drawn = 0;
    for (int x = 0; x < 40; x += 2) {
      draw_part({kWidth - kRight + 20.0 + x, y + 7.0}, {kWidth - kRight + 22.0 + x, y + 7.0});
    }
    canvas_.text(kWidth - kRight + 70, y, curve.name);
  }

  Canvas& canvas_;
  const Panel& panel_;
  int top_;
  double y_step_ = 1, y_max_ = 1;
};

}  // namespace

Result<std::string> draw_png(const std::vector<Panel>& panels) {
  EINET_CHECK(!panels.empty() && panels.size() <= kMaxPanels, "there is something to draw, and not too much");
  Canvas canvas(kWidth, kHeight * static_cast<int>(panels.size()));
  int top = 0;
  for (const Panel& panel : panels) {
    Plot(canvas, panel, top).draw();
    top += kHeight;
  }
  return canvas.png();
}

}  // namespace einet
