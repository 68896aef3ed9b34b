#include "daemon/worker/model_table.h"

#include <string>
#include <utility>

#include "daemon/worker/batch_times.h"
#include "daemon/worker/lane_place.h"
#include "daemon/worker/state_transfer.h"
#include "models/package.h"

namespace einet {

namespace {

lane::PartTime part_time(const PartTime& t) {
  return {t.p50, t.p99, t.max};
}

Result<void> run_once(const Program& program, LaneModel& model, TrunkState& state) {
  const std::vector<std::byte> zeros(static_cast<std::size_t>(program.input().elements()));
  std::vector<float> scores(static_cast<std::size_t>(program.classes()));
  if (auto ok = model.begin(InputView{ElementType::u8, zeros}, state); !ok) return ok.error();
  for (int block = 0; block < program.block_count(); ++block) {
    const std::string where = "block " + std::to_string(block);
    if (auto ok = model.run_trunk(block, state); !ok) return within(where, ok.error());
    if (auto ok = model.run_exit(block, state, scores); !ok) return within(where + ", exit", ok.error());
  }
  return {};
}

// Of another machine's block times. GPUs are refused for them; processors' names are too coarse for that.
std::string doubt_of_times(const PackageInfo& model, const std::filesystem::path& package,
                           const Backend& backend) {
  const EtProfile* const times = model.times_on(backend.device_kind());
  if (times == nullptr || times->machine == backend.machine() || !backend.computes()) return {};
  // The command first: a line of the log has no room for all.
  return "the block times of " + model.name +
         " are another machine's; measure them here: einet-worker --profile " +
         std::filesystem::absolute(package).string() + ", then send einetd a SIGHUP (they are of a \"" +
         times->machine + "\", this is a \"" + backend.machine() + "\")";
}

// What the daemon would not accept is refused here, where it is a model's fault and not the worker's.
Result<void> check_acceptable(const lane::ModelDescription& description) {
  const auto packet = lane::encode(lane::FromWorker(lane::ModelLoaded{ModelId{}, description}));
  if (!packet) return packet.error();
  const auto checked = lane::decode_from_worker(*packet);
  if (!checked) return checked.error();
  return {};
}

}  // namespace

Result<lane::ModelDescription> describe(const LoadedModel& model, const Backend& backend) {
  const PackageInfo& info = model.info();
  const Program& program = info.program;
  lane::ModelDescription out;
  out.name = info.name;
  out.version = info.version;
  out.digest = info.digest;
  out.input = {program.input().channels};
  if (!program.input().is_vector()) {
    out.input.insert(out.input.end(), {program.input().height, program.input().width});
  }
  out.blocks = program.block_count();
  out.classes = program.classes();
  out.labels = info.labels;
  if (const EtProfile* times = info.times_on(backend.device_kind())) {
    // GPUs differ by far more than processors of a box do, and their names tell them apart.
    if (backend.device_kind() == "cuda" && times->machine != backend.machine()) {
      return error("its profile is of a GPU \"" + times->machine + "\", this is a \"" + backend.machine() +
                   "\"; measure it here: einet-worker --profile --device cuda:N " + info.name + ".einet");
    }
    for (std::size_t block = 0; block < times->trunk.size(); ++block) {
      out.times.push_back({part_time(times->trunk[block]), part_time(times->exit[block])});
    }
  }
  if (info.confidences.samples > 0) {
    for (int exit = 0; exit < info.confidences.exits; ++exit) {
      out.accuracy.push_back(info.confidences.accuracy(exit));
    }
  }
  out.state = model.state_bytes();
  out.predictor = info.predictor;
  if (auto ok = check_acceptable(out); !ok) return ok.error();
  return out;
}

ModelTable::~ModelTable() {
  for (auto& model : models_) delete model.load();
}

boost::system::result<lane::ModelDescription, LoadRefusal> ModelTable::load(
    ModelId id, const std::filesystem::path& path) {
  if (find(id) != nullptr) return LoadRefusal{"model " + std::to_string(id.value) + " is loaded already"};
  auto package = read_package(path);
  if (!package) return LoadRefusal{package.error().message};
  const ByteCount weights = size_of(package->weights);
  if (const auto ok = memory_.take(weights); !ok) {
    return LoadRefusal{"its weights: " + ok.error().message, ok.error().lacks};
  }
  // Before the model is there for others, who may unload it.
  std::string doubt = doubt_of_times(package->info, path, backend_);
  auto description = load(id, std::move(*package), weights);
  if (description) {
    description->doubt = std::move(doubt);
    return std::move(*description);
  }
  memory_.give_back(weights);
  // How much is lacking a device does not say.
  return LoadRefusal{description.error().message, ByteCount{description.error().out_of_memory ? 1u : 0u}};
}

Result<lane::ModelDescription> ModelTable::load(ModelId id, Package package, ByteCount weights) {
  auto loaded = backend_.load(std::move(package));
  if (!loaded) return loaded.error();
  auto model = std::make_unique<WorkerModel>();
  model->weights = weights;
  model->loaded = std::move(*loaded);
  auto description = describe(*model->loaded, backend_);
  if (!description) return description.error();
  const auto state = backend_.make_state(model->loaded->state_bytes());
  if (!state) return state.error();
  for (int lane = 0; lane < configure_.all_lanes(); ++lane) {
    const LaneKind kind = kind_of(configure_, lane);
    LaneOptions options{.kind = kind};
    if (kind == LaneKind::base) {
      options.largest_batch = configure_.largest_batch;
      options.in_flight = configure_.in_flight;
    }
    auto made = model->loaded->make_lane(options);
    if (!made) return made.error();
    model->lanes.push_back(std::move(*made));
    if (auto ok = run_once(model->loaded->info().program, *model->lanes.back(), **state); !ok)
      return ok.error();
  }
  if (configure_.largest_batch > 1) {
    auto batch = measure_batches(*model);
    if (!batch) return within("a batch", batch.error());
    description->batch = std::move(*batch);
  }
  auto moves = measure_moves(*model->loaded, **state, clock_);
  if (!moves) return within("moving a job", moves.error());
  description->moves = std::move(*moves);
  description->weights = weights;
  if (auto ok = check_acceptable(*description); !ok) return ok.error();
  models_[id.value].store(model.release(), std::memory_order_release);
  return description;
}

Result<std::vector<double>> ModelTable::measure_batches(const WorkerModel& model) const {
  std::vector<std::unique_ptr<TrunkState>> memory;
  std::vector<TrunkState*> states;
  while (std::ssize(states) < configure_.largest_batch) {
    auto state = backend_.make_state(model.loaded->state_bytes());
    if (!state) return state.error();
    states.push_back(memory.emplace_back(std::move(*state)).get());
    if (auto ok = run_once(model.loaded->info().program, *model.lanes[0], *states.back()); !ok)
      return ok.error();
  }
  return einet::measure_batches(model.loaded->info().program, *model.lanes[0], states, clock_);
}

void ModelTable::unload(ModelId id) {
  if (id.value >= models_.size()) return;
  const std::unique_ptr<const WorkerModel> model(models_[id.value].exchange(nullptr));
  if (model) memory_.give_back(model->weights);
}

const WorkerModel* ModelTable::find(ModelId id) const {
  return id.value < models_.size() ? models_[id.value].load(std::memory_order_acquire) : nullptr;
}

}  // namespace einet
