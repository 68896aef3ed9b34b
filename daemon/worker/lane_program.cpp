#include "daemon/worker/lane_program.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace einet {

WorkerLane::WorkerLane(int lane, LanePlace& place, const Backend& backend, const ModelTable& models,
                       SlotTable& jobs, UrgentTime& urgent, std::span<const std::byte> arena,
                       std::function<void(const std::string&)> complain)
    : lane_(lane),
      place_(place),
      backend_(backend),
      models_(models),
      jobs_(jobs),
      urgent_(urgent),
      arena_(arena),
      complain_(std::move(complain)) {
  states_.reserve(kMaxBatch);
  numbers_.reserve(kMaxBatch);
  wanted_.reserve(kMaxBatch);
  for (Member& member : batch_) {
    for (auto& scores : member.scores) scores.reserve(lane::kMaxClasses);
  }
}

lane::End WorkerLane::begin(const lane::GrantMessage& grant, std::size_t n) {
  batch_[n].grant = grant;
  const auto prepared = prepare(batch_[n]);
  if (prepared) return lane::End::none;
  complain(batch_[n], prepared.error().message);
  return prepared.error().end;
}

boost::system::result<void, GrantRefusal> WorkerLane::prepare(Member& member) {
  const lane::GrantMessage& grant = member.grant;
  const WorkerModel* model = models_.find(grant.model);
  if (model == nullptr) return GrantRefusal{"model " + std::to_string(grant.model.value) + " is not loaded"};
  const Program& program = model->loaded->info().program;
  if (grant.blocks != program.block_count() || grant.classes != program.classes()) {
    return GrantRefusal{"the grant is for a model of " + std::to_string(grant.blocks) + " blocks and " +
                        std::to_string(grant.classes) + " classes; this one has " +
                        std::to_string(program.block_count()) + " and " + std::to_string(program.classes())};
  }
  if (grant.input_offset > arena_.size() || grant.input_bytes > arena_.size() - grant.input_offset) {
    return GrantRefusal{"the input lies outside of the arena"};
  }
  LaneModel* const lane = model->lanes[static_cast<std::size_t>(lane_)].get();
  if (&member != batch_.data() && lane != model_) return GrantRefusal{"it rides with a job of another model"};
  auto state = jobs_.take(grant, model->loaded->state_bytes());
  if (!state) return state.error();
  model_ = lane;
  member.state = *state;
  for (auto& scores : member.scores) scores.resize(static_cast<std::size_t>(grant.classes));
  if (grant.first_block != 0) return {};
  const InputView input{grant.input_type == lane::InputType::u8 ? ElementType::u8 : ElementType::f32,
                        arena_.subspan(grant.input_offset, grant.input_bytes)};
  if (auto begun = model_->begin(input, *member.state); !begun) {
    jobs_.put_back(grant.job_slot, 0);
    return GrantRefusal{begun.error().message};
  }
  return {};
}

Duration WorkerLane::lane_time() const {
  const auto clock = [&] { return backend_.lane_time(); };
  const bool stands_still = backend_.is_gpu() && place_.kind() == LaneKind::base;
  return stands_still ? urgent_.without(clock) : clock();
}

template <class F>
Result<void> WorkerLane::run(F&& part) {
  if (!backend_.is_gpu() || place_.kind() == LaneKind::base) return part();
  const auto clock = [&] { return backend_.lane_time(); };
  urgent_.begin(clock);
  auto result = part();
  urgent_.end(clock);
  return result;
}

void WorkerLane::choose(Jobs jobs) {
  states_.clear();
  numbers_.clear();
  for (std::size_t n = 0; n < batch_.size(); ++n) {
    if ((jobs >> n & 1) == 0) continue;
    numbers_.push_back(n);
    states_.push_back(batch_[n].state);
  }
}

void WorkerLane::want(int block, Jobs answers) {
  wanted_.clear();
  for (const std::size_t n : numbers_) {
    wanted_.push_back((answers >> n & 1) != 0 ? std::span<float>(batch_[n].scores[place_of(block)])
                                              : std::span<float>());
  }
}

bool WorkerLane::trunk(int block, Jobs jobs) {
  choose(jobs);
  return worked(run([&] { return model_->run_trunks(block, states_); }), jobs);
}

lane::LaneProgram::Jobs WorkerLane::exit(int block, Jobs jobs) {
  want(block, jobs);
  if (!worked(run([&] { return model_->run_exits(block, states_, wanted_); }), jobs)) return 0;
  return check(block, jobs);
}

bool WorkerLane::launch(int block, Jobs jobs, Jobs answers) {
  choose(jobs);
  want(block, answers);
  return worked(model_->launch(block, states_, wanted_), jobs);
}

lane::LaneProgram::Jobs WorkerLane::await(int block, Jobs jobs, Jobs answers) {
  if (!worked(model_->await(), jobs)) return 0;
  return (jobs & ~answers) | check(block, answers);
}

bool WorkerLane::worked(const Result<void>& ran, Jobs jobs) {
  if (ran) return true;
  for (std::size_t n = 0; n < batch_.size(); ++n) {
    if ((jobs >> n & 1) != 0) complain(batch_[n], ran.error().message);
  }
  return false;
}

lane::LaneProgram::Jobs WorkerLane::check(int block, Jobs answers) {
  answered_ = place_of(block);
  for (std::size_t n = 0; n < batch_.size(); ++n) {
    if ((answers >> n & 1) == 0) continue;
    const auto checked = check(batch_[n].scores[answered_]);
    if (checked) continue;
    complain(batch_[n], checked.error().message);
    answers &= ~(Jobs{1} << n);
  }
  return answers;
}

// The daemon takes scores outside [0, 1] for a worker gone mad; this is where a model's own fault is told
// apart.
Result<void> WorkerLane::check(std::span<float> scores) {
  for (float& score : scores) {
    if (!std::isfinite(score)) return error("the exit's scores are not finite");
    score = std::clamp(score, 0.0F, 1.0F);  // a softmax may round to a little more than 1
  }
  return {};
}

void WorkerLane::end(std::size_t n, int next_block) {
  jobs_.put_back(batch_[n].grant.job_slot, next_block);
}

void WorkerLane::complain(const Member& member, const std::string& why) {
  complain_("job " + std::to_string(member.grant.job.value) + " failed on lane " + std::to_string(lane_) +
            ": " + why);
}

}  // namespace einet
