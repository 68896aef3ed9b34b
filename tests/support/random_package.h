// Random small packages with every operation, for properties: what is written reads back, executors agree.
// Call inside a RapidCheck property only: the values are drawn from it and shrink with it.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include <rapidcheck.h>

#include "config/check.h"
#include "models/package.h"

namespace einet::test {

// In [min, max].
inline int draw(int min, int max) {
  return *rc::gen::inRange(min, max + 1);
}

class RandomProgram {
 public:
  static Program make() {
    RandomProgram random;
    return random.build();
  }

 private:
  struct Value {
    Register r;
    Shape shape;
  };

  Program build() {
    const Shape input{draw(1, 4), draw(3, 9), draw(3, 9)};
    const int classes = draw(1, 5);
    const int blocks = draw(1, 4);
    ProgramBuilder net(input, classes);
    net_ = &net;
    values_ = {{net.input(), input}};
    for (int b = 0; b < blocks; ++b) {
      net.begin_block();
      for (int i = draw(0, 4); i > 0; --i) add_random();
      net.begin_exit();
      const std::vector<Value> trunk = values_;
      for (int i = draw(0, 3); i > 0; --i) add_random();
      Value x = pick([](Shape) { return true; });
      if (!x.shape.is_vector()) x = draw(0, 1) == 0 ? flatten(x) : global_mean(x);
      x = linear(x, classes);
      add(Softmax{}, {x}, x.shape);
      values_ = trunk;  // what an exit wrote is out of sight
    }
    auto program = std::move(net).finish();
    EINET_CHECK(program.has_value(), program ? "" : program.error().message.c_str());
    return *program;
  }

  template <class F>
  bool any(F&& fits) const {
    for (const Value& v : values_) {
      if (fits(v.shape)) return true;
    }
    return false;
  }
  template <class F>
  Value pick(F&& fits) const {
    std::vector<Value> fitting;
    for (const Value& v : values_) {
      if (fits(v.shape)) fitting.push_back(v);
    }
    return fitting[static_cast<std::size_t>(draw(0, static_cast<int>(fitting.size()) - 1))];
  }

  Value add(Action action, const std::vector<Value>& inputs, Shape shape) {
    std::vector<Register> registers;
    for (const Value& v : inputs) registers.push_back(v.r);
    values_.push_back({net_->add(std::move(action), registers), shape});
    return values_.back();
  }

  std::string tensor(std::string_view kind) {
    return "layer" + std::to_string(tensors_++ / 2) + "." + std::string(kind);
  }

  Value linear(Value x, int size) {
    Linear l{size, draw(0, 1) == 1, "", ""};
    l.weight = tensor("weight");
    l.bias = tensor("bias");
    return add(l, {x}, Shape::vector(size));
  }
  Value flatten(Value x) { return add(Flatten{}, {x}, Shape::vector(static_cast<int>(x.shape.elements()))); }
  Value global_mean(Value x) { return add(GlobalMean{}, {x}, Shape::vector(x.shape.channels)); }

  // A window that fits, and what it makes of the shape.
  Window window(Shape& s, bool pooling) {
    Window w;
    const auto along = [&](int& length, int& kernel, int& stride, int& padding) {
      kernel = draw(1, std::min(length, 4));
      stride = draw(1, 3);
      padding = draw(0, pooling ? kernel / 2 : 2);
      length = (length + 2 * padding - kernel) / stride + 1;
    };
    along(s.height, w.kernel_h, w.stride_h, w.padding_h);
    along(s.width, w.kernel_w, w.stride_w, w.padding_w);
    return w;
  }

  void convolution() {
    const Value x = pick([](Shape s) { return !s.is_vector(); });
    Shape y = x.shape;
    Convolution c;
    c.window = window(y, false);
    c.groups = x.shape.channels % 2 == 0 ? draw(1, 2) : 1;
    y.channels = c.channels = draw(1, 20) * c.groups;
    c.relu = draw(0, 1) == 1;
    c.weight = tensor("weight");
    c.bias = tensor("bias");
    std::vector<Value> inputs = {x};
    const auto like_output = [&](Shape s) { return s == y; };
    if (any(like_output) && draw(0, 1) == 1) inputs.push_back(pick(like_output));
    add(c, inputs, y);
    // A second one of the same shape, with a residual.
    if (draw(0, 2) == 0) {
      Convolution again{y.channels, {3, 3, 1, 1, 1, 1}, 1, true, tensor("weight"), ""};
      again.bias = tensor("bias");
      const Value last = values_.back();
      add(again, {last, last}, y);
    }
  }

  void add_random() {
    const auto is_map = [](Shape s) { return !s.is_vector(); };
    const Value x = pick(is_map);  // the input always is one
    const Value any_value = pick([](Shape) { return true; });
    switch (draw(0, 9)) {
      case 0:
        return convolution();
      case 1:
        return convolution();
      case 2: {
        Shape y = x.shape;
        const Window w = window(y, true);
        add(MaxPool{w}, {x}, y);
        return;
      }
      case 3: {
        Shape y = x.shape;
        const Window w = window(y, true);
        add(AveragePool{w}, {x}, y);
        return;
      }
      case 4: {
        LocalResponseNorm n{2 * draw(0, 3) + 1, 0.1F * static_cast<float>(draw(1, 20)), 0.75F, 1};
        if (draw(0, 1) == 1) n.beta = 0.5F;
        add(n, {x}, x.shape);
        return;
      }
      case 5: {
        std::vector<Value> inputs = {any_value};
        Shape y = any_value.shape;
        for (int i = draw(0, 2); i > 0; --i) {
          inputs.push_back(pick([&](Shape s) { return s.height == y.height && s.width == y.width; }));
          y.channels += inputs.back().shape.channels;
        }
        add(Concatenation{}, inputs, y);
        return;
      }
      case 6: {
        const Value other = pick([&](Shape s) { return s == any_value.shape; });
        add(Addition{draw(0, 1) == 1}, {any_value, other}, any_value.shape);
        return;
      }
      case 7:
        add(Relu{}, {any_value}, any_value.shape);
        return;
      case 8:
        draw(0, 1) == 0 ? flatten(x) : global_mean(x);
        return;
      default: {
        const Value vector = any_value.shape.is_vector() ? any_value : global_mean(x);
        draw(0, 3) == 0 ? add(Softmax{}, {vector}, vector.shape) : linear(vector, draw(1, 20));
        return;
      }
    }
  }

  ProgramBuilder* net_ = nullptr;
  std::vector<Value> values_;  // that the next operation may read
  int tensors_ = 0;
};

// Uniform in [-1, 1]; a small generator of its own, as drawing every weight from RapidCheck is slow.
class Noise {
 public:
  explicit Noise(std::uint32_t seed) : state_(seed) {}
  float next() {
    state_ = state_ * 6364136223846793005 + 1442695040888963407;
    return static_cast<float>(static_cast<std::int32_t>(state_ >> 32)) / 2147483648.0F;
  }

 private:
  std::uint64_t state_;
};

// Weights keep a layer's outputs about as large as its inputs.
inline Package random_package() {
  Noise noise(static_cast<std::uint32_t>(draw(0, 1 << 30)));
  Package package{{"random", "1", RandomProgram::make(), {}, {}, {}, {}, {}}, {}};
  const std::size_t channels = static_cast<std::size_t>(package.info.program.input().channels);
  package.info.normalisation = {std::vector<float>(channels, 0.5F), std::vector<float>(channels, 0.25F)};
  for (const auto& [name, shape] : package.info.program.tensors()) {
    std::int64_t n = 1;
    for (const std::int64_t d : shape) n *= d;
    const float scale = 1 / std::sqrt(static_cast<float>(n) / static_cast<float>(shape[0]));
    Tensor tensor{shape, {}};
    for (std::int64_t i = 0; i < n; ++i) tensor.values.push_back(noise.next() * scale);
    package.weights.emplace(name, std::move(tensor));
  }
  return package;
}

}  // namespace einet::test
