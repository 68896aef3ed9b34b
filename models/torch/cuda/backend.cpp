// CUDA lanes (models/cuda_backend.h): block programs through ATen, every trunk and every exit recorded as a
// CUDA graph on its lane's stream.
//
// Graphs know fixed places only, and a job's state must be able to move between lanes: so a lane has
// registers of its own, into which a block's graph is preceded by a copy of the job's state, and out of which
// it is followed by one, both on the device. A lane's thread sleeps until its block's event has happened.
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

#include <ATen/Context.h>
#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/autograd.h>
#include <torch/cuda.h>
#include <torch/utils.h>

#include "config/check.h"
#include "models/carried_state.h"
#include "models/cuda_backend.h"
#include "models/input.h"
#ifdef EINET_HAS_NVCC
#include "models/torch/cuda/answer.h"
#endif
#include "models/torch/cuda/capture.h"
#include "models/torch/operations.h"
#include "models/torch/state_layout.h"

namespace einet {
namespace {

namespace cuda = c10::cuda;

// Blocks run so often before they are recorded: libraries set themselves up in the first runs.
constexpr int kRunsBeforeRecording = 3;

torch::TensorOptions pinned(torch::ScalarType type) {
  return torch::TensorOptions(type).pinned_memory(true);
}

// The first error after which the process cannot use the device any more, as after most errors of CUDA.
struct Loss {
  std::mutex mutex;
  std::string why;
};
Loss& loss() {
  static Loss loss;
  return loss;
}

// LibTorch reports its errors as exceptions.
template <class F>
Result<void> guarded(F&& body) {
  try {
    const torch::NoGradGuard no_grad;
    body();
    return {};
  } catch (const c10::OutOfMemoryError& e) {
    return error(std::string("out of device memory: ") + e.what_without_backtrace());
  } catch (const c10::Error& e) {
    if (cudaDeviceSynchronize() != cudaSuccess) {
      const std::lock_guard lock(loss().mutex);
      if (loss().why.empty()) loss().why = e.what_without_backtrace();
    }
    return error(e.what_without_backtrace());
  }
}

// What is the same for all lanes: the program, its tensors on the device, and where in a job's state each
// register lies.
struct Loaded {
  PackageInfo info;
  torch::Device device;
  NamedTensors tensors;
  StateLayout layout;

  Loaded(Package package, torch::Device on)
      : info(std::move(package.info)), device(on), layout(info.program) {
    for (const auto& [name, tensor] : package.weights) {
      tensors[name] = torch::tensor(tensor.values).view(tensor.shape).to(device);
    }
  }
};

class CudaLane final : public LaneModel {
 public:
  CudaLane(std::shared_ptr<const Loaded> loaded, LaneKind kind)
      : loaded_(std::move(loaded)),
        stream_(
            cuda::getStreamFromPool(/*isHighPriority=*/kind == LaneKind::urgent, loaded_->device.index())),
        done_(cudaEventDisableTiming | cudaEventBlockingSync) {
    const cuda::CUDAStreamGuard on(stream_);
    const auto on_device = torch::TensorOptions(torch::kUInt8).device(loaded_->device);
    registers_ = torch::zeros({static_cast<std::int64_t>(loaded_->layout.bytes())}, on_device);
    input_ = torch::zeros({program().input().elements()}, pinned(torch::kFloat32));
    scores_ = torch::zeros({program().classes()}, pinned(torch::kFloat32));
    for (int b = 0; b < program().block_count(); ++b) {
      trunks_.push_back(record([&] { compute_trunk(b); }));
      exits_.push_back(record([&] { compute_exit(b); }));
    }
  }

  Result<void> begin(const InputView& input, TrunkState&) override {
    float* const staged = input_.mutable_data_ptr<float>();
    if (auto ok = normalise_input(input, loaded_->info, Layout::chw, staged); !ok) return ok;
    return guarded([&] {
      copy(place(0), reinterpret_cast<const std::byte*>(staged), loaded_->layout.size(0),
           cudaMemcpyHostToDevice);
    });
  }

  Result<void> run_trunk(int block, TrunkState& state) override {
    return guarded([&] {
      const cuda::CUDAStreamGuard on(stream_);
      if (block > 0) {
        for (const Register r : program().state_after(block - 1)) {
          copy(place(r), in_state(r, state), loaded_->layout.size(r), cudaMemcpyDeviceToDevice);
        }
      }
      trunks_[static_cast<std::size_t>(block)]->replay();
      for (const Register r : program().state_after(block)) {
        copy(in_state(r, state), place(r), loaded_->layout.size(r), cudaMemcpyDeviceToDevice);
      }
      wait();
    });
  }

  Result<void> run_exit(int block, TrunkState&, std::span<float> scores) override {
    EINET_CHECK(scores.size() == static_cast<std::size_t>(program().classes()), "one place per class");
    return guarded([&] {
      const cuda::CUDAStreamGuard on(stream_);
      exits_[static_cast<std::size_t>(block)]->replay();
      wait();
      std::memcpy(scores.data(), scores_.const_data_ptr<float>(), scores.size_bytes());
    });
  }

 private:
  using Graph = std::unique_ptr<at::cuda::CUDAGraph>;

  const Program& program() const { return loaded_->info.program; }

  // Other lanes go on meanwhile, hence the mode.
  template <class F>
  Graph record(F&& work) {
    for (int run = 0; run < kRunsBeforeRecording; ++run) work();
    stream_.synchronize();
    auto graph = std::make_unique<at::cuda::CUDAGraph>();
    capture(*graph, cudaStreamCaptureModeThreadLocal, work);
    return graph;
  }

  void compute_trunk(int block) {
    const torch::NoGradGuard no_grad;
    const auto values = compute(program().block(block).trunk);
    for (const Register r : program().state_after(block)) {
      const torch::Tensor& value = values[static_cast<std::size_t>(r)];
      // Those that this trunk did not write are in their place already.
      if (value.defined()) view(r).copy_(value);
    }
  }

  // Into scores_. An exit ends with its softmax.
  void compute_exit(int block) {
    const torch::NoGradGuard no_grad;
    const std::span<const Operation> exit = program().block(block).exit;
#ifdef EINET_HAS_NVCC
    const Register logits = exit.back().inputs.front();
    const auto values = compute(exit.first(exit.size() - 1));
    const torch::Tensor known = values[static_cast<std::size_t>(logits)];
    const torch::Tensor in = (known.defined() ? known : view(logits)).contiguous();
    C10_CUDA_CHECK(enqueue_answer(in.const_data_ptr<float>(), program().classes(),
                                  scores_.mutable_data_ptr<float>(), stream_.stream()));
#else
    const auto values = compute(exit);
    const torch::Tensor& answer = values[static_cast<std::size_t>(program().answer(block))];
    scores_.copy_(answer.view({-1}), /*non_blocking=*/true);
#endif
  }

  // The registers that these operations wrote; the others stay undefined.
  std::vector<torch::Tensor> compute(std::span<const Operation> operations) const {
    std::vector<torch::Tensor> values(static_cast<std::size_t>(program().register_count()));
    for (const Operation& operation : operations) {
      std::vector<torch::Tensor> inputs;
      for (const Register r : operation.inputs) {
        const torch::Tensor& value = values[static_cast<std::size_t>(r)];
        inputs.push_back(value.defined() ? value : view(r));
      }
      values[static_cast<std::size_t>(operation.output)] =
          evaluate(operation.action, inputs, loaded_->tensors);
    }
    return values;
  }

  std::byte* place(Register r) const {
    return static_cast<std::byte*>(registers_.data_ptr()) + loaded_->layout.offset(r);
  }
  std::byte* in_state(Register r, TrunkState& state) const {
    return state.data() + loaded_->layout.offset(r);
  }
  // The lane's register as a batch of one.
  torch::Tensor view(Register r) const {
    return torch::from_blob(place(r), batch_of_one(program().shape(r)),
                            torch::TensorOptions(torch::kFloat32).device(loaded_->device));
  }

  void copy(std::byte* to, const std::byte* from, std::size_t bytes, cudaMemcpyKind kind) const {
    C10_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, kind, stream_.stream()));
  }

  // Sleeps until the device has done what was enqueued.
  void wait() {
    done_.record(stream_);
    done_.synchronize();
  }

  std::shared_ptr<const Loaded> loaded_;
  cuda::CUDAStream stream_;
  at::cuda::CUDAEvent done_;
  torch::Tensor registers_;       // u8, on the device, laid out as a job's state
  torch::Tensor input_, scores_;  // f32, in pinned memory
  std::vector<Graph> trunks_, exits_;
};

// Copies beside the lanes' work, on a stream of its own: neither one of LibTorch's pool, which deals the
// lanes' out again, nor the default one, on which all others wait. Any thread.
class StateCopies {
 public:
  explicit StateCopies(torch::Device device) : device_(device) {
    const cuda::CUDAGuard on(device_);
    C10_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  }
  ~StateCopies() { C10_CUDA_CHECK_WARN(cudaStreamDestroy(stream_)); }
  StateCopies(const StateCopies&) = delete;
  StateCopies& operator=(const StateCopies&) = delete;

  void begin(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) const {
    const cuda::CUDAGuard on(device_);
    C10_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, kind, stream_));
  }
  // Sleeps until all that were begun are done.
  void wait() const {
    at::cuda::CUDAEvent done(cudaEventDisableTiming | cudaEventBlockingSync);
    done.record(cuda::getStreamFromExternal(stream_, device_.index()));
    done.synchronize();
  }

 private:
  const torch::Device device_;
  cudaStream_t stream_ = nullptr;
};

class CudaModel final : public LoadedModel {
 public:
  CudaModel(Package package, torch::Device device)
      : loaded_(std::make_shared<const Loaded>(std::move(package), device)), copies_(device) {}

  const PackageInfo& info() const override { return loaded_->info; }
  ByteCount state_bytes() const override { return ByteCount{loaded_->layout.bytes()}; }
  Result<std::unique_ptr<LaneModel>> make_lane(LaneKind kind) const override {
    std::unique_ptr<LaneModel> lane;
    if (auto ok = guarded([&] { lane = std::make_unique<CudaLane>(loaded_, kind); }); !ok) return ok.error();
    return lane;
  }
  Result<void> save_state(int next_block, TrunkState& state, std::span<std::byte> to) const override {
    return guarded([&] {
      for (const CarriedRegister& c : carried_registers(info().program, next_block, ByteCount{to.size()})) {
        copies_.begin(to.data() + c.offset, in_state(c.reg, state), c.bytes, cudaMemcpyDeviceToHost);
      }
      copies_.wait();
    });
  }
  Result<void> load_state(int next_block, std::span<const std::byte> from, TrunkState& state) const override {
    return guarded([&] {
      for (const CarriedRegister& c : carried_registers(info().program, next_block, ByteCount{from.size()})) {
        copies_.begin(in_state(c.reg, state), from.data() + c.offset, c.bytes, cudaMemcpyHostToDevice);
      }
      copies_.wait();
    });
  }

 private:
  std::byte* in_state(Register r, TrunkState& state) const {
    return state.data() + loaded_->layout.offset(r);
  }

  std::shared_ptr<const Loaded> loaded_;
  const StateCopies copies_;
};

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(int index) : device_(torch::kCUDA, static_cast<c10::DeviceIndex>(index)) {
    // The programs are fp32: results must agree with those of other executors.
    at::globalContext().setAllowTF32CuDNN(false);
    at::globalContext().setAllowTF32CuBLAS(false);
    cuda::set_device(device_.index());
  }

  std::string_view name() const override { return "cuda"; }
  std::string_view device_kind() const override { return "cuda"; }
  bool is_gpu() const override { return true; }
  std::string machine() const override {
    cudaDeviceProp properties{};
    if (cudaGetDeviceProperties(&properties, device_.index()) != cudaSuccess) return "unknown GPU";
    return properties.name;
  }
  void enter_lane() override {
    torch::set_num_threads(1);
    cuda::set_device(device_.index());
  }
  Result<std::unique_ptr<LoadedModel>> load(Package package) override {
    std::unique_ptr<LoadedModel> model;
    if (auto ok = guarded([&] { model = std::make_unique<CudaModel>(std::move(package), device_); }); !ok) {
      return ok.error();
    }
    return model;
  }
  Result<std::unique_ptr<TrunkState>> make_state(ByteCount size) override {
    std::unique_ptr<TrunkState> state;
    const auto ok = guarded([&] {
      auto* const memory = static_cast<std::byte*>(cuda::CUDACachingAllocator::raw_alloc(size.value));
      state = std::make_unique<TrunkState>(memory, size,
                                           [](std::byte* p) { cuda::CUDACachingAllocator::raw_delete(p); });
    });
    if (!ok) return ok.error();
    return state;
  }
  std::string why_lost() const override {
    const std::lock_guard lock(loss().mutex);
    return loss().why;
  }

 private:
  torch::Device device_;
};

}  // namespace
}  // namespace einet

extern "C" einet::Backend* einet_cuda_backend(int index, std::string* why) {
  try {
    if (!torch::cuda::is_available()) {
      *why = "the driver shows none";
      return nullptr;
    }
    const auto devices = static_cast<int>(torch::cuda::device_count());
    if (index >= devices) {
      *why = "there is no cuda:" + std::to_string(index) + "; the driver shows " + std::to_string(devices) +
             (devices == 1 ? " device" : " devices");
      return nullptr;
    }
    return new einet::CudaBackend(index);
  } catch (const std::exception& e) {
    *why = e.what();
    return nullptr;
  }
}
