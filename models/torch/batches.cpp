#include "models/torch/batches.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include <torch/utils.h>

namespace einet {
namespace {

constexpr int kPadding = 4;  // of images that are cropped

}  // namespace

Shape shape_of(const Images& images) {
  return {images.shape.channels, images.shape.height, images.shape.width};
}

Normalisation measure(const Images& images) {
  const auto channels = static_cast<std::size_t>(images.shape.channels);
  const std::size_t plane = images.shape.bytes() / channels;
  std::vector<double> sum(channels), squares(channels);
  for (std::size_t i = 0; i < images.pixels.size(); ++i) {
    const double v = images.pixels[i] / 255.0;
    sum[i / plane % channels] += v;
    squares[i / plane % channels] += v * v;
  }
  Normalisation out;
  const double n = static_cast<double>(images.size() * plane);
  for (std::size_t c = 0; c < channels; ++c) {
    const double mean = sum[c] / n;
    out.mean.push_back(static_cast<float>(mean));
    out.deviation.push_back(static_cast<float>(std::max(1e-3, std::sqrt(squares[c] / n - mean * mean))));
  }
  return out;
}

// SplitMix64, Fisher-Yates.
std::vector<std::int64_t> epoch_order(std::size_t images, std::uint64_t seed, int epoch) {
  std::vector<std::int64_t> order(images);
  std::iota(order.begin(), order.end(), 0);
  std::uint64_t state = seed * 0x9e3779b97f4a7c15u + static_cast<std::uint64_t>(epoch) * 0xd1342543de82ef95u;
  for (std::size_t i = images; i > 1; --i) {
    std::uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    std::swap(order[i - 1], order[(z ^ z >> 31) % i]);
  }
  return order;
}

Normaliser::Normaliser(const Normalisation& n, torch::Device device) {
  const auto channels = static_cast<std::int64_t>(n.mean.size());
  mean_ = torch::tensor(n.mean).view({1, channels, 1, 1}).to(device);
  deviation_ = torch::tensor(n.deviation).view({1, channels, 1, 1}).to(device);
}

torch::Tensor Normaliser::operator()(const torch::Tensor& bytes) const {
  return ((bytes.to(torch::kFloat32) / 255 - mean_) / deviation_)
      .contiguous(torch::MemoryFormat::ChannelsLast);
}

DeviceImages::DeviceImages(const Images& images, torch::Device device) {
  const auto n = static_cast<std::int64_t>(images.size());
  const auto& s = images.shape;
  // from_blob wants a pointer to non-const; nothing writes through it.
  pixels = torch::from_blob(const_cast<std::uint8_t*>(images.pixels.data()),
                            {n, s.channels, s.height, s.width}, torch::kUInt8)
               .to(device);
  labels = torch::from_blob(const_cast<std::uint8_t*>(images.labels.data()), {n}, torch::kUInt8)
               .to(device)
               .to(torch::kInt64);
}

Changes::Changes(Augmentation augmentation, std::size_t images, torch::Device device)
    : augmentation_(augmentation) {
  if (augmentation == Augmentation::none) return;
  const auto n = static_cast<std::int64_t>(images);
  row_ = torch::randint(2 * kPadding + 1, {n}, torch::kInt64).to(device);
  column_ = torch::randint(2 * kPadding + 1, {n}, torch::kInt64).to(device);
  if (augmentation == Augmentation::crop_flip) {
    mirrored_ = (torch::randint(2, {n}, torch::kInt64) == 1).to(device);
  }
}

torch::Tensor Changes::apply(const torch::Tensor& pixels, std::int64_t first) const {
  if (augmentation_ == Augmentation::none) return pixels;
  const std::int64_t n = pixels.size(0), h = pixels.size(2), w = pixels.size(3);
  const auto indices = torch::TensorOptions(torch::kInt64).device(pixels.device());
  const auto of_batch = [&](const torch::Tensor& drawn) {
    return drawn.slice(0, first, first + n).view({n, 1, 1});
  };
  const torch::Tensor row = torch::arange(h, indices).view({1, h, 1}) + of_batch(row_);
  torch::Tensor column = torch::arange(w, indices).view({1, 1, w});
  if (mirrored_.defined()) column = torch::where(of_batch(mirrored_), w - 1 - column, column);
  column = column + of_batch(column_);
  const torch::Tensor image = torch::arange(n, indices).view({n, 1, 1});
  const torch::Tensor padded = torch::constant_pad_nd(pixels, {kPadding, kPadding, kPadding, kPadding});
  return padded.permute({0, 2, 3, 1}).index({image, row, column}).permute({0, 3, 1, 2});
}

}  // namespace einet
