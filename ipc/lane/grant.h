// What goes through the lane channel, as plain values: grants down, reports up. No shared memory in here.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "config/ids.h"
#include "config/time.h"

namespace einet::lane {

enum class InputType : std::uint8_t { u8, f32 };

// Permission for a lane to run blocks of a job.
//
// It may ride with another grant of the lane, of the same model from the same first block: when that begins,
// it begins, too, and each block is run for both at the same time, until it ends by itself or that one does;
// it ends, stopped, with that one at the latest. If that has begun already it ends at once, stopped without a
// block.
// The lane runs trunk after trunk from `first_block`, executes each exit whose bit is set when its trunk is
// done, and ends after the block behind which no bit is set any more, at a stop, or at an error. Where a lane
// has several blocks in flight, bits and stops are read when a block is enqueued, and what is in flight runs
// first.
struct GrantMessage {
  GrantNumber number;  // larger than every number posted to this lane before
  JobId job;
  std::uint32_t job_slot = 0;  // where the worker keeps the job's state between grants; < kMaxJobSlots
  ModelId model;
  int blocks = 0;   // of the model: 1 … kMaxBlocks
  int classes = 0;  // of the model: 1 … kMaxClasses
  int first_block = 0;
  ExitMask exits = 0;              // none at or behind `blocks`; posted with one at or behind first_block
  int reserved_blocks = 0;         // blocks below this one run with Rank::reserved: 0 … blocks
  std::uint64_t input_offset = 0;  // the input lies in the arena; read when first_block is 0
  std::uint64_t input_bytes = 0;
  InputType input_type = InputType::u8;
  GrantNumber with{};  // rides with this one; 0: with none
};

// How hard a lane holds its core against other processes.
enum class Rank : std::uint8_t {
  ordinary,  // best-effort work shares it with them, unless reserved work waits for it on its lane
  reserved,  // guaranteed work, and a lane that waits for work, does not
};

// Whether every field is in its range. The exits may have become too few meanwhile (DaemonEnd::set_exits).
bool is_legal(const GrantMessage&);

// Job slots are small numbers that the daemon hands out to jobs in progress and takes back.
inline constexpr std::uint32_t kMaxJobSlots = 65536;

enum class End : std::uint8_t {
  none,     // the lane goes on with the next block
  done,     // no exit is left to execute
  stopped,  // at a boundary, because of the stop word, or as that which it rides with ended; or before its
            // first block, because it was withdrawn, or came too late to ride
  failed,   // the worker could not run it; the lane lives
  out_of_memory,  // the same, for its device has no memory left for the job's state
};

struct Answer {
  int top_class = -1;
  float confidence = 0;  // score of top_class, in [0, 1]
};

// What a lane did, as the daemon gets it: every value checked against the grant.
struct Report {
  int lane = 0;  // of this worker, from 0
  GrantNumber grant;
  JobId job;
  int block = -1;  // -1: no block was executed (stopped or done before the first one, or failed)
  // The two boundaries of the block, on CLOCK_MONOTONIC; start <= end <= now. A boundary is one instant: on a
  // lane that runs on, `start` is the end of the block before. Without a block: both are when it ended.
  TimePoint start;
  TimePoint end;
  // Processor time of the lane's thread between them: less than end - start if others had its core meanwhile,
  // never more. By the worker's word: only that bound is checked. Of a lane with several threads it is that
  // of its first. A block of more than 4.29 s of it counts as end - start.
  Duration used{};
  // End of the last block that this lane ran before, whoever's it was; nothing if there was none. On the
  // first block of an urgent grant, start - previous is what the hand-over cost.
  std::optional<TimePoint> previous;
  std::optional<Answer> answer;   // if the exit was executed
  std::span<const float> scores;  // one per class if the exit was executed; valid during the call
  End finished = End::none;
};

}  // namespace einet::lane
