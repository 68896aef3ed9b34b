#include "models/data/files.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <zlib.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "temporary_folder.h"

namespace einet {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

std::string number(std::uint32_t v) {
  return {static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8),
          static_cast<char>(v)};
}

// 3 images of 2 x 4 with pixels 0, 1, 2, … and labels 7, 0, 9.
std::string image_file(std::uint32_t magic = 0x803, std::uint32_t count = 3, std::uint32_t side = 4) {
  std::string bytes = number(magic) + number(count) + number(2) + number(side);
  for (int i = 0; i < 24; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}
std::string label_file(std::string labels = std::string("\7\0\11", 3)) {
  return number(0x801) + number(static_cast<std::uint32_t>(labels.size())) + labels;
}

class Files : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& bytes) {
    std::ofstream(directory_ / name, std::ios::binary) << bytes;
  }
  void write_gz(const std::string& name, const std::string& bytes) {
    gzFile file = gzopen((directory_ / name).c_str(), "wb");
    gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(file);
  }
  std::string read(const std::string& name) {
    std::ifstream file(directory_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write_mnist(const std::string& images, const std::string& labels) {
    write("t10k-images-idx3-ubyte", images);
    write("t10k-labels-idx1-ubyte", labels);
  }
  std::string mnist_error() {
    const auto images = read_mnist(directory_, ImageSplit::test);
    return images ? "" : images.error().message;
  }

  test::TemporaryFolder temporary_;
  const fs::path directory_ = temporary_.path();
};

TEST_F(Files, MnistIsReadPlain) {
  write_mnist(image_file(), label_file());
  const auto images = read_mnist(directory_, ImageSplit::test);
  ASSERT_TRUE(images) << images.error().message;
  EXPECT_EQ(images->set, "mnist");
  EXPECT_EQ(images->shape, (ImageShape{1, 2, 4}));
  EXPECT_THAT(images->labels, ::testing::ElementsAre(7, 0, 9));
  EXPECT_THAT(images->image(1), ::testing::ElementsAre(8, 9, 10, 11, 12, 13, 14, 15));
}

TEST_F(Files, MnistIsReadCompressed) {
  write_gz("t10k-images-idx3-ubyte.gz", image_file());
  write_gz("t10k-labels-idx1-ubyte.gz", label_file());
  const auto images = read_mnist(directory_, ImageSplit::test);
  ASSERT_TRUE(images) << images.error().message;
  EXPECT_EQ(images->size(), 3u);
}

TEST_F(Files, TheRightSetIsFoundByItsFiles) {
  write("train-images-idx3-ubyte", image_file());
  write("train-labels-idx1-ubyte", label_file());
  const auto images = load_images(directory_.string(), ImageSplit::train);
  ASSERT_TRUE(images) << images.error().message;
  EXPECT_EQ(images->size(), 3u);
}

TEST_F(Files, ASetIsFoundInTheFolderOfItsUsualNameToo) {
  std::filesystem::create_directories(directory_ / "MNIST" / "raw");
  write("MNIST/raw/train-images-idx3-ubyte", image_file());
  write("MNIST/raw/train-labels-idx1-ubyte", label_file());
  const auto images = load_images(directory_.string(), ImageSplit::train);
  ASSERT_TRUE(images) << images.error().message;
  EXPECT_EQ(images->size(), 3u);
}

TEST_F(Files, AFolderWithoutASetIsRefusedWithWhatWasLookedFor) {
  const auto images = load_images(directory_.string(), ImageSplit::train);
  ASSERT_FALSE(images);
  EXPECT_THAT(
      images.error().message,
      HasSubstr("does not hold mnist (train-images-idx3-ubyte or .gz, here or in MNIST/raw); cifar-10"));
  EXPECT_THAT(images.error().message, HasSubstr("\"digits\""));
}

TEST_F(Files, MnistTruncatedAtAnyByteIsRefused) {
  const std::string images = image_file(), labels = label_file();
  for (std::size_t cut = 0; cut < images.size(); ++cut) {
    write_mnist(images.substr(0, cut), labels);
    EXPECT_THAT(mnist_error(), HasSubstr("t10k-images-idx3-ubyte: has")) << cut;
  }
  for (std::size_t cut = 0; cut < labels.size(); ++cut) {
    write_mnist(images, labels.substr(0, cut));
    EXPECT_THAT(mnist_error(), HasSubstr("t10k-labels-idx1-ubyte: has")) << cut;
  }
}

TEST_F(Files, MnistWithBytesLeftOverIsRefused) {
  write_mnist(image_file() + "x", label_file());
  EXPECT_THAT(mnist_error(), HasSubstr("has 25 bytes of data, its header says 24"));
}

TEST_F(Files, MnistOfAnotherMagicNumberIsRefused) {
  write_mnist(image_file(0x801), label_file());
  EXPECT_THAT(mnist_error(), HasSubstr("magic number is 2049, not 2051"));
}

TEST_F(Files, MnistOfAbsurdSizesIsRefusedBeforeMemoryIsTaken) {
  write_mnist(image_file(0x803, 0xffffffff), label_file());
  EXPECT_THAT(mnist_error(), HasSubstr("size 0 is 4294967295; allowed: 1 to 70000"));
  write_mnist(image_file(0x803, 3, 0), label_file());
  EXPECT_THAT(mnist_error(), HasSubstr("size 2 is 0; allowed: 1 to 64"));
}

TEST_F(Files, MnistWithUnequalCountsIsRefused) {
  write_mnist(image_file(), label_file("\1\2"));
  EXPECT_THAT(mnist_error(), HasSubstr("has 3 images, t10k-labels-idx1-ubyte has 2 labels"));
}

TEST_F(Files, MnistWithALabelThatIsNoDigitIsRefused) {
  write_mnist(image_file(), label_file("\1\2\12"));
  EXPECT_THAT(mnist_error(), HasSubstr("label 2 is 10; allowed: 0 to 9"));
}

TEST_F(Files, MnistWithoutItsLabelsIsRefused) {
  write("t10k-images-idx3-ubyte", image_file());
  EXPECT_THAT(mnist_error(), HasSubstr("t10k-labels-idx1-ubyte: neither this file nor"));
}

TEST_F(Files, ATruncatedGzipIsRefused) {
  write_gz("t10k-images-idx3-ubyte.gz", image_file());
  write_gz("t10k-labels-idx1-ubyte.gz", label_file());
  const std::string packed = read("t10k-images-idx3-ubyte.gz");
  for (std::size_t cut = 0; cut < packed.size(); ++cut) {
    write("t10k-images-idx3-ubyte.gz", packed.substr(0, cut));
    EXPECT_THAT(mnist_error(), HasSubstr("is truncated or not a gzip file")) << cut;
  }
}

TEST_F(Files, AGzipThatUnpacksToTooMuchIsRefused) {
  write_gz("t10k-images-idx3-ubyte.gz", std::string((256u << 20) + 1, '\0'));
  EXPECT_THAT(mnist_error(), HasSubstr("unpacks to more than 256MiB"));
}

// Published sizes: 10,000 records in each of these files.
class CifarFiles : public Files {
 protected:
  // A file of `bytes` bytes, all `fill` but the first ones.
  void write_large(const std::string& name, std::size_t bytes, const std::string& first, char fill = 1) {
    std::string content = first + std::string(bytes - first.size(), fill);
    write(name, content);
  }
  static constexpr std::size_t kCifar10 = 10'000 * 3073, kCifar100 = 10'000 * 3074;
  template <class Read>
  std::string error_of(Read read_set) {
    const auto images = read_set(directory_, ImageSplit::test);
    return images ? "" : images.error().message;
  }
};

TEST_F(CifarFiles, OfCifar10AreReadAndBadOnesRefused) {
  EXPECT_THAT(error_of(read_cifar10), HasSubstr("test_batch.bin"));
  write_large("test_batch.bin", kCifar10, "\3p");
  const auto images = read_cifar10(directory_, ImageSplit::test);
  ASSERT_TRUE(images) << images.error().message;
  EXPECT_EQ(images->shape, (ImageShape{3, 32, 32}));
  EXPECT_EQ(images->set, "cifar-10");
  EXPECT_EQ(images->classes, 10);
  ASSERT_EQ(images->size(), 10'000u);
  EXPECT_EQ(images->labels[0], 3);
  EXPECT_EQ(images->labels[9999], 1);
  EXPECT_EQ(images->image(0)[0], 'p');
  EXPECT_EQ(images->image(0)[1], 1);
  write_large("test_batch.bin", kCifar10 - 3073, "\3");
  EXPECT_THAT(error_of(read_cifar10), HasSubstr("has 30726927 bytes; the published file has 30730000"));
  write("test_batch.bin", "");
  EXPECT_THAT(error_of(read_cifar10), HasSubstr("cut short"));
  write_large("test_batch.bin", kCifar10, "\13");
  EXPECT_THAT(error_of(read_cifar10), HasSubstr("label 0 is 11; allowed: 0 to 9"));
  write_large("test_batch.bin", kCifar100, "\3");
  EXPECT_THAT(error_of(read_cifar10), HasSubstr("of another set"));
}

TEST_F(CifarFiles, OfCifar100AreReadAndBadOnesRefused) {
  EXPECT_THAT(error_of(read_cifar100), HasSubstr("test.bin"));
  write_large("test.bin", kCifar100, "\23\143p");
  const auto images = read_cifar100(directory_, ImageSplit::test);
  ASSERT_TRUE(images) << images.error().message;
  EXPECT_EQ(images->set, "cifar-100");
  EXPECT_EQ(images->classes, 100);
  ASSERT_EQ(images->size(), 10'000u);
  EXPECT_EQ(images->labels[0], 99);
  EXPECT_EQ(images->image(0)[0], 'p');
  EXPECT_EQ(images->image(9999)[3071], 1);
  write_large("test.bin", kCifar100, "\24\143");
  EXPECT_THAT(error_of(read_cifar100), HasSubstr("coarse label of image 0 is 20; allowed: 0 to 19"));
  write_large("test.bin", kCifar100, "\23\144");
  EXPECT_THAT(error_of(read_cifar100), HasSubstr("label 0 is 100; allowed: 0 to 99"));
  write_large("test.bin", kCifar10, "\1");
  EXPECT_THAT(error_of(read_cifar100), HasSubstr("has 30730000 bytes; the published file has 30740000"));
}

TEST_F(CifarFiles, AreFoundByTheirNameInTheDirectoryOfTheEnvironment) {
  ASSERT_EQ(::unsetenv("EINET_DATA"), 0);
  EXPECT_THAT(load_images("cifar-100", ImageSplit::test).error().message,
              HasSubstr("EINET_DATA names, which is not set"));
  ASSERT_EQ(::setenv("EINET_DATA", directory_.c_str(), 1), 0);
  EXPECT_THAT(load_images("cifar-100", ImageSplit::test).error().message,
              HasSubstr("does not hold cifar-100 (train.bin, here or in cifar-100-binary)"));
  fs::create_directories(directory_ / "cifar-100-binary");
  // MNIST beside it is not taken in its place.
  write("train-images-idx3-ubyte", image_file());
  write("cifar-100-binary/train.bin", "");
  write_large("cifar-100-binary/test.bin", kCifar100, "");
  const auto images = load_images("cifar-100", ImageSplit::test);
  ASSERT_TRUE(images) << images.error().message;
  EXPECT_EQ(images->set, "cifar-100");
  ASSERT_EQ(::unsetenv("EINET_DATA"), 0);
}

}  // namespace
}  // namespace einet
