#include "models/program.h"

#include <algorithm>
#include <optional>

#include "config/check.h"
#include "config/text.h"

namespace einet {
namespace {

std::string quote(std::string_view text) {
  return "\"" + escape(text, 60) + "\"";
}

bool within_range(int value, int min, int max) {
  return value >= min && value <= max;
}

Result<void> check_shape(Shape s) {
  const bool map = within_range(s.channels, 1, ProgramLimits::kDimension) &&
                   within_range(s.height, 1, ProgramLimits::kDimension) &&
                   within_range(s.width, 1, ProgramLimits::kDimension);
  const bool vector = within_range(s.channels, 1, ProgramLimits::kDimension) && s.height == 0 && s.width == 0;
  if (!map && !vector) {
    return error("the shape " + format_shape(s) + " has a dimension outside 1 to " +
                 std::to_string(ProgramLimits::kDimension));
  }
  if (s.elements() > ProgramLimits::kElements) {
    return error("the shape " + format_shape(s) + " has " + std::to_string(s.elements()) +
                 " elements; at most " + std::to_string(ProgramLimits::kElements) + " are allowed");
  }
  return {};
}

// The output length of a window along one dimension, or nothing if the window does not fit.
std::optional<int> slide(int length, int kernel, int stride, int padding) {
  const int padded = length + 2 * padding;
  if (padded < kernel) return std::nullopt;
  return (padded - kernel) / stride + 1;
}

Result<Shape> apply_window(Shape x, const Window& w, int channels) {
  if (x.is_vector())
    return error("its input is the vector " + format_shape(x) + "; expected a map [C, H, W]");
  constexpr int kMost = ProgramLimits::kWindow;
  if (!within_range(w.kernel_h, 1, kMost) || !within_range(w.kernel_w, 1, kMost) ||
      !within_range(w.stride_h, 1, kMost) || !within_range(w.stride_w, 1, kMost) ||
      !within_range(w.padding_h, 0, kMost) || !within_range(w.padding_w, 0, kMost)) {
    return error("kernel and stride must be from 1, padding from 0, to " + std::to_string(kMost));
  }
  const auto height = slide(x.height, w.kernel_h, w.stride_h, w.padding_h);
  const auto width = slide(x.width, w.kernel_w, w.stride_w, w.padding_w);
  if (!height || !width) {
    return error("the kernel [" + std::to_string(w.kernel_h) + ", " + std::to_string(w.kernel_w) +
                 "] is larger than its padded input " + format_shape(x));
  }
  return Shape{channels, *height, *width};
}

Result<void> check_pool(const Window& w) {
  if (w.padding_h > w.kernel_h / 2 || w.padding_w > w.kernel_w / 2) {
    return error("a pooling's padding may be at most half its kernel");
  }
  return {};
}

Result<void> expect_inputs(const Operation& op, std::size_t min, std::size_t max) {
  if (op.inputs.size() >= min && op.inputs.size() <= max) return {};
  return error("has " + std::to_string(op.inputs.size()) + " inputs; expected " + std::to_string(min) +
               (min == max ? "" : " to " + std::to_string(max)));
}

Result<void> expect_vector(Shape x) {
  if (x.is_vector()) return {};
  return error("its input is the map " + format_shape(x) + "; expected a vector [N]");
}

Result<void> expect_map(Shape x) {
  if (!x.is_vector()) return {};
  return error("its input is the vector " + format_shape(x) + "; expected a map [C, H, W]");
}

Result<void> expect_equal(Shape found, Shape expected, std::string_view what) {
  if (found == expected) return {};
  return error(std::string(what) + " has the shape " + format_shape(found) + "; expected " +
               format_shape(expected));
}

// The output shape of each action, given its inputs' shapes (their count is checked before).
struct ShapeOf {
  std::span<const Shape> in;

  Result<Shape> operator()(const Convolution& c) const {
    if (!within_range(c.channels, 1, ProgramLimits::kDimension)) {
      return error("has " + std::to_string(c.channels) + " channels; allowed are 1 to " +
                   std::to_string(ProgramLimits::kDimension));
    }
    auto y = apply_window(in[0], c.window, c.channels);
    if (!y) return y;
    if (c.groups < 1 || c.channels % c.groups != 0 || in[0].channels % c.groups != 0) {
      return error("has " + std::to_string(c.groups) + " groups, which do not divide its " +
                   std::to_string(in[0].channels) + " input and " + std::to_string(c.channels) +
                   " output channels");
    }
    if (in.size() == 2) {
      if (auto ok = expect_equal(in[1], *y, "its residual"); !ok) return ok.error();
    }
    return y;
  }
  Result<Shape> operator()(const Linear& l) const {
    if (!within_range(l.size, 1, ProgramLimits::kDimension)) {
      return error("has the size " + std::to_string(l.size) + "; allowed are 1 to " +
                   std::to_string(ProgramLimits::kDimension));
    }
    if (auto ok = expect_vector(in[0]); !ok) return ok.error();
    return Shape::vector(l.size);
  }
  Result<Shape> operator()(const MaxPool& p) const { return pool(p.window); }
  Result<Shape> operator()(const AveragePool& p) const { return pool(p.window); }
  Result<Shape> pool(const Window& w) const {
    auto y = apply_window(in[0], w, in[0].channels);
    if (!y) return y;
    if (auto ok = check_pool(w); !ok) return ok.error();
    return y;
  }
  Result<Shape> operator()(const LocalResponseNorm& n) const {
    if (auto ok = expect_map(in[0]); !ok) return ok.error();
    // Negated comparisons refuse NaN as well.
    if (n.size < 1 || n.size > 255 || n.size % 2 == 0) {
      return error("has the size " + std::to_string(n.size) + "; allowed are odd numbers from 1 to 255");
    }
    if (!(n.alpha >= 0 && n.alpha <= 1e6F) || !(n.beta >= 0 && n.beta <= 16) ||
        !(n.k >= 1e-6F && n.k <= 1e6F)) {
      return error("alpha must be from 0 to 1e6, beta from 0 to 16, k from 1e-6 to 1e6");
    }
    return in[0];
  }
  Result<Shape> operator()(const Concatenation&) const {
    Shape y = in[0];
    for (const Shape& x : in.subspan(1)) {
      if (x.height != y.height || x.width != y.width) {
        return error("its inputs " + format_shape(in[0]) + " and " + format_shape(x) +
                     " differ in more than their channels");
      }
      y.channels += x.channels;
    }
    return y;
  }
  Result<Shape> operator()(const Addition&) const {
    if (auto ok = expect_equal(in[1], in[0], "its second input"); !ok) return ok.error();
    return in[0];
  }
  Result<Shape> operator()(const Relu&) const { return in[0]; }
  Result<Shape> operator()(const GlobalMean&) const {
    if (auto ok = expect_map(in[0]); !ok) return ok.error();
    return Shape::vector(in[0].channels);
  }
  Result<Shape> operator()(const Flatten&) const {
    if (auto ok = expect_map(in[0]); !ok) return ok.error();
    const std::int64_t n = in[0].elements();
    if (n > ProgramLimits::kDimension) {
      return error("would make a vector of " + std::to_string(n) + "; at most " +
                   std::to_string(ProgramLimits::kDimension) + " are allowed");
    }
    return Shape::vector(static_cast<int>(n));
  }
  Result<Shape> operator()(const Softmax&) const {
    if (auto ok = expect_vector(in[0]); !ok) return ok.error();
    return in[0];
  }
};

struct InputCount {
  std::size_t min, max;
};

InputCount input_count(const Action& action) {
  if (std::holds_alternative<Convolution>(action)) return {1, 2};
  if (std::holds_alternative<Concatenation>(action)) return {1, ProgramLimits::kInputs};
  if (std::holds_alternative<Addition>(action)) return {2, 2};
  return {1, 1};
}

bool is_tensor_name(std::string_view name) {
  return !name.empty() && name.size() <= ProgramLimits::kTensorName &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                  c == '.' || c == '/' || c == ':' || c == '-';
         });
}

std::string format_dimensions(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (const std::int64_t n : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(n);
  return text + "]";
}

using Tensors = std::map<std::string, std::vector<std::int64_t>>;

Result<void> refer(Tensors& tensors, const std::string& tensor, std::vector<std::int64_t> shape) {
  if (!is_tensor_name(tensor)) {
    return error("refers to the tensor " + quote(tensor) + "; expected 1 to " +
                 std::to_string(ProgramLimits::kTensorName) + " of the characters A-Za-z0-9_./:-");
  }
  std::int64_t n = 1;
  for (const std::int64_t d : shape) n *= d;  // at most 2^52: every factor is checked before
  if (n > ProgramLimits::kElements) {
    return error("needs a weight " + format_dimensions(shape) + " of " + std::to_string(n) +
                 " elements; at most " + std::to_string(ProgramLimits::kElements) + " are allowed");
  }
  const auto [place, added] = tensors.emplace(tensor, shape);
  if (!added && place->second != shape) {
    return error("needs the tensor " + quote(tensor) + " as " + format_dimensions(shape) +
                 ", but an earlier operation as " + format_dimensions(place->second));
  }
  return {};
}

Result<void> refer_all(Tensors& tensors, const Action& action, Shape x) {
  if (const auto* c = std::get_if<Convolution>(&action)) {
    auto ok = refer(tensors, c->weight,
                    {c->channels, x.channels / c->groups, c->window.kernel_h, c->window.kernel_w});
    return ok ? refer(tensors, c->bias, {c->channels}) : ok;
  }
  if (const auto* l = std::get_if<Linear>(&action)) {
    auto ok = refer(tensors, l->weight, {l->size, x.channels});
    return ok ? refer(tensors, l->bias, {l->size}) : ok;
  }
  return {};
}

// Walks the operations in order and knows, for every register, its shape and which exit wrote it (-1: a
// trunk, or the input).
struct Checker {
  std::vector<Shape> shapes;
  std::vector<int> exit_of;
  Tensors tensors;
  std::int64_t elements = 0;

  Result<void> define(Shape s, int exit) {
    if (auto ok = check_shape(s); !ok) return ok;
    elements += s.elements();
    if (elements > ProgramLimits::kRegisterElements) {
      return error("all registers up to here have " + std::to_string(elements) + " elements; at most " +
                   std::to_string(ProgramLimits::kRegisterElements) + " are allowed");
    }
    shapes.push_back(s);
    exit_of.push_back(exit);
    return {};
  }

  Result<void> check(const Operation& op, int exit) {
    const int next = static_cast<int>(shapes.size());
    if (op.output != next) {
      return error("writes register " + std::to_string(op.output) + "; expected " + std::to_string(next) +
                   " (registers are numbered in the order of the operations)");
    }
    const InputCount count = input_count(op.action);
    if (auto ok = expect_inputs(op, count.min, count.max); !ok) return ok;
    std::vector<Shape> in;
    for (const Register r : op.inputs) {
      if (r < 0 || r >= next) return error("reads register " + std::to_string(r) + " before it is written");
      const int writer = exit_of[static_cast<std::size_t>(r)];
      if (writer >= 0 && writer != exit) {
        return error("reads register " + std::to_string(r) + " of exit " + std::to_string(writer) +
                     ", which may be skipped");
      }
      in.push_back(shapes[static_cast<std::size_t>(r)]);
    }
    const auto y = std::visit(ShapeOf{in}, op.action);
    if (!y) return y.error();
    if (auto ok = refer_all(tensors, op.action, in[0]); !ok) return ok;
    return define(*y, exit);
  }
};

// For every block the registers that trunks (or the input) wrote up to it and that its exit or a later block
// reads.
std::vector<std::vector<Register>> trunk_states(std::span<const Block> blocks, std::span<const int> exit_of) {
  const std::size_t registers = exit_of.size();
  constexpr int kUnread = -1;
  // The first block at whose end the register exists, and the last at whose end it is still needed: a read by
  // the trunk of block b needs it at the end of b - 1, one by exit b at the end of b.
  std::vector<int> written(registers, 0);
  std::vector<int> needed(registers, kUnread);
  for (int b = 0; b < static_cast<int>(blocks.size()); ++b) {
    for (const Operation& op : blocks[static_cast<std::size_t>(b)].trunk) {
      written[static_cast<std::size_t>(op.output)] = b;
      for (const Register r : op.inputs) needed[static_cast<std::size_t>(r)] = b - 1;
    }
    for (const Operation& op : blocks[static_cast<std::size_t>(b)].exit) {
      for (const Register r : op.inputs) needed[static_cast<std::size_t>(r)] = b;
    }
  }
  std::vector<std::vector<Register>> states(blocks.size());
  for (std::size_t r = 0; r < registers; ++r) {
    if (exit_of[r] >= 0) continue;
    for (int b = written[r]; b <= needed[r]; ++b) {
      states[static_cast<std::size_t>(b)].push_back(static_cast<Register>(r));
    }
  }
  return states;
}

}  // namespace

std::string format_shape(Shape s) {
  if (s.is_vector()) return "[" + std::to_string(s.channels) + "]";
  return "[" + std::to_string(s.channels) + ", " + std::to_string(s.height) + ", " + std::to_string(s.width) +
         "]";
}

std::string_view name(const Action& action) {
  return action_names()[action.index()];
}

Result<Program> Program::make(Shape input, int classes, std::vector<Block> blocks) {
  if (blocks.empty() || blocks.size() > kMaxBlocks) {
    return error("has " + std::to_string(blocks.size()) + " blocks; allowed are 1 to " +
                 std::to_string(kMaxBlocks));
  }
  std::size_t operations = 0;
  for (const Block& block : blocks) operations += block.trunk.size() + block.exit.size();
  if (operations > ProgramLimits::kOperations) {
    return error("has " + std::to_string(operations) + " operations; at most " +
                 std::to_string(ProgramLimits::kOperations) + " are allowed");
  }
  Checker checker;
  if (auto ok = checker.define(input, -1); !ok) return within("input", ok.error());
  for (int b = 0; b < static_cast<int>(blocks.size()); ++b) {
    const Block& block = blocks[static_cast<std::size_t>(b)];
    const auto check_part = [&](const std::vector<Operation>& part, const char* part_name,
                                int exit) -> Result<void> {
      for (std::size_t i = 0; i < part.size(); ++i) {
        if (auto ok = checker.check(part[i], exit); !ok) {
          return within("block " + std::to_string(b) + " " + part_name + "[" + std::to_string(i) + "] (" +
                            std::string(einet::name(part[i].action)) + ")",
                        ok.error());
        }
      }
      return {};
    };
    if (auto ok = check_part(block.trunk, "trunk", -1); !ok) return ok.error();
    if (auto ok = check_part(block.exit, "exit", b); !ok) return ok.error();
    if (block.exit.empty() || !std::holds_alternative<Softmax>(block.exit.back().action) ||
        checker.shapes.back() != Shape::vector(classes)) {
      return error("block " + std::to_string(b) + " exit: must end with a softmax over the " +
                   std::to_string(classes) + " classes" +
                   (block.exit.empty()
                        ? std::string("; it is empty")
                        : "; it ends with a " + std::string(einet::name(block.exit.back().action)) +
                              " of the shape " + format_shape(checker.shapes.back())));
    }
  }
  std::int64_t tensor_elements = 0;
  for (const auto& [tensor, shape] : checker.tensors) {
    std::int64_t n = 1;
    for (const std::int64_t d : shape) n *= d;
    tensor_elements += n;
  }
  if (tensor_elements > ProgramLimits::kTensorElements) {
    return error("needs weights of " + std::to_string(tensor_elements) + " elements; at most " +
                 std::to_string(ProgramLimits::kTensorElements) + " are allowed");
  }

  Program program;
  program.classes_ = classes;
  program.states_ = trunk_states(blocks, checker.exit_of);
  program.blocks_ = std::move(blocks);
  program.shapes_ = std::move(checker.shapes);
  program.tensors_ = std::move(checker.tensors);
  return program;
}

void ProgramBuilder::begin_block() {
  blocks_.emplace_back();
  exit_ = false;
}

void ProgramBuilder::begin_exit() {
  EINET_CHECK(!blocks_.empty(), "begin_exit before begin_block");
  exit_ = true;
}

Register ProgramBuilder::add(Action action, std::vector<Register> inputs) {
  EINET_CHECK(!blocks_.empty(), "add before begin_block");
  std::vector<Operation>& part = exit_ ? blocks_.back().exit : blocks_.back().trunk;
  part.push_back({std::move(action), std::move(inputs), next_});
  return next_++;
}

Result<Program> ProgramBuilder::finish() && {
  return Program::make(input_, classes_, std::move(blocks_));
}

}  // namespace einet
