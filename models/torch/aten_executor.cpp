#include "models/torch/aten_executor.h"

#include <cstring>

#include <torch/autograd.h>
#include <torch/utils.h>

#include "config/check.h"
#include "models/carried_state.h"
#include "models/input.h"
#include "models/torch/operations.h"
#include "models/torch/state_layout.h"

namespace einet {
namespace {

// What is the same for all lanes: the program, its tensors, and where in a job's state each register lies.
struct Loaded {
  PackageInfo info;
  NamedTensors tensors;
  StateLayout layout;

  explicit Loaded(Package package) : info(std::move(package.info)), layout(info.program) {
    for (const auto& [name, tensor] : package.weights) {
      tensors[name] = torch::tensor(tensor.values).view(tensor.shape);
    }
  }
};

class AtenLane final : public LaneModel {
 public:
  explicit AtenLane(std::shared_ptr<const Loaded> loaded) : loaded_(std::move(loaded)) {}

  Result<void> begin(const InputView& input, TrunkState& state) override {
    return normalise_input(input, loaded_->info, Layout::chw,
                           reinterpret_cast<float*>(state.data() + loaded_->layout.offset(0)));
  }

  Result<void> run_trunk(int block, TrunkState& state) override {
    return guarded([&] {
      const auto registers = run(program().block(block).trunk, state);
      for (const Register r : program().state_after(block)) {
        const torch::Tensor& value = registers[static_cast<std::size_t>(r)];
        // Those that this trunk did not write are in their place already.
        if (value.defined()) in_state(r, state).copy_(value);
      }
    });
  }

  Result<void> run_exit(int block, TrunkState& state, std::span<float> scores) override {
    EINET_CHECK(scores.size() == static_cast<std::size_t>(program().classes()), "one place per class");
    return guarded([&] {
      const auto registers = run(program().block(block).exit, state);
      const torch::Tensor answer = registers[static_cast<std::size_t>(program().answer(block))].contiguous();
      std::memcpy(scores.data(), answer.const_data_ptr<float>(), scores.size_bytes());
    });
  }

 private:
  const Program& program() const { return loaded_->info.program; }

  template <class F>
  static Result<void> guarded(F&& body) {
    try {
      const torch::NoGradGuard no_grad;
      body();
      return {};
    } catch (const c10::Error& e) {
      return error(e.what_without_backtrace());
    }
  }

  // The register in the job's memory, as a batch of one.
  torch::Tensor in_state(Register r, TrunkState& state) const {
    return torch::from_blob(state.data() + loaded_->layout.offset(r), batch_of_one(program().shape(r)),
                            torch::kFloat32);
  }

  // The registers that these operations wrote; the others stay undefined.
  std::vector<torch::Tensor> run(std::span<const Operation> operations, TrunkState& state) const {
    return evaluate(program(), operations, loaded_->tensors, [&](Register r) { return in_state(r, state); });
  }

  std::shared_ptr<const Loaded> loaded_;
};

class AtenModel final : public LoadedModel {
 public:
  explicit AtenModel(Package package) : loaded_(std::make_shared<const Loaded>(std::move(package))) {}

  const PackageInfo& info() const override { return loaded_->info; }
  ByteCount state_bytes() const override { return ByteCount{loaded_->layout.bytes()}; }
  Result<std::unique_ptr<LaneModel>> make_lane(const LaneOptions&) const override {
    return std::unique_ptr<LaneModel>(std::make_unique<AtenLane>(loaded_));
  }
  Result<void> save_state(int next_block, TrunkState& state, std::span<std::byte> to) const override {
    for (const CarriedRegister& c : carried_registers(info().program, next_block, ByteCount{to.size()})) {
      std::memcpy(to.data() + c.offset, state.data() + loaded_->layout.offset(c.reg), c.bytes);
    }
    return {};
  }
  Result<void> load_state(int next_block, std::span<const std::byte> from, TrunkState& state) const override {
    for (const CarriedRegister& c : carried_registers(info().program, next_block, ByteCount{from.size()})) {
      std::memcpy(state.data() + loaded_->layout.offset(c.reg), from.data() + c.offset, c.bytes);
    }
    return {};
  }

 private:
  std::shared_ptr<const Loaded> loaded_;
};

class AtenBackend final : public Backend {
 public:
  std::string_view name() const override { return "aten"; }
  void enter_lane(std::optional<LaneKind>) override { torch::set_num_threads(1); }
  Result<std::unique_ptr<LoadedModel>> load(Package package) override {
    return std::unique_ptr<LoadedModel>(std::make_unique<AtenModel>(std::move(package)));
  }
};

}  // namespace

std::unique_ptr<Backend> make_aten_backend() {
  return std::make_unique<AtenBackend>();
}

}  // namespace einet
