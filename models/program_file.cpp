// The file `program`: TOML, one [[block]] per block with its trunk and exit as lists of operations, one a
// line.
#include <array>
#include <cstdio>

#include "config/text.h"
#include "config/toml_reader.h"
#include "models/program.h"

namespace einet {
namespace {

constexpr std::array<std::string_view, 2> kActivations = {"none", "relu"};

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

// --- Writing ---

// Nine digits name every float exactly.
std::string format_float(float v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", static_cast<double>(v));
  return text;
}

std::string pair(std::string_view key, int a, int b) {
  return ", " + std::string(key) + " = [" + std::to_string(a) + ", " + std::to_string(b) + "]";
}

std::string text(std::string_view key, const std::string& value) {
  return ", " + std::string(key) + " = \"" + value + "\"";
}

std::string activation(bool relu) {
  return relu ? text("activation", "relu") : "";
}

std::string parameters(const Window& w) {
  return pair("kernel", w.kernel_h, w.kernel_w) + pair("stride", w.stride_h, w.stride_w) +
         pair("padding", w.padding_h, w.padding_w);
}

std::string parameters(const Action& action) {
  return std::visit(Overloaded{
                        [](const Convolution& c) {
                          return ", channels = " + std::to_string(c.channels) + parameters(c.window) +
                                 ", groups = " + std::to_string(c.groups) + activation(c.relu) +
                                 text("weight", c.weight) + text("bias", c.bias);
                        },
                        [](const Linear& l) {
                          return ", size = " + std::to_string(l.size) + activation(l.relu) +
                                 text("weight", l.weight) + text("bias", l.bias);
                        },
                        [](const MaxPool& p) { return parameters(p.window); },
                        [](const AveragePool& p) { return parameters(p.window); },
                        [](const LocalResponseNorm& n) {
                          return ", size = " + std::to_string(n.size) + ", alpha = " + format_float(n.alpha) +
                                 ", beta = " + format_float(n.beta) + ", k = " + format_float(n.k);
                        },
                        [](const Addition& a) { return activation(a.relu); },
                        [](const auto&) { return std::string(); },
                    },
                    action);
}

std::string write_part(std::string_view key, const std::vector<Operation>& part) {
  std::string out = std::string(key) + " = [\n";
  for (const Operation& op : part) {
    out += "  {op = \"" + std::string(name(op.action)) + "\", in = [";
    for (std::size_t i = 0; i < op.inputs.size(); ++i) {
      out += (i > 0 ? ", " : "") + std::to_string(op.inputs[i]);
    }
    out += "], out = " + std::to_string(op.output) + parameters(op.action) + "},\n";
  }
  return out + "]\n";
}

// --- Reading ---

int whole(TomlTable& t, std::string_view key, int min, int max, std::optional<int> fallback = std::nullopt) {
  const auto value = fallback ? t.integer(key, min, max, *fallback) : t.integer(key, min, max);
  return static_cast<int>(value);
}

float real(TomlTable& t, std::string_view key, float fallback) {
  return static_cast<float>(t.number(key, 0, 1e6, static_cast<double>(fallback)));
}

struct Pair {
  int first, second;
};

Pair read_pair(TomlTable& t, std::string_view key, int min, Pair fallback) {
  if (!t.has(key)) {
    t.integers(key, min, ProgramLimits::kWindow, 2);  // so that the key counts as known
    return fallback;
  }
  const auto values = t.integers(key, min, ProgramLimits::kWindow, 2);
  if (values.size() != 2) {
    t.fail(key, "expected two numbers, [height, width]");
    return fallback;
  }
  return {static_cast<int>(values[0]), static_cast<int>(values[1])};
}

Window read_window(TomlTable& t) {
  if (!t.has("kernel")) t.fail("kernel", "is missing");
  const Pair kernel = read_pair(t, "kernel", 1, {1, 1});
  const Pair stride = read_pair(t, "stride", 1, {1, 1});
  const Pair padding = read_pair(t, "padding", 0, {0, 0});
  return {kernel.first, kernel.second, stride.first, stride.second, padding.first, padding.second};
}

bool read_activation(TomlTable& t) {
  return t.choice("activation", kActivations, "none") == "relu";
}

Action read_action(TomlTable& t) {
  constexpr int kMost = ProgramLimits::kDimension;
  static constexpr auto kNames = action_names();
  const std::string op = t.choice("op", kNames);
  if (op == "convolution") {
    Convolution c;
    c.channels = whole(t, "channels", 1, kMost);
    c.window = read_window(t);
    c.groups = whole(t, "groups", 1, kMost, 1);
    c.relu = read_activation(t);
    c.weight = t.text("weight");
    c.bias = t.text("bias");
    return c;
  }
  if (op == "linear") {
    Linear l;
    l.size = whole(t, "size", 1, kMost);
    l.relu = read_activation(t);
    l.weight = t.text("weight");
    l.bias = t.text("bias");
    return l;
  }
  if (op == "max_pool") return MaxPool{read_window(t)};
  if (op == "average_pool") return AveragePool{read_window(t)};
  if (op == "local_response_norm") {
    LocalResponseNorm n;
    n.size = whole(t, "size", 1, 255, n.size);
    n.alpha = real(t, "alpha", n.alpha);
    n.beta = real(t, "beta", n.beta);
    n.k = real(t, "k", n.k);
    return n;
  }
  if (op == "concatenation") return Concatenation{};
  if (op == "addition") return Addition{read_activation(t)};
  if (op == "relu") return Relu{};
  if (op == "global_mean") return GlobalMean{};
  if (op == "flatten") return Flatten{};
  return Softmax{};
}

std::vector<Operation> read_part(TomlTable& block, std::string_view key) {
  std::vector<Operation> part;
  std::vector<TomlTable> tables = block.tables(key);
  if (tables.size() > ProgramLimits::kOperations) {
    block.fail(key, "found " + std::to_string(tables.size()) + " operations; at most " +
                        std::to_string(ProgramLimits::kOperations) + " are allowed in a program");
    return part;
  }
  for (TomlTable& t : tables) {
    Operation op;
    op.action = read_action(t);
    for (const std::int64_t r : t.integers("in", 0, ProgramLimits::kOperations, ProgramLimits::kInputs)) {
      op.inputs.push_back(static_cast<Register>(r));
    }
    op.output = whole(t, "out", 1, ProgramLimits::kOperations);
    t.close();
    part.push_back(std::move(op));
  }
  return part;
}

}  // namespace

std::string write_program(const Program& program) {
  std::string out = "# A block program; the format is in docs/packages.md. Register 0 is the input " +
                    format_shape(program.input()) + ".\n";
  for (const Block& block : program.blocks()) {
    out += "\n[[block]]\n" + write_part("trunk", block.trunk) + write_part("exit", block.exit);
  }
  return out;
}

Result<Program> read_program(std::string_view text, std::string file, Shape input, int classes) {
  const std::string place = file;
  TomlDocument doc(text, std::move(file));
  TomlTable root = doc.root();
  std::vector<TomlTable> tables = root.tables("block");
  root.close();
  std::vector<Block> blocks;
  if (tables.size() > kMaxBlocks) {
    root.fail("block", "found " + std::to_string(tables.size()) + " blocks; at most " +
                           std::to_string(kMaxBlocks) + " are allowed");
    tables.clear();
  }
  for (TomlTable& t : tables) {
    Block block;
    block.trunk = read_part(t, "trunk");
    block.exit = read_part(t, "exit");
    t.close();
    blocks.push_back(std::move(block));
  }
  if (auto ok = doc.finish(); !ok) return ok.error();
  auto program = Program::make(input, classes, std::move(blocks));
  if (!program) return within(place, program.error());
  return program;
}

}  // namespace einet
