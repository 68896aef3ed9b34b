#include "models/data/files.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <zlib.h>

#include "config/bytes.h"
#include "config/files.h"

namespace einet {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxImages = 70'000;
constexpr int kMaxSide = 64;
constexpr ByteCount kMaxFile{256u << 20};

constexpr std::string_view kMnistFirst = "train-images-idx3-ubyte";
constexpr std::string_view kCifar10First = "data_batch_1.bin";
constexpr std::string_view kCifar100First = "train.bin";
constexpr std::size_t kCifarPixels = 3 * 32 * 32;

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

Result<FileBytes> read_bytes(const fs::path& path) {
  auto bytes = read_file(path, kMaxFile);
  if (!bytes) return bytes.error();
  return FileBytes{path, std::move(*bytes)};
}

// The file, or the unpacked file with .gz.
Result<FileBytes> read_plain_or_gz(const fs::path& path) {
  if (is_file(path)) return read_bytes(path);
  const fs::path with_gz = path.string() + ".gz";
  if (!is_file(with_gz))
    return error(path.string() + ": neither this file nor " + with_gz.filename().string());
  const auto packed = read_bytes(with_gz);
  if (!packed) return packed.error();
  auto bytes = unpack_gzip(*packed, kMaxFile);
  if (!bytes) return bytes.error();
  return FileBytes{path, std::move(*bytes)};
}

std::uint32_t big_endian(std::string_view bytes, std::size_t at) {
  std::uint32_t v = 0;
  for (std::size_t i = 0; i < 4; ++i) v = v << 8 | static_cast<std::uint8_t>(bytes[at + i]);
  return v;
}

// An IDX file of unsigned bytes: 00 00 08 <rank>, then the sizes, then the data.
struct Idx {
  std::vector<std::uint32_t> sizes;
  std::string_view data;
};

Result<Idx> parse_idx(const FileBytes& file, std::size_t rank) {
  const auto& [path, bytes] = file;
  const std::size_t header = 4 + 4 * rank;
  if (bytes.size() < header) {
    return error(path.string() + ": has " + std::to_string(bytes.size()) +
                 " bytes, less than its header of " + std::to_string(header));
  }
  const std::uint32_t magic = big_endian(bytes, 0), expected = 0x0800u + static_cast<std::uint32_t>(rank);
  if (magic != expected) {
    return error(path.string() + ": its magic number is " + std::to_string(magic) + ", not " +
                 std::to_string(expected) + "; it is not an IDX file of the expected kind");
  }
  Idx idx;
  std::uint64_t count = 1;
  for (std::size_t i = 0; i < rank; ++i) {
    const std::uint32_t size = big_endian(bytes, 4 + 4 * i);
    const std::uint32_t most = i == 0 ? static_cast<std::uint32_t>(kMaxImages) : kMaxSide;
    if (size == 0 || size > most) {
      return error(path.string() + ": size " + std::to_string(i) + " is " + std::to_string(size) +
                   "; allowed: 1 to " + std::to_string(most));
    }
    idx.sizes.push_back(size);
    count *= size;
  }
  if (bytes.size() - header != count) {
    return error(path.string() + ": has " + std::to_string(bytes.size() - header) +
                 " bytes of data, its header says " + std::to_string(count));
  }
  idx.data = std::string_view(bytes).substr(header);
  return idx;
}

Result<void> read_cifar(const fs::path& path, CifarLabels labels, std::size_t count, Images& out) {
  const auto file = read_bytes(path);
  if (!file) return file.error();
  return append_cifar(*file, labels, count, out);
}

Images no_images(std::string set, ImageShape shape, int classes) {
  Images out;
  out.set = std::move(set);
  out.shape = shape;
  out.classes = classes;
  return out;
}

std::vector<std::uint8_t> to_bytes(std::string_view text) {
  return {text.begin(), text.end()};
}

Result<void> check_labels(const fs::path& path, const Images& images) {
  const auto bad = std::find_if(images.labels.begin(), images.labels.end(),
                                [&](std::uint8_t label) { return label >= images.classes; });
  if (bad == images.labels.end()) return {};
  return error(path.string() + ": label " + std::to_string(bad - images.labels.begin()) + " is " +
               std::to_string(*bad) + "; allowed: 0 to " + std::to_string(images.classes - 1));
}

}  // namespace

bool holds_mnist(const fs::path& directory) {
  const fs::path path = directory / kMnistFirst;
  return is_file(path) || is_file(path.string() + ".gz");
}

bool holds_cifar10(const fs::path& directory) {
  return is_file(directory / kCifar10First);
}

bool holds_cifar100(const fs::path& directory) {
  return is_file(directory / kCifar100First);
}

Result<Images> read_mnist(const fs::path& directory, ImageSplit split) {
  const std::string prefix = split == ImageSplit::train ? "train" : "t10k";
  const auto images = read_plain_or_gz(directory / (prefix + "-images-idx3-ubyte"));
  if (!images) return images.error();
  const auto labels = read_plain_or_gz(directory / (prefix + "-labels-idx1-ubyte"));
  if (!labels) return labels.error();
  return parse_mnist(*images, *labels);
}

Result<Images> read_cifar10(const fs::path& directory, ImageSplit split) {
  std::vector<std::string> names = {"test_batch.bin"};
  if (split == ImageSplit::train) {
    names.clear();
    for (int i = 1; i <= 5; ++i) names.push_back("data_batch_" + std::to_string(i) + ".bin");
  }
  Images out = no_images("cifar-10", {3, 32, 32}, 10);
  for (const std::string& name : names) {
    if (auto ok = read_cifar(directory / name, CifarLabels::ten, 10'000, out); !ok) return ok.error();
  }
  return out;
}

Result<Images> read_cifar100(const fs::path& directory, ImageSplit split) {
  const bool train = split == ImageSplit::train;
  Images out = no_images("cifar-100", {3, 32, 32}, 100);
  if (auto ok = read_cifar(directory / (train ? "train.bin" : "test.bin"), CifarLabels::coarse_and_hundred,
                           train ? 50'000 : 10'000, out);
      !ok) {
    return ok.error();
  }
  return out;
}

Result<std::string> unpack_gzip(const FileBytes& packed, ByteCount limit) {
  z_stream stream{};
  constexpr int kGzip = 16 + MAX_WBITS;
  if (inflateInit2(&stream, kGzip) != Z_OK) return error(packed.path.string() + ": zlib cannot start");
  std::string input(packed.bytes);
  stream.next_in = reinterpret_cast<Bytef*>(input.data());
  stream.avail_in = static_cast<uInt>(input.size());
  std::string out;
  int status = Z_OK;
  while (status == Z_OK && out.size() <= limit.value) {
    const std::size_t done = out.size();
    out.resize(done + (std::size_t{1} << 20));
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + done);
    stream.avail_out = static_cast<uInt>(out.size() - done);
    status = inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  if (out.size() > limit.value) {
    return error(packed.path.string() + ": unpacks to more than " + format_bytes(limit));
  }
  if (status != Z_STREAM_END) return error(packed.path.string() + ": is truncated or not a gzip file");
  return out;
}

Result<Images> parse_mnist(const FileBytes& images, const FileBytes& labels) {
  const auto pixels = parse_idx(images, 3);
  if (!pixels) return pixels.error();
  const auto classes = parse_idx(labels, 1);
  if (!classes) return classes.error();
  if (pixels->sizes[0] != classes->sizes[0]) {
    return error(images.path.string() + ": has " + std::to_string(pixels->sizes[0]) + " images, " +
                 labels.path.filename().string() + " has " + std::to_string(classes->sizes[0]) + " labels");
  }
  Images out =
      no_images("mnist", {1, static_cast<int>(pixels->sizes[1]), static_cast<int>(pixels->sizes[2])}, 10);
  out.pixels = to_bytes(pixels->data);
  out.labels = to_bytes(classes->data);
  if (auto ok = check_labels(labels.path, out); !ok) return ok.error();
  return out;
}

Result<void> append_cifar(const FileBytes& file, CifarLabels labels, std::size_t count, Images& out) {
  const std::size_t label_bytes = labels == CifarLabels::ten ? 1 : 2;
  const std::size_t record = label_bytes + kCifarPixels, expected = count * record;
  if (file.bytes.size() != expected) {
    return error(file.path.string() + ": has " + std::to_string(file.bytes.size()) +
                 " bytes; the published file has " + std::to_string(expected) + " (" + std::to_string(count) +
                 " images); it is " +
                 (file.bytes.size() < expected ? "cut short or of another set" : "of another set") +
                 ", fetch it again");
  }
  for (std::size_t at = 0; at < file.bytes.size(); at += record) {
    const auto* first = reinterpret_cast<const std::uint8_t*>(file.bytes.data()) + at;
    out.labels.push_back(first[label_bytes - 1]);
    out.pixels.insert(out.pixels.end(), first + label_bytes, first + record);
    constexpr int kCoarse = 20;
    if (label_bytes == 2 && first[0] >= kCoarse) {
      return error(file.path.string() + ": the coarse label of image " + std::to_string(at / record) +
                   " is " + std::to_string(first[0]) + "; allowed: 0 to " + std::to_string(kCoarse - 1));
    }
  }
  return check_labels(file.path, out);
}

}  // namespace einet
