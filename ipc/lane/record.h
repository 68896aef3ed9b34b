// Records: what a lane says of a finished block, and how one gets through the ring whole or not at all. The
// writing half runs in the worker, the reading half in the daemon. Which records make sense is not decided
// here (ipc/lane/daemon_end.h).
#pragma once

#include <bit>
#include <cstdint>
#include <span>

#include "ipc/lane/layout.h"

namespace einet::lane {

// What a record says happened, as a set of these bits. Legal: block alone or with exit, each alone or with
// done or stopped; without a block done, stopped (or given up), failed or out of memory alone.
enum RecordFlag : std::uint8_t { kBlock = 1, kExit = 2, kDone = 4, kStopped = 8, kFailed = 16, kOutOfMemory = 32 };

// A record as it is passed around in private memory.
struct RecordData {
  std::uint64_t sequence = 0;  // counts the lane's records from 1
  std::uint64_t grant = 0;
  std::uint64_t job = 0;
  std::uint8_t block = 0;
  std::uint8_t flags = 0;
  std::uint16_t classes = 0;  // scores that belong to the record; 0 without an exit
  std::uint32_t top_class = 0;
  std::int64_t start_ns = 0;  // CLOCK_MONOTONIC: the boundary at which the block began
  std::int64_t end_ns = 0;    // and the one at which it ended
  float confidence = 0;       // score of the top class
  std::uint32_t used_ns = 0;  // processor time of the block; kUsedTooLong: it does not fit
  friend bool operator==(const RecordData&, const RecordData&) = default;
};

// Over every field and all scores. It guards against a worker that went mad, not against a clever one.
std::uint64_t checksum(const RecordData&, std::span<const float> scores);

inline constexpr std::uint32_t kUsedTooLong = ~std::uint32_t{0};

constexpr std::uint64_t pack_what(const RecordData& r) {
  return r.block | std::uint64_t{r.flags} << 8 | std::uint64_t{r.classes} << 16 |
         std::uint64_t{r.top_class} << 32;
}
constexpr std::uint64_t pack_answer(const RecordData& r) {
  return std::bit_cast<std::uint32_t>(r.confidence) | std::uint64_t{r.used_ns} << 32;
}

// Writes record `data.sequence` and commits it. Precondition: the daemon has drained the record that was in
// its place; scores.size() == data.classes. `step` is called before every store (a test ends the process
// there); the product passes nothing.
template <class Step>
void commit(LaneUp& up, const RecordData& data, std::span<const float> scores, Step step) {
  Record& to = up.ring[data.sequence % kRing];
  ScoreRow& row = up.scores[data.sequence % kRing];
  auto put = [&](auto& word, auto value) {
    step();
    word.store(value, kRelaxed);
  };
  for (std::size_t i = 0; i < scores.size(); ++i) put(row[i], scores[i]);
  put(to.grant, data.grant);
  put(to.job, data.job);
  put(to.what, pack_what(data));
  put(to.start_ns, static_cast<std::uint64_t>(data.start_ns));
  put(to.end_ns, static_cast<std::uint64_t>(data.end_ns));
  put(to.answer, pack_answer(data));
  put(to.checksum, checksum(data, scores));
  step();
  to.sequence.store(data.sequence, kRelease);  // the only commit point
}

enum class Fetched : std::uint8_t {
  nothing,   // not committed yet
  record,    // copied, and its checksum agrees
  nonsense,  // the ring holds what no lane that works can have written
};

// Copies record `sequence` out of the ring, once: what is checked afterwards is the copy. `scores` gets
// data.classes values.
Fetched fetch(const LaneUp&, std::uint64_t sequence, RecordData& data, std::span<float, kMaxClasses> scores);

}  // namespace einet::lane
