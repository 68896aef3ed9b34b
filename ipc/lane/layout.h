// The shared memory of one worker, byte by byte: plain structures of lock-free atomics, no behaviour. Two
// memfds: *down* is written by the daemon alone (the worker can map it only for reading), *up* by the worker
// alone (the daemon maps it only for reading). So neither side can damage what the other owns, and whoever
// reads what the other wrote copies it once and checks the copy.
//
// *down* is a Down and one LaneDown per lane behind it, *up* one LaneUp per lane.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "config/ids.h"

namespace einet::lane {

inline constexpr std::uint32_t kVersion = 0x454c'0004;  // *down* begins with it; any change here counts it up
inline constexpr int kMaxLanes = 128;                   // of one worker, urgent lanes included
inline constexpr int kMaxClasses = 1024;
// Grants posted to a lane and not ended, at most: two, and what rides with them.
inline constexpr std::size_t kSlots = 2 * kMaxBatch;
// Records of a lane that the daemon has not drained yet, at most; then the lane waits.
inline constexpr std::size_t kRing = 256;
inline constexpr std::size_t kLine = 64;

inline constexpr auto kRelaxed = std::memory_order_relaxed;
inline constexpr auto kAcquire = std::memory_order_acquire;
inline constexpr auto kRelease = std::memory_order_release;

template <class T>
using Word = std::atomic<T>;
static_assert(Word<std::uint64_t>::is_always_lock_free && Word<std::uint32_t>::is_always_lock_free &&
              Word<std::uint16_t>::is_always_lock_free && Word<std::uint8_t>::is_always_lock_free &&
              Word<float>::is_always_lock_free);

// ---- down ----

// What one grant says. One cache line, so that a boundary reads one. Written before the grant's number is
// published; after that only `exits` and `stop` change, until the daemon has drained the grant's end.
struct alignas(kLine) GrantSlot {
  Word<ExitMask> exits;      // bit k: execute exit k; read at each boundary and before each exit
  Word<std::uint32_t> stop;  // not 0: end at the next boundary
  Word<std::uint32_t> model;
  Word<std::uint64_t> job;
  Word<std::uint64_t> input_offset;  // in the arena
  Word<std::uint64_t> input_bytes;
  Word<std::uint32_t> job_slot;
  Word<std::uint16_t> classes;
  Word<std::uint8_t> blocks;
  Word<std::uint8_t> first_block;
  Word<std::uint8_t> reserved_blocks;
  Word<std::uint8_t> input_type;  // InputType
  Word<std::uint64_t> with;       // the grant that it rides with; 0: with none
};
static_assert(sizeof(GrantSlot) == kLine);

struct alignas(kLine) LaneDown {
  Word<std::uint32_t> bell;          // futex; changes with every post and at closing
  Word<std::uint64_t> newest;        // number of the newest grant posted so far,
  Word<std::uint64_t> newest_rider;  // and of the newest one that rides; 0: none does
  // Records drained so far: the ring's tail. On a line of its own: it changes much more often than grants do.
  alignas(kLine) Word<std::uint64_t> drained;
  // The grant in each slot; 0: none. Setting it to 0 takes a posted grant back (DaemonEnd::withdraw).
  alignas(kLine) std::array<Word<std::uint64_t>, kSlots> number;
  std::array<GrantSlot, kSlots> slot;
};
static_assert(sizeof(LaneDown) == (2 + kSlots) * kLine + kSlots * sizeof(std::uint64_t));

struct alignas(kLine) Down {
  Word<std::uint32_t> version;
  Word<std::uint32_t> lane_count;
  Word<std::uint32_t> closing;               // not 0: lanes return at their next boundary
  alignas(kLine) Word<std::uint32_t> armed;  // not 0: the daemon sleeps; ring the eventfd when it must act

  LaneDown* lanes() { return reinterpret_cast<LaneDown*>(this + 1); }
  const LaneDown* lanes() const { return reinterpret_cast<const LaneDown*>(this + 1); }
};
static_assert(sizeof(Down) == 2 * kLine);

// ---- up ----

// A record in the ring, in the words of RecordData (ipc/lane/record.h). The sequence number, stored last with
// release order, is the only commit point: a worker that dies before it leaves no record.
struct alignas(kLine) Record {
  Word<std::uint64_t> sequence;
  Word<std::uint64_t> grant;
  Word<std::uint64_t> job;
  Word<std::uint64_t> what;  // block | flags << 8 | classes << 16 | top_class << 32
  Word<std::uint64_t> start_ns;
  Word<std::uint64_t> end_ns;
  Word<std::uint64_t> answer;  // the confidence's bits | used_ns << 32
  Word<std::uint64_t> checksum;
};
static_assert(sizeof(Record) == kLine);

using ScoreRow = std::array<Word<float>, kMaxClasses>;

struct alignas(kLine) LaneUp {
  Word<std::uint32_t> sleeping;    // not 0: asleep on the bell, or about to be
  Word<std::int64_t> block_start;  // heartbeat: when the running block began; 0: none runs
  // The grant that the lane took from each slot, stored before it looks once more whether it still may. It
  // takes none twice: a slot that is written anew keeps its old number until the new one is published.
  alignas(kLine) std::array<Word<std::uint64_t>, kSlots> taken;
  std::array<Record, kRing> ring;      // record s is in place s % kRing,
  std::array<ScoreRow, kRing> scores;  // its scores in the same place here
};

static_assert(std::is_standard_layout_v<Down> && std::is_standard_layout_v<LaneDown> &&
              std::is_standard_layout_v<LaneUp>);

constexpr std::size_t down_bytes(int lanes) {
  return sizeof(Down) + static_cast<std::size_t>(lanes) * sizeof(LaneDown);
}
constexpr std::size_t up_bytes(int lanes) {
  return static_cast<std::size_t>(lanes) * sizeof(LaneUp);
}

}  // namespace einet::lane
