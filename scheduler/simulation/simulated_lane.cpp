#include "scheduler/simulation/simulated_lane.h"

#include <algorithm>
#include <utility>

namespace einet {

SimulatedLane::SimulatedLane(LaneId id, SimulatedWork& work, GrantNumber newest)
    : id_(id), work_(work), newest_(newest) {}

void SimulatedLane::post(const Grant& grant, TimePoint arrives) {
  EINET_CHECK(grant.number.value == newest_.value + 1, "grants of a lane count up by one");
  EINET_CHECK((grant.exits >> grant.first_block) != 0, "a grant ends at or after its first block");
  newest_ = grant.number;
  const Held held{.grant = grant, .arrives = arrives};
  if (grant.with) {
    EINET_CHECK(riders_.size() + to_ride_.size() < 2 * kMaxBatch, "batches are bounded");
    to_ride_.push_back(held);
    return;
  }
  std::optional<Held>& place = first_ ? second_ : first_;
  EINET_CHECK(!place && !(second_ && running_), "a lane has at most two grants that have not ended");
  place = held;
}

template <class F>
void SimulatedLane::with_grant(GrantNumber number, F&& f) {
  for (std::optional<Held>* held : {&running_, &first_, &second_}) {
    if (*held && (*held)->grant.number == number) f(**held);
  }
  for (std::vector<Held>* some : {&riders_, &to_ride_}) {
    for (Held& held : *some) {
      if (held.grant.number == number) f(held);
    }
  }
}

void SimulatedLane::stop(GrantNumber number) {
  EINET_CHECK(number <= newest_, "only a grant can be stopped");
  with_grant(number, [](Held& held) { held.stop = true; });
}

void SimulatedLane::set_exits(GrantNumber number, ExitMask exits) {
  EINET_CHECK(number <= newest_, "only a grant has exits");
  with_grant(number, [&](Held& held) { held.grant.exits = exits; });
}

bool SimulatedLane::waits(GrantNumber number) const {
  return (first_ && first_->grant.number == number) || (second_ && second_->grant.number == number) ||
         std::any_of(to_ride_.begin(), to_ride_.end(),
                     [&](const Held& h) { return h.grant.number == number; });
}

bool SimulatedLane::withdraw(GrantNumber number) {
  if (std::erase_if(to_ride_, [&](const Held& h) { return h.grant.number == number; }) > 0) return true;
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
    give_up_late();
    if (!running_) {
      if (!first_) return;
      if (first_->arrives > now && !first_->stop && !first_->fails) {
        next_event_ = first_->arrives;
        return;
      }
      running_ = std::exchange(first_, std::exchange(second_, std::nullopt));
      block_ = running_->grant.first_block;
      in_flight_ = work_.in_flight(running_->grant.job);
      gather();
    }
    // One that was left out of what is in flight has no way back.
    for (std::size_t i = riders_.size(); i-- > 0;) {
      const bool left_out = riders_[i].stop || running_->committed >= block_;
      if (riders_[i].committed < block_ && left_out) end_rider(i, GrantEnd::stopped);
    }
    const bool in_flight = running_->committed >= block_;
    if (running_->stop && !in_flight) {
      end_grant(GrantEnd::stopped);
    } else if (running_->fails) {
      end_grant(GrantEnd::not_moved);
    } else {
      commit();
      begin_block(now);
    }
  }
}

// Whether blocks are enqueued behind the one in progress; then their exits are decided, too.
bool SimulatedLane::runs_ahead() const {
  return in_flight_ > 1 && block_ >= running_->grant.reserved_blocks;
}

// The exit of this block, if it is to be executed as far as the lane knows now; the last one always is.
ExitMask SimulatedLane::executed(const Held& held, int block) const {
  const bool last = block == work_.blocks(held.grant.job) - 1;
  return last ? exit_bit(block) : held.grant.exits & exit_bit(block);
}

// At a boundary: what the lane cannot be kept from any more.
void SimulatedLane::commit() {
  const auto goes_on = [](const Held& held, int block) {
    return !held.stop && block < kMaxBlocks && held.grant.exits >> block != 0;
  };
  const auto take = [&](Held& held, int block) {
    held.committed = block;
    if (runs_ahead()) held.executes |= executed(held, block);
    work_.commits(held.grant.job, block);
  };
  const int end = block_ + (runs_ahead() ? in_flight_ : 1);
  for (int block = running_->committed + 1; block < end; ++block) {
    if (block > block_ && !goes_on(*running_, block)) return;
    take(*running_, block);
    for (Held& rider : riders_) {
      if (rider.committed + 1 == block && (block == block_ || goes_on(rider, block))) take(rider, block);
    }
  }
}

bool SimulatedLane::is_done(const Held& held) const {
  return held.committed < block_ && (block_ >= kMaxBlocks || (held.grant.exits >> block_) == 0);
}

// Those that ride with the grant that begins.
void SimulatedLane::gather() {
  begun_ = running_->grant.number;
  running_->committed = block_ - 1;
  for (const Held& held : to_ride_) {
    if (held.grant.with != begun_) continue;
    riders_.push_back(held);
    riders_.back().committed = block_ - 1;
  }
  std::erase_if(to_ride_, [&](const Held& held) { return held.grant.with == begun_; });
}

void SimulatedLane::give_up_late() {
  std::erase_if(to_ride_, [&](const Held& held) {
    if (*held.grant.with > begun_) return false;
    records_.push_back({.block = {}, .ended = GrantEnd::stopped, .grant = held.grant.number});
    return true;
  });
}

void SimulatedLane::begin_block(TimePoint now) {
  block_start_ = now;
  in_block_ = true;
  in_exit_ = false;
  away_ = {};
  next_event_ = now + work_.trunk(running_->grant.job, block_, static_cast<int>(riders_.size()) + 1);
  for (const Held& rider : riders_) work_.rides(rider.grant.job, block_);
}

// The trunk or the exit of the running block has ended; a block is not over before its exit.
void SimulatedLane::end_part(TimePoint now) {
  if (!in_exit_) {
    const auto look = [&](Held& held) {
      if (!runs_ahead()) held.executes |= executed(held, block_);
      return (held.executes & exit_bit(block_)) != 0;
    };
    bool with_exit = look(*running_);
    for (Held& rider : riders_) with_exit |= look(rider);
    if (with_exit) {
      in_exit_ = true;
      next_event_ = now + work_.exit(running_->grant.job, block_, static_cast<int>(riders_.size()) + 1);
      if (next_event_ > now) return;
    }
  }
  end_block(now);
}

void SimulatedLane::end_block(TimePoint now) {
  const Duration used = now - block_start_ - away_;
  const Duration share = used / static_cast<std::int64_t>(riders_.size() + 1);
  const auto report = [&](const Held& held, Duration its) {
    BlockReport block{.lane = id_,
                      .grant = held.grant.number,
                      .block = block_,
                      .start = block_start_,
                      .end = now,
                      .answer = {},
                      .used = its};
    if ((held.executes & exit_bit(block_)) != 0) block.answer = work_.answer(held.grant.job, block_);
    records_.push_back({.block = block, .ended = {}, .grant = held.grant.number});
  };
  for (const Held& rider : riders_) report(rider, share);
  report(*running_, used - share * static_cast<std::int64_t>(riders_.size()));
  in_block_ = false;
  next_event_ = kNever;
  ++block_;
  for (std::size_t i = riders_.size(); i-- > 0;) {
    if (is_done(riders_[i])) end_rider(i, GrantEnd::done);
  }
  if (is_done(*running_)) end_grant(GrantEnd::done);
}

void SimulatedLane::end_rider(std::size_t index, GrantEnd how) {
  records_.push_back({.block = {}, .ended = how, .grant = riders_[index].grant.number});
  riders_.erase(riders_.begin() + static_cast<std::ptrdiff_t>(index));
}

// All part.
void SimulatedLane::end_grant(GrantEnd how) {
  while (!riders_.empty()) end_rider(riders_.size() - 1, GrantEnd::stopped);
  records_.push_back({.block = {}, .ended = how, .grant = running_->grant.number});
  running_.reset();
}

std::vector<LaneRecord> SimulatedLane::take_records() {
  return std::exchange(records_, {});
}

}  // namespace einet
