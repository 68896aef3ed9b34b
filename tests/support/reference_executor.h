// Block programs by plain loops in double precision, one definition after the other: slow, and right by
// reading. What the executors are compared with.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "models/package.h"

namespace einet::test {

class ReferenceExecutor {
 public:
  explicit ReferenceExecutor(const Package& package) : package_(package) {}

  // The softmax scores of every exit for an input that is normalised already, channel, row, column.
  std::vector<std::vector<double>> run(const std::vector<float>& input) {
    const Program& program = package_.info.program;
    registers_.assign(static_cast<std::size_t>(program.register_count()), {});
    registers_[0].assign(input.begin(), input.end());
    std::vector<std::vector<double>> answers;
    for (int b = 0; b < program.block_count(); ++b) {
      for (const Operation& op : program.block(b).trunk) execute(op);
      for (const Operation& op : program.block(b).exit) execute(op);
      answers.push_back(values(program.answer(b)));
    }
    return answers;
  }

 private:
  using Values = std::vector<double>;

  Values& values(Register r) { return registers_[static_cast<std::size_t>(r)]; }
  Shape shape(Register r) const { return package_.info.program.shape(r); }
  double weight(const std::string& name, std::size_t i) const { return package_.weights.at(name).values[i]; }

  // Element (c, y, x) of a register.
  double at(Register r, int c, int y, int x) {
    const Shape s = shape(r);
    return values(r)[static_cast<std::size_t>((c * s.height + y) * s.width + x)];
  }

  void execute(const Operation& op) {
    values(op.output).assign(static_cast<std::size_t>(shape(op.output).elements()), 0);
    std::visit([&](const auto& action) { execute(action, op); }, op.action);
  }

  // visit(output index, c, oy, ox) for every element of a map.
  template <class F>
  void each(Shape s, F&& visit) {
    std::size_t i = 0;
    for (int c = 0; c < s.channels; ++c) {
      for (int y = 0; y < s.height; ++y) {
        for (int x = 0; x < s.width; ++x) visit(i++, c, y, x);
      }
    }
  }

  // visit(ky, kx, iy, ix) for every place of a window; inside: whether it lies in the map.
  template <class F>
  void each_in_window(const Window& w, Shape in, int oy, int ox, F&& visit) {
    for (int ky = 0; ky < w.kernel_h; ++ky) {
      for (int kx = 0; kx < w.kernel_w; ++kx) {
        const int iy = oy * w.stride_h - w.padding_h + ky;
        const int ix = ox * w.stride_w - w.padding_w + kx;
        if (iy >= 0 && iy < in.height && ix >= 0 && ix < in.width) visit(ky, kx, iy, ix);
      }
    }
  }

  void execute(const Convolution& c, const Operation& op) {
    const Register in = op.inputs[0];
    const int group_in = shape(in).channels / c.groups;
    const int group_out = c.channels / c.groups;
    each(shape(op.output), [&](std::size_t i, int o, int oy, int ox) {
      double sum = weight(c.bias, static_cast<std::size_t>(o));
      each_in_window(c.window, shape(in), oy, ox, [&](int ky, int kx, int iy, int ix) {
        for (int k = 0; k < group_in; ++k) {
          const int w = ((o * group_in + k) * c.window.kernel_h + ky) * c.window.kernel_w + kx;
          sum += weight(c.weight, static_cast<std::size_t>(w)) * at(in, o / group_out * group_in + k, iy, ix);
        }
      });
      if (op.inputs.size() == 2) sum += values(op.inputs[1])[i];
      values(op.output)[i] = c.relu ? std::max(sum, 0.0) : sum;
    });
  }

  void execute(const Linear& l, const Operation& op) {
    const Values& x = values(op.inputs[0]);
    for (std::size_t o = 0; o < static_cast<std::size_t>(l.size); ++o) {
      double sum = weight(l.bias, o);
      for (std::size_t i = 0; i < x.size(); ++i) sum += weight(l.weight, o * x.size() + i) * x[i];
      values(op.output)[o] = l.relu ? std::max(sum, 0.0) : sum;
    }
  }

  void execute(const MaxPool& p, const Operation& op) {
    each(shape(op.output), [&](std::size_t i, int c, int oy, int ox) {
      double top = -std::numeric_limits<double>::infinity();
      each_in_window(p.window, shape(op.inputs[0]), oy, ox,
                     [&](int, int, int iy, int ix) { top = std::max(top, at(op.inputs[0], c, iy, ix)); });
      values(op.output)[i] = top;
    });
  }

  void execute(const AveragePool& p, const Operation& op) {
    each(shape(op.output), [&](std::size_t i, int c, int oy, int ox) {
      double sum = 0;
      each_in_window(p.window, shape(op.inputs[0]), oy, ox,
                     [&](int, int, int iy, int ix) { sum += at(op.inputs[0], c, iy, ix); });
      values(op.output)[i] = sum / (p.window.kernel_h * p.window.kernel_w);
    });
  }

  void execute(const LocalResponseNorm& n, const Operation& op) {
    const Register in = op.inputs[0];
    each(shape(in), [&](std::size_t i, int c, int y, int x) {
      double sum = 0;
      for (int k = c - n.size / 2; k <= c + n.size / 2; ++k) {
        if (k >= 0 && k < shape(in).channels) sum += at(in, k, y, x) * at(in, k, y, x);
      }
      const double scale = static_cast<double>(n.k) + static_cast<double>(n.alpha) / n.size * sum;
      values(op.output)[i] = values(in)[i] / std::pow(scale, static_cast<double>(n.beta));
    });
  }

  void execute(const Concatenation&, const Operation& op) {
    Values all;
    for (const Register r : op.inputs) all.insert(all.end(), values(r).begin(), values(r).end());
    values(op.output) = all;
  }

  void execute(const Addition& a, const Operation& op) {
    for (std::size_t i = 0; i < values(op.output).size(); ++i) {
      const double sum = values(op.inputs[0])[i] + values(op.inputs[1])[i];
      values(op.output)[i] = a.relu ? std::max(sum, 0.0) : sum;
    }
  }

  void execute(const Relu&, const Operation& op) {
    for (std::size_t i = 0; i < values(op.output).size(); ++i) {
      values(op.output)[i] = std::max(values(op.inputs[0])[i], 0.0);
    }
  }

  void execute(const GlobalMean&, const Operation& op) {
    const Shape in = shape(op.inputs[0]);
    each(in, [&](std::size_t i, int c, int, int) {
      values(op.output)[static_cast<std::size_t>(c)] +=
          values(op.inputs[0])[i] / static_cast<double>(in.pixels());
    });
  }

  void execute(const Flatten&, const Operation& op) { values(op.output) = values(op.inputs[0]); }

  void execute(const Softmax&, const Operation& op) {
    const Values& x = values(op.inputs[0]);
    double top = x[0];
    for (const double v : x) top = std::max(top, v);
    double sum = 0;
    for (const double v : x) sum += std::exp(v - top);
    for (std::size_t i = 0; i < x.size(); ++i) values(op.output)[i] = std::exp(x[i] - top) / sum;
  }

  const Package& package_;
  std::vector<Values> registers_;
};

}  // namespace einet::test
