#include "models/data/digits.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <gtest/gtest.h>

namespace einet {
namespace {

TEST(Digits, AreTheSameForTheSameSeedAlone) {
  const Images a = draw_digits(200, 7), b = draw_digits(200, 7), c = draw_digits(200, 8);
  EXPECT_EQ(a.pixels, b.pixels);
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_NE(a.pixels, c.pixels);
}

TEST(Digits, DoNotDependOnHowManyAreDrawn) {
  const Images few = draw_digits(30, 7), many = draw_digits(100, 7);
  EXPECT_TRUE(std::equal(few.pixels.begin(), few.pixels.end(), many.pixels.begin()));
}

TEST(Digits, HaveEveryLabelEquallyOften) {
  const Images images = draw_digits(500, 3);
  EXPECT_EQ(images.shape, (ImageShape{1, 28, 28}));
  EXPECT_EQ(images.pixels.size(), 500 * images.shape.bytes());
  for (int digit = 0; digit < images.classes; ++digit) {
    EXPECT_EQ(std::count(images.labels.begin(), images.labels.end(), digit), 50) << digit;
  }
}

TEST(Digits, HoldInkOnAMostlyDarkGround) {
  const Images images = draw_digits(1000, 5);
  for (std::size_t i = 0; i < images.size(); ++i) {
    const auto pixels = images.image(i);
    const auto bright = std::count_if(pixels.begin(), pixels.end(), [](std::uint8_t p) { return p > 110; });
    EXPECT_GE(bright, 10) << i;
    EXPECT_LE(bright, 784 * 6 / 10) << i;
  }
}

// If glyphs of one digit were not nearer to each other than to other digits', there would be nothing to
// learn.
TEST(Digits, OfOneLabelResembleEachOther) {
  const Images images = draw_digits(1000, 9);
  std::vector<double> mean(10 * images.shape.bytes());
  for (std::size_t i = 0; i < 900; ++i) {
    for (std::size_t p = 0; p < images.shape.bytes(); ++p) {
      mean[images.labels[i] * images.shape.bytes() + p] += images.image(i)[p] / 90.0;
    }
  }
  int right = 0;
  for (std::size_t i = 900; i < 1000; ++i) {
    const auto away = [&](std::size_t digit) {
      double sum = 0;
      for (std::size_t p = 0; p < images.shape.bytes(); ++p) {
        sum += std::pow(mean[digit * images.shape.bytes() + p] - images.image(i)[p], 2);
      }
      return sum;
    };
    std::size_t nearest = 0;
    for (std::size_t digit = 1; digit < 10; ++digit) nearest = away(digit) < away(nearest) ? digit : nearest;
    right += nearest == images.labels[i];
  }
  EXPECT_GE(right, 35);  // by chance: 10
  EXPECT_LE(right, 95);  // a set that the simplest classifier solves needs no network
}

TEST(Digits, OfTrainAndTestShareNoImage) {
  const Images train = digits(ImageSplit::train), test = digits(ImageSplit::test);
  ASSERT_EQ(train.size(), kDigitsTrainImages);
  ASSERT_EQ(test.size(), kDigitsTestImages);
  std::set<std::vector<std::uint8_t>> seen;
  for (std::size_t i = 0; i < test.size(); ++i) seen.insert({test.image(i).begin(), test.image(i).end()});
  EXPECT_EQ(seen.size(), test.size());
  for (std::size_t i = 0; i < train.size(); ++i) {
    ASSERT_FALSE(seen.contains({train.image(i).begin(), train.image(i).end()})) << i;
  }
}

TEST(Digits, ByNameAreTheBuiltInSet) {
  const auto images = load_images("digits", ImageSplit::test);
  ASSERT_TRUE(images);
  EXPECT_EQ(images->pixels, digits(ImageSplit::test).pixels);
}

}  // namespace
}  // namespace einet
