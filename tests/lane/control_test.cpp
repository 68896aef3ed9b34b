// The control socket: every message comes out as it went in, and nothing that a worker may send gets past the
// checks.
#include "ipc/lane/control.h"

#include <cmath>
#include <fcntl.h>
#include <functional>
#include <limits>
#include <sys/socket.h>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "config/daemon_config.h"

namespace einet::lane {
namespace {

ModelDescription some_model() {
  ModelDescription model;
  model.name = "b-alexnet";
  model.version = "1";
  model.digest = std::string(64, 'a');
  model.input = {1, 28, 28};
  model.blocks = 2;
  model.classes = 3;
  model.labels = {"a", "b", "c"};
  const PartTime part{Duration{1}, Duration{2}, Duration{3}};
  model.times = {{part, part}, {part, part}};
  model.doubt = "measured elsewhere";
  model.accuracy = {0.5, 1.0};
  model.weights = ByteCount{1u << 20};
  model.state = ByteCount{4096};
  model.moves = {{}, {ByteCount{2048}, Duration{70}, Duration{50}}};
  model.batch = {1, 1.25, 1.25};
  model.predictor = {
      .classes = 3,
      .calibration = {{1.5F, {0.25F, 0.75F}, {0.5F, 0.625F}}, {0.75F, {0.5F}, {0.5F}}},
      .prior = {0.5F, 1},
      .layers = {{4, 2, {1, -2, 3, 0.5F, 0, 0, 0, 1}, {0.125F, 2}}},
      .aggregation = Aggregation::discounted,
      .discount = 0.5F,
      .lookalikes = LookalikeParameters{
          .mean = {0.5F, 1}, .groups = {{{0.25F, {0.375F, 0.5F}}, {0.75F, {0.875F, 1}}}, {{0.5F, {0.75F}}}}}};
  return model;
}

struct Pair {
  ControlSocket daemon;
  ControlSocket worker;
  Pair() {
    auto pair = ControlSocket::make_pair();
    EXPECT_TRUE(pair.has_value());
    daemon = std::move(pair->first);
    worker = ControlSocket(std::move(pair->second));
  }
};

template <class T>
T through(ControlSocket& from, ControlSocket& to, T message) {
  EXPECT_TRUE(from.send(std::move(message), Waiting::never).has_value());
  std::conditional_t<std::is_constructible_v<FromWorker, T>, FromWorker, ToWorker> out;
  const auto received = to.receive(out, Waiting::never);
  EXPECT_TRUE(received.has_value()) << received.error().message;
  EXPECT_EQ(*received, Received::message);
  return std::get<T>(std::move(out));
}

UniqueFd some_file() {
  return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

std::vector<UniqueFd> files(std::size_t count) {
  std::vector<UniqueFd> fds;
  while (fds.size() < count) fds.push_back(some_file());
  return fds;
}

Configure some_configuration() {
  Configure configure;
  configure.backend = "synthetic";
  configure.lanes = 2;
  configure.threads = 2;
  configure.cores = {0, 1, 2, 3};
  configure.nice = 5;
  configure.reserved_priority = 3;
  configure.urgent_priority = 5;
  configure.urgent_lanes = true;
  configure.largest_batch = 4;
  configure.in_flight = 2;
  configure.memory = ByteCount{1u << 30};
  configure.down = some_file();
  configure.up = some_file();
  configure.doorbell = some_file();
  configure.arena = some_file();
  return configure;
}

SaveState some_save() {
  return {JobId{~std::uint64_t{0}}, kMaxJobSlots - 1, ModelId{kMaxModels - 1}, kMaxBlocks - 1, some_file()};
}
LoadState some_load() {
  return {JobId{1}, 0, ModelId{0}, 1, some_file()};
}

TEST(Control, ConfigurationArrivesWithItsDescriptors) {
  Pair pair;
  const Configure out = through(pair.daemon, pair.worker, some_configuration());
  EXPECT_EQ(out.backend, "synthetic");
  EXPECT_EQ(out.lanes, 2);
  EXPECT_EQ(out.threads, 2);
  EXPECT_EQ(out.cores, (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(out.nice, 5);
  EXPECT_EQ(out.reserved_priority, 3);
  EXPECT_EQ(out.urgent_priority, 5);
  EXPECT_TRUE(out.urgent_lanes);
  EXPECT_EQ(out.largest_batch, 4);
  EXPECT_EQ(out.in_flight, 2);
  EXPECT_EQ(out.memory, ByteCount{1u << 30});
  for (const UniqueFd* fd : {&out.down, &out.up, &out.doorbell, &out.arena}) {
    EXPECT_NE(::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC, 0);
  }
}

TEST(Control, EveryOtherMessageArrivesAsItWasSent) {
  Pair pair;
  const auto load = through(pair.daemon, pair.worker, LoadModel{ModelId{7}, "/models/a.einet"});
  EXPECT_EQ(load.model, ModelId{7});
  EXPECT_EQ(load.path, "/models/a.einet");
  EXPECT_EQ(through(pair.daemon, pair.worker, UnloadModel{ModelId{8}}).model, ModelId{8});
  EXPECT_EQ(through(pair.worker, pair.daemon, ModelUnloaded{ModelId{9}}).model, ModelId{9});
  through(pair.daemon, pair.worker, Shutdown{});
  for (const Places places : {Places::all, Places::missing}) {
    const Ready ready = through(pair.worker, pair.daemon, Ready{places, {7, 8}});
    EXPECT_EQ(ready.places, places);
    EXPECT_EQ(ready.threads, (std::vector<int>{7, 8}));
  }
  const SaveState save = through(pair.daemon, pair.worker, some_save());
  EXPECT_EQ(save.job, JobId{~std::uint64_t{0}});
  EXPECT_EQ(save.job_slot, kMaxJobSlots - 1);
  EXPECT_EQ(save.model, ModelId{kMaxModels - 1});
  EXPECT_EQ(save.next_block, kMaxBlocks - 1);
  EXPECT_NE(::fcntl(save.memory.get(), F_GETFD) & FD_CLOEXEC, 0);
  const LoadState load_state = through(pair.daemon, pair.worker, some_load());
  EXPECT_EQ(load_state.job, JobId{1});
  EXPECT_EQ(load_state.next_block, 1);
  EXPECT_GE(load_state.memory.get(), 0);
  const auto moved = through(pair.worker, pair.daemon, StateMoved{JobId{5}});
  EXPECT_EQ(moved.job, JobId{5});
  EXPECT_EQ(moved.problem, "");
  EXPECT_FALSE(moved.out_of_memory);
  const auto stayed = through(pair.worker, pair.daemon, StateMoved{JobId{6}, "no room", true});
  EXPECT_EQ(stayed.problem, "no room");
  EXPECT_TRUE(stayed.out_of_memory);
  const auto refused = through(pair.worker, pair.daemon, ModelRefused{ModelId{3}, "no", ByteCount{17}});
  EXPECT_EQ(refused.model, ModelId{3});
  EXPECT_EQ(refused.reason, "no");
  EXPECT_EQ(refused.lacks, ByteCount{17});
  const auto line = through(pair.worker, pair.daemon, LogLine{Severity::warning, "hm"});
  EXPECT_EQ(line.severity, Severity::warning);
  EXPECT_EQ(line.text, "hm");
  const auto loaded = through(pair.worker, pair.daemon, ModelLoaded{ModelId{2}, some_model()});
  EXPECT_EQ(loaded.model, ModelId{2});
  const ModelDescription& model = loaded.description;
  EXPECT_EQ(model.name, "b-alexnet");
  EXPECT_EQ(model.input, (std::vector<int>{1, 28, 28}));
  EXPECT_EQ(model.labels, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(model.doubt, "measured elsewhere");
  EXPECT_EQ(model.times[1].exit.p99, Duration{2});
  EXPECT_EQ(model.accuracy, (std::vector<double>{0.5, 1.0}));
  EXPECT_EQ(model.state, ByteCount{4096});
  EXPECT_EQ(model.moves, some_model().moves);
  EXPECT_EQ(model.batch, some_model().batch);
  EXPECT_EQ(model.predictor, some_model().predictor);
}

TEST(Control, SaysWhenNothingIsThereAndWhenTheOtherSideHasGone) {
  Pair pair;
  FromWorker out;
  EXPECT_EQ(*pair.daemon.receive(out, Waiting::never), Received::nothing);
  pair.worker = ControlSocket();
  EXPECT_EQ(*pair.daemon.receive(out, Waiting::never), Received::closed);
  EXPECT_FALSE(pair.daemon.send(Shutdown{}, Waiting::never).has_value());
}

TEST(Control, AWorkerThatDoesNotReadMakesSendingFailAtOnce) {
  Pair pair;
  int sent = 0;
  while (pair.daemon.send(LoadModel{ModelId{1}, "a.einet"}, Waiting::never).has_value())
    ASSERT_LT(++sent, 1'000'000);
}

TEST(Control, ABadDescriptionIsRefusedWithTheNameOfItsField) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const PartTime falling{Duration{3}, Duration{2}, Duration{1}};
  const std::vector<std::pair<const char*, std::function<void(ModelDescription&)>>> lies{
      {"name", [](auto& m) { m.name = "../../etc"; }},
      {"name", [](auto& m) { m.name = ""; }},
      {"name", [](auto& m) { m.name = std::string(65, 'a'); }},
      {"version", [](auto& m) { m.version = std::string(1001, 'v'); }},
      {"digest", [](auto& m) { m.digest = "abc"; }},
      {"input", [](auto& m) { m.input = {}; }},
      {"input",
       [](auto& m) {
         m.input = {1, 0, 3};
       }},
      {"input",
       [](auto& m) {
         m.input = {1, -1, 3};
       }},
      {"input",
       [](auto& m) {
         m.input = {1 << 26, 1 << 26, 1 << 26};
       }},
      {"input",
       [](auto& m) {
         m.input = {1, 1, 1, 1};
       }},
      {"blocks", [](auto& m) { m.blocks = 0; }},
      {"blocks", [](auto& m) { m.blocks = 65; }},
      {"classes", [](auto& m) { m.classes = 0; }},
      {"classes", [](auto& m) { m.classes = kMaxClasses + 1; }},
      {"labels", [](auto& m) { m.labels.pop_back(); }},
      {"labels", [](auto& m) { m.labels[0] = std::string(1001, 'l'); }},
      {"times", [](auto& m) { m.times.pop_back(); }},
      {"times", [=](auto& m) { m.times[1].exit = falling; }},
      {"times", [](auto& m) { m.times[0].trunk.p50 = Duration{-1}; }},
      {"accuracy", [](auto& m) { m.accuracy.pop_back(); }},
      {"accuracy", [=](auto& m) { m.accuracy[0] = nan; }},
      {"accuracy", [](auto& m) { m.accuracy[0] = 1.5; }},
      {"weight_bytes", [](auto& m) { m.weights = ByteCount{~std::uint64_t{0}}; }},
      {"state_bytes", [](auto& m) { m.state = ByteCount{~std::uint64_t{0}}; }},
      {"moves", [](auto& m) { m.moves.pop_back(); }},
      {"batch", [](auto& m) { m.batch[0] = 1.1; }},
      {"batch", [](auto& m) { m.batch[2] = 1.1; }},
      {"batch", [](auto& m) { m.batch[2] = std::nan(""); }},
      {"batch", [](auto& m) { m.batch.back() = kMaxBatch + 1; }},
      {"batch", [](auto& m) { m.batch.assign(kMaxBatch + 1, 1); }},
      {"moves", [](auto& m) { m.moves[0] = m.moves[1]; }},
      {"moves", [](auto& m) { m.moves[1].out = Duration{-1}; }},
      {"moves", [](auto& m) { m.moves[1].in = kNever.time_since_epoch(); }},
      {"moves", [](auto& m) { m.moves[1].bytes = ByteCount{(1u << 30) + 1}; }},
      {"predictor: ", [](auto& m) { m.predictor->prior.pop_back(); }},
      {"predictor: calibration of exit 1", [](auto& m) { m.predictor->calibration[1].temperature = 0; }},
      {"predictor: layer 0", [](auto& m) { m.predictor->layers[0].weight.pop_back(); }},
      {"predictor: layer 0", [](auto& m) { m.predictor->layers[0].inputs = -1; }},
      {"predictor: layer 0", [=](auto& m) { m.predictor->layers[0].bias[0] = static_cast<float>(nan); }},
      {"discount", [](auto& m) { m.predictor->discount = 1.5F; }},
      {"aggregation", [](auto& m) { m.predictor->aggregation = Aggregation::most_confident; }},
      {"lookalikes of exit 1", [](auto& m) { m.predictor->lookalikes->groups[1][0].accuracy.clear(); }},
      {"lookalikes", [](auto& m) { m.predictor->lookalikes->groups.pop_back(); }},
      {"lookalikes", [](auto& m) { m.predictor->lookalikes->groups[0][0].held = 2; }},
      {"predictor",
       [](auto& m) {
         m.predictor->calibration.pop_back();
         m.predictor->prior.pop_back();
         m.predictor->layers.clear();
         m.predictor->lookalikes.reset();
       }},
  };
  for (const auto& [field, lie] : lies) {
    ModelDescription model = some_model();
    lie(model);
    const auto packet = encode(FromWorker(ModelLoaded{ModelId{1}, model}));
    ASSERT_TRUE(packet.has_value());
    const auto message = decode_from_worker(*packet);
    ASSERT_FALSE(message.has_value()) << field;
    EXPECT_NE(message.error().message.find(field), std::string::npos) << message.error().message;
  }
  const auto packet = encode(FromWorker(ModelLoaded{ModelId{kMaxModels}, some_model()}));
  EXPECT_FALSE(decode_from_worker(*packet).has_value());
}

TEST(Control, ThreadsThatCannotBeAreRefused) {
  for (const std::vector<int>& threads : {std::vector<int>{7, 0}, {-1}, std::vector<int>(kMaxLanes + 1, 7)}) {
    const auto packet = encode(FromWorker(Ready{Places::all, threads}));
    ASSERT_TRUE(packet.has_value());
    const auto message = decode_from_worker(*packet);
    ASSERT_FALSE(message.has_value());
    EXPECT_NE(message.error().message.find("threads"), std::string::npos) << message.error().message;
  }
}

TEST(Control, ABadConfigurationIsRefused) {
  const std::vector<std::function<void(Configure&)>> lies{
      [](auto& c) { c.lanes = 0; },
      [](auto& c) { c.lanes = kMaxLanes + 1; },
      [](auto& c) { c.threads = 0; },
      [](auto& c) { c.threads = kMaxThreads + 1; },
      [](auto& c) { c.cores.pop_back(); },
      [](auto& c) { c.nice = 20; },
      [](auto& c) { c.reserved_priority = 100; },
      [](auto& c) { c.lanes = kMaxLanes; },
      [](auto& c) { c.largest_batch = 0; },
      [](auto& c) { c.largest_batch = kMaxBatch + 1; },
      [](auto& c) { c.in_flight = 0; },
      [](auto& c) { c.in_flight = kMaxInFlight + 1; },
      [](auto& c) { c.urgent_priority = 100; },
      [](auto& c) { c.cores[0] = 100000; },
      [](auto& c) { c.backend = std::string(100, 'x'); },
      [](auto& c) { c.urgent_priority = c.reserved_priority; },
  };
  for (const auto& lie : lies) {
    Configure configure = some_configuration();
    lie(configure);
    Pair pair;
    ASSERT_TRUE(pair.daemon.send(std::move(configure), Waiting::never).has_value());
    ToWorker out;
    EXPECT_FALSE(pair.worker.receive(out, Waiting::never).has_value());
  }
}

TEST(Control, AStateToMoveThatCannotBeIsRefused) {
  const std::vector<std::pair<const char*, std::function<void(SaveState&)>>> lies{
      {"job", [](auto& s) { s.job = JobId{}; }},
      {"job_slot", [](auto& s) { s.job_slot = kMaxJobSlots; }},
      {"model", [](auto& s) { s.model = ModelId{kMaxModels}; }},
      {"next_block", [](auto& s) { s.next_block = 0; }},
      {"next_block", [](auto& s) { s.next_block = -1; }},
      {"next_block", [](auto& s) { s.next_block = kMaxBlocks; }},
  };
  for (const auto& [field, lie] : lies) {
    SaveState save = some_save();
    lie(save);
    LoadState load{save.job, save.job_slot, save.model, save.next_block, some_file()};
    for (const auto& packet : {encode(ToWorker(std::move(save))), encode(ToWorker(std::move(load)))}) {
      ASSERT_TRUE(packet.has_value());
      const auto message = decode_to_worker(*packet, files(1));
      ASSERT_FALSE(message.has_value()) << field;
      EXPECT_NE(message.error().message.find(std::string(field) + " is "), std::string::npos)
          << message.error().message;
    }
  }
}

TEST(Control, AnAnswerAboutAStateThatCannotBeIsRefusedAndALongOneCut) {
  EXPECT_FALSE(decode_from_worker(*encode(FromWorker(StateMoved{JobId{}}))).has_value());
  EXPECT_FALSE(decode_from_worker(*encode(FromWorker(StateMoved{JobId{1}, "", true}))).has_value());
  const auto cut = decode_from_worker(*encode(FromWorker(StateMoved{JobId{1}, std::string(5000, 'x')})));
  ASSERT_TRUE(cut.has_value());
  EXPECT_EQ(std::get<StateMoved>(*cut).problem.size(), 1000U);
}

TEST(Control, AMessageWithTooFewOrTooManyDescriptorsIsRefused) {
  const std::vector<std::pair<Result<std::string>, std::size_t>> packets{
      {encode(ToWorker(some_configuration())), 4}, {encode(ToWorker(LoadModel{ModelId{1}, "a.einet"})), 0},
      {encode(ToWorker(some_save())), 1},          {encode(ToWorker(some_load())), 1},
      {encode(ToWorker(Shutdown{})), 0},
  };
  for (const auto& [packet, expected] : packets) {
    for (std::size_t count = 0; count <= 5; ++count) {
      const auto message = decode_to_worker(*packet, files(count));
      EXPECT_EQ(message.has_value(), count == expected) << count << " of " << expected;
    }
  }
}

TEST(Control, DescriptorsThatAWorkerSendsAreClosed) {
  Pair pair;
  const auto open_files = [] {
    int count = 0;
    for (int fd = 0; fd < 256; ++fd) count += ::fcntl(fd, F_GETFD) >= 0;
    return count;
  };
  const int before = open_files();
  ASSERT_TRUE(pair.worker.send(some_configuration(), Waiting::never).has_value());
  FromWorker out;
  [[maybe_unused]] const auto received = pair.daemon.receive(out, Waiting::never);
  EXPECT_EQ(open_files(), before);
}

TEST(Control, AMessageThatIsTooLargeIsRefusedOnBothSides) {
  ModelDescription model = some_model();
  model.classes = kMaxClasses;
  model.labels.assign(kMaxClasses, std::string(1000, 'l'));
  EXPECT_FALSE(encode(FromWorker(ModelLoaded{ModelId{1}, model})).has_value());
  Pair pair;
  const std::string large(kMaxControlMessage.value + 1, 'x');
  ASSERT_EQ(::send(pair.worker.fd(), large.data(), large.size(), 0), static_cast<ssize_t>(large.size()));
  FromWorker out;
  EXPECT_FALSE(pair.daemon.receive(out, Waiting::never).has_value());
  // The next message is read as usual.
  through(pair.worker, pair.daemon, Ready{});
}

RC_GTEST_PROP(Control, AnyBytesAreRefusedOrAMessage, (const std::string& bytes)) {
  const auto from_worker = decode_from_worker(bytes);
  if (from_worker) RC_ASSERT(encode(*from_worker).has_value());
  for (const std::size_t count : {0, 1, 4}) {
    const auto to_worker = decode_to_worker(bytes, files(count));
    if (to_worker) RC_ASSERT(encode(*to_worker).has_value());
  }
}

}  // namespace
}  // namespace einet::lane
