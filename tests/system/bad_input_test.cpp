// Whatever a client sends: clear words, the daemon alive, other tenants untouched, nothing left behind.
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <limits>
#include <map>
#include <sys/mman.h>
#include <sys/wait.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raw_client.h"

namespace einet::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// A daemon, another tenant's job that runs all along, and the check at the end that neither noticed anything.
class BadInput : public testing::Test {
 protected:
  BadInput() {
    // Whatever the first clients make the daemon open for good is open now.
    EXPECT_TRUE(daemon_.is_idle());
    files_ = daemon_.open_files();
    bystander_.emplace(daemon_.connect("control", "bystander"));
    bystanders_job_ = bystander_->post(job_of(bystanders_model_, 10), {})->value;
    EXPECT_TRUE(bystander_->process());
  }

  void TearDown() override {
    const auto ended = bystander_->wait(client::Ticket{bystanders_job_}, kPatience);
    ASSERT_TRUE(ended) << ended.error().message << daemon_.log();
    EXPECT_EQ(ended->outcome, wire::COMPLETED);
    bystander_.reset();
    EXPECT_TRUE(daemon_.is_idle());
    EXPECT_EQ(daemon_.open_files(), files_);
    EXPECT_EQ(daemon_.stop(), 0) << daemon_.log();
    EXPECT_EQ(broken_promises(daemon_.trace()), "");
  }

  // Sends the bytes and gives the words with which the connection ended.
  std::string words_for(std::string_view bytes) {
    RawClient client(daemon_.socket());
    client.send(bytes);
    const auto error = client.last_error();
    return error ? error->words() : "no error";
  }
  std::string hello_and(std::string_view bytes) { return frame(1, hello_as("camera")) + std::string(bytes); }

  // The rejection of a submission by tenant camera.
  template <class Change>
  wire::Rejected rejected(Change change) {
    wire::Submit submit = submit_of(model_);
    change(submit);
    RawClient client(daemon_.socket());
    client.send(hello_and(frame(2, submit)));
    EXPECT_TRUE(client.next_as<wire::HelloReply>());
    const auto reply = client.next_as<wire::Rejected>();
    EXPECT_TRUE(reply);
    return reply.value_or(wire::Rejected());
  }

  const SyntheticPackage model_ = short_model();
  const SyntheticPackage bystanders_model_ = model_of("steady", 40, 1ms, 20us);
  RunningDaemon daemon_{{.models = {model_, bystanders_model_, long_model()}}};
  std::size_t files_ = 0;
  std::optional<client::Client> bystander_;
  std::uint64_t bystanders_job_ = 0;
};

TEST_F(BadInput, FramesThatMakeNoSenseEndTheConnectionWithWords) {
  const std::string good = frame(1, hello_as("camera"));
  const auto with = [&](std::size_t at, char value) {
    std::string bad = good;
    bad[at] = value;
    return bad;
  };
  EXPECT_THAT(words_for(with(0, 'X')), HasSubstr("expected \"EINT\""));
  EXPECT_THAT(words_for(with(4, 9)), HasSubstr("version"));
  EXPECT_THAT(words_for(with(6, 77)), HasSubstr("type"));
  EXPECT_THAT(words_for(with(11, 127)), HasSubstr("body"));      // 2 GiB announced
  EXPECT_THAT(words_for(with(12, 1)), HasSubstr("descriptor"));  // announces one, brings none
  EXPECT_THAT(words_for(with(14, 1)), HasSubstr("reserved"));
  EXPECT_THAT(words_for(with(16, 0)), HasSubstr("request id 0"));
  EXPECT_THAT(words_for(with(24, '\xff')), HasSubstr("hello body"));
  EXPECT_THAT(words_for(frame(1, wire::GetStatus())), HasSubstr("the first message must be hello"));
  EXPECT_THAT(words_for(good + good), HasSubstr("hello was said already"));
  EXPECT_THAT(words_for(frame(1, wire::Done())), HasSubstr("comes only from the daemon"));
  EXPECT_THAT(words_for(std::string(100'000, 'A')), HasSubstr("expected \"EINT\""));
}

TEST_F(BadInput, AHelloMustFitTheVersionAndTheUser) {
  wire::Hello future = hello_as("camera");
  future.set_min_version(2);
  future.set_max_version(3);
  EXPECT_THAT(words_for(frame(1, future)), HasSubstr("speaks versions 2 to 3; this daemon speaks 1"));
  EXPECT_THAT(words_for(frame(1, hello_as("nobody\n"))), HasSubstr("may not act as tenant \"nobody\\x0a\""));
  wire::Hello long_name = hello_as("camera");
  long_name.set_client(std::string(65, 'x'));
  EXPECT_THAT(words_for(frame(1, long_name)), HasSubstr("at most 64"));
}

TEST_F(BadInput, AFrameCutOffAtAnyByteLeavesNothing) {
  const std::string bytes = hello_and(frame(2, submit_of(model_)));
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    RawClient client(daemon_.socket());
    ASSERT_TRUE(client.send(std::string_view(bytes).substr(0, n)));
    if (n % 2 == 0) continue;  // gone
    client.end_sending();      // or still there to hear about it
    while (client.next()) {
    }
  }
}

TEST_F(BadInput, SubmissionsThatMakeNoSenseAreRejectedWithAReason) {
  using wire::Rejected;
  EXPECT_EQ(rejected([](auto& s) { s.set_model("shotr"); }).reason(), Rejected::UNKNOWN_MODEL);
  EXPECT_THAT(rejected([](auto& s) { s.set_model("shotr"); }).words(), HasSubstr("did you mean \"short\"?"));
  EXPECT_EQ(rejected([](auto& s) { s.set_shape(0, 3); }).reason(), Rejected::WRONG_INPUT);
  EXPECT_EQ(rejected([](auto& s) { s.set_dtype(wire::F32); }).reason(), Rejected::WRONG_INPUT);
  EXPECT_EQ(rejected([](auto& s) { s.set_inline_bytes(std::string(1 << 20, 'x')); }).reason(),
            Rejected::WRONG_INPUT);
  EXPECT_EQ(rejected([](auto& s) { s.mutable_region()->set_length(~0ull); }).reason(), Rejected::WRONG_INPUT);
  EXPECT_EQ(rejected([](auto& s) { s.mutable_region()->set_length(64); }).reason(), Rejected::WRONG_INPUT);
  EXPECT_EQ(rejected([](auto& s) {
              s.set_dtype(wire::F32);
              const std::vector<float> nan(64, std::numeric_limits<float>::quiet_NaN());
              s.set_inline_bytes(nan.data(), nan.size() * sizeof(float));
            }).reason(),
            Rejected::INPUT_NOT_FINITE);
  EXPECT_EQ(rejected([](auto& s) {
              s.set_release_at_ns(1);
              s.set_deadline_at_ns(2);
            }).reason(),
            Rejected::DEADLINE_IN_PAST);
  EXPECT_EQ(rejected([](auto& s) {
              s.set_release_in_ns(1'000'000'000);
              s.set_deadline_at_ns(2);
            }).reason(),
            Rejected::DEADLINE_BEFORE_RELEASE);
  EXPECT_EQ(
      rejected([](auto& s) { s.set_deadline_in_ns(std::numeric_limits<std::int64_t>::max()); }).reason(),
      Rejected::BAD_ARGUMENT);
  EXPECT_EQ(rejected([](auto& s) { s.set_priority(6); }).reason(), Rejected::PRIORITY_CEILING);
  EXPECT_EQ(rejected([](auto& s) { s.set_mandatory_exit(2); }).reason(), Rejected::BAD_ARGUMENT);
}

TEST_F(BadInput, ARequestIdThatIsInUseEndsTheConnectionAndItsJobs) {
  wire::Submit submit = submit_of(long_model());
  EXPECT_THAT(words_for(hello_and(frame(2, submit) + frame(2, submit))),
              HasSubstr("request id 2 is still in use"));
}

TEST_F(BadInput, NobodyCancelsAnotherTenantsJobOrOneThatIsNotThere) {
  client::Client owner = daemon_.connect("camera"), other = daemon_.connect("batch");
  client::JobRequest job = job_of(model_);
  job.release = Duration(1h);
  const auto submitted = owner.submit(job, {}, kPatience);
  ASSERT_TRUE(submitted);
  ASSERT_EQ(owner.jobs(kPatience)->jobs_size(), 1);
  const auto cancelled = other.cancel(submitted->job, kPatience);
  ASSERT_FALSE(cancelled);
  EXPECT_THAT(cancelled.error().message, HasSubstr("of tenant batch that has not ended"));
  EXPECT_FALSE(other.cancel(JobId{0}, kPatience));
  EXPECT_FALSE(other.cancel(JobId{~0ull}, kPatience));
  EXPECT_TRUE(other.status(kPatience));  // the connection is as it was
  EXPECT_TRUE(owner.cancel(submitted->job, kPatience));
}

TEST_F(BadInput, ARegionMustBeMemoryThatCannotShrink) {
  const auto reply = [&](UniqueFd fd) {
    RawClient client(daemon_.socket());
    client.send(frame(1, hello_as("camera")));
    EXPECT_TRUE(client.next_as<wire::HelloReply>());
    wire::RegisterRegion body;
    body.set_size(4096);
    client.send_with(frame_with_fd(2, body), fd.get());
    return client.next_as<wire::Error>().value_or(wire::Error());
  };
  EXPECT_THAT(reply(UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC))).words(), HasSubstr("not a memfd"));
  UniqueFd memfd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(memfd.get(), 4096), 0);
  EXPECT_THAT(reply(UniqueFd(::dup(memfd.get()))).words(), HasSubstr("could shrink"));
  ASSERT_EQ(::ftruncate(memfd.get(), 4095), 0);
  ASSERT_EQ(::fcntl(memfd.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
  EXPECT_EQ(reply(UniqueFd(::dup(memfd.get()))).code(), wire::Error::BAD_REGION);
}

TEST_F(BadInput, AClientThatDoesNotReadIsDisconnectedAndItsJobsAreCancelled) {
  RawClient client(daemon_.socket());
  wire::Submit submit = submit_of(model_);
  submit.set_release_in_ns(Duration(1h).count());  // there until it is cancelled
  ASSERT_TRUE(client.send(hello_and(frame(2, submit))));
  std::string flood;
  for (std::uint64_t i = 0; i < 1000; ++i) flood += frame(10 + i, wire::ListModels());
  for (int i = 0; i < 1000 && client.send(flood); ++i) {
  }
  EXPECT_FALSE(client.send(flood));
  ASSERT_TRUE(daemon_.wait_log("does not read"));
  EXPECT_TRUE(
      daemon_.eventually([this](const wire::Status&) { return daemon_.counter("jobs_cancelled") == 1; }));
}

TEST_F(BadInput, TooManyConnectionsAreToldSo) {
  std::vector<client::Client> clients;
  for (int i = 0; i < 16; ++i) clients.push_back(daemon_.connect("batch"));
  const auto more =
      client::Client::connect(daemon_.socket(), {.name = "more", .tenant = "batch", .timeout = kPatience});
  ASSERT_FALSE(more);
  EXPECT_THAT(more.error().message, HasSubstr("max_connections"));
}

TEST_F(BadInput, NothingFromAClientReachesTheLogRaw) {
  wire::Hello hello = hello_as("x\nfake line");
  hello.set_client("evil\x1b[2J\nerror job=1");
  words_for(frame(1, hello));
  ASSERT_TRUE(daemon_.wait_log("client refused"));
  ASSERT_TRUE(daemon_.wait_log("evil\\x1b[2J\\x0aerror job=1"));
  EXPECT_EQ(daemon_.log().find('\x1b'), std::string::npos);
}

TEST(KilledClient, ItsJobStopsAtTheNextBoundary) {
  const SyntheticPackage model = model_of("long", 40, 20ms, 100us), others = short_model();
  RunningDaemon daemon({.models = {model, others}});
  EXPECT_TRUE(daemon.is_idle());
  const std::size_t files = daemon.open_files();
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    client::Client client = daemon.connect("batch");
    client::JobRequest job = job_of(model);
    job.plan = wire::ALL;
    (void)client.post(
        job, {.exit = [&](JobId, const client::Answer&) { (void)!::write(ready[1], "x", 1); }, .ended = {}});
    while (client.wait_any(kPatience)) {
    }
    ::_exit(1);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);  // it is in the middle of its job
  std::optional<client::Client> bystander(daemon.connect("control", "bystander"));
  const auto bystanders = bystander->post(job_of(others, 10), {});
  ASSERT_TRUE(bystanders && bystander->process());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
  EXPECT_TRUE(daemon.eventually([&](const wire::Status&) { return daemon.counter("jobs_cancelled") == 1; }));
  EXPECT_TRUE(daemon.eventually([](const wire::Status& s) { return s.lanes(0).state() == "idle"; }));
  const auto ended = bystander->wait(*bystanders, kPatience);
  ASSERT_TRUE(ended) << ended.error().message << daemon.log();
  EXPECT_EQ(ended->outcome, wire::COMPLETED);
  bystander.reset();
  EXPECT_LT(daemon.counter("blocks"), 40u);
  EXPECT_TRUE(daemon.is_idle());
  EXPECT_EQ(daemon.open_files(), files);
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
  EXPECT_EQ(broken_promises(daemon.trace()), "");  // no block began after the stop
}

TEST(Connections, ThoseWithoutAHelloMakeRoomForNewOnesTheOldestFirst) {
  RunningDaemon daemon({.models = {short_model()}, .tables = "[limits]\nconnections = 3\n"});
  std::vector<std::unique_ptr<RawClient>> silent;
  for (int i = 0; i < 3; ++i) silent.push_back(std::make_unique<RawClient>(daemon.socket()));
  std::vector<client::Client> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(daemon.connect());
    const auto error = silent[static_cast<std::size_t>(i)]->last_error();
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), wire::Error::LIMIT);
    EXPECT_EQ(error->words(),
              "the daemon has 3 connections, as many as it may (limits.connections), and no hello came on "
              "this one");
  }
  const auto more =
      client::Client::connect(daemon.socket(), {.name = "more", .tenant = "camera", .timeout = kPatience});
  ASSERT_FALSE(more);
  EXPECT_THAT(more.error().message, HasSubstr("(limits.connections); try again later"));
  for (client::Client& client : clients) EXPECT_TRUE(client.status(kPatience));
  EXPECT_EQ(daemon.stop(), 0);
}

TEST(Connections, OneOnWhichNoHelloComesIsEnded) {
  RunningDaemon daemon({.models = {short_model()}, .tables = "[limits]\nhello = \"20ms\"\n"});
  RawClient silent(daemon.socket());
  const auto error = silent.last_error();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), wire::Error::BAD_REQUEST);
  EXPECT_EQ(error->words(), "no hello came in 20ms");
  EXPECT_EQ(daemon.stop(), 0);
}

TEST(Turns, ManyRequestsOfOneClientAreTakenInTurnsWithThoseOfOthers) {
  constexpr int kTasks = 200;
  RunningDaemon daemon({.models = {short_model()},
                        .tables = "[tenant.many]\nuid = " + std::to_string(::getuid()) +
                                  "\nmax_tasks = " + std::to_string(kTasks) + "\n"});
  RawClient many(daemon.socket());
  RawClient other(daemon.socket());
  for (RawClient* client : {&many, &other}) {
    client->send(frame(1, hello_as("many")));
    ASSERT_TRUE(client->next_as<wire::HelloReply>());
  }
  std::string requests;
  for (int i = 0; i < kTasks; ++i) {
    wire::AddTask task;
    task.set_name("t" + std::to_string(i));
    task.set_model("short");
    task.set_period_ns(std::chrono::nanoseconds(1h).count());
    requests += frame(static_cast<std::uint64_t>(2 + i), task);
  }
  ASSERT_LE(requests.size(), 16u << 10);  // what one receive takes
  // It finds all of this when it goes on.
  daemon.signal(SIGSTOP);
  ASSERT_TRUE(many.send(requests));
  ASSERT_TRUE(other.send(frame(2, wire::ListTasks())));
  daemon.signal(SIGCONT);
  const auto list = other.next_as<wire::TaskList>();
  ASSERT_TRUE(list);
  EXPECT_LT(list->tasks_size(), kTasks);
  for (int i = 0; i < kTasks; ++i) ASSERT_TRUE(many.next_as<wire::TaskAdded>()) << i;
  EXPECT_EQ(daemon.stop(), 0);
}

TEST(WriteQueue, AClientThatReadsGetsTheOutcomesOfAllJobsThatEndAtOnce) {
  const SyntheticPackage model = model_of("slow", 2, 300ms, 20us);
  RunningDaemon daemon(
      {.models = {model}, .config = "drain = \"0s\"\n", .tables = "[limits]\nwrite_queue = \"1KiB\"\n"});
  client::Client client = daemon.connect();
  std::vector<client::Ticket> tickets;
  for (int i = 0; i < 300; ++i) {
    const auto submitted = client.submit(job_of(model), {}, kPatience);
    ASSERT_TRUE(submitted) << submitted.error().message;
    tickets.push_back(submitted->ticket);
  }
  daemon.signal(SIGTERM);
  int cancelled = 0;
  for (const client::Ticket ticket : tickets) {
    const auto ended = client.wait(ticket, kPatience);
    ASSERT_TRUE(ended) << ended.error().message;
    cancelled += ended->outcome == wire::CANCELLED;
    EXPECT_TRUE(ended->outcome == wire::CANCELLED || ended->outcome == wire::COMPLETED) << ended->words;
  }
  EXPECT_GT(cancelled, 200) << "the others ended while more were submitted";
  EXPECT_EQ(daemon.wait_end(), 0) << daemon.log();
}

// Under a policy without preemption, each job of two blocks has six events.
TEST(WriteQueue, AWatcherThatDoesNotReadIsToldHowManyEventsItLostAndLosesNoOutcome) {
  // Its own acceptances and outcomes fit into the half of the queue that events leave them.
  constexpr std::uint64_t kOwn = 100;
  constexpr std::uint64_t kOthers = 2000;
  const SyntheticPackage model = model_of("tiny", 2, 20us, 5us);
  RunningDaemon daemon(
      {.models = {model}, .config = "policy = \"fifo\"\n", .tables = "[limits]\nwrite_queue = \"64KiB\"\n"});
  RawClient watcher(daemon.socket());
  watcher.send(frame(1, hello_as("camera")) + frame(2, wire::Watch()));
  ASSERT_TRUE(watcher.next_as<wire::HelloReply>());
  ASSERT_TRUE(watcher.next_as<wire::Done>());

  client::Client flood = daemon.connect("camera");
  client::JobRequest job = job_of(model);
  job.plan = wire::ALL;
  for (std::uint64_t done = 0; done < kOthers; done += 100) {
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(flood.post(job, {}));
    while (flood.pending() > 0) ASSERT_TRUE(flood.wait_any(kPatience));
  }
  wire::Submit submit = submit_of(model);
  submit.set_plan(wire::ALL);
  std::string own;
  for (std::uint64_t i = 0; i < kOwn; ++i) own += frame(10 + i, submit);
  ASSERT_TRUE(watcher.send(own));
  ASSERT_TRUE(daemon.eventually([](const wire::Status& s) {
    return std::any_of(s.counters().begin(), s.counters().end(), [](const auto& c) {
      return c.name() == "jobs_completed" && c.value() == kOwn + kOthers;
    });
  }));

  std::uint64_t events = 0;
  std::uint64_t lost = 0;
  std::map<std::uint64_t, int> outcomes;  // by request
  while (events + lost < 6 * (kOwn + kOthers) || outcomes.size() < kOwn) {
    const auto received = watcher.next();
    ASSERT_TRUE(received) << events << " events, " << lost << " lost, " << outcomes.size() << " outcomes";
    if (received->header.type == MessageType::outcome) ++outcomes[received->header.request];
    if (received->header.type != MessageType::event) continue;
    const auto event = parse_body<wire::Event>(received->header, received->body);
    ASSERT_TRUE(event);
    if (event->kind() == wire::Event::LOST) {
      lost += event->lost();
    } else {
      ++events;
    }
  }
  EXPECT_GT(lost, 0u);
  EXPECT_EQ(events + lost, 6 * (kOwn + kOthers));
  for (const auto& [request, count] : outcomes) EXPECT_EQ(count, 1) << "request " << request;
  EXPECT_EQ(daemon.stop(), 0);
}

TEST(Packages, DamagedOnesAreRefusedWithAReasonAndTheOthersRun) {
  const SyntheticPackage model = short_model();
  RunningDaemon daemon({.models = {model, model_of("empty", 2, 1ms, 1us), model_of("cut", 2, 1ms, 1us),
                                   model_of("changed", 2, 1ms, 1us), model_of("bare", 2, 1ms, 1us)}},
                       RunningDaemon::Start::later);
  const auto file = [&](const std::string& name, const char* which) {
    return daemon.models() / (name + ".einet") / which;
  };
  std::filesystem::resize_file(file("empty", "model.toml"), 0);
  std::filesystem::resize_file(file("cut", "weights.safetensors"), 20);
  std::fstream(file("changed", "program"), std::ios::in | std::ios::out).put('!');
  std::filesystem::remove(file("bare", "program"));
  std::filesystem::create_directory(daemon.models() / "nothing.einet");
  std::ofstream(daemon.models() / "file.einet") << "not a folder";
  daemon.start();
  ASSERT_TRUE(daemon.wait_ready()) << daemon.log();

  client::Client client = daemon.connect();
  const auto models = client.models(kPatience);
  ASSERT_TRUE(models);
  ASSERT_EQ(models->models_size(), 7);
  for (const wire::ModelInfo& m : models->models()) {
    EXPECT_EQ(m.loaded(), m.name() == "short") << m.name();
    EXPECT_EQ(m.reason().empty(), m.loaded()) << m.name();
  }
  client::JobRequest job = job_of(model);
  EXPECT_EQ(client.run(job, {}, kPatience)->outcome, wire::COMPLETED);
  job.model = "cut";
  const auto refused = client.run(job, {}, kPatience);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->reason, "model_refused");
  EXPECT_EQ(daemon.stop(), 0);
}

TEST(Rejections, AreCountedByTenantAndReason) {
  const SyntheticPackage model = short_model();
  RunningDaemon daemon({.models = {model}});
  client::Client client = daemon.connect();
  client::JobRequest unknown = job_of(model);
  unknown.model = "none";
  for (const client::JobRequest& job : {job_of(model, 6), unknown, job_of(model, 9)}) {
    const auto rejected = client.submit(job, {}, kPatience);
    ASSERT_TRUE(rejected && rejected->rejected);
  }
  std::map<wire::Rejected::Reason, std::uint64_t> seen;
  const wire::TenantInfo camera = daemon.tenant("camera");
  for (const wire::RejectedJobs& r : camera.rejected()) seen[r.reason()] = r.jobs();
  EXPECT_EQ(seen, (std::map<wire::Rejected::Reason, std::uint64_t>{{wire::Rejected::UNKNOWN_MODEL, 1},
                                                                   {wire::Rejected::PRIORITY_CEILING, 2}}));
  EXPECT_TRUE(daemon.tenant("batch").rejected().empty());
}

}  // namespace
}  // namespace einet::test
