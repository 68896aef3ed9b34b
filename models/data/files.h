// Readers of the published image files: MNIST in IDX files, plain or gzip-compressed, and CIFAR-10 and
// CIFAR-100 in their binary versions. The files are foreign data: sizes are bounded before memory is taken,
// and every count is checked against the bytes that are there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "config/bytes.h"
#include "config/result.h"
#include "models/data/images.h"

namespace einet {

// True if `directory` holds the first file of the set.
bool holds_mnist(const std::filesystem::path& directory);
bool holds_cifar10(const std::filesystem::path& directory);
bool holds_cifar100(const std::filesystem::path& directory);

// train-images-idx3-ubyte and train-labels-idx1-ubyte (t10k-… for the test split), each plain or with .gz;
// the plain file is preferred. Format: http://yann.lecun.com/exdb/mnist. At most 70,000 images of at most 64
// x 64. Error: a file is missing, truncated, too long, of another magic number, or the counts of the two
// differ.
Result<Images> read_mnist(const std::filesystem::path& directory, ImageSplit split);

// data_batch_1.bin … data_batch_5.bin (test_batch.bin for the test split), 10,000 records each of one label
// byte and 3 x 32 x 32 pixel bytes. Error: a file is missing, cut short, of another set, or holds a label
// > 9. Format of both: https://www.cs.toronto.edu/~kriz/cifar.html.
Result<Images> read_cifar10(const std::filesystem::path& directory, ImageSplit split);

// train.bin (test.bin), 50,000 (10,000) records of a coarse label, which is checked and dropped, a fine label
// and 3 x 32 x 32 pixel bytes. Error: as above; labels are at most 19 and 99.
Result<Images> read_cifar100(const std::filesystem::path& directory, ImageSplit split);

// --- What the readers make of a file's bytes. The path is for messages. ---

struct FileBytes {
  std::filesystem::path path;
  std::string bytes;
};

// Of a .gz file. Error: it is not one, is truncated, or unpacks to more than `limit`.
Result<std::string> unpack_gzip(const FileBytes& packed, ByteCount limit);

Result<Images> parse_mnist(const FileBytes& images, const FileBytes& labels);

enum class CifarLabels : std::uint8_t { ten, coarse_and_hundred };
// Appends a file's images to `out`, whose classes bound the labels. Error: as above, or not `count` images.
Result<void> append_cifar(const FileBytes& file, CifarLabels, std::size_t count, Images& out);

}  // namespace einet
