#include "models/data/digits.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

namespace einet {
namespace {

constexpr int kSide = 28;
constexpr int kDigits = 10;

// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014). The standard
// library's distributions differ between implementations; these do not.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t bits() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  }
  // Uniform in [low, high).
  float between(float low, float high) {
    return low + (high - low) * (static_cast<float>(bits() >> 40) * 0x1p-24f);
  }
  int below(int n) { return static_cast<int>((bits() >> 33) % static_cast<std::uint64_t>(n)); }
  // Variance 1, within +-3.5: the sum of four uniforms, near enough to a normal variable for noise.
  float noise() {
    float sum = 0;
    for (int i = 0; i < 4; ++i) sum += between(-1, 1);
    return sum * 0.8660254f;
  }

 private:
  std::uint64_t state_;
};

struct Point {
  float x = 0;
  float y = 0;
};
using Stroke = std::vector<Point>;  // a polyline, in a box of 0..1, y downwards
using Glyph = std::vector<Stroke>;

// Part of an ellipse around (cx, cy), angles in quarter turns from the right, clockwise on screen.
Stroke arc(float cx, float cy, float rx, float ry, float from, float to) {
  Stroke points;
  const int pieces = std::max(3, static_cast<int>(std::abs(to - from) * 5));
  for (int i = 0; i <= pieces; ++i) {
    const float quarter = from + (to - from) * static_cast<float>(i) / static_cast<float>(pieces);
    const float angle = quarter * std::numbers::pi_v<float> / 2;
    points.push_back({cx + rx * std::cos(angle), cy + ry * std::sin(angle)});
  }
  return points;
}

// One stroke after the other without lifting the pen.
Stroke join(Stroke a, const Stroke& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// The ways in which people write each digit.
std::vector<Glyph> styles(int digit) {
  switch (digit) {
    case 0:
      return {{arc(.5f, .5f, .32f, .46f, 0, 4)},
              {arc(.5f, .5f, .24f, .46f, 0, 4)},
              {arc(.5f, .5f, .34f, .46f, 0, 4), {{.68f, .2f}, {.32f, .8f}}}};
    case 1:
      return {{{{.5f, .04f}, {.5f, .96f}}},
              {{{.3f, .26f}, {.54f, .04f}, {.54f, .96f}}},
              {{{.32f, .24f}, {.52f, .04f}, {.52f, .95f}}, {{.28f, .95f}, {.76f, .95f}}}};
    case 2:
      return {{join(arc(.5f, .3f, .3f, .25f, -2, .6f), {{.2f, .94f}, {.84f, .94f}})},
              {join(arc(.48f, .28f, .28f, .23f, -2.3f, .5f),
                    {{.24f, .86f}, {.3f, .78f}, {.5f, .84f}, {.84f, .92f}})}};
    case 3:
      return {{join(arc(.46f, .28f, .28f, .23f, -2.2f, 1), arc(.46f, .73f, .32f, .23f, -1, 2.2f))},
              {join({{.2f, .06f}, {.76f, .06f}, {.44f, .4f}}, arc(.46f, .68f, .32f, .27f, -1, 2.2f))}};
    case 4:
      return {{{{.64f, .96f}, {.64f, .04f}, {.14f, .66f}, {.88f, .66f}}},
              {{{.26f, .06f}, {.2f, .54f}, {.78f, .54f}}, {{.7f, .06f}, {.68f, .96f}}}};
    case 5:
      return {{{{.78f, .06f}, {.3f, .06f}, {.26f, .44f}},
               join({{.26f, .44f}}, arc(.46f, .67f, .32f, .27f, -1.4f, 2.2f))},
              {join({{.8f, .06f}, {.36f, .06f}, {.28f, .46f}}, arc(.44f, .66f, .36f, .26f, -1, 2))}};
    case 6:
      return {{join({{.7f, .06f}, {.42f, .24f}, {.24f, .54f}}, arc(.5f, .7f, .27f, .25f, -2, 2.4f))},
              {join({{.56f, .04f}, {.3f, .48f}}, arc(.5f, .7f, .28f, .25f, -2.2f, 2.2f))}};
    case 7:
      return {{{{.18f, .07f}, {.8f, .07f}, {.4f, .96f}}},
              {{{.18f, .07f}, {.8f, .07f}, {.44f, .96f}}, {{.3f, .5f}, {.76f, .48f}}},
              {{{.18f, .2f}, {.2f, .07f}, {.8f, .07f}, {.56f, .5f}, {.5f, .96f}}}};
    case 8:
      return {{arc(.5f, .27f, .25f, .22f, 0, 4), arc(.5f, .73f, .31f, .24f, 0, 4)},
              {{{.74f, .14f},
                {.5f, .05f},
                {.27f, .16f},
                {.32f, .38f},
                {.7f, .62f},
                {.74f, .82f},
                {.5f, .95f},
                {.27f, .82f},
                {.3f, .62f},
                {.7f, .36f},
                {.74f, .14f}}}};
    default:
      return {{join(arc(.5f, .3f, .28f, .25f, 0, 4), {{.76f, .5f}, {.7f, .96f}})},
              {join(arc(.48f, .3f, .27f, .25f, -.4f, 3.6f), arc(.36f, .5f, .4f, .46f, -.4f, 1.2f))}};
  }
}

// Where a point of the glyph's box lands on the image: affine, and bent by one slow wave.
struct Warp {
  std::array<float, 6> affine{};
  std::array<float, 4> wave{};

  // `middle` is the glyph's centre and `height` its height, in pixels.
  Warp(Random& random, Point middle, float height) {
    const float angle = random.between(-.26f, .26f), shear = random.between(-.35f, .35f);
    const float tall = height, wide = height * random.between(.62f, 1.f);
    const float c = std::cos(angle), s = std::sin(angle);
    affine = {c * wide, (c * shear - s) * tall, 0, s * wide, (s * shear + c) * tall, 0};
    affine[2] = middle.x - (affine[0] + affine[1]) / 2;
    affine[5] = middle.y - (affine[3] + affine[4]) / 2;
    wave = {random.between(-1.3f, 1.3f), random.between(0, 6.28f), random.between(-1.3f, 1.3f),
            random.between(0, 6.28f)};
  }
  Point operator()(Point p) const {
    return {affine[0] * p.x + affine[1] * p.y + affine[2] + wave[0] * std::sin(wave[1] + 5 * p.y),
            affine[3] * p.x + affine[4] * p.y + affine[5] + wave[2] * std::sin(wave[3] + 5 * p.x)};
  }
};

// Ink in 0..1; strokes add as the darker of the two, so that crossings do not glow.
class Canvas {
 public:
  void draw(const Stroke& stroke, float width, float ink) {
    for (std::size_t i = 1; i < stroke.size(); ++i) segment(stroke[i - 1], stroke[i], width / 2, ink);
  }
  void draw(const Glyph& glyph, const Warp& warp, float width, float ink) {
    for (Stroke stroke : glyph) {
      for (Point& p : stroke) p = warp(p);
      draw(stroke, width, ink);
    }
  }
  // Covers the band of points within `half` of the line through `p` along `angle` with plain ink.
  void cover(Point p, float angle, float half, float ink) {
    for (int y = 0; y < kSide; ++y) {
      for (int x = 0; x < kSide; ++x) {
        const float away = std::abs((static_cast<float>(x) - p.x) * std::sin(angle) -
                                    (static_cast<float>(y) - p.y) * std::cos(angle));
        const float share = std::clamp(half - away + .5f, 0.f, 1.f);
        at(x, y) += (ink - at(x, y)) * share;
      }
    }
  }
  float& at(int x, int y) { return ink_[static_cast<std::size_t>(y * kSide + x)]; }

 private:
  void segment(Point a, Point b, float half, float ink) {
    const auto low = [&](float v) { return std::clamp(static_cast<int>(v - half - 1), 0, kSide - 1); };
    const auto high = [&](float v) { return std::clamp(static_cast<int>(v + half + 2), 0, kSide - 1); };
    const float dx = b.x - a.x, dy = b.y - a.y, length2 = dx * dx + dy * dy;
    for (int y = low(std::min(a.y, b.y)); y <= high(std::max(a.y, b.y)); ++y) {
      for (int x = low(std::min(a.x, b.x)); x <= high(std::max(a.x, b.x)); ++x) {
        const float px = static_cast<float>(x) - a.x, py = static_cast<float>(y) - a.y;
        const float t = length2 > 0 ? std::clamp((px * dx + py * dy) / length2, 0.f, 1.f) : 0;
        const float distance = std::hypot(px - t * dx, py - t * dy);
        at(x, y) = std::max(at(x, y), ink * std::clamp(half - distance + .5f, 0.f, 1.f));
      }
    }
  }

  std::array<float, kSide * kSide> ink_{};
};

// How far from an easy image one is made: 0 is clean, 1 the hardest.
// Never two random values among the arguments of one call: which comes first is the compiler's choice.
void draw_digit(const std::array<std::vector<Glyph>, kDigits>& glyphs, int digit, Random& random,
                std::uint8_t* pixels) {
  Canvas canvas;
  const float hardness = random.between(0, 1);
  const float ink = random.between(.95f - .35f * hardness, 1);
  const auto pick = [&](int d) -> const Glyph& {
    const auto& ways = glyphs[static_cast<std::size_t>(d)];
    return ways[static_cast<std::size_t>(random.below(static_cast<int>(ways.size())))];
  };

  // Pieces of other digits that reach in from outside, as neighbours in a house number do.
  const int pieces = random.below(2 + static_cast<int>(3.99f * hardness));
  for (int i = 0; i < pieces; ++i) {
    const float angle = random.between(0, 6.28f), away = random.between(12.5f, 17);
    const Point middle{13.5f + away * std::cos(angle), 13.5f + away * std::sin(angle)};
    const Warp warp(random, middle, random.between(14, 20));
    const float strength = random.between(.5f, 1), width = random.between(1.3f, 2.6f);
    canvas.draw(pick(random.below(kDigits)), warp, width, strength * ink);
  }

  const Point middle{13.5f + random.between(-3.f, 3.f), 13.5f + random.between(-3.f, 3.f)};
  const Warp warp(random, middle, random.between(12.5f, 20));
  const float width = random.between(1.3f, 3.2f);
  canvas.draw(pick(digit), warp, width, ink);

  // Scratches across, then a bar that hides a part.
  const int scratches = random.below(1 + static_cast<int>(3.99f * hardness));
  for (int i = 0; i < scratches; ++i) {
    const Point from{random.between(0, 27), random.between(0, 27)};
    const Point to{from.x + random.between(-12, 12), from.y + random.between(-12, 12)};
    const float strength = random.between(.4f, .9f), thickness = random.between(1, 1.8f);
    canvas.draw(Stroke{from, to}, thickness, strength * ink);
  }
  if (random.between(0, 1) < .8f * hardness) {
    const Point through{middle.x + random.between(-7, 7), middle.y + random.between(-8, 8)};
    const float shade = random.between(0, .5f), thickness = random.between(.8f, 1.9f);
    const float angle = random.between(0, 3.14f);
    canvas.cover(through, angle, thickness, shade);
  }

  const float tilt_x = random.between(-.01f, .01f) * hardness,
              tilt_y = random.between(-.01f, .01f) * hardness;
  const float floor = random.between(0, .2f) * hardness,
              sigma = .02f + .2f * hardness * random.between(.3f, 1);
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      const float light = floor + tilt_x * static_cast<float>(x - 14) + tilt_y * static_cast<float>(y - 14);
      const float value = light + (1 - floor) * canvas.at(x, y) + sigma * random.noise();
      *pixels++ = static_cast<std::uint8_t>(std::clamp(value, 0.f, 1.f) * 255 + .5f);
    }
  }
}

}  // namespace

Images draw_digits(std::size_t count, std::uint64_t seed) {
  std::array<std::vector<Glyph>, kDigits> glyphs;
  for (int d = 0; d < kDigits; ++d) glyphs[static_cast<std::size_t>(d)] = styles(d);
  Images out;
  out.set = "digits";
  out.shape = {1, kSide, kSide};
  out.classes = kDigits;
  out.pixels.resize(count * out.shape.bytes());
  out.labels.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    // A generator of its own, seeded through one step of another, keeps images independent of each other.
    Random random(Random(seed * 0x2545f4914f6cdd1du + i).bits());
    const int digit = static_cast<int>(i % kDigits);
    out.labels[i] = static_cast<std::uint8_t>(digit);
    draw_digit(glyphs, digit, random, out.pixels.data() + i * out.shape.bytes());
  }
  return out;
}

Images digits(ImageSplit split) {
  return split == ImageSplit::train ? draw_digits(kDigitsTrainImages, 1) : draw_digits(kDigitsTestImages, 2);
}

}  // namespace einet
