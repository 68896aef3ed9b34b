// Image and array files: the good ones pixel by pixel, and what is said of every kind of bad one.
#include "tools/einet/image.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "sample_files.h"

namespace einet::cli {
namespace {

using test::npy_file;
using test::npy_header;
using test::png_file;

std::string error_of(const auto& result) {
  return result ? "" : result.error().message;
}

const std::vector<std::uint8_t> kGrey{0, 50, 100, 150, 200, 255};

TEST(Png, GreyAndColourComeBackAsTheyAre) {
  const auto grey = decode_png(png_file(3, 2, PNG_FORMAT_GRAY, kGrey));
  ASSERT_TRUE(grey) << grey.error().message;
  EXPECT_EQ(grey->width, 3u);
  EXPECT_EQ(grey->height, 2u);
  EXPECT_EQ(grey->channels, 1u);
  EXPECT_EQ(grey->pixels, kGrey);
  const auto colour = decode_png(png_file(2, 1, PNG_FORMAT_RGB, kGrey));
  ASSERT_TRUE(colour);
  EXPECT_EQ(colour->channels, 3u);
  EXPECT_EQ(colour->pixels, kGrey);
}

TEST(Png, TransparentPartsAreBlack) {
  const auto image = decode_png(png_file(2, 1, PNG_FORMAT_RGBA, {255, 255, 255, 0, 9, 8, 7, 255}));
  ASSERT_TRUE(image);
  EXPECT_EQ(image->pixels, (std::vector<std::uint8_t>{0, 0, 0, 9, 8, 7}));
}

TEST(Png, CutShortAnywhereIsAnError) {
  const std::string good = png_file(3, 2, PNG_FORMAT_GRAY, kGrey);
  // The last 12 bytes are the IEND chunk, which holds nothing.
  for (std::size_t n = 0; n < good.size() - 12; ++n) EXPECT_FALSE(decode_png(good.substr(0, n))) << n;
}

TEST(Png, ADamagedByteIsAnErrorOrAWholeImage) {
  const std::string good = png_file(3, 2, PNG_FORMAT_GRAY, kGrey);
  int errors = 0;
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x41);
    const auto image = decode_png(bad);
    errors += image ? 0 : 1;
    if (image) {
      EXPECT_EQ(image->pixels.size(), std::size_t{image->width} * image->height * image->channels);
    }
  }
  EXPECT_GT(errors, 40);
}

TEST(Png, HugeDimensionsAreRefusedBeforeMemoryIsTaken) {
  // A header that announces 1,000,000 x 1,000,000 pixels, with a right checksum.
  std::string huge = png_file(3, 2, PNG_FORMAT_GRAY, kGrey).substr(0, 8);
  const std::string header = std::string("IHDR\0\x0f\x42\x40\0\x0f\x42\x40\x08\0\0\0\0", 17);
  std::uint32_t crc = 0xffffffff;
  for (unsigned char c : header) {
    crc ^= c;
    for (int k = 0; k < 8; ++k) crc = (crc & 1) != 0 ? 0xedb88320u ^ (crc >> 1) : crc >> 1;
  }
  crc = ~crc;
  huge += std::string("\0\0\0\x0d", 4) + header;
  for (int shift : {24, 16, 8, 0}) huge += static_cast<char>(crc >> shift & 0xff);
  huge += std::string("\0\0\0\0IDAT\x35\xaf\x06\x1e", 12);
  EXPECT_EQ(
      error_of(decode_png(huge)),
      "the image has 1000000 x 1000000 pixels; allowed are 1 to 16384 on each side and 64 Mi values in all");
}

TEST(Pnm, ReadsGreyAndColourWithComments) {
  const auto grey =
      decode_pnm("P5 # made by hand\n3 2\n# 8 bits\n255\n" + std::string(kGrey.begin(), kGrey.end()));
  ASSERT_TRUE(grey) << grey.error().message;
  EXPECT_EQ(grey->pixels, kGrey);
  const auto colour = decode_pnm("P6 2 1 255\n" + std::string(kGrey.begin(), kGrey.end()));
  ASSERT_TRUE(colour);
  EXPECT_EQ(colour->channels, 3u);
  EXPECT_EQ(colour->pixels, kGrey);
  EXPECT_EQ(decode_pnm(std::string("P5 2 1 15\n\x0f\0", 12)).value().pixels,
            (std::vector<std::uint8_t>{255, 0}));
}

TEST(Pnm, SaysWhatIsWrong) {
  EXPECT_EQ(error_of(decode_pnm("P4 1 1 1\n")), "not a binary PGM (P5) or PPM (P6)");
  EXPECT_EQ(error_of(decode_pnm("P5 3")), "the PGM or PPM header has no width, height and largest value");
  EXPECT_EQ(error_of(decode_pnm("P5 # no end")),
            "the PGM or PPM header has no width, height and largest value");
  EXPECT_EQ(error_of(decode_pnm("P5 -1 1 255\n")),
            "the PGM or PPM header has no width, height and largest value");
  EXPECT_EQ(error_of(decode_pnm("P5 2 2 65535\n        ")),
            "the largest value is 65535; only 1 to 255 (8 bits) can be read");
  EXPECT_EQ(error_of(decode_pnm("P5 2 2 255\nabc")),
            "the file ends early: 4 bytes of pixels are announced, 3 are there");
  EXPECT_EQ(error_of(decode_pnm("P5 2 2 255")),
            "the file ends early: 4 bytes of pixels are announced, 0 are there");
  EXPECT_EQ(
      error_of(decode_pnm("P6 16384 16384 255\n")),
      "the image has 16384 x 16384 pixels; allowed are 1 to 16384 on each side and 64 Mi values in all");
  EXPECT_NE(error_of(decode_pnm("P5 0 1 255\n")), "");
  EXPECT_NE(error_of(decode_pnm("P5 99999999999 1 255\n")), "");
}

TEST(Npy, ReadsBytesAndFloatsOfEveryVersion) {
  for (char version : {'\1', '\2', '\3'}) {
    const auto bytes = decode_npy(npy_file(npy_header("|u1", "(1, 2, 2)"), "abcd", version));
    ASSERT_TRUE(bytes) << bytes.error().message;
    EXPECT_EQ(bytes->dtype, wire::U8);
    EXPECT_EQ(bytes->shape, (std::vector<std::uint32_t>{1, 2, 2}));
    EXPECT_EQ(bytes->bytes.size(), 4u);
    EXPECT_EQ(bytes->bytes[3], std::byte{'d'});
  }
  const auto floats = decode_npy(npy_file(npy_header("<f4", "(2,)"), std::string(8, 'x')));
  ASSERT_TRUE(floats);
  EXPECT_EQ(floats->dtype, wire::F32);
  EXPECT_EQ(decode_npy(npy_file(npy_header("|u1", "()"), "a")).value().shape.size(), 0u);
}

TEST(Npy, SaysWhatIsWrong) {
  const auto of = [](const std::string& header, const std::string& data) {
    return error_of(decode_npy(npy_file(header, data)));
  };
  EXPECT_EQ(error_of(decode_npy("nonsense")), "not a .npy file");
  EXPECT_EQ(error_of(decode_npy("\x93NUMPY\x01")), "the .npy header is cut off");
  EXPECT_EQ(error_of(decode_npy(npy_file("{}", "abcd", '\x09'))), ".npy format 9 is unknown");
  EXPECT_EQ(error_of(decode_npy(npy_file(npy_header("|u1", "(4,)"), "").substr(0, 20))),
            "the .npy header is cut off");
  EXPECT_EQ(
      of(npy_header("<f8", "(1,)"), std::string(8, 'x')),
      "the array's type is \"<f8\"; allowed are uint8 and float32: save it with array.astype(numpy.float32)");
  EXPECT_EQ(of(npy_header("|u1", "(4,)"), "abc"), "the shape announces 4 bytes; the file has 3");
  EXPECT_EQ(of(npy_header("|u1", "(4,)"), "abcde"), "the shape announces 4 bytes; the file has 5");
  EXPECT_EQ(of(npy_header("|u1", "(0,)"), ""), "the array is empty or has more than 64 Mi elements");
  EXPECT_EQ(of(npy_header("|u1", "(4294967295, 4294967295, 4294967295)"), ""),
            "the array is empty or has more than 64 Mi elements");
  EXPECT_EQ(of("{'descr': '|u1', 'fortran_order': True, 'shape': (4,), }", "abcd"),
            "the array is column-major; save it with numpy.ascontiguousarray(array)");
  for (const char* header :
       {"", "{", "{}", "{'descr': '|u1'}", "{'descr': '|u1', 'fortran_order': False, 'shape': (4,",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-4,), }", "{'shape': (4,), 'shape': (4,)}",
        "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (4,), }", "{'x': 1}",
        "{'descr': '|u1', 'fortran_order': Maybe, 'shape': (4,), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,4), }"}) {
    EXPECT_EQ(of(header, "abcd"), "the .npy header is not one that numpy.save writes") << header;
  }
}

TEST(Npy, AnyHeaderIsReadOrRefused) {
  EXPECT_TRUE(rc::check([](const std::string& header, const std::string& data) {
    const auto array = decode_npy(npy_file(header, data));
    if (array) RC_ASSERT(array->bytes.size() == data.size());
  }));
}

}  // namespace
}  // namespace einet::cli
