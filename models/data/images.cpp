#include "models/data/images.h"

#include "config/check.h"
#include "config/text.h"
#include "models/data/digits.h"
#include "models/data/files.h"

namespace einet {

Images Images::slice(std::size_t first, std::size_t count) const {
  EINET_CHECK(first <= size() && count <= size() - first, "the slice lies within the images");
  Images out;
  out.shape = shape;
  out.classes = classes;
  const auto bytes = std::span(pixels).subspan(first * shape.bytes(), count * shape.bytes());
  const auto names = std::span(labels).subspan(first, count);
  out.pixels.assign(bytes.begin(), bytes.end());
  out.labels.assign(names.begin(), names.end());
  return out;
}

Result<Images> load_images(std::string_view source, Split split) {
  if (source == "digits") return digits(split);
  const std::filesystem::path directory(source);
  if (holds_mnist(directory)) return read_mnist(directory, split);
  if (holds_cifar10(directory)) return read_cifar10(directory, split);
  return error(
      "\"" + escape(source) +
      "\" holds neither MNIST (train-images-idx3-ubyte or .gz) nor CIFAR-10 (data_batch_1.bin); give a "
      "directory with one of them, or \"digits\" for the drawn set");
}

}  // namespace einet
