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
    if (number <= number_ || number.value > newest || was_taken(slot, number) ||
        posted_->slot[slot].with.load(kRelaxed) != 0) {
      continue;
    }
    if (next.number.value == 0 || number < next.number) next = {number, slot};
  }
  return next;
}

bool LaneEnd::reserved_work_waits() const {
  const auto [number, slot] = next();
  const GrantSlot& waits = posted_->slot[slot];
  return number.value != 0 && waits.first_block.load(kRelaxed) < waits.reserved_blocks.load(kRelaxed);
}

bool LaneEnd::was_taken(std::size_t slot, GrantNumber number) const {
  return up_->taken[slot].load(kRelaxed) == number.value;
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
    if (number.value == 0 || was_taken(slot, number) || its.with.load(kRelaxed) != number_.value) continue;
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
    if (number.value == 0 || was_taken(slot, number) || with == 0 || with > number_.value) continue;
    if (take(slot, number)) {
      report_end(End::stopped, its.first_block.load(kRelaxed), {number, JobId{its.job.load(kRelaxed)}, &its},
                 Ring::always);
    }
  }
}

LaneEnd::Control LaneEnd::control(std::size_t number) const {
  const GrantSlot& slot = *batch_[number].slot;
  return {.exits = slot.exits.load(kAcquire), .stop = slot.stop.load(kAcquire)};
}

LaneEnd::Boundary LaneEnd::at_boundary() {
  Boundary boundary;
  boundary.now = clock_->now();
  const GrantSlot& slot = *batch_[0].slot;
  boundary.control.stop = store_then_load(up_->block_start, to_ns(boundary.now), slot.stop);
  boundary.control.exits = slot.exits.load(kAcquire);
  return boundary;
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
  BatchRun(LaneEnd& lane, LaneProgram& program, const GrantMessage& leads, int in_flight)
      : lane_(lane),
        program_(program),
        leads_(leads),
        in_flight_(in_flight),
        oldest_(leads.first_block),
        next_(leads.first_block) {
    failed_at_.fill(kMaxBlocks);
  }

  void run() {
    program_.take_rank(rank());
    const LaneEnd::Boundary boundary = lane_.at_boundary();
    start_ = boundary.now;
    used_ = program_.lane_time();
    const std::span<const GrantMessage> riders = lane_.take_riders();
    Jobs begun = 0;
    const End at_once = begin(leads_, 0, boundary.control, begun);
    for (std::size_t n = 1; n <= riders.size(); ++n) {
      const End its = at_once != End::none ? End::stopped : begin(riders[n - 1], n, lane_.control(n), begun);
      if (its != End::none) lane_.report_end(its, next_, n);
    }
    if (at_once != End::none) return lane_.report_end(at_once, next_);
    commit(begun);
    commit_more(lane_.control());
    for (;;) {
      finish_oldest();
      if (oldest_ == next_) return;
      lane_.give_up_late();
      program_.take_rank(rank());
    }
  }

 private:
  using Jobs = LaneProgram::Jobs;
  // A block that was committed: decided and, with more than one in flight, enqueued.
  struct Committed {
    Jobs jobs = 0;
    Jobs answers = 0;
    bool launched = false;
  };

  static constexpr Jobs bit(std::size_t n) { return Jobs{1} << n; }
  // Calls f(n) for each of them, the one that leads last.
  template <class F>
  static void for_each(Jobs jobs, F&& f) {
    while (jobs != 0) {
      const auto n = static_cast<std::size_t>(std::bit_width(jobs) - 1);
      jobs &= ~bit(n);
      f(n);
    }
  }
  Committed& committed(int block) { return committed_[static_cast<std::size_t>(block) % kMaxInFlight]; }

  Rank rank() const {
    const bool reserved = oldest_ < leads_.reserved_blocks || lane_.reserved_work_waits();
    return reserved ? Rank::reserved : Rank::ordinary;
  }

  End begin(const GrantMessage& grant, std::size_t n, const LaneEnd::Control& control, Jobs& begun) {
    if (control.stop != 0) return End::stopped;
    if (!is_legal(grant) || grant.first_block != next_) return End::failed;
    if (control.exits >> next_ == 0) return End::done;
    const End end = program_.begin(grant, n);
    if (end == End::none) begun |= bit(n);
    return end;
  }

  void commit(Jobs jobs) {
    Committed& block = committed(next_) = {.jobs = jobs};
    if (in_flight_ > 1) {
      block.answers = wanted(next_, jobs);
      block.launched = program_.launch(next_, jobs, block.answers);
      if (!block.launched) fail(next_, jobs);
    }
    ++next_;
  }

  // Those whose exits of this block are to be executed. The last one always is: exits that end before it came
  // while its trunk ran, and without it that was for nothing.
  Jobs wanted(int block, Jobs jobs) const {
    if (block == leads_.blocks - 1) return jobs;
    Jobs answers = 0;
    for_each(jobs, [&](std::size_t n) {
      if ((lane_.control(n).exits & exit_bit(block)) != 0) answers |= bit(n);
    });
    return answers;
  }

  bool may_commit() const {
    return oldest_ == next_ || (next_ - oldest_ < in_flight_ && oldest_ >= leads_.reserved_blocks);
  }

  // As many as may be. How a grant ends that has no part in the next one is decided here, and told with the
  // last one that it has a part in.
  void commit_more(LaneEnd::Control leads) {
    while (may_commit()) {
      const Jobs jobs = committed(next_ - 1).jobs;
      Jobs going = 0;
      for_each(jobs, [&](std::size_t n) {
        ends_[n] = end_of(n, n == 0 ? leads : lane_.control(n));
        if (ends_[n] == End::none) going |= bit(n);
      });
      if ((going & bit(0)) == 0) {
        // What rides ends with it.
        return for_each(going, [&](std::size_t n) { ends_[n] = End::stopped; });
      }
      commit(going);
      leads = lane_.control();
    }
  }

  // How its grant ends before the next block.
  End end_of(std::size_t n, const LaneEnd::Control& control) const {
    if (failed_at_[n] < next_) return End::failed;
    const bool finished = next_ == leads_.blocks || control.exits >> next_ == 0;
    return finished ? End::done : control.stop != 0 ? End::stopped : End::none;
  }

  void fail(int block, Jobs jobs) {
    for_each(jobs, [&](std::size_t n) { failed_at_[n] = std::min(failed_at_[n], block); });
  }

  void finish_oldest() {
    const int block = oldest_;
    Committed done = committed(block);
    fail(block, done.jobs & ~run_to_end(block, done));
    ++oldest_;
    const LaneEnd::Boundary boundary = lane_.at_boundary();
    const Duration used = program_.lane_time();
    commit_more(boundary.control);
    const Jobs go_on = oldest_ < next_ ? committed(oldest_).jobs : 0;
    const Duration all = used - std::exchange(used_, used);
    const Duration share = all / std::popcount(done.jobs);
    BlockDone tells{.block = block,
                    .start = std::exchange(start_, boundary.now),
                    .end = boundary.now,
                    .used = share,
                    .answer = {},
                    .scores = {}};
    for_each(done.jobs, [&](std::size_t n) {
      if (n == 0) tells.used = all - share * (std::popcount(done.jobs) - 1);
      tell(n, tells, (done.answers & bit(n)) != 0, (go_on & bit(n)) != 0 ? End::none : ends_[n]);
    });
  }

  // Returns for whom it worked.
  Jobs run_to_end(int block, Committed& its) {
    if (in_flight_ > 1) return its.launched ? program_.await(block, its.jobs, its.answers) : 0;
    if (!program_.trunk(block, its.jobs)) return 0;
    its.answers = wanted(block, its.jobs);
    return its.answers == 0 ? its.jobs : (its.jobs & ~its.answers) | program_.exit(block, its.answers);
  }

  void tell(std::size_t n, BlockDone done, bool answered, End end) {
    const int failed_at = failed_at_[n];
    if (end != End::none) program_.end(n, std::min(failed_at, done.block + 1));
    if (done.block >= failed_at) {
      // Blocks behind the one that failed may be in flight.
      if (end != End::none) lane_.report_end(End::failed, failed_at, n);
      return;
    }
    if (answered) {
      done.scores = program_.scores(n);
      done.answer = best_of(done.scores);
    }
    lane_.report(done, end, n);
  }

  LaneEnd& lane_;
  LaneProgram& program_;
  const GrantMessage& leads_;
  const int in_flight_;
  int oldest_;  // block committed and not finished
  int next_;    // to be committed
  std::array<Committed, kMaxInFlight> committed_{};
  std::array<End, kMaxBatch> ends_{};     // of those who have no part in the next block
  std::array<int, kMaxBatch> failed_at_;  // block; kMaxBlocks: none did
  TimePoint start_{};                     // of the oldest block
  Duration used_{};                       // LaneProgram::lane_time then
};

}  // namespace

void run_lane(LaneEnd& lane, LaneProgram& program, int in_flight) {
  EINET_CHECK(in_flight >= 1 && in_flight <= kMaxInFlight, "blocks in flight");
  for (;;) {
    if (!lane.has_work()) program.take_rank(Rank::reserved);  // so that it wakes at once
    const auto grant = lane.next_grant();
    if (!grant) return;
    BatchRun(lane, program, *grant, in_flight).run();
  }
}

}  // namespace einet::lane
