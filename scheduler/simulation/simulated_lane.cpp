#include "scheduler/simulation/simulated_lane.h"

#include <utility>

namespace einet {

SimulatedLane::SimulatedLane(LaneId id, SimulatedWork& work, GrantNumber newest)
    : id_(id), work_(work), newest_(newest) {}

void SimulatedLane::post(const Grant& grant, TimePoint arrives) {
  EINET_CHECK(grant.number.value == newest_.value + 1, "grants of a lane count up by one");
  EINET_CHECK((grant.exits >> grant.first_block) != 0, "a grant ends at or after its first block");
  newest_ = grant.number;
  std::optional<Held>& place = first_ ? second_ : first_;
  EINET_CHECK(!place && !(second_ && running_), "a lane has at most two grants that have not ended");
  place = Held{.grant = grant, .arrives = arrives};
}

void SimulatedLane::stop(GrantNumber number) {
  EINET_CHECK(number <= newest_, "only a grant can be stopped");
  for (std::optional<Held>* held : {&running_, &first_, &second_}) {
    if (*held && (*held)->grant.number == number) (*held)->stop = true;
  }
}

void SimulatedLane::set_exits(GrantNumber number, ExitMask exits) {
  EINET_CHECK(number <= newest_, "only a grant has exits");
  for (std::optional<Held>* held : {&running_, &first_, &second_}) {
    if (*held && (*held)->grant.number == number) (*held)->grant.exits = exits;
  }
}

bool SimulatedLane::waits(GrantNumber number) const {
  return (first_ && first_->grant.number == number) || (second_ && second_->grant.number == number);
}

bool SimulatedLane::withdraw(GrantNumber number) {
  if (second_ && second_->grant.number == number) {
    second_.reset();
    return true;
  }
  if (first_ && first_->grant.number == number) {
    first_ = std::exchange(second_, std::nullopt);
    if (!in_block_) next_event_ = kNever;  // whatever it waited for
    return true;
  }
  return false;
}

void SimulatedLane::act(TimePoint now) {
  EINET_CHECK(next_event_ >= now, "a lane misses none of its boundaries");
  if (in_block_ && next_event_ == now) end_part(now);
  if (!suspended_since_) go_on(now);
}

void SimulatedLane::suspend(TimePoint now) {
  if (suspended_since_) return;
  act(now);
  suspended_since_ = now;
  left_ = next_event_ - now;
  next_event_ = kNever;
}

void SimulatedLane::resume(TimePoint now) {
  if (!suspended_since_) return;
  if (in_block_) {
    next_event_ = now + left_;
    away_ += now - *suspended_since_;
  }
  suspended_since_.reset();
}

// From between two blocks into the next one: of its grant, or of the one that was posted behind.
void SimulatedLane::go_on(TimePoint now) {
  while (!in_block_) {
    next_event_ = kNever;
    if (!running_) {
      if (!first_) return;
      if (first_->arrives > now && !first_->stop && !first_->fails) {
        next_event_ = first_->arrives;
        return;
      }
      running_ = std::exchange(first_, std::exchange(second_, std::nullopt));
      block_ = running_->grant.first_block;
    }
    if (running_->stop) {
      end_grant(GrantEnd::stopped);
    } else if (running_->fails) {
      end_grant(GrantEnd::not_moved);
    } else {
      begin_block(now);
    }
  }
}

void SimulatedLane::begin_block(TimePoint now) {
  block_start_ = now;
  in_block_ = true;
  in_exit_ = false;
  away_ = {};
  next_event_ = now + work_.trunk(running_->grant.job, block_);
}

// The trunk or the exit of the running block has ended; a block is not over before its exit.
void SimulatedLane::end_part(TimePoint now) {
  const Grant& grant = running_->grant;
  const bool with_exit = (grant.exits & exit_bit(block_)) != 0;
  if (with_exit && !in_exit_) {
    in_exit_ = true;
    next_event_ = now + work_.exit(grant.job, block_);
    if (next_event_ > now) return;
  }
  end_block(now);
}

void SimulatedLane::end_block(TimePoint now) {
  const Grant& grant = running_->grant;
  BlockReport report{.lane = id_,
                     .grant = grant.number,
                     .block = block_,
                     .start = block_start_,
                     .end = now,
                     .answer = {},
                     .used = now - block_start_ - away_};
  if (in_exit_) report.answer = work_.answer(grant.job, block_);
  records_.push_back({.block = report, .ended = {}, .grant = grant.number});
  in_block_ = false;
  next_event_ = kNever;
  ++block_;
  if (block_ >= kMaxBlocks || (grant.exits >> block_) == 0) end_grant(GrantEnd::done);
}

void SimulatedLane::end_grant(GrantEnd how) {
  records_.push_back({.block = {}, .ended = how, .grant = running_->grant.number});
  running_.reset();
}

std::vector<LaneRecord> SimulatedLane::take_records() {
  return std::exchange(records_, {});
}

}  // namespace einet
