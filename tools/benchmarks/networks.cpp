#include "networks.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "config/check.h"

namespace einet {
namespace {

// Writes networks down layer by layer, and makes up their weights.
class Network {
 public:
  Network(std::string name, Shape input, int classes)
      : name_(std::move(name)), classes_(classes), net_(input, classes) {
    shapes_ = {input};
  }
  Register input() const { return net_.input(); }
  void begin_block() { net_.begin_block(); }

  Register convolution(Register x, int channels, int kernel, int stride = 1,
                       std::vector<Register> residual = {}) {
    const Shape in = shape(x);
    Convolution c{channels, {kernel, kernel, stride, stride, kernel / 2, kernel / 2}, 1, true, weight(),
                  bias()};
    residual.insert(residual.begin(), x);
    return add(c, residual, {channels, (in.height - 1) / stride + 1, (in.width - 1) / stride + 1});
  }
  Register pool(Register x) {
    return add(MaxPool{{2, 2, 2, 2, 0, 0}}, {x},
               {shape(x).channels, shape(x).height / 2, shape(x).width / 2});
  }
  Register concatenate(const std::vector<Register>& in) {
    Shape y = shape(in[0]);
    for (std::size_t i = 1; i < in.size(); ++i) y.channels += shape(in[i]).channels;
    return add(Concatenation{}, in, y);
  }
  int channels(Register x) const { return shape(x).channels; }

  void exit(Register x) {
    net_.begin_exit();
    const Register mean = add(GlobalMean{}, {x}, Shape::vector(channels(x)));
    const Register scores = add(Linear{classes_, false, weight(), bias()}, {mean}, Shape::vector(classes_));
    add(Softmax{}, {scores}, Shape::vector(classes_));
  }

  Package finish() && {
    auto program = std::move(net_).finish();
    EINET_CHECK(program.has_value(), program ? "" : program.error().message.c_str());
    Package package{{name_, "1", std::move(*program), {}, {}, {}, {}, {}}, {}};
    const std::size_t count = static_cast<std::size_t>(package.info.program.input().channels);
    package.info.normalisation = {std::vector<float>(count, 0), std::vector<float>(count, 1)};
    for (const auto& [tensor, shape] : package.info.program.tensors()) {
      package.weights.emplace(tensor, made_up(shape));
    }
    return package;
  }

 private:
  // Keeps the size of activations from layer to layer (He et al. 2015): scores stay finite.
  Tensor made_up(const std::vector<std::int64_t>& shape) {
    std::int64_t count = 1;
    for (const std::int64_t d : shape) count *= d;
    Tensor tensor{shape, std::vector<float>(static_cast<std::size_t>(count))};
    if (shape.size() == 1) return tensor;  // a bias
    const float bound = std::sqrt(6.0F / static_cast<float>(count / shape[0]));
    std::uniform_real_distribution<float> values(-bound, bound);
    for (float& v : tensor.values) v = values(random_);
    return tensor;
  }
  Shape shape(Register r) const { return shapes_[static_cast<std::size_t>(r)]; }
  Register add(Action action, std::vector<Register> in, Shape out) {
    shapes_.push_back(out);
    return net_.add(std::move(action), std::move(in));
  }
  std::string weight() { return "layer" + std::to_string(layers_) + ".weight"; }
  std::string bias() { return "layer" + std::to_string(layers_++) + ".bias"; }

  std::string name_;
  int classes_;
  ProgramBuilder net_;
  std::vector<Shape> shapes_;
  int layers_ = 0;
  std::mt19937 random_{1};
};

}  // namespace

Package vgg16(Shape input) {
  Network net("vgg16", input, 10);
  Register x = net.input();
  for (const auto& [channels, count] : {std::pair{64, 2}, {128, 2}, {256, 3}, {512, 3}, {512, 3}}) {
    for (int i = 1; i <= count; ++i) {
      net.begin_block();
      x = net.convolution(x, channels, 3);
      if (i == count) x = net.pool(x);
      net.exit(x);
    }
  }
  return std::move(net).finish();
}

Package resnet50(Shape input) {
  Network net("resnet50", input, 10);
  net.begin_block();
  Register x = net.convolution(net.input(), 64, 3);
  net.exit(x);
  for (const auto& [width, count, stride] : {std::tuple{64, 3, 1}, {128, 4, 2}, {256, 6, 2}, {512, 3, 2}}) {
    for (int i = 0; i < count; ++i) {
      net.begin_block();
      const int step = i == 0 ? stride : 1;
      const Register shortcut = i == 0 ? net.convolution(x, 4 * width, 1, step) : x;
      x = net.convolution(net.convolution(x, width, 1), width, 3, step);
      x = net.convolution(x, 4 * width, 1, 1, {shortcut});
      net.exit(x);
    }
  }
  return std::move(net).finish();
}

Package wide_resnet(Shape input, int per_stage, int width) {
  Network net("wrn-" + std::to_string(6 * per_stage + 4) + "-" + std::to_string(width), input, 10);
  net.begin_block();
  Register x = net.convolution(net.input(), 16, 3);
  net.exit(x);
  for (const auto& [channels, first_stride] : {std::pair{16 * width, 1}, {32 * width, 2}, {64 * width, 2}}) {
    for (int i = 0; i < per_stage; ++i) {
      net.begin_block();
      const int stride = i == 0 ? first_stride : 1;
      const Register shortcut = i == 0 ? net.convolution(x, channels, 1, stride) : x;
      x = net.convolution(net.convolution(x, channels, 3, stride), channels, 3, 1, {shortcut});
      net.exit(x);
    }
  }
  return std::move(net).finish();
}

Package multi_scale(Shape input) {
  Network net("multi-scale", input, 10);
  std::vector<Register> scales;
  for (int b = 0; b < 21; ++b) {
    net.begin_block();
    if (b == 0) {
      scales = {net.convolution(net.input(), 16, 3)};
      scales.push_back(net.convolution(scales[0], 32, 3, 2));
      scales.push_back(net.convolution(scales[1], 64, 3, 2));
    }
    std::vector<Register> next;
    for (std::size_t s = 0; s < scales.size(); ++s) {
      const int growth = 6 << s;
      const auto neck = [&](Register x, int channels, int stride) {
        return net.convolution(net.convolution(x, std::min(net.channels(x), 4 * channels), 1), channels, 3,
                               stride);
      };
      if (s == 0) {
        next.push_back(net.concatenate({scales[s], neck(scales[s], growth, 1)}));
      } else {
        const Register same = neck(scales[s], growth / 2, 1);
        next.push_back(net.concatenate({scales[s], same, neck(scales[s - 1], growth / 2, 2)}));
      }
    }
    scales = next;
    net.exit(scales.back());
  }
  return std::move(net).finish();
}

}  // namespace einet
