// What a lane runs. A backend loads a package once; every lane thread makes a LaneModel of its own from it; a
// job's state between blocks lives in a TrunkState outside the lane, so that a preempted job can go on in
// another lane of the worker. Implemented by models/onednn, models/torch and models/synthetic. No scheduling
// and no clock in here.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/bytes.h"
#include "config/result.h"
#include "config/time.h"
#include "models/package.h"

namespace einet {

enum class ElementType : std::uint8_t { u8, f32 };

// One sample in channel, row, column order. f32 in the machine's byte order, any alignment.
struct InputView {
  ElementType type = ElementType::u8;
  std::span<const std::byte> bytes;
};

// The trunk state of one job: memory alone, its meaning belongs to the model that the job runs. 64-byte
// aligned, allocated once per job slot, used by one lane at a time. Where it lies is its backend's business:
// only the backend's lanes look into it.
class TrunkState {
 public:
  using Release = void (*)(std::byte*);

  // In the process's own memory.
  explicit TrunkState(ByteCount size);
  // Takes over memory of a backend's device.
  TrunkState(std::byte* data, ByteCount size, Release release) : data_(data, release), size_(size) {}

  std::byte* data() { return data_.get(); }
  ByteCount size() const { return size_; }

 private:
  std::unique_ptr<std::byte[], Release> data_;
  ByteCount size_;
};

// An urgent lane preempts a base lane: on a CPU it runs on the same core at a higher rank, on a GPU it is a
// stream of higher priority.
enum class LaneKind : std::uint8_t { base, urgent };

struct LaneOptions {
  LaneKind kind = LaneKind::base;
  int largest_batch = 1;  // 1 … kMaxBatch
  int in_flight = 1;      // 1 … kMaxInFlight: blocks launched and not awaited, at most
};

// A model as one lane runs it; owns the lane's arena and scratchpad. One thread at a time, which has called
// Backend::enter_lane; first the one that makes the model ready, then the lane's. Nothing here allocates.
// Every call gets a TrunkState of at least state_bytes(); block numbers are in range and in order (begin,
// trunk 0, trunk 1, …), exit b after trunk b and before trunk b + 1: the caller's invariants.
class LaneModel {
 public:
  virtual ~LaneModel() = default;
  // Normalises the input into the state. Error: wrong number of bytes, or a value that is not finite.
  virtual Result<void> begin(const InputView&, TrunkState&) = 0;
  virtual Result<void> run_trunk(int block, TrunkState&) = 0;
  // Leaves the state as it is. `scores` has one place per class and gets the softmax scores. Error: scores
  // that are not finite (weights that overflow).
  virtual Result<void> run_exit(int block, TrunkState&, std::span<float> scores) = 0;

  // The same for jobs that stand before the same block, at once: 1 to LaneOptions::largest_batch. A backend
  // that cannot do better runs them one after the other.
  virtual Result<void> run_trunks(int block, std::span<TrunkState* const>);
  // Right after run_trunks, with the same states. Where a job's `scores` are empty it skips the exit.
  virtual Result<void> run_exits(int block, std::span<TrunkState* const>,
                                 std::span<const std::span<float>> scores);

  // Both for a block, asynchronously: enqueues it behind those in flight and returns. States and scores are
  // in use until it was awaited, and nothing else is called while a block is in flight. Error: it is not in
  // flight. A backend that cannot do better runs the block here.
  virtual Result<void> launch(int block, std::span<TrunkState* const>,
                              std::span<const std::span<float>> scores);
  // Sleeps until the oldest block launched is done and its scores are in place. Error: it failed.
  virtual Result<void> await() { return {}; }

 protected:
  // Whether an exit is to run at all.
  static bool any_wanted(std::span<const std::span<float>> scores);
};

// A loaded model: immutable, shared by all lanes of a worker; outlives its LaneModels.
class LoadedModel {
 public:
  virtual ~LoadedModel() = default;
  virtual const PackageInfo& info() const = 0;
  virtual ByteCount state_bytes() const = 0;
  // Thread-safe.
  virtual Result<std::unique_ptr<LaneModel>> make_lane(const LaneOptions& = {}) const = 0;

  // A job moves to another worker: its state before `next_block`, after trunks 0 … next_block - 1, as bytes
  // that mean the same to every executor that computes the program (models/carried_state.h). Thread-safe, for
  // threads that are no lanes; no lane uses that TrunkState meanwhile. Precondition: 1 <= next_block <
  // blocks; the bytes are carried_bytes(next_block), aligned as fp32; the TrunkState is at least
  // state_bytes(). Error: the device fails.
  virtual ByteCount carried_bytes(int next_block) const;
  virtual Result<void> save_state(int next_block, TrunkState&, std::span<std::byte> to) const = 0;
  // Then every block from next_block on runs as it would have where the state was saved.
  virtual Result<void> load_state(int next_block, std::span<const std::byte> from, TrunkState&) const = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  // "onednn", "aten", "synthetic", "synthetic-gpu", "cuda".
  virtual std::string_view name() const = 0;
  // The kind of device that its lanes are: which ET-profile of a package holds for them.
  virtual std::string_view device_kind() const { return "cpu"; }
  // Whether it computes networks; else it makes answers up, and its blocks take what ET-profiles say.
  virtual bool computes() const { return true; }
  // Whether a lane's thread only waits for its device.
  virtual bool is_gpu() const { return false; }
  // What it runs on, as ET-profiles name it.
  virtual std::string machine() const;
  // Once in every thread that runs LaneModels, before the first: thread-local library settings. A worker's
  // lane says of which kind it is, and has a stream of its own, on a GPU, from then on; other threads share
  // one.
  virtual void enter_lane(std::optional<LaneKind> = std::nullopt) {}
  // Error::out_of_memory, here and below: the device has none left for it.
  virtual Result<std::unique_ptr<LoadedModel>> load(Package) = 0;
  // Memory for a job's state. Any thread. Error: there is none left.
  virtual Result<std::unique_ptr<TrunkState>> make_state(ByteCount size);
  // After a call that failed: why this process cannot use the device any more; empty: it can. Any thread.
  virtual std::string why_lost() const { return {}; }
  // What the calling lane thread has used of its lane so far: a block costs the difference. Processor time,
  // so that a block that stood still for more urgent work is no longer for it; on a GPU, time.
  Duration lane_time() const { return is_gpu() ? SystemClock().now().time_since_epoch() : thread_cpu_time(); }
};

}  // namespace einet
