#include "ipc/lane/worker_end.h"

#include <algorithm>
#include <bit>
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
  if (newest <= number_.value) return next;
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    const GrantNumber number{posted_->number[slot].load(kAcquire)};
    if (number <= number_ || number.value > newest || posted_->slot[slot].with.load(kRelaxed) != 0) continue;
    if (next.number.value == 0 || number < next.number) next = {number, slot};
  }
  return next;
}

bool LaneEnd::reserved_work_waits() const {
  const auto [number, slot] = next();
  const GrantSlot& waits = posted_->slot[slot];
  return number.value != 0 && waits.first_block.load(kRelaxed) < waits.reserved_blocks.load(kRelaxed);
}

// False: it was withdrawn while we took it. The daemon may have been told that we have it, and then waits to
// hear that we do not. The slot may hold another grant by now, so what is said names no job.
bool LaneEnd::take(std::size_t slot, GrantNumber number) {
  if (store_then_load(up_->taken[slot], number.value, posted_->number[slot]) == number.value) return true;
  report_end(End::stopped, 0, {.number = number, .job = {}}, Ring::always);
  return false;
}

GrantMessage LaneEnd::read(const Taken& taken) const {
  const GrantSlot& slot = *taken.slot;
  GrantMessage grant;
  grant.number = taken.number;
  grant.job = taken.job;
  grant.job_slot = slot.job_slot.load(kRelaxed);
  grant.model = ModelId{slot.model.load(kRelaxed)};
  grant.blocks = slot.blocks.load(kRelaxed);
  grant.classes = slot.classes.load(kRelaxed);
  grant.first_block = slot.first_block.load(kRelaxed);
  grant.exits = slot.exits.load(kRelaxed);
  grant.reserved_blocks = slot.reserved_blocks.load(kRelaxed);
  grant.input_offset = slot.input_offset.load(kRelaxed);
  grant.input_bytes = slot.input_bytes.load(kRelaxed);
  grant.input_type = static_cast<InputType>(slot.input_type.load(kRelaxed));
  grant.with = GrantNumber{slot.with.load(kRelaxed)};
  return grant;
}

std::optional<GrantMessage> LaneEnd::next_grant() {
  for (;;) {
    const std::uint32_t bell = posted_->bell.load(kAcquire);
    if (down_->closing.load(kAcquire) != 0) return std::nullopt;
    give_up_late();
    const auto [number, slot] = next();
    if (number.value == 0) {
      sleep_on_bell(posted_->bell, bell, up_->sleeping);
      continue;
    }
    number_ = number;
    if (!take(slot, number)) continue;
    const GrantSlot& its = posted_->slot[slot];
    batch_[0] = {number, JobId{its.job.load(kRelaxed)}, &its};
    return read(batch_[0]);
  }
}

std::span<const GrantMessage> LaneEnd::take_riders() {
  std::size_t count = 0;
  if (posted_->newest_rider.load(kAcquire) == 0) return {};
  for (std::size_t slot = 0; slot < kSlots && count + 1 < batch_.size(); ++slot) {
    const GrantNumber number{posted_->number[slot].load(kAcquire)};
    const GrantSlot& its = posted_->slot[slot];
    if (number.value == 0 || number == seen_[slot] || its.with.load(kRelaxed) != number_.value) continue;
    seen_[slot] = number;
    if (!take(slot, number)) continue;
    batch_[count + 1] = {number, JobId{its.job.load(kRelaxed)}, &its};
    riders_[count] = read(batch_[count + 1]);
    ++count;
  }
  return std::span(riders_).first(count);
}

void LaneEnd::give_up_late() {
  const std::uint64_t newest = posted_->newest_rider.load(kAcquire);
  if (newest == 0 || std::exchange(looked_at_, newest + number_.value) == newest + number_.value) return;
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    const GrantNumber number{posted_->number[slot].load(kAcquire)};
    const GrantSlot& its = posted_->slot[slot];
    const std::uint64_t with = its.with.load(kRelaxed);
    if (number.value == 0 || number == seen_[slot] || with == 0 || with > number_.value) continue;
    seen_[slot] = number;
    if (take(slot, number)) {
      report_end(End::stopped, its.first_block.load(kRelaxed), {number, JobId{its.job.load(kRelaxed)}, &its},
                 Ring::always);
    }
  }
}

LaneEnd::Control LaneEnd::at_boundary() {
  Control control;
  control.now = clock_->now();
  control.stop = store_then_load(up_->block_start, to_ns(control.now), batch_[0].slot->stop);
  control.exits = exits();
  return control;
}

LaneEnd::Control LaneEnd::rider_at_boundary(std::size_t number) const {
  const GrantSlot& slot = *batch_[number].slot;
  return {.now = {}, .exits = slot.exits.load(kAcquire), .stop = slot.stop.load(kAcquire)};
}

ExitMask LaneEnd::exits(std::size_t number) const {
  return batch_[number].slot->exits.load(kAcquire);
}

LaneEnd::Ring LaneEnd::ring_for(End end) {
  return end == End::stopped ? Ring::unless_work_waits : Ring::always;
}

void LaneEnd::report(const BlockDone& done, End end, std::size_t number) {
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
  if (end != End::none && number == 0) up_->block_start.store(0, kRelaxed);
  push(record, batch_[number], done.answer ? done.scores : std::span<const float>{});
  if (done.answer || end != End::none) ring(done.answer ? Ring::always : ring_for(end));
}

void LaneEnd::report_end(End end, int block, std::size_t number) {
  if (number == 0) up_->block_start.store(0, kRelaxed);
  report_end(end, block, batch_[number], ring_for(end));
}

void LaneEnd::report_end(End end, int block, const Taken& grant, Ring when) {
  RecordData record;
  record.block = static_cast<std::uint8_t>(block);
  record.flags = flag_of(end);
  record.start_ns = record.end_ns = to_ns(clock_->now());
  push(record, grant, {});
  ring(when);
}

void LaneEnd::push(RecordData& record, const Taken& grant, std::span<const float> scores) {
  record.sequence = ++records_;
  record.grant = grant.number.value;
  record.job = grant.job.value;
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

namespace {

// One grant with what rides with it, from the beginning until it ends.
class BatchRun {
 public:
  BatchRun(LaneEnd& lane, LaneProgram& program, const GrantMessage& leads)
      : lane_(lane), program_(program), leads_(leads), block_(leads.first_block) {}

  void run() {
    program_.take_rank(rank());
    control_ = lane_.at_boundary();
    used_ = program_.lane_time();
    const std::span<const GrantMessage> riders = lane_.take_riders();
    const End at_once = begin(leads_, 0, control_);
    for (std::size_t n = 1; n <= riders.size(); ++n) {
      const End its =
          at_once != End::none ? End::stopped : begin(riders[n - 1], n, lane_.rider_at_boundary(n));
      if (its != End::none) lane_.report_end(its, block_, n);
    }
    if (at_once != End::none) return lane_.report_end(at_once, block_);
    for (;;) {
      run_block();
      if (running_ == 0) return;
      lane_.give_up_late();
      program_.take_rank(rank());
    }
  }

 private:
  static constexpr LaneProgram::Jobs bit(std::size_t n) { return LaneProgram::Jobs{1} << n; }

  Rank rank() const {
    const bool reserved = block_ < leads_.reserved_blocks || lane_.reserved_work_waits();
    return reserved ? Rank::reserved : Rank::ordinary;
  }

  End begin(const GrantMessage& grant, std::size_t n, const LaneEnd::Control& control) {
    if (control.stop != 0) return End::stopped;
    if (!is_legal(grant) || grant.first_block != block_) return End::failed;
    if (control.exits >> block_ == 0) return End::done;
    const End end = program_.begin(grant, n);
    if (end == End::none) running_ |= bit(n);
    return end;
  }

  void run_block() {
    const LaneProgram::Jobs jobs = running_;
    const TimePoint start = control_.now;
    LaneProgram::Jobs worked = program_.trunk(block_, jobs) ? jobs : 0;
    LaneProgram::Jobs answers = 0;
    for (std::size_t n = 0; n < kMaxBatch; ++n) {
      if ((worked & bit(n)) != 0 && (lane_.exits(n) & exit_bit(block_)) != 0) answers |= bit(n);
    }
    if (answers != 0) worked &= ~answers | program_.exit(block_, answers);
    control_ = lane_.at_boundary();
    const Duration used = program_.lane_time();
    const Duration all = used - std::exchange(used_, used);
    const Duration share = all / std::popcount(jobs);
    const End end = (worked & 1) != 0 ? end_of(control_) : End::failed;
    BlockDone done{
        .block = block_, .start = start, .end = control_.now, .used = share, .answer = {}, .scores = {}};
    // Those that ride tell first.
    for (std::size_t n = kMaxBatch; n-- > 1;) {
      if ((jobs & bit(n)) == 0) continue;
      End its = (worked & bit(n)) != 0 ? end_of(lane_.rider_at_boundary(n)) : End::failed;
      if (its == End::none && end != End::none) its = End::stopped;
      tell(n, done, (answers & bit(n)) != 0, its);
    }
    done.used = all - share * (std::popcount(jobs) - 1);
    tell(0, done, (answers & 1) != 0, end);
    ++block_;
  }

  End end_of(const LaneEnd::Control& control) const {
    const bool finished = block_ + 1 == leads_.blocks || control.exits >> (block_ + 1) == 0;
    return finished ? End::done : control.stop != 0 ? End::stopped : End::none;
  }

  void tell(std::size_t n, BlockDone done, bool answered, End end) {
    if (end != End::none) {
      program_.end(n, end == End::failed ? block_ : block_ + 1);
      running_ &= ~bit(n);
    }
    if (end == End::failed) return lane_.report_end(end, block_, n);
    if (answered) {
      done.scores = program_.scores(n);
      done.answer = best_of(done.scores);
    }
    lane_.report(done, end, n);
  }

  LaneEnd& lane_;
  LaneProgram& program_;
  const GrantMessage& leads_;
  LaneProgram::Jobs running_ = 0;
  int block_;                   // in progress, or the next
  LaneEnd::Control control_{};  // of the grant that leads, at the last boundary
  Duration used_{};             // LaneProgram::lane_time then
};

}  // namespace

void run_lane(LaneEnd& lane, LaneProgram& program) {
  for (;;) {
    if (!lane.has_work()) program.take_rank(Rank::reserved);  // so that it wakes at once
    const auto grant = lane.next_grant();
    if (!grant) return;
    BatchRun(lane, program, *grant).run();
  }
}

}  // namespace einet::lane
