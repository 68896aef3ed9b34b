#include "models/torch/program_network.h"

#include <algorithm>
#include <chrono>
#include <set>

#include <torch/autograd.h>

#include "config/check.h"
#include "models/torch/layers.h"
#include "models/torch/operations.h"

namespace einet {
namespace {

std::vector<Operation> whole_trunk(const Program& program) {
  std::vector<Operation> all;
  for (const Block& block : program.blocks()) all.insert(all.end(), block.trunk.begin(), block.trunk.end());
  return all;
}

// The names of the tensors that an operation refers to.
std::vector<std::string*> tensor_names(Action& action) {
  if (auto* c = std::get_if<Convolution>(&action)) return {&c->weight, &c->bias};
  if (auto* l = std::get_if<Linear>(&action)) return {&l->weight, &l->bias};
  return {};
}

// Some operations of a program in a row, their tensors as parameters.
class Slice final : public torch::nn::Module {
 public:
  Slice(std::vector<Operation> operations, const Weights& weights, Learn learn)
      : operations_(std::move(operations)) {
    for (Operation& operation : operations_) {
      for (const std::string* name : tensor_names(operation.action)) {
        if (tensors_.contains(*name)) continue;
        const Tensor& values = weights.at(*name);
        tensors_[*name] =
            register_parameter("w" + std::to_string(tensors_.size()),
                               torch::tensor(values.values).view(values.shape), learn == Learn::all);
      }
    }
  }

  // Adds the registers that these operations write.
  void run(std::map<Register, torch::Tensor>& registers) const {
    for (const Operation& operation : operations_) {
      std::vector<torch::Tensor> inputs;
      for (const Register r : operation.inputs) inputs.push_back(registers.at(r));
      registers[operation.output] = evaluate(operation.action, inputs, tensors_);
    }
  }
  // The same for the registers' new numbers.
  void lower(Lowering& to, std::map<Register, Register>& renamed, const std::string& name) const {
    std::map<std::string, std::string> kept;  // a tensor may serve two operations
    for (Operation operation : operations_) {
      for (std::string* tensor : tensor_names(operation.action)) {
        std::string& own = kept[*tensor];
        if (own.empty()) own = to.keep(name + "." + *tensor, tensors_.at(*tensor));
        *tensor = own;
      }
      for (Register& r : operation.inputs) r = renamed.at(r);
      renamed[operation.output] = to.builder().add(operation.action, operation.inputs);
    }
  }

 private:
  std::vector<Operation> operations_;
  NamedTensors tensors_;
};

class ProgramTrunk final : public Trunk {
 public:
  ProgramTrunk(std::shared_ptr<Slice> slice, Registers in, Registers out)
      : slice_(register_module("slice", std::move(slice))), in_(std::move(in)), out_(std::move(out)) {}

  State advance(const State& state) override {
    std::map<Register, torch::Tensor> registers;
    for (std::size_t i = 0; i < in_.size(); ++i) registers[in_[i]] = state[i];
    slice_->run(registers);
    State out;
    for (const Register r : out_) out.push_back(registers.at(r));
    return out;
  }
  Registers lower_state(Lowering& to, const Registers& state, const std::string& name) const override {
    std::map<Register, Register> renamed;
    for (std::size_t i = 0; i < in_.size(); ++i) renamed[in_[i]] = state[i];
    slice_->lower(to, renamed, name);
    Registers out;
    for (const Register r : out_) out.push_back(renamed.at(r));
    return out;
  }

 private:
  std::shared_ptr<Slice> slice_;
  Registers in_, out_;
};

// The program's last exit, which reads one register.
class ProgramExit final : public Part {
 public:
  ProgramExit(std::shared_ptr<Slice> slice, Register in, Register out)
      : slice_(register_module("slice", std::move(slice))), in_(in), out_(out) {}

  torch::Tensor forward(const torch::Tensor& x) override {
    std::map<Register, torch::Tensor> registers = {{in_, x}};
    slice_->run(registers);
    return registers.at(out_);
  }
  Register lower(Lowering& to, Register x, const std::string& name) const override {
    std::map<Register, Register> renamed = {{in_, x}};
    slice_->lower(to, renamed, name);
    return renamed.at(out_);
  }

 private:
  std::shared_ptr<Slice> slice_;
  Register in_, out_;
};

// What the operations from `cut` on, and the exit, read of what is written before it; the register that is
// written last comes last, since the branch reads it.
Registers live_at(const std::vector<Operation>& trunk, const std::vector<Operation>& exit, std::size_t cut) {
  std::set<Register> written = {0}, live = {trunk[cut - 1].output};
  for (std::size_t i = 0; i < cut; ++i) written.insert(trunk[i].output);
  const auto read = [&](const Operation& operation) {
    for (const Register r : operation.inputs) {
      if (written.contains(r)) live.insert(r);
    }
  };
  std::for_each(trunk.begin() + static_cast<std::ptrdiff_t>(cut), trunk.end(), read);
  std::for_each(exit.begin(), exit.end(), read);
  return {live.begin(), live.end()};
}

bool is_convolution(const Operation& operation) {
  return std::holds_alternative<Convolution>(operation.action);
}

// A branch can stand behind the first `cut` operations.
bool has_place(const Program& program, const std::vector<Operation>& trunk, std::size_t cut) {
  if (cut == 0 || cut >= trunk.size()) return false;
  const Shape s = program.shape(trunk[cut - 1].output);
  return !s.is_vector() && s.height == s.width &&
         std::any_of(trunk.begin(), trunk.begin() + static_cast<std::ptrdiff_t>(cut), is_convolution);
}

std::vector<int> before_convolutions(const Program& program, const std::vector<Operation>& trunk) {
  std::vector<int> cuts;
  for (std::size_t i = 0; i < trunk.size(); ++i) {
    if (is_convolution(trunk[i]) && has_place(program, trunk, i)) cuts.push_back(static_cast<int>(i));
  }
  return cuts;
}

std::vector<int> before_smaller_maps(const Program& program, const std::vector<Operation>& trunk) {
  std::vector<int> cuts;
  int smallest = program.input().height;
  for (std::size_t i = 0; i < trunk.size(); ++i) {
    const Shape s = program.shape(trunk[i].output);
    if (s.is_vector() || s.height >= smallest) continue;
    smallest = s.height;
    if (has_place(program, trunk, i)) cuts.push_back(static_cast<int>(i));
  }
  return cuts;
}

// The processor's share is unknown, so the least of some runs counts.
std::vector<double> measured_times(const Package& source, const std::vector<Operation>& trunk) {
  const torch::NoGradGuard no_grad;
  constexpr int kRounds = 20;
  const Shape in = source.info.program.input();
  std::vector<double> times(trunk.size(), 1e9);
  std::vector<std::unique_ptr<Slice>> slices;
  for (const Operation& operation : trunk) {
    slices.push_back(std::make_unique<Slice>(std::vector{operation}, source.weights, Learn::branches));
  }
  for (int round = 0; round < kRounds; ++round) {
    std::map<Register, torch::Tensor> registers = {{0, torch::rand({1, in.channels, in.height, in.width})}};
    for (std::size_t i = 0; i < trunk.size(); ++i) {
      const auto start = std::chrono::steady_clock::now();
      slices[i]->run(registers);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      times[i] = std::min(times[i], took.count());
    }
  }
  return times;
}

// Each cut at the place whose time is nearest to its share.
std::vector<int> at_equal_times(const Package& source, const std::vector<Operation>& trunk, int exits) {
  const std::vector<double> times = measured_times(source, trunk);
  std::vector<double> until(trunk.size() + 1);
  for (std::size_t i = 0; i < times.size(); ++i) until[i + 1] = until[i] + times[i];
  std::set<int> cuts;
  for (int k = 1; k < exits; ++k) {
    const double wanted = until.back() * k / exits;
    int best = -1;
    for (std::size_t i = 1; i < trunk.size(); ++i) {
      if (!has_place(source.info.program, trunk, i)) continue;
      const auto off = [&](std::size_t at) { return std::abs(until[at] - wanted); };
      if (best < 0 || off(i) < off(static_cast<std::size_t>(best))) best = static_cast<int>(i);
    }
    if (best > 0) cuts.insert(best);
  }
  return {cuts.begin(), cuts.end()};
}

}  // namespace

Result<std::vector<int>> find_cuts(const Package& source, CutAt at, int exits) {
  const Program& program = source.info.program;
  if (program.input().is_vector()) {
    return error("\"" + source.info.name + "\" takes vectors; only networks on images can be converted");
  }
  const std::vector<Operation> trunk = whole_trunk(program);
  std::vector<int> cuts;
  switch (at) {
    case CutAt::convolutions:
      cuts = before_convolutions(program, trunk);
      break;
    case CutAt::stages:
      cuts = before_smaller_maps(program, trunk);
      break;
    case CutAt::times:
      if (exits < 2 || exits > kMaxBlocks) {
        return error("exits is " + std::to_string(exits) + "; allowed: 2 to " + std::to_string(kMaxBlocks));
      }
      cuts = at_equal_times(source, trunk, exits);
      break;
  }
  if (cuts.empty()) {
    return error("\"" + source.info.name +
                 "\" has no place for a branch: none of its cuts of this kind lies "
                 "behind a convolution on a square map; try another --cut");
  }
  if (cuts.size() >= static_cast<std::size_t>(kMaxBlocks)) {
    return error("\"" + source.info.name + "\" would get " + std::to_string(cuts.size() + 1) +
                 " exits; at most " + std::to_string(kMaxBlocks) + " are allowed; try --cut stages or times");
  }
  return cuts;
}

Result<std::shared_ptr<Network>> make_converted(std::string name, const Conversion& conversion, Learn learn) {
  const Program& program = conversion.source.info.program;
  const std::vector<Operation> trunk = whole_trunk(program);
  std::vector<Operation> exit = program.blocks().back().exit;
  const Register logits = exit.back().inputs.front();
  exit.pop_back();  // the softmax, which Network::lower adds
  const auto network = std::make_shared<Network>(std::move(name), program.input(), program.classes());
  const auto slice = [&](const std::vector<Operation>& operations) {
    return std::make_shared<Slice>(operations, conversion.source.weights, learn);
  };
  std::size_t done = 0;
  Registers state = {0};
  for (const int at : conversion.cuts) {
    const auto cut = static_cast<std::size_t>(std::max(0, at));
    if (cut <= done || !has_place(program, trunk, cut)) return error("no branch can stand at this cut");
    Registers next = live_at(trunk, exit, cut);
    const Shape map = program.shape(next.back());
    network->add(std::make_shared<ProgramTrunk>(slice({trunk.begin() + static_cast<std::ptrdiff_t>(done),
                                                       trunk.begin() + static_cast<std::ptrdiff_t>(cut)}),
                                                state, next),
                 branch(map.channels, map.height, kBranchChannels, kBranchHidden, program.classes()));
    state = std::move(next);
    done = cut;
  }
  const Registers end = live_at(trunk, exit, trunk.size());
  if (end.size() != 1) {
    return error("the exit of \"" + conversion.source.info.name +
                 "\" reads more than the last result of its trunk; such a network cannot be converted");
  }
  network->add(std::make_shared<ProgramTrunk>(
                   slice({trunk.begin() + static_cast<std::ptrdiff_t>(done), trunk.end()}), state, end),
               std::make_shared<ProgramExit>(slice(exit), end.front(), logits));
  return network;
}

}  // namespace einet
