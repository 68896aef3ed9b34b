#include "models/data/images.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "config/check.h"
#include "config/text.h"
#include "models/data/digits.h"
#include "models/data/files.h"

namespace einet {
namespace {

struct Set {
  std::string_view name, folder, first_file;
  bool (*is_in)(const std::filesystem::path&);
  Result<Images> (*read)(const std::filesystem::path&, ImageSplit);
};
constexpr std::array<Set, 3> kSets = {
    {{"mnist", "MNIST/raw", "train-images-idx3-ubyte or .gz", holds_mnist, read_mnist},
     {"cifar-10", "cifar-10-batches-bin", "data_batch_1.bin", holds_cifar10, read_cifar10},
     {"cifar-100", "cifar-100-binary", "train.bin", holds_cifar100, read_cifar100}}};

}  // namespace

Images Images::slice(std::size_t first, std::size_t count) const {
  EINET_CHECK(first <= size() && count <= size() - first, "the slice lies within the images");
  Images out;
  out.set = set;
  out.shape = shape;
  out.classes = classes;
  const auto bytes = std::span(pixels).subspan(first * shape.bytes(), count * shape.bytes());
  const auto names = std::span(labels).subspan(first, count);
  out.pixels.assign(bytes.begin(), bytes.end());
  out.labels.assign(names.begin(), names.end());
  return out;
}

Result<Images> load_images(std::string_view source, ImageSplit split) {
  if (source == "digits") return digits(split);
  const bool named = std::any_of(kSets.begin(), kSets.end(), [&](const Set& s) { return s.name == source; });
  const char* const root = std::getenv("EINET_DATA");
  if (named && root == nullptr) {
    return error(
        "\"" + std::string(source) +
        "\" is looked for in the directory that EINET_DATA names, which is not set; set it, or give the "
        "directory");
  }
  const std::filesystem::path directory(named ? root : source);
  for (const Set& set : kSets) {
    if (named && set.name != source) continue;
    for (const auto& folder : {directory, directory / set.folder}) {
      if (set.is_in(folder)) return set.read(folder, split);
    }
  }
  std::string sets;
  for (const Set& set : kSets) {
    if (named && set.name != source) continue;
    sets += (sets.empty() ? "" : "; ") + std::string(set.name) + " (" + std::string(set.first_file) +
            ", here or in " + std::string(set.folder) + ")";
  }
  return error("\"" + escape(directory.string()) + "\" does not hold " + sets +
               "; give a directory with it, or \"digits\" for the drawn set");
}

}  // namespace einet
