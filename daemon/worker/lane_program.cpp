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
  scores_.reserve(lane::kMaxClasses);
}

lane::End WorkerLane::begin(const lane::GrantMessage& grant) {
  grant_ = grant;
  const auto prepared = prepare(grant);
  if (prepared) return lane::End::none;
  complain(prepared.error().message);
  return prepared.error().end;
}

boost::system::result<void, GrantRefusal> WorkerLane::prepare(const lane::GrantMessage& grant) {
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
  auto state = jobs_.take(grant, model->loaded->state_bytes());
  if (!state) return state.error();
  model_ = model->lanes[static_cast<std::size_t>(lane_)].get();
  state_ = *state;
  scores_.resize(static_cast<std::size_t>(grant.classes));
  if (grant.first_block != 0) return {};
  const InputView input{grant.input_type == lane::InputType::u8 ? ElementType::u8 : ElementType::f32,
                        arena_.subspan(grant.input_offset, grant.input_bytes)};
  if (auto begun = model_->begin(input, *state_); !begun) {
    jobs_.put_back(grant.job_slot, 0);
    return GrantRefusal{begun.error().message};
  }
  return {};
}

Duration WorkerLane::lane_time() const {
  const Duration now = backend_.lane_time();
  const bool stands_still = backend_.is_gpu() && place_.kind() == LaneKind::base;
  return stands_still ? now - urgent_.until(now) : now;
}

template <class F>
Result<void> WorkerLane::run(F&& part) {
  if (!backend_.is_gpu() || place_.kind() == LaneKind::base) return part();
  urgent_.begin(backend_.lane_time());
  auto result = part();
  urgent_.end(backend_.lane_time());
  return result;
}

bool WorkerLane::trunk(int block) {
  return succeeded(run([&] { return model_->run_trunk(block, *state_); }));
}

std::span<const float> WorkerLane::exit(int block) {
  const auto answered = run([&] { return model_->run_exit(block, *state_, scores_); });
  if (!succeeded(answered) || !succeeded(check_scores())) return {};
  return scores_;
}

// The daemon takes scores outside [0, 1] for a worker gone mad; this is where a model's own fault is told
// apart.
Result<void> WorkerLane::check_scores() {
  for (float& score : scores_) {
    if (!std::isfinite(score)) return error("the exit's scores are not finite");
    score = std::clamp(score, 0.0F, 1.0F);  // a softmax may round to a little more than 1
  }
  return {};
}

void WorkerLane::end(int next_block) {
  jobs_.put_back(grant_.job_slot, next_block);
}

bool WorkerLane::succeeded(const Result<void>& result) {
  if (!result) complain(result.error().message);
  return result.has_value();
}

void WorkerLane::complain(const std::string& why) {
  complain_("job " + std::to_string(grant_.job.value) + " failed on lane " + std::to_string(lane_) + ": " +
            why);
}

}  // namespace einet
