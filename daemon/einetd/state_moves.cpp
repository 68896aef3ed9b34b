#include "daemon/einetd/state_moves.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <utility>

#include "ipc/lane/shared_memory.h"

namespace einet {

void StateMoves::attach(DeviceId device, Send send) {
  workers_[device.value] = {std::move(send), {}};
}

void StateMoves::detach(DeviceId device) {
  Worker& worker = workers_[device.value];
  worker.send = nullptr;
  for (const Request& request : std::exchange(worker.owed, {})) {
    if (Move* move = find(request)) move->progress = Progress::failed;
  }
}

void StateMoves::begin(const Order& order) {
  Move move{.order = order, .number = ++newest_, .memory = {}};
  auto memory = lane::make_to_be_filled("einetd-state");
  if (memory) move.memory = std::move(*memory);
  if (!memory || !ask(order.from, move, Request::What::save)) move.progress = Progress::failed;
  moves_.insert_or_assign(order.job, std::move(move));
}

Result<void> StateMoves::ask(DeviceId device, Move& move, Request::What what) {
  Worker& worker = workers_[device.value];
  if (!worker.send) return error("the worker is gone");
  UniqueFd memory(::fcntl(move.memory.get(), F_DUPFD_CLOEXEC, 0));
  if (memory.get() < 0) return error(std::strerror(errno));
  const Order& o = move.order;
  auto sent = what == Request::What::save
                  ? worker.send(lane::SaveState{o.job, o.slot, o.model, o.next_block, std::move(memory)})
                  : worker.send(lane::LoadState{o.job, o.slot, o.model, o.next_block, std::move(memory)});
  if (sent) worker.owed.push_back({o.job, move.number, o.slot, what, clock_.now()});
  return sent;
}

StateMoves::Move* StateMoves::find(const Request& request) {
  const auto found = moves_.find(request.job);
  return found == moves_.end() || found->second.number != request.move ? nullptr : &found->second;
}

StateMoves::Progress StateMoves::progress(JobId job) const {
  const auto found = moves_.find(job);
  return found == moves_.end() ? Progress::none : found->second.progress;
}

bool StateMoves::is_busy(DeviceId device, std::uint32_t slot) const {
  const auto& owed = workers_[device.value].owed;
  return std::any_of(owed.begin(), owed.end(), [&](const Request& r) { return r.slot == slot; });
}

bool StateMoves::is_busy(std::uint32_t slot) const {
  for (std::uint32_t d = 0; d < workers_.size(); ++d) {
    if (is_busy(DeviceId{d}, slot)) return true;
  }
  return false;
}

Result<std::string> StateMoves::answered(DeviceId device, const lane::StateMoved& answer) {
  Worker& worker = workers_[device.value];
  if (worker.owed.empty() || worker.owed.front().job != answer.job) {
    return error("it answered for a job's state without being asked");
  }
  const Request request = worker.owed.front();
  worker.owed.pop_front();
  Move* const move = find(request);
  if (move == nullptr || move->progress != Progress::under_way) return answer.problem;
  if (!answer.problem.empty()) {
    const bool no_memory = answer.out_of_memory && request.what == Request::What::load;
    move->progress = no_memory ? Progress::no_memory : Progress::failed;
  } else if (request.what == Request::What::load) {
    move->progress = Progress::arrived;
    move->memory = {};
  } else {
    if (!lane::seal_filled(move->memory.get()) || !ask(move->order.to, *move, Request::What::load))
      move->progress = Progress::failed;
  }
  return answer.problem;
}

std::optional<TimePoint> StateMoves::waits_since(DeviceId device) const {
  const auto& owed = workers_[device.value].owed;
  return owed.empty() ? std::nullopt : std::optional(owed.front().at);
}

}  // namespace einet
