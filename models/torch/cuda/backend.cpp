// CUDA lanes (models/cuda_backend.h): block programs through ATen, every trunk and every exit recorded as a
// CUDA graph. A lane's thread has a stream, the same for all models; graphs are recorded beside it, on a
// stream that no lane uses, and own all memory that they write, but for the job's state. So a model can be
// made ready while the lane that will run it runs others.
//
// Graphs know fixed places only, and a job's state must be able to move between lanes: so a lane has
// registers of its own, into which a block's graph is preceded by a copy of the job's state, and out of which
// it is followed by one, both on the device. A lane's thread sleeps until its block's event has happened.
// Blocks in flight follow each other on the stream; their scores lie in places of their own.
#include <array>
#include <bit>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <ATen/Context.h>
#include <ATen/cuda/CUDAContextLight.h>
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

// All parts run so often before the first is recorded: libraries set themselves up in the first runs.
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

// After an error. Asks this thread's stream alone: nobody may wait for the device while a thread records.
bool is_lost(const c10::Error& e) {
  if (dynamic_cast<const BrokenRecording*>(&e) != nullptr) return true;
  try {
    cuda::getCurrentCUDAStream().synchronize();
    return false;
  } catch (const c10::Error&) {
    return true;
  }
}

// LibTorch reports its errors as exceptions.
template <class F>
Result<void> guarded(F&& body) {
  try {
    const torch::NoGradGuard no_grad;
    if constexpr (std::is_void_v<decltype(body())>) {
      body();
      return {};
    } else {
      return body();
    }
  } catch (const c10::Error& e) {
    if (is_out_of_memory(e)) {
      return out_of_memory(std::string("out of device memory: ") + e.what_without_backtrace());
    }
    if (is_lost(e)) {
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

// Made for the life of the process: threads, libraries' handles and LibTorch's allocator remember theirs. The
// streams of LibTorch's pool are dealt again and again.
cuda::CUDAStream make_stream(LaneKind kind, torch::Device device) {
  const cuda::CUDAGuard on(device);
  const auto [least, greatest] = cuda::CUDAStream::priority_range();
  cudaStream_t stream = nullptr;
  C10_CUDA_CHECK(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking,
                                              kind == LaneKind::urgent ? greatest : least));
  return cuda::getStreamFromExternal(stream, device.index());
}

// LibTorch keeps memory for cuBLAS to work in, for each stream, and graphs go on using what they were
// recorded with. Those of two lanes must not share it: forgotten before a lane's graphs are recorded it comes
// to lie in their own memory, and forgotten behind them it stays theirs alone.
void forget_workspaces(const cuda::CUDAStream& stream) {
  for (auto* const kept :
       {&at::cuda::cublas_handle_stream_to_workspace(), &at::cuda::cublaslt_handle_stream_to_workspace()}) {
    const std::lock_guard lock(kept->mutex);
    std::erase_if(kept->map, [&](const auto& entry) {
      return std::get<1>(entry.first) == static_cast<void*>(stream.stream());
    });
  }
}

// Where lanes' graphs are recorded, one lane's at a time. Their kernels may keep the priority of the stream
// that they were recorded on, hence one for each kind of lane.
class Recorder {
 public:
  explicit Recorder(torch::Device device)
      : base_(make_stream(LaneKind::base, device)), urgent_(make_stream(LaneKind::urgent, device)) {}

  // While it lives the calling thread's work goes to the stream for such lanes.
  class Session {
   public:
    Session(Recorder& recorder, LaneKind kind)
        : alone_(recorder.mutex_), on_(kind == LaneKind::urgent ? recorder.urgent_ : recorder.base_) {}

   private:
    const std::lock_guard<std::mutex> alone_;
    const cuda::CUDAStreamGuard on_;
  };

 private:
  const cuda::CUDAStream base_, urgent_;
  std::mutex mutex_;
};

// Graphs have fixed sizes: there is one of each part for batches of 1, 2, 4, … jobs, and fewer jobs than that
// leave rows of the lane's registers unused.
class CudaLane final : public LaneModel {
 public:
  CudaLane(std::shared_ptr<const Loaded> loaded, const LaneOptions& options, Recorder& recorder)
      : loaded_(std::move(loaded)), in_flight_(static_cast<std::size_t>(options.in_flight)) {
    const Recorder::Session recording(recorder, options.kind);
    while (rows_ < options.largest_batch) rows_ *= 2;
    const auto on_device = torch::TensorOptions(torch::kUInt8).device(loaded_->device);
    registers_ = torch::zeros({rows_ * static_cast<std::int64_t>(loaded_->layout.bytes())}, on_device);
    input_ = torch::zeros({rows_, program().input().elements()}, pinned(torch::kFloat32));
    for (InFlight& place : in_flight_) {
      place.answers = torch::zeros({rows_, program().classes()}, pinned(torch::kFloat32));
      place.wanted.reserve(static_cast<std::size_t>(rows_));
    }
    warm_up();
    for (int rows = 1; rows <= rows_; rows *= 2) {
      Graphs& graphs = graphs_.emplace_back();
      for (int b = 0; b < program().block_count(); ++b) {
        graphs.trunks.push_back(record([&] { compute_trunk(b, rows); }));
        graphs.exits.push_back(record([&] { compute_exit(b, rows); }));
      }
    }
    forget_workspaces(stream());
  }

  Result<void> begin(const InputView& input, TrunkState& state) override {
    return guarded([&]() -> Result<void> {
      if (staged_ == rows_) wait();
      float* const staged = input_.mutable_data_ptr<float>() + staged_ * program().input().elements();
      if (auto ok = normalise_input(input, loaded_->info, Layout::chw, staged); !ok) return ok;
      copy(in_state(0, state), staged, loaded_->layout.size(0), cudaMemcpyHostToDevice);
      ++staged_;
      return {};
    });
  }

  Result<void> run_trunk(int block, TrunkState& state) override {
    return run_trunks(block, std::array{&state});
  }
  Result<void> run_exit(int block, TrunkState& state, std::span<float> scores) override {
    return run_exits(block, std::array{&state}, std::array{scores});
  }

  Result<void> run_trunks(int block, std::span<TrunkState* const> states) override {
    return guarded([&] {
      enqueue_trunk(block, states);
      wait();
    });
  }

  Result<void> run_exits(int block, std::span<TrunkState* const> states,
                         std::span<const std::span<float>> scores) override {
    return guarded([&] {
      enqueue_exit(block, states.size());
      wait();
      copy_out(block, scores);
    });
  }

  Result<void> launch(int block, std::span<TrunkState* const> states,
                      std::span<const std::span<float>> scores) override {
    return guarded([&] {
      enqueue_trunk(block, states);
      if (any_wanted(scores)) enqueue_exit(block, states.size());
      InFlight& its = place_of(block);
      its.wanted.assign(scores.begin(), scores.end());
      its.done.record(stream());
      if (count_++ == 0) oldest_ = block;
    });
  }

  Result<void> await() override {
    return guarded([&] {
      const int block = oldest_++;
      --count_;
      InFlight& its = place_of(block);
      its.done.synchronize();
      staged_ = 0;
      copy_out(block, its.wanted);
    });
  }

 private:
  using Graph = std::unique_ptr<at::cuda::CUDAGraph>;
  struct Graphs {
    std::vector<Graph> trunks, exits;  // by block
  };
  // What is kept of a block until it is done.
  struct InFlight {
    at::cuda::CUDAEvent done{cudaEventDisableTiming | cudaEventBlockingSync};
    torch::Tensor answers;                 // f32, in pinned memory; a row for each job
    std::vector<std::span<float>> wanted;  // where they go
  };

  const Program& program() const { return loaded_->info.program; }
  // That of the thread whose turn it is.
  cuda::CUDAStream stream() const { return cuda::getCurrentCUDAStream(loaded_->device.index()); }
  const Graphs& graphs_for(std::size_t jobs) const {
    return graphs_[static_cast<std::size_t>(std::bit_width(jobs - 1))];
  }

  // Blocks in flight follow each other, and never share one.
  InFlight& place_of(int block) { return in_flight_[static_cast<std::size_t>(block) % in_flight_.size()]; }

  // From the jobs' states through the lane's registers into the states.
  void enqueue_trunk(int block, std::span<TrunkState* const> states) {
    EINET_CHECK(std::ssize(states) <= rows_, "a batch has at most as many jobs as the lane was made for");
    for (std::size_t row = 0; row < states.size(); ++row) {
      const auto load = [&](Register r) {
        copy(place(r, row), in_state(r, *states[row]), loaded_->layout.size(r), cudaMemcpyDeviceToDevice);
      };
      if (block == 0) {
        load(0);
      } else {
        for (const Register r : program().state_after(block - 1)) load(r);
      }
    }
    graphs_for(states.size()).trunks[static_cast<std::size_t>(block)]->replay();
    for (std::size_t row = 0; row < states.size(); ++row) {
      for (const Register r : program().state_after(block)) {
        copy(in_state(r, *states[row]), place(r, row), loaded_->layout.size(r), cudaMemcpyDeviceToDevice);
      }
    }
  }

  // Behind its trunk, out of the lane's registers into its place.
  void enqueue_exit(int block, std::size_t jobs) {
    graphs_for(jobs).exits[static_cast<std::size_t>(block)]->replay();
  }

  void copy_out(int block, std::span<const std::span<float>> scores) {
    const auto classes = static_cast<std::size_t>(program().classes());
    for (std::size_t row = 0; row < scores.size(); ++row) {
      if (scores[row].empty()) continue;
      EINET_CHECK(scores[row].size() == classes, "one place per class");
      std::memcpy(scores[row].data(), place_of(block).answers.const_data_ptr<float>() + row * classes,
                  scores[row].size_bytes());
    }
  }

  // Before the first recording. What it worked with goes back to the device then: a recording gets memory of
  // its own, and none of what the allocator keeps.
  void warm_up() {
    for (int run = 0; run < kRunsBeforeRecording; ++run) {
      for (int rows = 1; rows <= rows_; rows *= 2) {
        for (int b = 0; b < program().block_count(); ++b) {
          compute_trunk(b, rows);
          compute_exit(b, rows);
        }
      }
    }
    stream().synchronize();
    forget_workspaces(stream());
    cuda::CUDACachingAllocator::emptyCache();
  }

  // Lanes go on meanwhile, hence the mode. A lane's graphs run one after the other: they share memory.
  template <class F>
  Graph record(F&& work) {
    auto graph = std::make_unique<at::cuda::CUDAGraph>();
    if (pool_ == at::cuda::MempoolId_t{}) {
      capture(*graph, cudaStreamCaptureModeThreadLocal, work);
      pool_ = graph->pool();
    } else {
      capture(*graph, cudaStreamCaptureModeThreadLocal, work, pool_);
    }
    return graph;
  }

  void compute_trunk(int block, int rows) {
    const torch::NoGradGuard no_grad;
    const auto values = compute(program().block(block).trunk, rows);
    for (const Register r : program().state_after(block)) {
      const torch::Tensor& value = values[static_cast<std::size_t>(r)];
      // Those that this trunk did not write are in their place already.
      if (value.defined()) view(r, rows).copy_(value);
    }
  }

  // Into its place. An exit ends with its softmax.
  void compute_exit(int block, int rows) {
    const torch::NoGradGuard no_grad;
    const std::span<const Operation> exit = program().block(block).exit;
#ifdef EINET_HAS_NVCC
    const Register logits = exit.back().inputs.front();
    const auto values = compute(exit.first(exit.size() - 1), rows);
    const torch::Tensor known = values[static_cast<std::size_t>(logits)];
    const torch::Tensor in = (known.defined() ? known : view(logits, rows)).contiguous();
    C10_CUDA_CHECK(enqueue_answer(in.const_data_ptr<float>(), rows, program().classes(),
                                  place_of(block).answers.mutable_data_ptr<float>(), stream()));
#else
    const auto values = compute(exit, rows);
    const torch::Tensor answer = values[static_cast<std::size_t>(program().answer(block))].contiguous();
    copy(place_of(block).answers.mutable_data_ptr(), answer.const_data_ptr(), answer.nbytes(),
         cudaMemcpyDeviceToHost);
#endif
  }

  // The registers that these operations wrote; the others stay undefined.
  std::vector<torch::Tensor> compute(std::span<const Operation> operations, int rows) const {
    return evaluate(program(), operations, loaded_->tensors, [&](Register r) { return view(r, rows); });
  }

  // A register's rows lie one behind the other.
  std::byte* place(Register r, std::size_t row) const {
    return static_cast<std::byte*>(registers_.data_ptr()) +
           loaded_->layout.offset(r) * static_cast<std::size_t>(rows_) + loaded_->layout.size(r) * row;
  }
  std::byte* in_state(Register r, TrunkState& state) const {
    return state.data() + loaded_->layout.offset(r);
  }
  // The lane's register as a batch.
  torch::Tensor view(Register r, int rows) const {
    std::vector<std::int64_t> sizes = batch_of_one(program().shape(r));
    sizes[0] = rows;
    return torch::from_blob(place(r, 0), sizes,
                            torch::TensorOptions(torch::kFloat32).device(loaded_->device));
  }

  void copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) const {
    C10_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, kind, stream()));
  }

  // Sleeps until the device has done what was enqueued.
  void wait() {
    at::cuda::CUDAEvent& done = in_flight_.front().done;
    done.record(stream());
    done.synchronize();
    staged_ = 0;
  }

  std::shared_ptr<const Loaded> loaded_;
  std::vector<InFlight> in_flight_;  // at most so many; by place_of
  int count_ = 0;                    // of blocks in flight,
  int oldest_ = 0;                   // and which one they begin with
  std::int64_t rows_ = 1;            // of each register: the largest batch
  std::int64_t staged_ = 0;          // rows of input_ that are on their way
  torch::Tensor registers_;          // u8, on the device, laid out as a job's state, row by row
  torch::Tensor input_;              // f32, in pinned memory; a row for each job
  at::cuda::MempoolId_t pool_{};
  std::vector<Graphs> graphs_;  // for 1, 2, 4, … rows
};

// Copies beside the lanes' work, on a stream of its own. Any thread.
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
  CudaModel(Package package, torch::Device device, Recorder& recorder)
      : loaded_(std::make_shared<const Loaded>(std::move(package), device)),
        copies_(device),
        recorder_(recorder) {}

  const PackageInfo& info() const override { return loaded_->info; }
  ByteCount state_bytes() const override { return ByteCount{loaded_->layout.bytes()}; }
  Result<std::unique_ptr<LaneModel>> make_lane(const LaneOptions& options) const override {
    std::unique_ptr<LaneModel> lane;
    if (auto ok = guarded([&] { lane = std::make_unique<CudaLane>(loaded_, options, recorder_); }); !ok) {
      return ok.error();
    }
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
  Recorder& recorder_;
};

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(int index)
      : device_(torch::kCUDA, static_cast<c10::DeviceIndex>(index)),
        beside_lanes_(make_stream(LaneKind::base, device_)),
        recorder_(device_) {
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
  void enter_lane(std::optional<LaneKind> lane) override {
    torch::set_num_threads(1);
    cuda::set_device(device_.index());
    cuda::setCurrentCUDAStream(lane ? make_stream(*lane, device_) : beside_lanes_);
  }
  Result<std::unique_ptr<LoadedModel>> load(Package package) override {
    std::unique_ptr<LoadedModel> model;
    const auto ok =
        guarded([&] { model = std::make_unique<CudaModel>(std::move(package), device_, recorder_); });
    if (!ok) return ok.error();
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
  const torch::Device device_;
  const cuda::CUDAStream beside_lanes_;  // of all threads that are no lanes
  Recorder recorder_;
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
