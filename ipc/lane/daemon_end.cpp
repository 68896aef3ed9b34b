#include "ipc/lane/daemon_end.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <string>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utility>

#include <climits>

#include "config/check.h"
#include "ipc/lane/bell.h"
#include "ipc/lane/handshake.h"
#include "ipc/lane/record.h"

namespace einet::lane {

namespace {

// A lane rings at most a few times for what another drain has taken already.
constexpr int kMaxIdleRings = 1000;

TimePoint from_ns(std::int64_t ns) {
  return TimePoint{Duration{ns}};
}

End end_of(std::uint8_t flags) {
  if ((flags & kDone) != 0) return End::done;
  if ((flags & kStopped) != 0) return End::stopped;
  if ((flags & kOutOfMemory) != 0) return End::out_of_memory;
  return (flags & kFailed) != 0 ? End::failed : End::none;
}

bool are_legal(std::uint8_t flags) {
  switch (flags) {
    case kBlock:
    case kBlock | kExit:
    case kBlock | kDone:
    case kBlock | kStopped:
    case kBlock | kExit | kDone:
    case kBlock | kExit | kStopped:
    case kDone:
    case kStopped:
    case kFailed:
    case kOutOfMemory:
      return true;
    default:
      return false;
  }
}

// What is wrong with the answer of a record; "" if nothing.
std::string fault_of_answer(const RecordData& record, std::span<const float> scores, int classes) {
  if ((record.flags & kExit) == 0) return record.classes == 0 ? "" : "scores without an exit";
  if (record.classes != classes) {
    return std::to_string(record.classes) + " scores of a model with " + std::to_string(classes) + " classes";
  }
  for (float score : scores) {
    if (!(score >= 0 && score <= 1)) return "a score outside [0, 1]";
  }
  if (record.top_class >= record.classes) return "top class " + std::to_string(record.top_class);
  if (scores[record.top_class] != record.confidence) return "a confidence that is not the top class's score";
  return "";
}

}  // namespace

Result<DaemonEnd> DaemonEnd::create(int lanes) {
  EINET_CHECK(lanes >= 1 && lanes <= kMaxLanes, "number of lanes");
  DaemonEnd end;
  auto down = make_readable_by_others("einet-down", ByteCount{down_bytes(lanes)});
  if (!down) return down.error();
  auto up = make_writable_by_others("einet-up", ByteCount{up_bytes(lanes)});
  if (!up) return up.error();
  end.down_ = std::move(*down);
  end.up_ = std::move(*up);
  end.doorbell_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!end.doorbell_) return error(std::string("cannot create an eventfd: ") + std::strerror(errno));
  // Fresh memory is zero, and zero is the right beginning of every other word.
  end.down().version.store(kVersion, kRelaxed);
  end.down().lane_count.store(static_cast<std::uint32_t>(lanes), kRelaxed);
  end.lanes_.resize(static_cast<std::size_t>(lanes));
  end.scores_.resize(kMaxClasses);
  return end;
}

void DaemonEnd::post(int lane, const GrantMessage& grant) {
  Lane& l = at(lane);
  EINET_CHECK(is_legal(grant) && grant.exits >> grant.first_block != 0, "a grant out of range");
  EINET_CHECK(grant.number > l.newest, "grant numbers of a lane must rise");
  LaneDown& down = down_of(lane);
  std::size_t slot = 0;
  auto used = [&](std::size_t s) {
    return std::any_of(l.posted.begin(), l.posted.end(), [&](const Posted& p) { return p.slot == s; });
  };
  while (slot < kSlots && used(slot)) ++slot;
  EINET_CHECK(slot < kSlots, "too many grants posted to one lane");

  GrantSlot& to = down.slot[slot];
  to.exits.store(grant.exits, kRelaxed);
  to.stop.store(0, kRelaxed);
  to.model.store(grant.model.value, kRelaxed);
  to.job.store(grant.job.value, kRelaxed);
  to.input_offset.store(grant.input_offset, kRelaxed);
  to.input_bytes.store(grant.input_bytes, kRelaxed);
  to.job_slot.store(grant.job_slot, kRelaxed);
  to.classes.store(static_cast<std::uint16_t>(grant.classes), kRelaxed);
  to.blocks.store(static_cast<std::uint8_t>(grant.blocks), kRelaxed);
  to.first_block.store(static_cast<std::uint8_t>(grant.first_block), kRelaxed);
  to.reserved_blocks.store(static_cast<std::uint8_t>(grant.reserved_blocks), kRelaxed);
  to.input_type.store(static_cast<std::uint8_t>(grant.input_type), kRelaxed);
  to.with.store(grant.with.value, kRelaxed);
  down.number[slot].store(grant.number.value, kRelease);
  if (grant.with != GrantNumber{}) down.newest_rider.store(grant.number.value, kRelease);
  down.newest.store(grant.number.value, kRelease);
  l.newest = grant.number;
  l.posted.push_back({grant, slot, grant.first_block, false});
  ring_bell(down.bell, up_of(lane).sleeping);
}

void DaemonEnd::stop(int lane, GrantNumber number) {
  if (const Posted* posted = find(lane, number)) {
    store_then_load(down_of(lane).slot[posted->slot].stop, 1U, up_of(lane).block_start);
  }
}

void DaemonEnd::set_exits(int lane, GrantNumber number, ExitMask exits) {
  if (const Posted* posted = find(lane, number)) {
    EINET_CHECK(posted->message.blocks == kMaxBlocks || exits >> posted->message.blocks == 0,
                "exits behind the last block");
    down_of(lane).slot[posted->slot].exits.store(exits, kRelease);
  }
}

Withdrawal DaemonEnd::withdraw(int lane, GrantNumber number) {
  Posted* posted = find(lane, number);
  EINET_CHECK(posted != nullptr, "withdrawing a grant that is not posted");
  auto& word = down_of(lane).number[posted->slot];
  const auto& taken = up_of(lane).taken[posted->slot];
  if (store_then_load(word, std::uint64_t{0}, taken) == number.value) {
    posted->withdrawn_late = true;
    return Withdrawal::taken;
  }
  Lane& l = at(lane);
  l.posted.erase(l.posted.begin() + (posted - l.posted.data()));
  ++l.withdrawn;
  return Withdrawal::withdrawn;
}

std::size_t DaemonEnd::outstanding(int lane) const {
  return lanes_[static_cast<std::size_t>(lane)].posted.size();
}

Result<std::size_t> DaemonEnd::drain(const Clock& clock, const Handler& handle) {
  std::size_t handed_over = 0;
  std::size_t drained = 0;
  for (int lane = 0; broken_.empty() && lane < lanes(); ++lane) {
    for (std::size_t i = 0; i < kRing; ++i) {
      const Drained d = drain_one(lane, clock, handle);
      handed_over += d == Drained::report;
      drained += d == Drained::report || d == Drained::nothing_to_say;
      if (d == Drained::end_of_ring || d == Drained::violation) break;
    }
  }
  if (drained > 0) {
    idle_rings_ = 0;
  } else if (idle_rings_ > kMaxIdleRings && broken_.empty()) {
    broken_ = "it rang " + std::to_string(idle_rings_) + " times with nothing to report";
  }
  if (!broken_.empty()) return error("the worker broke the rules of the lane channel: " + broken_);
  return handed_over;
}

std::string DaemonEnd::fault_of_turn(const Lane& lane, const Posted& posted, const RecordData& record) {
  const GrantMessage& grant = posted.message;
  const std::string what = "grant " + std::to_string(grant.number.value);
  const auto leads = [](const Posted& p) { return p.message.with == GrantNumber{}; };
  const auto turn = std::find_if(lane.posted.begin(), lane.posted.end(), leads);
  if (leads(posted)) {
    if (&posted != &*turn) return what + ", which is not its turn";
    // Those that ride tell first, but for one that failed with further blocks in flight.
    const int most_behind = end_of(record.flags) == End::none ? kMaxInFlight - 2 : -1;
    const bool parted = std::none_of(lane.posted.begin(), lane.posted.end(), [&](const Posted& p) {
      return p.message.with == grant.number && p.next_block > p.message.first_block &&
             posted.next_block - p.next_block > most_behind;
    });
    return parted ? "" : what + " before what rides with it";
  }
  const bool rides = turn != lane.posted.end() && turn->message.number == grant.with;
  if (rides && posted.next_block >= turn->next_block) return "";
  const bool never_began = posted.next_block == grant.first_block;
  if (never_began ? (record.flags & (kBlock | kDone)) == 0 : rides && record.flags == kFailed) return "";
  return what + ", which rides with another or was left behind";
}

DaemonEnd::Drained DaemonEnd::drain_one(int lane, const Clock& clock, const Handler& handle) {
  Lane& l = at(lane);
  RecordData record;
  auto violation = [&](const std::string& why) {
    broken_ = "lane " + std::to_string(lane) + ", record " + std::to_string(l.drained + 1) + ": " + why;
    return Drained::violation;
  };
  switch (fetch(up_of(lane), l.drained + 1, record, std::span<float, kMaxClasses>(scores_))) {
    case Fetched::nothing:
      return Drained::end_of_ring;
    case Fetched::nonsense:
      return violation("not what a lane writes (wrong sequence number or checksum)");
    case Fetched::record:
      break;
  }
  if (!are_legal(record.flags)) return violation("flags " + std::to_string(record.flags));
  const GrantNumber number{record.grant};
  const bool has_block = (record.flags & kBlock) != 0;
  const bool gave_up = record.flags == kStopped && record.job == 0;
  const TimePoint start = from_ns(record.start_ns);
  const TimePoint end = from_ns(record.end_ns);
  const bool same_batch = has_block && l.end && record.block == l.block && start == l.start && end == *l.end;
  if (record.start_ns < 0 || start > end || (l.end && start < *l.end && !same_batch) || end > clock.now()) {
    return violation("impossible times");
  }

  Posted* posted = find(lane, number);
  // Which ones it looked at too early nobody knows; but they are no more than were withdrawn.
  const bool withdrawn = posted == nullptr && gave_up && number <= l.newest && l.withdrawn > 0;
  if (!withdrawn) {
    if (posted == nullptr) return violation("grant " + std::to_string(record.grant) + ", which is not there");
    if (auto fault = fault_of_turn(l, *posted, record); !fault.empty()) return violation(fault);
    if (gave_up ? !posted->withdrawn_late : record.job != posted->message.job.value) {
      return violation("job " + std::to_string(record.job) + " under grant " + std::to_string(record.grant));
    }
    if (!has_block && record.used_ns != 0) return violation("processor time without a block");
    if (!gave_up && (record.block != posted->next_block || record.block >= posted->message.blocks)) {
      return violation("block " + std::to_string(record.block) + "; expected " +
                       std::to_string(posted->next_block));
    }
    const auto fault =
        fault_of_answer(record, std::span(scores_).first(record.classes), posted->message.classes);
    if (!fault.empty()) return violation(fault);
  }
  // Believed. From here on the lane may write its place again.
  ++l.drained;
  down_of(lane).drained.store(l.drained, kRelease);
  if (withdrawn) {
    --l.withdrawn;
    return Drained::nothing_to_say;
  }

  Report report;
  report.lane = lane;
  report.grant = number;
  report.job = posted->message.job;
  report.start = start;
  report.end = end;
  report.previous = l.end;
  report.finished = end_of(record.flags);
  if (has_block) {
    report.block = record.block;
    // Two clocks, read one after the other: a little more than end - start is no lie.
    report.used =
        record.used_ns == kUsedTooLong ? end - start : std::min(Duration{record.used_ns}, end - start);
    ++posted->next_block;
    if (!same_batch) l.ran += end - start;
    l.block = record.block;
    l.start = start;
    l.end = end;
  }
  if ((record.flags & kExit) != 0) {
    report.answer = Answer{static_cast<int>(record.top_class), record.confidence};
    report.scores = std::span<const float>(scores_).first(record.classes);
  }
  if (report.finished != End::none) {
    l.posted.erase(l.posted.begin() + (posted - l.posted.data()));  // its slot is free for another grant
  }
  handle(report);
  return Drained::report;
}

void DaemonEnd::disarm() {
  down().armed.store(0, kRelaxed);
  // The worker holds the same eventfd and may have made it blocking: RWF_NOWAIT does not care.
  std::uint64_t rings = 0;
  const iovec to{&rings, sizeof rings};
  if (::preadv2(doorbell_.get(), &to, 1, -1, RWF_NOWAIT) == sizeof rings) ++idle_rings_;
}

Arm DaemonEnd::arm() {
  down().armed.store(1, kRelease);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for (int lane = 0; lane < lanes(); ++lane) {
    const std::uint64_t next = lanes_[static_cast<std::size_t>(lane)].drained + 1;
    if (up_of(lane).ring[next % kRing].sequence.load(kAcquire) == next) return Arm::reports_waiting;
  }
  return Arm::asleep;
}

std::optional<TimePoint> DaemonEnd::running_since(int lane) const {
  const std::int64_t ns = up_of(lane).block_start.load(kRelaxed);
  if (ns <= 0) return std::nullopt;
  return from_ns(ns);
}

void DaemonEnd::close() {
  down().closing.store(1, kRelease);
  for (int lane = 0; lane < lanes(); ++lane) {
    for (const Posted& posted : at(lane).posted) down_of(lane).slot[posted.slot].stop.store(1, kRelease);
    ring_bell(down_of(lane).bell, up_of(lane).sleeping);
  }
}

DaemonEnd::Lane& DaemonEnd::at(int lane) {
  EINET_CHECK(lane >= 0 && lane < lanes(), "no such lane");
  return lanes_[static_cast<std::size_t>(lane)];
}

DaemonEnd::Posted* DaemonEnd::find(int lane, GrantNumber number) {
  auto& posted = at(lane).posted;
  const auto it =
      std::find_if(posted.begin(), posted.end(), [&](const Posted& p) { return p.message.number == number; });
  return it == posted.end() ? nullptr : &*it;
}

}  // namespace einet::lane
