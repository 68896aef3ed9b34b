// From a file to a model's input: what is changed, what is said about it, and what is refused.
#include "tools/einet/input.h"

#include <numeric>
#include <sys/stat.h>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "config/files.h"
#include "sample_files.h"
#include "temporary_folder.h"

namespace einet::cli {
namespace {

using test::npy_file;
using test::npy_header;
using test::png_file;

using Shape = std::vector<std::uint32_t>;

std::vector<int> values(const Input& input) {
  std::vector<int> out;
  for (std::byte b : input.bytes) out.push_back(static_cast<int>(b));
  return out;
}

class InputFile : public testing::Test {
 protected:
  std::filesystem::path file(const std::string& bytes) {
    const auto path = folder_.path() / "in\nput";
    EXPECT_TRUE(write_file(path, bytes));
    return path;
  }
  std::string error_of(const std::string& bytes, const Shape& shape, Colours colours = Colours::as_they_are) {
    const auto input = read_input(file(bytes), shape, colours);
    if (input) return "";
    const std::string shown = folder_.path().string() + "/in\\x0aput: ";
    EXPECT_EQ(input.error().message.substr(0, shown.size()), shown);
    return input.error().message.substr(shown.size());
  }
  test::TemporaryFolder folder_;
};

TEST_F(InputFile, AFittingImageIsTakenAsItIs) {
  const auto input =
      read_input(file(png_file(2, 2, PNG_FORMAT_GRAY, {1, 2, 3, 4})), {1, 2, 2}, Colours::as_they_are);
  ASSERT_TRUE(input) << input.error().message;
  EXPECT_EQ(values(*input), (std::vector<int>{1, 2, 3, 4}));
  EXPECT_EQ(input->note, "");
  EXPECT_EQ(input->shape, (Shape{1, 2, 2}));
}

TEST_F(InputFile, ColoursBecomePlanes) {
  const auto input =
      read_input(file(png_file(2, 1, PNG_FORMAT_RGB, {1, 2, 3, 4, 5, 6})), {3, 1, 2}, Colours::as_they_are);
  ASSERT_TRUE(input);
  EXPECT_EQ(values(*input), (std::vector<int>{1, 4, 2, 5, 3, 6}));
}

TEST_F(InputFile, AnImageIsMadeToFitAndTheNoteSaysSo) {
  const std::vector<std::uint8_t> grey{0, 100, 200, 100, 0, 100, 200, 100};
  const auto small = read_input(file(png_file(4, 2, PNG_FORMAT_GRAY, grey)), {1, 1, 2}, Colours::as_they_are);
  ASSERT_TRUE(small);
  EXPECT_EQ(values(*small), (std::vector<int>{50, 150}));
  EXPECT_EQ(small->note, "resized from 4x2 to 2x1");
  const auto coloured =
      read_input(file(png_file(1, 1, PNG_FORMAT_GRAY, {7})), {3, 1, 1}, Colours::as_they_are);
  ASSERT_TRUE(coloured);
  EXPECT_EQ(values(*coloured), (std::vector<int>{7, 7, 7}));
  EXPECT_EQ(coloured->note, "grey used for all three colours");
  const auto both =
      read_input(file(png_file(1, 1, PNG_FORMAT_RGB, {255, 0, 0})), {1, 2, 1}, Colours::inverted);
  ASSERT_TRUE(both);
  EXPECT_EQ(values(*both), (std::vector<int>{255 - 76, 255 - 76}));
  EXPECT_EQ(both->note, "colours made grey, resized from 1x1 to 1x2");
}

TEST_F(InputFile, AnArrayMayLackOrHaveLeadingOnes) {
  for (const char* shape : {"(2, 2)", "(1, 2, 2)", "(1, 1, 2, 2)"}) {
    const auto input =
        read_input(file(npy_file(npy_header("|u1", shape), "abcd")), {1, 2, 2}, Colours::as_they_are);
    ASSERT_TRUE(input) << shape;
    EXPECT_EQ(input->shape, (Shape{1, 2, 2}));
  }
}

TEST_F(InputFile, WhatDoesNotFitIsRefusedInWords) {
  const std::string array = npy_file(npy_header("|u1", "(2, 3)"), "abcdef");
  EXPECT_EQ(error_of(array, {1, 2, 2}),
            "the array is 2x3; the model's input is 1x2x2 (channels, height, width)");
  EXPECT_EQ(error_of(array, {1, 2, 3}, Colours::inverted), "--invert is for images; invert the array itself");
  EXPECT_EQ(error_of("GIF89a", {1, 2, 2}),
            "is neither PNG, binary PGM or PPM, nor .npy; convert it to one of these");
  EXPECT_EQ(error_of("", {1, 2, 2}),
            "is neither PNG, binary PGM or PPM, nor .npy; convert it to one of these");
  const std::string image = png_file(1, 1, PNG_FORMAT_GRAY, {7});
  for (const Shape& shape :
       {Shape{2, 4, 4}, Shape{10}, Shape{}, Shape{1, 0, 4}, Shape{1, 4, 4'000'000'000}}) {
    EXPECT_NE(error_of(image, shape).find("which no image fits; give a .npy file of that shape"),
              std::string::npos);
  }
}

TEST_F(InputFile, WhatIsNoFileIsRefusedInWords) {
  const auto missing = read_input(folder_.path() / "none.png", {1, 2, 2}, Colours::as_they_are);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("none.png: cannot open: No such file or directory"),
            std::string::npos);
  EXPECT_FALSE(read_input(folder_.path(), {1, 2, 2}, Colours::as_they_are));
  ASSERT_EQ(::mkfifo((folder_.path() / "fifo").c_str(), 0600), 0);
  EXPECT_FALSE(read_input(folder_.path() / "fifo", {1, 2, 2}, Colours::as_they_are))
      << "and it does not hang";
}

TEST(Resize, KeepsTheMeanAndNeverLeavesTheRange) {
  EXPECT_TRUE(rc::check([] {
    Image image{*rc::gen::inRange(1u, 12u), *rc::gen::inRange(1u, 12u), 1, {}};
    for (std::uint32_t i = 0; i < image.width * image.height; ++i)
      image.pixels.push_back(*rc::gen::arbitrary<std::uint8_t>());
    const Image out = resize(image, *rc::gen::inRange(1u, 12u), *rc::gen::inRange(1u, 12u));
    RC_ASSERT(out.pixels.size() == std::size_t{out.width} * out.height);
    const auto mean = [](const Image& i) {
      return std::accumulate(i.pixels.begin(), i.pixels.end(), 0.0) / static_cast<double>(i.pixels.size());
    };
    RC_ASSERT(std::abs(mean(out) - mean(image)) <= 0.5 + 1e-9);  // each pixel is rounded once
  }));
}

TEST(Resize, ToTheSameSizeChangesNothing) {
  EXPECT_TRUE(rc::check([] {
    Image image{*rc::gen::inRange(1u, 9u), *rc::gen::inRange(1u, 9u), 3, {}};
    for (std::uint32_t i = 0; i < 3 * image.width * image.height; ++i)
      image.pixels.push_back(*rc::gen::arbitrary<std::uint8_t>());
    RC_ASSERT(resize(image, image.width, image.height).pixels == image.pixels);
  }));
}

}  // namespace
}  // namespace einet::cli
