// The block program: a multi-exit network as plain data. For every block a trunk and an exit, each a short
// list of operations on registers; shape inference and every check live here, once, so that executors trust
// what they get. No execution, no weights' values, no neural-network library.
//
// Registers hold one sample (batch 1) in fp32: a map [channels, height, width] or a vector [N]. Register 0 is
// the normalised input; operation i of the program (blocks in order, a trunk before its exit) writes register
// i + 1. A trunk reads what earlier trunks and itself wrote; an exit, which may be skipped, what trunks up to
// its block's and itself wrote. The last operation of an exit is a softmax over the classes: its output is
// the exit's answer.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/bytes.h"
#include "config/ids.h"
#include "config/result.h"

namespace einet {

using Register = int;

struct Shape {
  int channels = 0;  // a vector's length
  int height = 0;    // 0 for a vector
  int width = 0;     // 0 for a vector

  static constexpr Shape vector(int n) { return {n, 0, 0}; }
  constexpr bool is_vector() const { return height == 0; }
  constexpr std::int64_t pixels() const { return is_vector() ? 1 : std::int64_t{height} * width; }
  constexpr std::int64_t elements() const { return channels * pixels(); }
  friend constexpr bool operator==(Shape, Shape) = default;
};

// "[3, 32, 32]" or "[10]".
std::string format_shape(Shape);

// Bounds of a program. A network beyond them is refused.
struct ProgramLimits {
  static constexpr int kOperations = 8192;                                  // in all blocks together
  static constexpr int kInputs = 64;                                        // of one operation
  static constexpr int kDimension = 65536;                                  // of a register
  static constexpr int kWindow = 1024;                                      // kernel, stride, padding
  static constexpr std::int64_t kElements = std::int64_t{1} << 26;          // of a register, of a tensor
  static constexpr std::int64_t kRegisterElements = std::int64_t{1} << 28;  // of all registers together
  static constexpr std::int64_t kTensorElements = std::int64_t{1} << 30;    // of all tensors together
  static constexpr std::size_t kTensorName = 200;                           // [A-Za-z0-9_./:-]+
  static constexpr ByteCount kFile{4u << 20};
};

// A sliding window, as in PyTorch: symmetric zero padding, floor. Pooling: padding <= kernel / 2.
struct Window {
  int kernel_h = 1, kernel_w = 1;
  int stride_h = 1, stride_w = 1;
  int padding_h = 0, padding_w = 0;
  friend bool operator==(const Window&, const Window&) = default;
};

// y = relu?(conv(x) + bias + residual?). Inputs: x, and the residual (the output's shape) if there is a
// second. Weight [channels, x.channels / groups, kernel_h, kernel_w], bias [channels].
struct Convolution {
  int channels = 0;  // of the output
  Window window;
  int groups = 1;  // divides both channel counts
  bool relu = false;
  std::string weight, bias;  // names in the weights file
  friend bool operator==(const Convolution&, const Convolution&) = default;
};

// y = relu?(W x + bias), x a vector. Weight [size, x], bias [size].
struct Linear {
  int size = 0;
  bool relu = false;
  std::string weight, bias;
  friend bool operator==(const Linear&, const Linear&) = default;
};

struct MaxPool {
  Window window;
  friend bool operator==(const MaxPool&, const MaxPool&) = default;
};

// Padded zeros count as elements (PyTorch's count_include_pad).
struct AveragePool {
  Window window;
  friend bool operator==(const AveragePool&, const AveragePool&) = default;
};

// Across channels, y = x / (k + alpha / size * sum of x^2 over the `size` nearest channels)^beta; size is
// odd.
struct LocalResponseNorm {
  int size = 5;
  float alpha = 1e-4F, beta = 0.75F, k = 1;
  friend bool operator==(const LocalResponseNorm&, const LocalResponseNorm&) = default;
};

// Of all inputs' channels in order (same height and width), or of vectors.
struct Concatenation {
  friend bool operator==(const Concatenation&, const Concatenation&) = default;
};
// y = relu?(a + b), two inputs of one shape.
struct Addition {
  bool relu = false;
  friend bool operator==(const Addition&, const Addition&) = default;
};
struct Relu {
  friend bool operator==(const Relu&, const Relu&) = default;
};
// Mean over height and width: a vector of channels.
struct GlobalMean {
  friend bool operator==(const GlobalMean&, const GlobalMean&) = default;
};
// A map to a vector in channel, row, column order.
struct Flatten {
  friend bool operator==(const Flatten&, const Flatten&) = default;
};
// Of a vector.
struct Softmax {
  friend bool operator==(const Softmax&, const Softmax&) = default;
};

using Action = std::variant<Convolution, Linear, MaxPool, AveragePool, LocalResponseNorm, Concatenation,
                            Addition, Relu, GlobalMean, Flatten, Softmax>;

// The actions as the program file names them, in the order of Action.
constexpr std::array<std::string_view, std::variant_size_v<Action>> action_names() {
  return {"convolution",         "linear",        "max_pool", "average_pool",
          "local_response_norm", "concatenation", "addition", "relu",
          "global_mean",         "flatten",       "softmax"};
}
std::string_view name(const Action&);

struct Operation {
  Action action;
  std::vector<Register> inputs;
  Register output = -1;
  friend bool operator==(const Operation&, const Operation&) = default;
};

struct Block {
  std::vector<Operation> trunk;  // may be empty
  std::vector<Operation> exit;   // ends with the softmax
  friend bool operator==(const Block&, const Block&) = default;
};

// A checked program; immutable.
class Program {
 public:
  // Checks everything: block, operation and register counts, register use, parameters, shapes that chain,
  // sizes that overflow, answers that are a softmax over `classes`, tensor names used with one shape each.
  // The error names block, part and operation.
  static Result<Program> make(Shape input, int classes, std::vector<Block> blocks);

  Shape input() const { return shapes_[0]; }
  int classes() const { return classes_; }
  int block_count() const { return static_cast<int>(blocks_.size()); }
  const Block& block(int b) const { return blocks_[static_cast<std::size_t>(b)]; }
  std::span<const Block> blocks() const { return blocks_; }
  int register_count() const { return static_cast<int>(shapes_.size()); }
  Shape shape(Register r) const { return shapes_[static_cast<std::size_t>(r)]; }
  // The register that holds the softmax scores of exit b.
  Register answer(int b) const { return block(b).exit.back().output; }
  // The trunk state after block b: what exit b, a later trunk or a later exit reads; ascending. A job holds
  // exactly these between block b and block b + 1.
  std::span<const Register> state_after(int b) const { return states_[static_cast<std::size_t>(b)]; }
  // Name and shape of every tensor that the operations refer to.
  const std::map<std::string, std::vector<std::int64_t>>& tensors() const { return tensors_; }

  friend bool operator==(const Program&, const Program&) = default;

 private:
  Program() = default;

  int classes_ = 0;
  std::vector<Block> blocks_;
  std::vector<Shape> shapes_;                  // by register
  std::vector<std::vector<Register>> states_;  // by block
  std::map<std::string, std::vector<std::int64_t>> tensors_;
};

// Numbers the registers while a network is written down:
//
//   ProgramBuilder net({1, 28, 28}, 10);
//   net.begin_block();
//   Register x = net.add(Convolution{…}, {net.input()});
//   net.begin_exit();
//   net.add(Softmax{}, {net.add(Linear{…}, {net.add(Flatten{}, {x})})});
//   Result<Program> program = std::move(net).finish();
class ProgramBuilder {
 public:
  ProgramBuilder(Shape input, int classes) : input_(input), classes_(classes) {}

  Register input() const { return 0; }
  // What is added next belongs to the trunk of a new block,
  void begin_block();
  // and from here on to its exit. Precondition: a block was begun.
  void begin_exit();
  // Appends an operation and returns its output. Precondition: a block was begun.
  Register add(Action action, std::vector<Register> inputs);
  // Program::make of all that was added.
  Result<Program> finish() &&;

 private:
  Shape input_;
  int classes_;
  std::vector<Block> blocks_;
  bool exit_ = false;  // which part of the last block is being written
  Register next_ = 1;
};

// The file `program` of a package is TOML: the project's one TOML reader already checks types, ranges and
// unknown keys and names line and column, people can read and compare it, and no further library is needed.
// docs/packages.md.
std::string write_program(const Program&);
// `file` is only used in messages. Reads anything without crashing; the error says where and why.
Result<Program> read_program(std::string_view text, std::string file, Shape input, int classes);

}  // namespace einet
