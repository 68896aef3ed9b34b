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
  for (const auto& folder : {directory, directory / "MNIST" / "raw"}) {
    if (holds_mnist(folder)) return read_mnist(folder, split);
  }
  for (const auto& folder : {directory, directory / "cifar-10-batches-bin"}) {
    if (holds_cifar10(folder)) return read_cifar10(folder, split);
  }
  return error("\"" + escape(source) +
               "\" holds neither MNIST (train-images-idx3-ubyte or .gz, here or in MNIST/raw) nor CIFAR-10 "
               "(data_batch_1.bin, here or in cifar-10-batches-bin); give a directory with one of them, or "
               "\"digits\" for the drawn set");
}

}  // namespace einet
