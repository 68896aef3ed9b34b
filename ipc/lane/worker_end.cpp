#include "ipc/lane/worker_end.h"

#include <algorithm>
#include <ctime>
#include <string>
#include <unistd.h>
#include <utility>

#include "config/check.h"
#include "ipc/lane/bell.h"
#include "ipc/lane/handshake.h"

namespace einet::lane {

namespace {

std::uint8_t flag_of(End end) {
  switch (end) {
    case End::none:
      return 0;
    case End::done:
      return kDone;
    case End::stopped:
      return kStopped;
    case End::failed:
      return kFailed;
    case End::out_of_memory:
      return kOutOfMemory;
  }
  return kFailed;
}

Answer best_of(std::span<const float> scores) {
  const auto best = std::max_element(scores.begin(), scores.end());
  return {static_cast<int>(best - scores.begin()), *best};
}

std::int64_t to_ns(TimePoint t) {
  return t.time_since_epoch().count();
}

}  // namespace

LaneEnd::LaneEnd(const Down& down, LaneUp* up, int lane, int doorbell_fd, const Clock& clock)
    : down_(&down), posted_(&down.lanes()[lane]), up_(up), doorbell_(doorbell_fd), clock_(&clock) {}

LaneEnd::Next LaneEnd::next() const {
  // `newest` first: a grant posted while we look must not hide an older one whose place we looked at too
  // early.
  const std::uint64_t newest = posted_->newest.load(kAcquire);
  Next next;
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    const GrantNumber number{posted_->number[slot].load(kAcquire)};
    if (number <= number_ || number.value > newest) continue;
    if (next.number.value == 0 || number < next.number) next = {number, slot};
  }
  return next;
}

bool LaneEnd::reserved_work_waits() const {
  const auto [number, slot] = next();
  const GrantSlot& waits = posted_->slot[slot];
  return number.value != 0 && waits.first_block.load(kRelaxed) < waits.reserved_blocks.load(kRelaxed);
}

std::optional<GrantMessage> LaneEnd::next_grant() {
  for (;;) {
    const std::uint32_t bell = posted_->bell.load(kAcquire);
    if (down_->closing.load(kAcquire) != 0) return std::nullopt;
    const auto [number, slot] = next();
    if (number.value == 0) {
      sleep_on_bell(posted_->bell, bell, up_->sleeping);
      continue;
    }
    number_ = number;
    slot_ = &posted_->slot[slot];
    if (store_then_load(up_->taken[slot], number.value, posted_->number[slot]) != number.value) {
      // Withdrawn while we took it: the daemon may have been told that we have it, and then waits to hear
      // that we do not. The slot may hold another grant by now, so this says nothing of its job.
      job_ = JobId{};
      report_end(End::stopped, 0, Ring::always);
      continue;
    }
    GrantMessage grant;
    grant.number = number;
    grant.job = job_ = JobId{slot_->job.load(kRelaxed)};
    grant.job_slot = slot_->job_slot.load(kRelaxed);
    grant.model = ModelId{slot_->model.load(kRelaxed)};
    grant.blocks = slot_->blocks.load(kRelaxed);
    grant.classes = slot_->classes.load(kRelaxed);
    grant.first_block = slot_->first_block.load(kRelaxed);
    grant.exits = slot_->exits.load(kRelaxed);
    grant.reserved_blocks = slot_->reserved_blocks.load(kRelaxed);
    grant.input_offset = slot_->input_offset.load(kRelaxed);
    grant.input_bytes = slot_->input_bytes.load(kRelaxed);
    grant.input_type = static_cast<InputType>(slot_->input_type.load(kRelaxed));
    return grant;
  }
}

LaneEnd::Control LaneEnd::at_boundary() {
  Control control;
  control.now = clock_->now();
  control.stop = store_then_load(up_->block_start, to_ns(control.now), slot_->stop);
  control.exits = slot_->exits.load(kAcquire);
  return control;
}

ExitMask LaneEnd::exits() const {
  return slot_->exits.load(kAcquire);
}

LaneEnd::Ring LaneEnd::ring_for(End end) {
  return end == End::stopped ? Ring::unless_work_waits : Ring::always;
}

void LaneEnd::report(const BlockDone& done, End end) {
  RecordData record;
  record.block = static_cast<std::uint8_t>(done.block);
  record.flags = static_cast<std::uint8_t>(kBlock | flag_of(end));
  record.start_ns = to_ns(done.start);
  record.end_ns = to_ns(done.end);
  record.used_ns =
      static_cast<std::uint32_t>(std::clamp<std::int64_t>(done.used.count(), 0, std::int64_t{kUsedTooLong}));
  if (done.answer) {
    record.flags |= kExit;
    record.classes = static_cast<std::uint16_t>(done.scores.size());
    record.top_class = static_cast<std::uint32_t>(done.answer->top_class);
    record.confidence = done.answer->confidence;
  }
  if (end != End::none) up_->block_start.store(0, kRelaxed);
  push(record, done.answer ? done.scores : std::span<const float>{});
  if (done.answer || end != End::none) ring(done.answer ? Ring::always : ring_for(end));
}

void LaneEnd::report_end(End end, int block) {
  report_end(end, block, ring_for(end));
}

void LaneEnd::report_end(End end, int block, Ring when) {
  RecordData record;
  record.block = static_cast<std::uint8_t>(block);
  record.flags = flag_of(end);
  record.start_ns = record.end_ns = to_ns(clock_->now());
  up_->block_start.store(0, kRelaxed);
  push(record, {});
  ring(when);
}

void LaneEnd::push(RecordData& record, std::span<const float> scores) {
  record.sequence = ++records_;
  record.grant = number_.value;
  record.job = job_.value;
  // The ring is full only when the daemon is stopped or far behind. That is not worth a wake-up of its own.
  while (record.sequence - drained_ > kRing) {
    drained_ = posted_->drained.load(kAcquire);
    if (record.sequence - drained_ <= kRing || down_->closing.load(kAcquire) != 0) break;
    ring(Ring::always);
    const timespec pause{0, 100'000};
    ::nanosleep(&pause, nullptr);
  }
  commit(*up_, record, scores, [] {});
}

void LaneEnd::ring(Ring when) {
  // A record was stored; now look whether the daemon sleeps, and whether there is a grant to go on with: the
  // other half of DaemonEnd::arm, and of a withdrawal that takes that grant away before the daemon looks for
  // records.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (down_->armed.load(kAcquire) == 0) return;
  if (when == Ring::unless_work_waits && next().number.value != 0) return;
  const std::uint64_t one = 1;
  // Fails only when the counter is full (then it is readable anyhow).
  [[maybe_unused]] const auto written = ::write(doorbell_, &one, sizeof one);
}

Result<WorkerEnd> WorkerEnd::map(int down_fd, int up_fd, UniqueFd doorbell) {
  WorkerEnd end;
  auto down = map_for_reading(down_fd, ByteCount{sizeof(Down)});
  if (!down) return within("lane channel, down", down.error());
  auto up = map_for_writing(up_fd, ByteCount{sizeof(LaneUp)});
  if (!up) return within("lane channel, up", up.error());
  end.down_ = std::move(*down);
  end.up_ = std::move(*up);
  end.doorbell_ = std::move(doorbell);
  const std::uint32_t version = end.down().version.load(kRelaxed);
  if (version != kVersion) {
    return error("the lane channel has version " + std::to_string(version) + "; this worker speaks " +
                 std::to_string(kVersion) + ": einetd and einet-worker must be of one build");
  }
  const std::uint32_t lanes = end.down().lane_count.load(kRelaxed);
  if (lanes == 0 || lanes > kMaxLanes || end.down_.size() < down_bytes(static_cast<int>(lanes)) ||
      end.up_.size() < up_bytes(static_cast<int>(lanes))) {
    return error("the lane channel has " + std::to_string(lanes) + " lanes, which its memory does not hold");
  }
  return end;
}

int WorkerEnd::lanes() const {
  return static_cast<int>(down().lane_count.load(kRelaxed));
}

LaneEnd WorkerEnd::lane(int lane, const Clock& clock) const {
  EINET_CHECK(lane >= 0 && lane < lanes(), "no such lane");
  return LaneEnd(down(), reinterpret_cast<LaneUp*>(up_.writable_data()) + lane, lane, doorbell_.get(), clock);
}

const Down& WorkerEnd::down() const {
  return *reinterpret_cast<const Down*>(down_.data());
}

void run_lane(LaneEnd& lane, LaneProgram& program) {
  for (;;) {
    if (!lane.has_work()) program.take_rank(Rank::reserved);  // so that it wakes at once
    const auto grant = lane.next_grant();
    if (!grant) return;
    int block = grant->first_block;
    const auto rank = [&] {
      const bool reserved = block < grant->reserved_blocks || lane.reserved_work_waits();
      return reserved ? Rank::reserved : Rank::ordinary;
    };
    program.take_rank(rank());
    auto control = lane.at_boundary();
    Duration used_before = program.lane_time();
    const End at_once = control.stop != 0             ? End::stopped
                        : !is_legal(*grant)           ? End::failed
                        : control.exits >> block == 0 ? End::done
                                                      : program.begin(*grant);
    if (at_once != End::none) {
      lane.report_end(at_once, block);
      continue;
    }
    for (End end = End::none; end == End::none; ++block) {
      if (block != grant->first_block) program.take_rank(rank());
      BlockDone done;
      done.block = block;
      done.start = control.now;
      bool works = program.trunk(block);
      if (works && (lane.exits() & exit_bit(block)) != 0) {
        done.scores = program.exit(block);
        works = !done.scores.empty();
        if (works) done.answer = best_of(done.scores);
      }
      if (!works) {
        program.end(block);
        lane.report_end(End::failed, block);
        break;
      }
      control = lane.at_boundary();
      done.end = control.now;
      const Duration used = program.lane_time();
      done.used = used - std::exchange(used_before, used);
      const bool finished = block + 1 == grant->blocks || control.exits >> (block + 1) == 0;
      end = finished ? End::done : control.stop != 0 ? End::stopped : End::none;
      if (end != End::none) program.end(block + 1);
      lane.report(done, end);
    }
  }
}

}  // namespace einet::lane
