#include "daemon/worker/state_transfer.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "ipc/lane/shared_memory.h"

namespace einet {
namespace {

constexpr int kRounds = 3;  // of measuring

Result<void> write_state(const LoadedModel& model, int next_block, TrunkState& state, int memory) {
  auto mapping = lane::map_for_filling(memory, model.carried_bytes(next_block));
  if (!mapping) return mapping.error();
  return model.save_state(next_block, state, {mapping->writable_data(), mapping->size()});
}

Result<void> read_state(const LoadedModel& model, int next_block, int memory, TrunkState& state) {
  const ByteCount expected = model.carried_bytes(next_block);
  const auto mapping = lane::map_for_reading(memory, expected);
  if (!mapping) return mapping.error();
  if (mapping->size() != expected.value) {
    return error("the shared memory has " + std::to_string(mapping->size()) + " bytes; expected " +
                 std::to_string(expected.value));
  }
  return model.load_state(next_block, {mapping->data(), mapping->size()}, state);
}

// Error: it is not loaded here, or has no such boundary.
Result<const LoadedModel*> find(const ModelTable& models, ModelId id, int next_block) {
  const WorkerModel* const model = models.find(id);
  if (model == nullptr) return error("model " + std::to_string(id.value) + " is not loaded");
  const int blocks = model->loaded->info().program.block_count();
  if (next_block < blocks) return model->loaded.get();
  return error("the model has " + std::to_string(blocks) + " blocks, none with number " +
               std::to_string(next_block));
}

using Done = boost::system::result<void, GrantRefusal>;

Done refused(const Error& why) {
  return GrantRefusal{why.message};
}

Done try_to(const lane::SaveState& what, const ModelTable& models, SlotTable& jobs) {
  const auto model = find(models, what.model, what.next_block);
  if (!model) return refused(model.error());
  const auto state = jobs.take_left({what.job_slot, what.job, what.model, what.next_block});
  if (!state) return state.error();
  const auto written = write_state(**model, what.next_block, **state, what.memory.get());
  jobs.put_back(what.job_slot, what.next_block);  // it may go on here all the same
  return written ? Done() : refused(written.error());
}

Done try_to(const lane::LoadState& what, const ModelTable& models, SlotTable& jobs) {
  const auto model = find(models, what.model, what.next_block);
  if (!model) return refused(model.error());
  const auto state =
      jobs.take_fresh({what.job_slot, what.job, what.model, what.next_block}, (*model)->state_bytes());
  if (!state) return state.error();
  const auto read = read_state(**model, what.next_block, what.memory.get(), **state);
  jobs.put_back(what.job_slot, read ? what.next_block : 0);
  return read ? Done() : refused(read.error());
}

lane::StateMoved answer(JobId job, const Done& done) {
  if (done) return {job};
  return {job, done.error().message, done.error().end == lane::End::out_of_memory};
}

Duration median(std::array<Duration, kRounds> times) {
  std::sort(times.begin(), times.end());
  return times[kRounds / 2];
}

Result<lane::MoveTime> measure_move(const LoadedModel& model, int next_block, TrunkState& state,
                                    const Clock& clock) {
  std::array<Duration, kRounds> out{}, in{};
  for (std::size_t round = 0; round < kRounds; ++round) {
    // New each time, as for a job: its pages have to be found, too.
    const auto memory = lane::make_to_be_filled("state");
    if (!memory) return memory.error();
    const TimePoint begin = clock.now();
    if (auto ok = write_state(model, next_block, state, memory->get()); !ok) return ok.error();
    out[round] = clock.now() - begin;
    if (auto ok = lane::seal_filled(memory->get()); !ok) return ok.error();
    const TimePoint sealed = clock.now();
    if (auto ok = read_state(model, next_block, memory->get(), state); !ok) return ok.error();
    in[round] = clock.now() - sealed;
  }
  return lane::MoveTime{model.carried_bytes(next_block), median(out), median(in)};
}

}  // namespace

lane::StateMoved save_state(const lane::SaveState& what, const ModelTable& models, SlotTable& jobs) {
  return answer(what.job, try_to(what, models, jobs));
}

lane::StateMoved load_state(const lane::LoadState& what, const ModelTable& models, SlotTable& jobs) {
  return answer(what.job, try_to(what, models, jobs));
}

Result<std::vector<lane::MoveTime>> measure_moves(const LoadedModel& model, TrunkState& state,
                                                  const Clock& clock) {
  const int blocks = model.info().program.block_count();
  std::vector<lane::MoveTime> moves(1);
  for (int next_block = 1; next_block < blocks; ++next_block) {
    if (next_block == 1) {  // to warm up
      if (auto first = measure_move(model, next_block, state, clock); !first) return first.error();
    }
    auto move = measure_move(model, next_block, state, clock);
    if (!move) return move.error();
    moves.push_back(*move);
  }
  return moves;
}

}  // namespace einet
