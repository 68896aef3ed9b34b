#include "ipc/lane/control.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <sys/socket.h>

#include "config/daemon_config.h"
#include "config/text.h"
#include "ipc/lane/control.pb.h"

namespace einet::lane {

namespace {

constexpr std::size_t kMostFds = 4;
constexpr std::size_t kMaxText = 1000;
constexpr std::int64_t kMaxInputElements = std::int64_t{1} << 26;
constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 40;         // of a model, of a state
constexpr std::uint64_t kMaxCarriedBytes = std::uint64_t{1} << 30;  // every register that a program may have

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

Error bad(const std::string& field, const std::string& found, const std::string& allowed) {
  return error("control message: " + field + " is " + found + "; allowed: " + allowed);
}

Result<std::string> pack(const google::protobuf::MessageLite& message) {
  std::string packet = message.SerializeAsString();
  if (packet.size() > kMaxControlMessage.value) {
    return error("control message of " + std::to_string(packet.size()) +
                 " bytes; allowed: " + std::to_string(kMaxControlMessage.value));
  }
  return packet;
}

Result<void> check_model(std::uint32_t id) {
  if (id < kMaxModels) return {};
  return bad("model", std::to_string(id), "below " + std::to_string(kMaxModels));
}

Result<void> check_bytes(const char* field, std::uint64_t bytes) {
  if (bytes <= kMaxBytes) return {};
  return bad(field, std::to_string(bytes), "at most 2^40");
}

bool parse(google::protobuf::MessageLite& message, std::string_view packet) {
  return packet.size() <= kMaxControlMessage.value &&
         message.ParseFromArray(packet.data(), static_cast<int>(packet.size()));
}

void pack_part(const PartTime& from, wire::PartTime& to) {
  to.set_p50_ns(from.p50.count());
  to.set_p99_ns(from.p99.count());
  to.set_max_ns(from.max.count());
}

Result<PartTime> read_part(const wire::PartTime& from) {
  if (from.p50_ns() < 0 || from.p99_ns() < from.p50_ns() || from.max_ns() < from.p99_ns() ||
      from.max_ns() >= kNever.time_since_epoch().count()) {
    return error("control message: times of a block are not 0 <= p50 <= p99 <= max < 2^62 ns");
  }
  return PartTime{Duration{from.p50_ns()}, Duration{from.p99_ns()}, Duration{from.max_ns()}};
}

Result<MoveTime> read_move_time(const wire::MoveTime& from) {
  const std::int64_t never = kNever.time_since_epoch().count();
  if (from.out_ns() < 0 || from.out_ns() >= never || from.in_ns() < 0 || from.in_ns() >= never) {
    return error("control message: the times of moves are not 0 to 2^62 - 1 ns");
  }
  if (from.bytes() > kMaxCarriedBytes) {
    return bad("moves", std::to_string(from.bytes()) + " bytes", "at most 2^30");
  }
  return MoveTime{ByteCount{from.bytes()}, Duration{from.out_ns()}, Duration{from.in_ns()}};
}

void pack_predictor(const PredictorParameters& from, wire::Predictor& to) {
  to.mutable_prior()->Add(from.prior.begin(), from.prior.end());
  for (const Calibration& c : from.calibration) {
    wire::Calibration& calibration = *to.add_calibration();
    calibration.set_temperature(c.temperature);
    calibration.mutable_confidence()->Add(c.confidence.begin(), c.confidence.end());
    calibration.mutable_accuracy()->Add(c.accuracy.begin(), c.accuracy.end());
  }
  for (const PredictorParameters::Layer& l : from.layers) {
    wire::Layer& layer = *to.add_layers();
    layer.set_inputs(static_cast<std::uint32_t>(l.inputs));
    layer.set_outputs(static_cast<std::uint32_t>(l.outputs));
    layer.mutable_weight()->Add(l.weight.begin(), l.weight.end());
    layer.mutable_bias()->Add(l.bias.begin(), l.bias.end());
  }
  to.set_aggregation(std::string(name(from.aggregation)));
  to.set_discount(from.discount);
  if (!from.lookalikes) return;
  to.mutable_lookalikes_mean()->Add(from.lookalikes->mean.begin(), from.lookalikes->mean.end());
  for (const auto& groups : from.lookalikes->groups) {
    auto& rows = *to.add_lookalikes()->mutable_rows();
    for (const LookalikeParameters::Group& group : groups) {
      rows.Add(group.held);
      rows.Add(group.accuracy.begin(), group.accuracy.end());
    }
  }
}

template <class Field>
std::vector<float> floats(const Field& from) {
  return {from.begin(), from.end()};
}

Result<PredictorParameters> read_predictor(const wire::Predictor& from, int classes) {
  PredictorParameters to;
  to.classes = classes;
  to.prior = floats(from.prior());
  for (const wire::Calibration& c : from.calibration()) {
    to.calibration.push_back({c.temperature(), floats(c.confidence()), floats(c.accuracy())});
  }
  for (const wire::Layer& l : from.layers()) {
    to.layers.push_back({static_cast<int>(std::min<std::uint32_t>(l.inputs(), 1U << 16)),
                         static_cast<int>(std::min<std::uint32_t>(l.outputs(), 1U << 16)), floats(l.weight()),
                         floats(l.bias())});
  }
  const auto aggregation = parse_aggregation(from.aggregation());
  if (!aggregation) return aggregation.error();
  to.aggregation = *aggregation;
  to.discount = from.discount();
  if (from.lookalikes_size() > 0) to.lookalikes.emplace().mean = floats(from.lookalikes_mean());
  for (int exit = 0; exit < from.lookalikes_size(); ++exit) {
    const auto& rows = from.lookalikes(exit).rows();
    const int width = from.prior_size() - exit + 1;
    if (width < 2 || rows.size() % width != 0) {
      return error("lookalikes of exit " + std::to_string(exit) + ": found " + std::to_string(rows.size()) +
                   " numbers; expected rows of " + std::to_string(width));
    }
    auto& groups = to.lookalikes->groups.emplace_back();
    for (auto row = rows.begin(); row != rows.end(); row += width) {
      groups.push_back({row[0], {row + 1, row + width}});
    }
  }
  if (auto ok = check(to); !ok) return ok.error();
  return to;
}

void pack_description(const ModelDescription& from, wire::ModelLoaded& to) {
  to.set_name(from.name);
  to.set_version(from.version);
  to.set_digest(from.digest);
  for (int dimension : from.input) to.add_input(static_cast<std::uint32_t>(dimension));
  to.set_blocks(static_cast<std::uint32_t>(from.blocks));
  to.set_classes(static_cast<std::uint32_t>(from.classes));
  for (const std::string& label : from.labels) to.add_labels(label);
  for (const BlockTimes& block : from.times) {
    wire::BlockTimes& times = *to.add_times();
    pack_part(block.trunk, *times.mutable_trunk());
    pack_part(block.exit, *times.mutable_exit());
  }
  to.set_doubt(from.doubt.substr(0, kMaxText));
  for (double accuracy : from.accuracy) to.add_accuracy(accuracy);
  to.set_weight_bytes(from.weights.value);
  to.set_state_bytes(from.state.value);
  for (const double times : from.batch) to.add_batch(times);
  for (const MoveTime& move : from.moves) {
    wire::MoveTime& time = *to.add_moves();
    time.set_bytes(move.bytes.value);
    time.set_out_ns(move.out.count());
    time.set_in_ns(move.in.count());
  }
  if (from.predictor) pack_predictor(*from.predictor, *to.mutable_predictor());
}

bool is_digest(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// A list with one entry per `per`, or an empty one.
Error bad_length(const char* field, int size, const char* per, int expected) {
  return bad(field, std::to_string(size) + " entries long",
             "none, or " + std::to_string(expected) + " (one per " + per + ")");
}

Result<ModelDescription> read_description(const wire::ModelLoaded& from) {
  ModelDescription to;
  if (!is_plain_name(from.name()))
    return bad("name", "\"" + escape(from.name()) + "\"", "[A-Za-z0-9_.-]{1,64}");
  if (from.version().size() > kMaxText) return bad("version", "too long", "1000 bytes");
  if (!is_digest(from.digest())) return bad("digest", "\"" + escape(from.digest()) + "\"", "64 hex digits");
  to.name = from.name();
  to.version = from.version();
  to.digest = from.digest();

  std::int64_t elements = 1;
  if (from.input_size() < 1 || from.input_size() > 3) {
    return bad("input", std::to_string(from.input_size()) + " dimensions", "1 to 3");
  }
  for (std::uint32_t dimension : from.input()) {
    if (dimension < 1 || dimension > kMaxInputElements || (elements *= dimension) > kMaxInputElements) {
      return bad("input", "too large or empty", "dimensions >= 1, 2^26 elements");
    }
    to.input.push_back(static_cast<int>(dimension));
  }
  if (from.blocks() < 1 || from.blocks() > kMaxBlocks) {
    return bad("blocks", std::to_string(from.blocks()), "1 to " + std::to_string(kMaxBlocks));
  }
  if (from.classes() < 1 || from.classes() > kMaxClasses) {
    return bad("classes", std::to_string(from.classes()), "1 to " + std::to_string(kMaxClasses));
  }
  to.blocks = static_cast<int>(from.blocks());
  to.classes = static_cast<int>(from.classes());

  if (from.labels_size() != 0 && from.labels_size() != to.classes) {
    return bad_length("labels", from.labels_size(), "class", to.classes);
  }
  for (const std::string& label : from.labels()) {
    if (label.size() > kMaxText) return bad("labels", "too long", "1000 bytes each");
    to.labels.push_back(label);
  }
  if (from.times_size() != 0 && from.times_size() != to.blocks) {
    return bad_length("times", from.times_size(), "block", to.blocks);
  }
  for (const wire::BlockTimes& times : from.times()) {
    auto trunk = read_part(times.trunk());
    if (!trunk) return trunk.error();
    auto exit = read_part(times.exit());
    if (!exit) return exit.error();
    to.times.push_back({*trunk, *exit});
  }
  to.doubt = from.doubt().substr(0, kMaxText);
  if (from.accuracy_size() != 0 && from.accuracy_size() != to.blocks) {
    return bad_length("accuracy", from.accuracy_size(), "block", to.blocks);
  }
  for (double accuracy : from.accuracy()) {
    if (!(accuracy >= 0 && accuracy <= 1)) return bad("accuracy", std::to_string(accuracy), "[0, 1]");
    to.accuracy.push_back(accuracy);
  }
  if (auto ok = check_bytes("weight_bytes", from.weight_bytes()); !ok) return ok.error();
  if (auto ok = check_bytes("state_bytes", from.state_bytes()); !ok) return ok.error();
  to.weights = ByteCount{from.weight_bytes()};
  to.state = ByteCount{from.state_bytes()};
  if (from.moves_size() != 0 && from.moves_size() != to.blocks) {
    return bad_length("moves", from.moves_size(), "block", to.blocks);
  }
  for (const wire::MoveTime& time : from.moves()) {
    auto move = read_move_time(time);
    if (!move) return move.error();
    to.moves.push_back(*move);
  }
  if (!to.moves.empty() && to.moves[0] != MoveTime{}) {
    return bad("moves", "not zero for the first block", "zero: nothing moves before it");
  }
  if (from.batch_size() > kMaxBatch)
    return bad("batch", std::to_string(from.batch_size()) + " sizes", "at most " + std::to_string(kMaxBatch));
  for (const double times : from.batch()) {
    const double least = to.batch.empty() ? 1 : to.batch.back();
    if (!(times >= least && times <= kMaxBatch) || (to.batch.empty() && times != 1)) {
      return bad("batch", std::to_string(times),
                 "1 for one job, then never less, up to " + std::to_string(kMaxBatch));
    }
    to.batch.push_back(times);
  }
  if (!from.has_predictor()) return to;
  auto predictor = read_predictor(from.predictor(), to.classes);
  if (!predictor) return within("control message: predictor", predictor.error());
  if (predictor->exits() != to.blocks) {
    return bad_length("predictor", predictor->exits(), "block", to.blocks);
  }
  to.predictor = std::move(*predictor);
  return to;
}

Result<Configure> read_configure(const wire::Configure& from, std::vector<UniqueFd> fds) {
  Configure to;
  if (from.backend().size() > 64) return bad("backend", "too long", "64 bytes");
  to.backend = from.backend();
  if (from.lanes() < 1 || from.lanes() > kMaxLanes) {
    return bad("lanes", std::to_string(from.lanes()), "1 to " + std::to_string(kMaxLanes));
  }
  to.lanes = static_cast<int>(from.lanes());
  if (from.threads() < 1 || from.threads() > kMaxThreads) {
    return bad("threads", std::to_string(from.threads()), "1 to " + std::to_string(kMaxThreads));
  }
  to.threads = static_cast<int>(from.threads());
  if (from.cores_size() != 0 && from.cores_size() != to.lanes * to.threads) {
    return bad_length("cores", from.cores_size(), "thread of each lane", to.lanes * to.threads);
  }
  for (std::uint32_t core : from.cores()) {
    if (core > 65535) return bad("cores", std::to_string(core), "0 to 65535");
    to.cores.push_back(static_cast<int>(core));
  }
  if (from.nice() < -20 || from.nice() > 19) return bad("nice", std::to_string(from.nice()), "-20 to 19");
  to.nice = from.nice();
  if (from.reserved_priority() > 99) {
    return bad("reserved_priority", std::to_string(from.reserved_priority()), "0 to 99");
  }
  to.reserved_priority = static_cast<int>(from.reserved_priority());
  if (from.urgent_priority() > 99 ||
      (from.urgent_priority() > 0 && from.urgent_priority() <= from.reserved_priority())) {
    return bad("urgent_priority", std::to_string(from.urgent_priority()),
               "0, or reserved_priority + 1 to 99");
  }
  to.urgent_priority = static_cast<int>(from.urgent_priority());
  to.urgent_lanes = from.urgent_lanes();
  if (to.all_lanes() > kMaxLanes) {
    return bad("urgent_lanes", "set for " + std::to_string(to.lanes) + " lanes",
               "for at most " + std::to_string(kMaxLanes / 2));
  }
  if (from.largest_batch() < 1 || from.largest_batch() > kMaxBatch) {
    return bad("largest_batch", std::to_string(from.largest_batch()), "1 to " + std::to_string(kMaxBatch));
  }
  to.largest_batch = static_cast<int>(from.largest_batch());
  if (from.in_flight() < 1 || from.in_flight() > kMaxInFlight) {
    return bad("in_flight", std::to_string(from.in_flight()), "1 to " + std::to_string(kMaxInFlight));
  }
  to.in_flight = static_cast<int>(from.in_flight());
  to.memory = ByteCount{from.memory()};
  to.down = std::move(fds[0]);
  to.up = std::move(fds[1]);
  to.doorbell = std::move(fds[2]);
  to.arena = std::move(fds[3]);
  return to;
}

Result<FromWorker> read_moved(const wire::StateMoved& from) {
  if (from.job() == 0) return bad("job", "0", "above 0");
  if (from.out_of_memory() && from.problem().empty()) {
    return bad("out_of_memory", "said of no problem", "with one only");
  }
  return FromWorker(StateMoved{JobId{from.job()}, from.problem().substr(0, kMaxText), from.out_of_memory()});
}

Result<FromWorker> read_ready(const wire::Ready& from) {
  Ready to{.places = from.all_places() ? Places::all : Places::missing};
  if (from.threads_size() > kMaxLanes) {
    return bad("threads", std::to_string(from.threads_size()) + " entries long",
               "at most " + std::to_string(kMaxLanes));
  }
  for (const int thread : from.threads()) {
    if (thread < 1) return bad("threads", std::to_string(thread), "above 0");
    to.threads.push_back(thread);
  }
  return FromWorker(std::move(to));
}

// Of SaveState and LoadState, which are alike.
void pack_move(const auto& from, wire::StateMove& to) {
  to.set_job(from.job.value);
  to.set_job_slot(from.job_slot);
  to.set_model(from.model.value);
  to.set_next_block(static_cast<std::uint32_t>(from.next_block));
}

template <class Move>
Result<ToWorker> read_move(const wire::StateMove& from, std::vector<UniqueFd> fds) {
  if (from.job() == 0) return bad("job", "0", "above 0");
  if (from.job_slot() >= kMaxJobSlots) {
    return bad("job_slot", std::to_string(from.job_slot()), "below " + std::to_string(kMaxJobSlots));
  }
  if (auto ok = check_model(from.model()); !ok) return ok.error();
  if (from.next_block() < 1 || from.next_block() >= kMaxBlocks) {
    return bad("next_block", std::to_string(from.next_block()), "1 to " + std::to_string(kMaxBlocks - 1));
  }
  return ToWorker(Move{JobId{from.job()}, from.job_slot(), ModelId{from.model()},
                       static_cast<int>(from.next_block()), std::move(fds[0])});
}

std::vector<int> fds_of(const ToWorker& message) {
  if (const auto* c = std::get_if<Configure>(&message)) {
    return {c->down.get(), c->up.get(), c->doorbell.get(), c->arena.get()};
  }
  if (const auto* save = std::get_if<SaveState>(&message)) return {save->memory.get()};
  if (const auto* load = std::get_if<LoadState>(&message)) return {load->memory.get()};
  return {};
}

std::size_t fds_with(wire::ToWorker::KindCase kind) {
  switch (kind) {
    case wire::ToWorker::kConfigure:
      return kMostFds;
    case wire::ToWorker::kSaveState:
    case wire::ToWorker::kLoadState:
      return 1;
    default:
      return 0;
  }
}

}  // namespace

Result<std::string> encode(const ToWorker& message) {
  wire::ToWorker to;
  std::visit(Overloaded{
                 [&](const Configure& from) {
                   auto& configure = *to.mutable_configure();
                   configure.set_backend(from.backend);
                   configure.set_lanes(static_cast<std::uint32_t>(from.lanes));
                   configure.set_threads(static_cast<std::uint32_t>(from.threads));
                   for (int core : from.cores) configure.add_cores(static_cast<std::uint32_t>(core));
                   configure.set_nice(from.nice);
                   configure.set_reserved_priority(static_cast<std::uint32_t>(from.reserved_priority));
                   configure.set_urgent_priority(static_cast<std::uint32_t>(from.urgent_priority));
                   configure.set_urgent_lanes(from.urgent_lanes);
                   configure.set_largest_batch(static_cast<std::uint32_t>(from.largest_batch));
                   configure.set_in_flight(static_cast<std::uint32_t>(from.in_flight));
                   configure.set_memory(from.memory.value);
                 },
                 [&](const LoadModel& from) {
                   to.mutable_load_model()->set_model(from.model.value);
                   to.mutable_load_model()->set_path(from.path);
                 },
                 [&](const UnloadModel& from) { to.mutable_unload_model()->set_model(from.model.value); },
                 [&](const SaveState& from) { pack_move(from, *to.mutable_save_state()); },
                 [&](const LoadState& from) { pack_move(from, *to.mutable_load_state()); },
                 [&](const Shutdown&) { to.mutable_shutdown(); },
             },
             message);
  return pack(to);
}

Result<std::string> encode(const FromWorker& message) {
  wire::FromWorker to;
  std::visit(Overloaded{
                 [&](const Ready& from) {
                   to.mutable_ready()->set_all_places(from.places == Places::all);
                   for (const int thread : from.threads) to.mutable_ready()->add_threads(thread);
                 },
                 [&](const ModelLoaded& from) {
                   to.mutable_model_loaded()->set_model(from.model.value);
                   pack_description(from.description, *to.mutable_model_loaded());
                 },
                 [&](const ModelRefused& from) {
                   to.mutable_model_refused()->set_model(from.model.value);
                   to.mutable_model_refused()->set_reason(from.reason.substr(0, kMaxText));
                   to.mutable_model_refused()->set_lacks_bytes(from.lacks.value);
                 },
                 [&](const ModelUnloaded& from) { to.mutable_model_unloaded()->set_model(from.model.value); },
                 [&](const StateMoved& from) {
                   to.mutable_state_moved()->set_job(from.job.value);
                   to.mutable_state_moved()->set_problem(from.problem.substr(0, kMaxText));
                   to.mutable_state_moved()->set_out_of_memory(from.out_of_memory);
                 },
                 [&](const LogLine& from) {
                   to.mutable_log_line()->set_severity(static_cast<std::uint32_t>(from.severity));
                   to.mutable_log_line()->set_text(from.text.substr(0, kMaxText));
                 },
             },
             message);
  return pack(to);
}

Result<ToWorker> decode_to_worker(std::string_view packet, std::vector<UniqueFd> fds) {
  wire::ToWorker from;
  if (!parse(from, packet)) return error("control message: not a message to a worker");
  if (const std::size_t expected = fds_with(from.kind_case()); fds.size() != expected) {
    return bad("message", "sent with " + std::to_string(fds.size()) + " descriptors",
               std::to_string(expected) + " here");
  }
  switch (from.kind_case()) {
    case wire::ToWorker::kConfigure: {
      auto configure = read_configure(from.configure(), std::move(fds));
      if (!configure) return configure.error();
      return ToWorker(std::move(*configure));
    }
    case wire::ToWorker::kLoadModel:
      if (auto ok = check_model(from.load_model().model()); !ok) return ok.error();
      return ToWorker(LoadModel{ModelId{from.load_model().model()}, from.load_model().path()});
    case wire::ToWorker::kUnloadModel:
      if (auto ok = check_model(from.unload_model().model()); !ok) return ok.error();
      return ToWorker(UnloadModel{ModelId{from.unload_model().model()}});
    case wire::ToWorker::kSaveState:
      return read_move<SaveState>(from.save_state(), std::move(fds));
    case wire::ToWorker::kLoadState:
      return read_move<LoadState>(from.load_state(), std::move(fds));
    case wire::ToWorker::kShutdown:
      return ToWorker(Shutdown{});
    case wire::ToWorker::KIND_NOT_SET:
      break;
  }
  return error("control message: of no kind that a worker knows");
}

Result<FromWorker> decode_from_worker(std::string_view packet) {
  wire::FromWorker from;
  if (!parse(from, packet)) return error("control message: not a message from a worker");
  switch (from.kind_case()) {
    case wire::FromWorker::kReady:
      return read_ready(from.ready());
    case wire::FromWorker::kModelLoaded: {
      if (auto ok = check_model(from.model_loaded().model()); !ok) return ok.error();
      auto description = read_description(from.model_loaded());
      if (!description) return description.error();
      return FromWorker(ModelLoaded{ModelId{from.model_loaded().model()}, std::move(*description)});
    }
    case wire::FromWorker::kModelRefused:
      if (auto ok = check_model(from.model_refused().model()); !ok) return ok.error();
      if (auto ok = check_bytes("lacks_bytes", from.model_refused().lacks_bytes()); !ok) return ok.error();
      return FromWorker(ModelRefused{ModelId{from.model_refused().model()},
                                     from.model_refused().reason().substr(0, kMaxText),
                                     ByteCount{from.model_refused().lacks_bytes()}});
    case wire::FromWorker::kModelUnloaded:
      if (auto ok = check_model(from.model_unloaded().model()); !ok) return ok.error();
      return FromWorker(ModelUnloaded{ModelId{from.model_unloaded().model()}});
    case wire::FromWorker::kStateMoved:
      return read_moved(from.state_moved());
    case wire::FromWorker::kLogLine:
      if (from.log_line().severity() > static_cast<std::uint32_t>(Severity::error)) {
        return bad("severity", std::to_string(from.log_line().severity()), "0 to 2");
      }
      return FromWorker(LogLine{static_cast<Severity>(from.log_line().severity()),
                                from.log_line().text().substr(0, kMaxText)});
    case wire::FromWorker::KIND_NOT_SET:
      break;
  }
  return error("control message: of no kind that the daemon knows");
}

Result<std::pair<ControlSocket, UniqueFd>> ControlSocket::make_pair() {
  std::array<int, 2> fds{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) != 0) {
    return error(std::string("cannot create a socket pair: ") + std::strerror(errno));
  }
  return std::pair(ControlSocket(UniqueFd(fds[0])), UniqueFd(fds[1]));
}

Result<void> ControlSocket::send(const ToWorker& message, Waiting waiting) {
  auto packet = encode(message);
  if (!packet) return packet.error();
  return send_packet(*packet, fds_of(message), waiting);
}

Result<void> ControlSocket::send(const FromWorker& message, Waiting waiting) {
  auto packet = encode(message);
  if (!packet) return packet.error();
  return send_packet(*packet, {}, waiting);
}

Result<Received> ControlSocket::receive(ToWorker& into, Waiting waiting) {
  std::string packet;
  std::vector<UniqueFd> fds;
  auto received = receive_packet(packet, fds, waiting);
  if (!received || *received != Received::message) return received;
  auto message = decode_to_worker(packet, std::move(fds));
  if (!message) return message.error();
  into = std::move(*message);
  return Received::message;
}

Result<Received> ControlSocket::receive(FromWorker& into, Waiting waiting) {
  std::string packet;
  std::vector<UniqueFd> fds;  // the worker has none to give: closed here
  auto received = receive_packet(packet, fds, waiting);
  if (!received || *received != Received::message) return received;
  auto message = decode_from_worker(packet);
  if (!message) return message.error();
  into = std::move(*message);
  return Received::message;
}

Result<void> ControlSocket::send_packet(std::string_view packet, const std::vector<int>& fds,
                                        Waiting waiting) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostFds * sizeof(int))> ancillary{};
  iovec data{const_cast<char*>(packet.data()), packet.size()};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = ancillary.data();
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
  }
  const int flags = MSG_NOSIGNAL | (waiting == Waiting::never ? MSG_DONTWAIT : 0);
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(fd(), &message, flags);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return error(std::string("cannot send a control message: ") + std::strerror(errno));
  return {};
}

Result<Received> ControlSocket::receive_packet(std::string& packet, std::vector<UniqueFd>& fds,
                                               Waiting waiting) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostFds * sizeof(int))> ancillary{};
  packet.resize(kMaxControlMessage.value);
  iovec data{packet.data(), packet.size()};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = ancillary.data();
  message.msg_controllen = ancillary.size();
  const int flags = MSG_CMSG_CLOEXEC | (waiting == Waiting::never ? MSG_DONTWAIT : 0);
  ssize_t got = 0;
  do {
    got = ::recvmsg(fd(), &message, flags);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return Received::nothing;
    if (errno == ECONNRESET) return Received::closed;
    return error(std::string("cannot receive a control message: ") + std::strerror(errno));
  }
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int received = -1;
      std::memcpy(&received, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      fds.emplace_back(received);
    }
  }
  if (got == 0) return Received::closed;
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return error("control message: larger than " + std::to_string(kMaxControlMessage.value) +
                 " bytes, or with too many descriptors");
  }
  packet.resize(static_cast<std::size_t>(got));
  return Received::message;
}

}  // namespace einet::lane
