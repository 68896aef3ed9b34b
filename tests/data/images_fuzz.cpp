// libFuzzer: any bytes as a file of MNIST, packed or not, or of CIFAR. What is accepted is whole. The first
// byte chooses the reader; for MNIST the second says how long the file of images is, that of the labels
// follows.
#include <algorithm>
#include <cstdlib>

#include "models/data/files.h"

namespace einet {
namespace {

void require_whole(const Images& images) {
  const auto right = [&](std::uint8_t label) { return label < images.classes; };
  if (images.pixels.size() != images.size() * images.shape.bytes()) std::abort();
  if (!std::all_of(images.labels.begin(), images.labels.end(), right)) std::abort();
}

void try_cifar(const std::string& bytes, CifarLabels labels) {
  Images images;
  images.shape = {3, 32, 32};
  images.classes = labels == CifarLabels::ten ? 10 : 100;
  if (append_cifar({"file", bytes}, labels, std::max<std::size_t>(1, bytes.size() / 3072), images)) {
    require_whole(images);
  }
}

}  // namespace
}  // namespace einet

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace einet;
  if (size < 2) return 0;
  const std::string bytes(data + 1, data + size);
  switch (data[0] % 4) {
    case 0:
      (void)unpack_gzip({"file", bytes}, ByteCount{1u << 20});
      break;
    case 1: {
      const std::size_t middle = std::min<std::size_t>(1 + data[1], bytes.size());
      const auto images =
          parse_mnist({"images", bytes.substr(1, middle - 1)}, {"labels", bytes.substr(middle)});
      if (images) require_whole(*images);
      break;
    }
    case 2:
      try_cifar(bytes, CifarLabels::ten);
      break;
    default:
      try_cifar(bytes, CifarLabels::coarse_and_hundred);
  }
  return 0;
}
