#include "models/onednn/onednn_backend.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <omp.h>

#include "config/check.h"
#include "models/carried_state.h"
#include "models/input.h"
#include "models/memory_plan.h"
#include "models/onednn/steps.h"

namespace einet {
namespace {

using namespace onednn;

// oneDNN divides a primitive's work by the number of threads at its creation.
class ThreadCount {
 public:
  explicit ThreadCount(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~ThreadCount() { omp_set_num_threads(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

struct BlockSteps {
  std::vector<Step> trunk, exit;
};

// What all lanes of a model share; immutable.
struct SharedModel {
  PackageInfo info;
  dnnl::engine engine;
  MemoryPlan plan;
  std::vector<BlockSteps> blocks;
  std::size_t scratchpad_bytes = 0;  // of the neediest primitive
};

void run(const ConcatenationStep& step, const auto& memory_of) {
  float* out = memory_of(step.output);
  std::size_t channels = 0;
  for (const auto& part : step.inputs) channels += part.channels;
  for (const auto& part : step.inputs) {
    const float* in = memory_of(part.reg);
    for (std::size_t p = 0; p < step.pixels; ++p) {
      std::memcpy(out + p * channels, in + p * part.channels, part.channels * sizeof(float));
    }
    out += part.channels;
  }
}

// A matrix's rows become the columns of `out`: with a row per pixel, NHWC becomes channel, row, column order;
// with a row per channel, the other way round.
void transpose(const float* in, std::size_t rows, std::size_t columns, float* out) {
  if (rows == 1 || columns == 1) {
    std::memcpy(out, in, rows * columns * sizeof(float));
    return;
  }
  // As many rows at a time as fill a cache line of `out`.
  constexpr std::size_t kRows = 64 / sizeof(float);
  for (std::size_t first = 0; first < rows; first += kRows) {
    const std::size_t end = std::min(first + kRows, rows);
    for (std::size_t c = 0; c < columns; ++c) {
      for (std::size_t r = first; r < end; ++r) out[c * rows + r] = in[r * columns + c];
    }
  }
}

void run(const FlattenStep& step, const auto& memory_of) {
  transpose(memory_of(step.input), step.pixels, step.channels, memory_of(step.output));
}

void run(const SoftmaxStep& step, const auto& memory_of) {
  const float* in = memory_of(step.input);
  float* out = memory_of(step.output);
  const float top = *std::max_element(in, in + step.size);
  float sum = 0;
  for (std::size_t i = 0; i < step.size; ++i) sum += out[i] = std::exp(in[i] - top);
  for (std::size_t i = 0; i < step.size; ++i) out[i] /= sum;
}

// A primitive with this lane's memory behind its arguments.
struct BoundPrimitive {
  struct InState {
    std::size_t argument;  // index into memories
    std::size_t offset;    // floats from the state's begin
  };
  std::vector<dnnl::memory> memories;      // own the handles in `arguments`
  std::vector<dnnl_exec_arg_t> arguments;  // ready for dnnl_primitive_execute
  std::vector<InState> in_state;           // those that move with the job's state
};

class OneDnnLane final : public LaneModel {
 public:
  explicit OneDnnLane(const SharedModel& model)
      : model_(model),
        stream_(model.engine),
        arena_(ByteCount{model.plan.arena_floats * sizeof(float)}),
        scratchpad_(ByteCount{model.scratchpad_bytes}) {
    for (const BlockSteps& block : model.blocks) {
      trunks_.push_back(bind(block.trunk));
      exits_.push_back(bind(block.exit));
    }
  }

  Result<void> begin(const InputView& input, TrunkState& state) override {
    check(state);
    return normalise_input(input, model_.info, Layout::hwc, memory_of(0, state));
  }

  Result<void> run_trunk(int block, TrunkState& state) override {
    const std::size_t b = index(block);
    return run_part(model_.blocks[b].trunk, trunks_[b], state);
  }

  Result<void> run_exit(int block, TrunkState& state, std::span<float> scores) override {
    const std::size_t b = index(block);
    if (auto ok = run_part(model_.blocks[b].exit, exits_[b], state); !ok) return ok;
    EINET_CHECK(scores.size() == static_cast<std::size_t>(model_.info.program.classes()),
                "one score per class");
    std::copy_n(memory_of(model_.info.program.answer(block), state), scores.size(), scores.begin());
    if (!std::all_of(scores.begin(), scores.end(), [](float v) { return std::isfinite(v); })) {
      return error("exit " + std::to_string(block) + " of " + model_.info.name +
                   " gave scores that are not finite");
    }
    return {};
  }

 private:
  // A part's primitives, and the state that their arguments point into.
  struct BoundPart {
    std::vector<BoundPrimitive> steps;  // empty ones for steps that are loops
    const std::byte* state = nullptr;
  };

  std::size_t index(int block) const {
    EINET_CHECK(block >= 0 && block < model_.info.program.block_count(), "the model has the block");
    return static_cast<std::size_t>(block);
  }

  void check(TrunkState& state) const {
    EINET_CHECK(state.size().value >= model_.plan.state_floats * sizeof(float),
                "the state has room for the model");
  }

  float* memory_of(Register r, TrunkState& state) {
    const MemoryPlan::Place& place = model_.plan.places[static_cast<std::size_t>(r)];
    TrunkState& area = place.area == MemoryPlan::Area::state ? state : arena_;
    return reinterpret_cast<float*>(area.data()) + place.offset;
  }

  BoundPart bind(const std::vector<Step>& steps) {
    BoundPart part;
    for (const Step& step : steps) {
      const auto* primitive = std::get_if<PrimitiveStep>(&step);
      part.steps.push_back(primitive != nullptr ? bind(*primitive) : BoundPrimitive{});
    }
    return part;
  }

  BoundPrimitive bind(const PrimitiveStep& step) {
    BoundPrimitive bound;
    const auto add = [&](int index, dnnl::memory memory) {
      bound.arguments.push_back({index, memory.get()});
      bound.memories.push_back(std::move(memory));
    };
    for (const auto& [index, memory] : step.constants) add(index, memory);
    add(DNNL_ARG_SCRATCHPAD, dnnl::memory(step.scratchpad, model_.engine, scratchpad_.data()));
    for (const PrimitiveStep::Argument& argument : step.arguments) {
      const MemoryPlan::Place& place = model_.plan.places[static_cast<std::size_t>(argument.reg)];
      const bool in_state = place.area == MemoryPlan::Area::state;
      if (in_state) bound.in_state.push_back({bound.memories.size(), place.offset});
      void* data = in_state ? nullptr : reinterpret_cast<float*>(arena_.data()) + place.offset;
      add(argument.index, dnnl::memory(argument.layout, model_.engine, data));
    }
    return bound;
  }

  static void point_at(BoundPart& part, TrunkState& state) {
    if (part.state == state.data()) return;
    for (BoundPrimitive& bound : part.steps) {
      for (const BoundPrimitive::InState& where : bound.in_state) {
        bound.memories[where.argument].set_data_handle(reinterpret_cast<float*>(state.data()) + where.offset);
      }
    }
    part.state = state.data();
  }

  Result<void> run_part(const std::vector<Step>& steps, BoundPart& part, TrunkState& state) {
    check(state);
    point_at(part, state);
    const auto find = [&](Register r) { return memory_of(r, state); };
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (const auto* primitive = std::get_if<PrimitiveStep>(&steps[i])) {
        // The C call: the C++ one builds its table of arguments anew each time.
        const std::vector<dnnl_exec_arg_t>& arguments = part.steps[i].arguments;
        const dnnl_status_t status = dnnl_primitive_execute(
            primitive->primitive.get(), stream_.get(), static_cast<int>(arguments.size()), arguments.data());
        if (status != dnnl_success) {
          return error("oneDNN could not run a primitive (status " + std::to_string(status) + ")");
        }
      } else if (const auto* concatenation = std::get_if<ConcatenationStep>(&steps[i])) {
        run(*concatenation, find);
      } else if (const auto* flatten = std::get_if<FlattenStep>(&steps[i])) {
        run(*flatten, find);
      } else {
        run(std::get<SoftmaxStep>(steps[i]), find);
      }
    }
    return {};
  }

  const SharedModel& model_;
  dnnl::stream stream_;
  TrunkState arena_;  // aligned memory, as a job's state is
  TrunkState scratchpad_;
  std::vector<BoundPart> trunks_, exits_;
};

// oneDNN's C++ interface throws; nothing of that leaves this file.
template <class F>
auto guarded(std::string_view what, const std::string& model, F&& f) -> decltype(f()) {
  const std::string place = "oneDNN cannot " + std::string(what) + " " + model;
  try {
    return f();
  } catch (const dnnl::error& e) {
    return error(place + ": " + e.what());
  } catch (const std::bad_alloc&) {
    return error(place + ": out of memory");
  }
}

class OneDnnModel final : public LoadedModel {
 public:
  explicit OneDnnModel(SharedModel shared) : shared_(std::move(shared)) {}

  const PackageInfo& info() const override { return shared_.info; }
  ByteCount state_bytes() const override { return ByteCount{shared_.plan.state_floats * sizeof(float)}; }
  Result<std::unique_ptr<LaneModel>> make_lane(const LaneOptions&) const override {
    return guarded("make a lane for", shared_.info.name, [&]() -> Result<std::unique_ptr<LaneModel>> {
      return std::unique_ptr<LaneModel>(std::make_unique<OneDnnLane>(shared_));
    });
  }

  Result<void> save_state(int next_block, TrunkState& state, std::span<std::byte> to) const override {
    for (const CarriedRegister& c : carried_registers(info().program, next_block, ByteCount{to.size()})) {
      auto* const carried = reinterpret_cast<float*>(to.data() + c.offset);
      transpose(in_state(c.reg, state), pixels(c.shape), channels(c.shape), carried);
    }
    return {};
  }
  Result<void> load_state(int next_block, std::span<const std::byte> from, TrunkState& state) const override {
    for (const CarriedRegister& c : carried_registers(info().program, next_block, ByteCount{from.size()})) {
      const auto* const carried = reinterpret_cast<const float*>(from.data() + c.offset);
      transpose(carried, channels(c.shape), pixels(c.shape), in_state(c.reg, state));
    }
    return {};
  }

 private:
  static std::size_t channels(Shape shape) { return static_cast<std::size_t>(shape.channels); }
  static std::size_t pixels(Shape shape) { return static_cast<std::size_t>(shape.pixels()); }
  float* in_state(Register r, TrunkState& state) const {
    EINET_CHECK(state.size() >= state_bytes(), "the state has room for the model");
    return reinterpret_cast<float*>(state.data()) + shared_.plan.places[static_cast<std::size_t>(r)].offset;
  }

  const SharedModel shared_;
};

class OneDnnBackend final : public Backend {
 public:
  explicit OneDnnBackend(OneDnnOptions options) : options_(options) {
    EINET_CHECK(options.threads_per_lane >= 1, "a lane has a thread");
  }

  std::string_view name() const override { return "onednn"; }
  void enter_lane(std::optional<LaneKind>) override { omp_set_num_threads(options_.threads_per_lane); }

  Result<std::unique_ptr<LoadedModel>> load(Package package) override {
    const std::string model = package.info.name;
    return guarded("load", model, [&]() -> Result<std::unique_ptr<LoadedModel>> {
      const ThreadCount threads(options_.threads_per_lane);
      SharedModel shared{std::move(package.info), dnnl::engine(dnnl::engine::kind::cpu, 0), {}, {}, 0};
      const Program& program = shared.info.program;
      shared.plan = plan_memory(program);
      for (const Block& block : program.blocks()) {
        shared.blocks.push_back({make_steps(shared.engine, program, block.trunk, package.weights),
                                 make_steps(shared.engine, program, block.exit, package.weights)});
        for (const auto* part : {&shared.blocks.back().trunk, &shared.blocks.back().exit}) {
          for (const Step& step : *part) {
            if (const auto* primitive = std::get_if<PrimitiveStep>(&step)) {
              shared.scratchpad_bytes = std::max(shared.scratchpad_bytes, primitive->scratchpad.get_size());
            }
          }
        }
      }
      return std::unique_ptr<LoadedModel>(std::make_unique<OneDnnModel>(std::move(shared)));
    });
  }

 private:
  const OneDnnOptions options_;
};

}  // namespace

std::unique_ptr<Backend> make_onednn_backend(OneDnnOptions options) {
  return std::make_unique<OneDnnBackend>(options);
}

}  // namespace einet
