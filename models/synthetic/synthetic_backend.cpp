#include "models/synthetic/synthetic_backend.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "config/check.h"
#include "config/text.h"
#include "config/time.h"
#include "models/input.h"

namespace einet {
namespace {

// FNV-1a, 64 bits: the same answer on every machine.
std::uint64_t hash(std::span<const std::byte> bytes) {
  std::uint64_t h = 0xcbf29ce484222325;
  for (const std::byte b : bytes) h = (h ^ static_cast<std::uint64_t>(b)) * 0x100000001b3;
  return h;
}

int label_of(std::uint64_t h, int classes) {
  return static_cast<int>(h % static_cast<std::uint64_t>(classes));
}

constexpr std::string_view kGpu = "synthetic-gpu";

void burn(Duration time) {
  const Duration end = thread_cpu_time() + time;
  while (thread_cpu_time() < end) {
  }
}

// What a part of a block takes for so many jobs at once.
Duration in_batch(Duration alone, std::size_t jobs) {
  return alone + alone * static_cast<std::int64_t>(jobs - 1) / kSyntheticBatchGain;
}

// Streams of two priorities. While parts of urgent lanes run, those of base lanes stand still, and so does
// the time of base lanes.
class Streams {
 public:
  // A part of an urgent lane.
  void run_urgent(Duration part) {
    std::unique_lock lock(mutex_);
    if (urgent_++ == 0) {
      urgent_since_ = clock_.now();
      changed_.notify_all();
    }
    lock.unlock();
    std::this_thread::sleep_for(part);
    lock.lock();
    if (--urgent_ > 0) return;
    stood_still_ += clock_.now() - urgent_since_;
    changed_.notify_all();
  }
  // The time of base lanes.
  TimePoint base_now() {
    const std::lock_guard lock(mutex_);
    return base_time();
  }
  void sleep_until(TimePoint base_end) {
    std::unique_lock lock(mutex_);
    for (auto left = base_end - base_time(); left > Duration{}; left = base_end - base_time()) {
      if (urgent_ > 0) {
        changed_.wait(lock);
      } else {
        changed_.wait_for(lock, left);
      }
    }
  }

 private:
  TimePoint base_time() const { return (urgent_ > 0 ? urgent_since_ : clock_.now()) - stood_still_; }

  SystemClock clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int urgent_ = 0;            // parts of urgent lanes in progress,
  TimePoint urgent_since_{};  // and since when there are any
  Duration stood_still_{};    // before
};

EtProfile faster(const EtProfile& cpu) {
  EtProfile gpu = cpu;
  gpu.device = kGpu;
  for (std::vector<PartTime>* parts : {&gpu.trunk, &gpu.exit}) {
    for (PartTime& t : *parts) {
      for (Duration* d : {&t.p50, &t.p99, &t.max}) *d = std::max(Duration{1}, *d / kSyntheticGpuSpeed);
    }
  }
  return gpu;
}

// What fails on demand. Any thread.
class Faults : public std::enable_shared_from_this<Faults> {
 public:
  static Result<std::shared_ptr<Faults>> parse(std::string_view text) {
    auto faults = std::make_shared<Faults>();
    std::istringstream words{std::string(text)};
    for (std::string word; words >> word;) {
      const std::size_t equals = std::min(word.find('='), word.size());
      const std::string key = word.substr(0, equals);
      if (key == "others" && equals + 1 < word.size()) {
        faults->others_ = word.substr(equals + 1);
        continue;
      }
      std::uint64_t* const number = key == "lost-after"   ? &faults->lost_after_
                                    : key == "full-every" ? &faults->full_every_
                                    : key == "memory"     ? &faults->memory_
                                                          : nullptr;
      const char* const end = word.data() + word.size();
      const bool ok = number != nullptr && equals < word.size() &&
                      std::from_chars(word.data() + equals + 1, end, *number).ptr == end && *number > 0;
      if (!ok) {
        return error(
            "found \"" + escape(word, 64) +
            "\"; allowed: lost-after=N, full-every=N or memory=N, N a number above 0, and others=FILE");
      }
    }
    return faults;
  }

  Result<void> trunk() {
    if (lost_after_ > 0 && ++trunks_ >= lost_after_) return error("the device fell off the bus");
    return {};
  }
  Result<void> state() {
    if (full_every_ > 0 && ++states_ % full_every_ == 0) return out_of_device_memory();
    return {};
  }
  // Room for a model's weights; given back with the last copy of it.
  Result<std::shared_ptr<void>> room(ByteCount weights) {
    const std::uint64_t n = weights.value;
    weights_ += n;
    std::shared_ptr<void> room(nullptr, [self = shared_from_this(), n](void*) { self->weights_ -= n; });
    if (memory_ > 0 && weights_ + others() > memory_) return out_of_device_memory();
    return room;
  }
  std::string why_lost() const {
    return lost_after_ > 0 && trunks_ >= lost_after_ ? "it fell off the bus, on demand" : "";
  }

 private:
  std::uint64_t others() const {
    std::error_code absent;
    const std::uintmax_t size = std::filesystem::file_size(others_, absent);
    return absent ? 0 : size;
  }
  static Error out_of_device_memory() { return out_of_memory("out of device memory, on demand"); }

  std::uint64_t lost_after_ = 0, full_every_ = 0;  // 0: never
  std::uint64_t memory_ = 0;                       // 0: without end
  std::filesystem::path others_;
  std::atomic<std::uint64_t> trunks_ = 0, states_ = 0, weights_ = 0;
};

class SyntheticLane final : public LaneModel {
 public:
  // `streams`: of a GPU, else null.
  SyntheticLane(const PackageInfo& info, const EtProfile& times, const LaneOptions& options, Streams* streams,
                Faults& faults)
      : info_(info),
        times_(times),
        kind_(options.kind),
        streams_(streams),
        faults_(faults),
        input_(static_cast<std::size_t>(info.program.input().elements())) {
    ends_.reserve(static_cast<std::size_t>(options.in_flight));
  }

  Result<void> begin(const InputView& input, TrunkState& state) override {
    EINET_CHECK(state.size().value >= sizeof(std::uint64_t), "the state has room for the model");
    // Refuses what a computing executor refuses.
    if (auto ok = normalise_input(input, info_, Layout::chw, input_.data()); !ok) return ok;
    const std::uint64_t h = hash(input.bytes);
    std::memcpy(state.data(), &h, sizeof h);
    return {};
  }

  Result<void> run_trunk(int block, TrunkState& state) override {
    return run_trunks(block, std::array{&state});
  }
  Result<void> run_exit(int block, TrunkState& state, std::span<float> scores) override {
    return run_exits(block, std::array{&state}, std::array{scores});
  }

  Result<void> run_trunks(int block, std::span<TrunkState* const> states) override {
    if (auto ok = faults_.trunk(); !ok) return ok;
    spend(times_.trunk[static_cast<std::size_t>(block)].p50, states.size());
    return {};
  }

  Result<void> run_exits(int block, std::span<TrunkState* const> states,
                         std::span<const std::span<float>> scores) override {
    spend(times_.exit[static_cast<std::size_t>(block)].p50, states.size());
    answer(block, states, scores);
    return {};
  }

  // On a GPU's base lane a block begins when the one before it has ended, or now.
  Result<void> launch(int block, std::span<TrunkState* const> states,
                      std::span<const std::span<float>> scores) override {
    if (streams_ == nullptr || kind_ == LaneKind::urgent) return LaneModel::launch(block, states, scores);
    if (auto ok = faults_.trunk(); !ok) return ok;
    const auto b = static_cast<std::size_t>(block);
    newest_end_ = std::max(newest_end_, streams_->base_now()) + in_batch(times_.trunk[b].p50, states.size());
    if (any_wanted(scores)) newest_end_ += in_batch(times_.exit[b].p50, states.size());
    ends_.push_back(newest_end_);
    answer(block, states, scores);
    return {};
  }

  Result<void> await() override {
    if (ends_.empty()) return {};  // launch ran it
    streams_->sleep_until(ends_.front());
    ends_.erase(ends_.begin());
    return {};
  }

 private:
  // What a part does with its time for one job.
  void spend(Duration alone, std::size_t jobs) {
    if (streams_ == nullptr) return burn(alone * static_cast<std::int64_t>(jobs));
    const Duration part = in_batch(alone, jobs);
    if (kind_ == LaneKind::urgent) return streams_->run_urgent(part);
    streams_->sleep_until(streams_->base_now() + part);
  }

  void answer(int block, std::span<TrunkState* const> states,
              std::span<const std::span<float>> scores) const {
    for (std::size_t i = 0; i < states.size(); ++i) {
      if (!scores[i].empty()) answer(block, *states[i], scores[i]);
    }
  }

  void answer(int block, TrunkState& state, std::span<float> scores) const {
    std::uint64_t h = 0;
    std::memcpy(&h, state.data(), sizeof h);
    const int classes = info_.program.classes();
    const CsProfile& cs = info_.confidences;
    bool right = true;
    float confidence = 1;
    if (cs.samples > 0) {
      // The high bits pick the sample: the low ones pick the label.
      const std::size_t sample = (h >> 32) % static_cast<std::uint64_t>(cs.samples);
      const std::size_t entry = sample * static_cast<std::size_t>(cs.exits) + static_cast<std::size_t>(block);
      right = cs.correct[entry] != 0;
      confidence = cs.confidence[entry];
    }
    // The answer must stay the top class.
    confidence = std::max(confidence, std::min(1.0F, 1.001F / static_cast<float>(classes)));
    const int top = (label_of(h, classes) + (right ? 0 : 1)) % classes;
    const float rest = classes > 1 ? (1 - confidence) / static_cast<float>(classes - 1) : 0;
    std::fill(scores.begin(), scores.end(), rest);
    scores[static_cast<std::size_t>(top)] = confidence;
  }

  const PackageInfo& info_;
  const EtProfile& times_;
  const LaneKind kind_;
  Streams* const streams_;
  Faults& faults_;
  std::vector<float> input_;
  std::vector<TimePoint> ends_;  // of the blocks launched and not awaited, on base lanes' time
  TimePoint newest_end_{};       // of the block launched last
};

class SyntheticModel final : public LoadedModel {
 public:
  SyntheticModel(PackageInfo info, std::string_view device, Streams* streams, std::shared_ptr<Faults> faults,
                 std::shared_ptr<void> room = {})
      : info_(std::move(info)),
        times_(*info_.times_on(device)),
        streams_(streams),
        faults_(std::move(faults)),
        room_(std::move(room)) {}

  const PackageInfo& info() const override { return info_; }
  ByteCount state_bytes() const override { return ByteCount{sizeof(std::uint64_t)}; }
  Result<std::unique_ptr<LaneModel>> make_lane(const LaneOptions& options) const override {
    return std::unique_ptr<LaneModel>(
        std::make_unique<SyntheticLane>(info_, times_, options, streams_, *faults_));
  }
  // The hash of the input is all that a job holds, at every boundary.
  ByteCount carried_bytes(int) const override { return state_bytes(); }
  Result<void> save_state(int, TrunkState& state, std::span<std::byte> to) const override {
    transfer();
    std::memcpy(to.data(), state.data(), to.size());
    return {};
  }
  Result<void> load_state(int, std::span<const std::byte> from, TrunkState& state) const override {
    transfer();
    std::memcpy(state.data(), from.data(), from.size());
    return {};
  }

 private:
  // Between the memories of a GPU and of the host.
  void transfer() const {
    if (streams_ != nullptr) std::this_thread::sleep_for(kSyntheticTransfer);
  }

  const PackageInfo info_;
  const EtProfile& times_;
  Streams* const streams_;
  const std::shared_ptr<Faults> faults_;
  const std::shared_ptr<void> room_;  // in the device's memory
};

class SyntheticBackend : public Backend {
 public:
  explicit SyntheticBackend(std::shared_ptr<Faults> faults) : faults_(std::move(faults)) {}
  std::string_view name() const override { return "synthetic"; }
  bool computes() const override { return false; }
  Result<std::unique_ptr<LoadedModel>> load(Package package) override {
    if (package.info.times_on("cpu") == nullptr) {
      return error("the model " + package.info.name +
                   " has no et.profile for \"cpu\", whose times the synthetic backend follows");
    }
    return make_model(std::move(package.info), size_of(package.weights));
  }

 protected:
  virtual Result<std::unique_ptr<LoadedModel>> make_model(PackageInfo info, ByteCount /*weights*/) {
    return std::unique_ptr<LoadedModel>(
        std::make_unique<SyntheticModel>(std::move(info), "cpu", nullptr, faults_));
  }

  const std::shared_ptr<Faults> faults_;
};

class SyntheticGpu final : public SyntheticBackend {
 public:
  using SyntheticBackend::SyntheticBackend;
  std::string_view name() const override { return kGpu; }
  std::string_view device_kind() const override { return kGpu; }
  bool is_gpu() const override { return true; }
  Result<std::unique_ptr<TrunkState>> make_state(ByteCount size) override {
    if (auto ok = faults_->state(); !ok) return ok.error();
    return SyntheticBackend::make_state(size);
  }
  std::string why_lost() const override { return faults_->why_lost(); }

 protected:
  Result<std::unique_ptr<LoadedModel>> make_model(PackageInfo info, ByteCount weights) override {
    auto room = faults_->room(weights);
    if (!room) return room.error();
    info.times.push_back(faster(*info.times_on("cpu")));
    return std::unique_ptr<LoadedModel>(
        std::make_unique<SyntheticModel>(std::move(info), kGpu, &streams_, faults_, std::move(*room)));
  }

 private:
  Streams streams_;
};

}  // namespace

std::unique_ptr<Backend> make_synthetic_backend() {
  return std::make_unique<SyntheticBackend>(std::make_shared<Faults>());
}

Result<std::unique_ptr<Backend>> make_synthetic_gpu_backend(std::string_view faults) {
  auto parsed = Faults::parse(faults);
  if (!parsed) return parsed.error();
  return std::unique_ptr<Backend>(std::make_unique<SyntheticGpu>(std::move(*parsed)));
}

int synthetic_label(std::span<const std::byte> input, int classes) {
  return label_of(hash(input), classes);
}

}  // namespace einet
