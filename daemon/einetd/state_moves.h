// States of jobs on their way from one worker to another. The one that holds a state is asked to save it into
// a file in memory, the other to load it from there; lanes are not disturbed. What a move is for is not known
// here.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/time.h"
#include "ipc/lane/control.h"

namespace einet {

// One thread.
class StateMoves {
 public:
  using Send = std::function<Result<void>(const lane::ToWorker&)>;
  // no_memory: failed, for the device that it was to come to had no memory left for it.
  enum class Progress : std::uint8_t { none, under_way, arrived, failed, no_memory };

  StateMoves(const Clock& clock, std::size_t devices) : clock_(clock), workers_(devices) {}

  // A device's worker is there, and gone: what it was asked for it will not answer.
  void attach(DeviceId, Send);
  void detach(DeviceId);

  // Precondition: the state lies in that slot of the worker of `from`; no other move of the job is under way.
  struct Order {
    JobId job;
    std::uint32_t slot = 0;
    ModelId model;
    int next_block = 0;
    DeviceId from, to;
  };
  void begin(const Order&);
  // Nobody waits for it any more.
  void forget(JobId job) { moves_.erase(job); }
  Progress progress(JobId) const;
  // Whether a worker was asked for something with this slot that it has not answered: no lane of it may be
  // given the slot, and no other job.
  bool is_busy(DeviceId, std::uint32_t slot) const;
  bool is_busy(std::uint32_t slot) const;

  // A worker's answer to the oldest thing that it was asked for. Error: it was not asked; it must not be
  // believed. The text of a problem, if there is one, for the log.
  Result<std::string> answered(DeviceId, const lane::StateMoved&);
  // Since when a worker owes an answer.
  std::optional<TimePoint> waits_since(DeviceId) const;

 private:
  struct Move {
    Order order;
    std::uint64_t number = 0;  // a job may be moved again while an answer of the first time is outstanding
    UniqueFd memory;
    Progress progress = Progress::under_way;
  };
  struct Request {
    JobId job;
    std::uint64_t move = 0;
    std::uint32_t slot = 0;
    enum class What : std::uint8_t { save, load } what{};
    TimePoint at{};
  };
  struct Worker {
    Send send;  // empty: not there
    std::deque<Request> owed;
  };
  Result<void> ask(DeviceId, Move&, Request::What);
  Move* find(const Request&);

  const Clock& clock_;
  std::vector<Worker> workers_;  // by DeviceId
  std::map<JobId, Move> moves_;
  std::uint64_t newest_ = 0;
};

}  // namespace einet
