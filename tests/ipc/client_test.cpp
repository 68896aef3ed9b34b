// The client library against a scripted server at the other end of a socket pair: what is called when, and
// what a program hears when the other side misbehaves, falls silent or dies.
#include "ipc/client/client.h"

#include <array>
#include <fcntl.h>
#include <functional>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <gtest/gtest.h>

#include "fake_daemon.h"

namespace einet::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

using test::after_hello;
using test::FakeDaemon;
using test::Peer;

const std::array<std::byte, 4> kPixels{};
JobRequest some_job() {
  JobRequest job;
  job.model = "digits";
  job.shape = {1, 2, 2};
  job.input = InlineInput{kPixels};
  return job;
}

std::string message_of(const auto& result) {
  return result ? "" : result.error().message;
}

TEST(Client, LearnsItsTenantAndLimitsFromHello) {
  FakeDaemon server(after_hello([](Peer&) {}));
  const auto client =
      Client::adopt(server.socket(), {.name = "test", .tenant = "camera", .timeout = seconds(10)});
  ASSERT_TRUE(client) << client.error().message;
  EXPECT_EQ(client->hello().tenant(), "camera");
  EXPECT_EQ(client->hello().limits().max_body_bytes(), 1u << 20);
}

TEST(Client, HearsWhyItIsRefused) {
  FakeDaemon server([](Peer& peer) {
    peer.expect<wire::Hello>();
    wire::Error no;
    no.set_code(wire::Error::NOT_ALLOWED);
    no.set_words("user 1000 may act as: camera\n");
    peer.reply(no);
  });
  EXPECT_EQ(message_of(Client::adopt(server.socket(), {})),
            "einetd refuses: user 1000 may act as: camera\\x0a");
}

TEST(Client, RefusesAVersionThatItDoesNotSpeak) {
  FakeDaemon server([](Peer& peer) {
    peer.expect<wire::Hello>();
    wire::HelloReply reply;
    reply.set_version(9);
    peer.reply(reply);
  });
  EXPECT_EQ(message_of(Client::adopt(server.socket(), {})),
            "einetd speaks version 9; this client speaks 1: install matching versions of both");
}

TEST(Client, SaysHowToStartADaemonThatIsNotThere) {
  EXPECT_EQ(
      message_of(Client::connect("/nonexistent/socket", {})),
      "einetd is unreachable at /nonexistent/socket: there is no such socket; start it with: einetd "
      "--config FILE (as a service: systemctl start einetd), or name its socket (einet: --socket PATH or "
      "$EINET_SOCKET)");
  EXPECT_EQ(message_of(Client::connect(std::string(200, 'x'), {})).substr(0, 42),
            "a socket's path has 1 to 107 characters; \"");
}

TEST(Client, RunsAJobAndGetsEveryExitAndOneOutcome) {
  FakeDaemon server(after_hello([](Peer& peer) {
    const auto submit = peer.expect<wire::Submit>();
    EXPECT_EQ(submit.model(), "digits");
    EXPECT_EQ(submit.inline_bytes().size(), 4u);
    EXPECT_EQ(submit.deadline_in_ns(), 5'000'000);
    EXPECT_EQ(submit.release_case(), wire::Submit::RELEASE_NOT_SET);
    EXPECT_EQ(submit.mandatory_exit(), 1u);
    EXPECT_TRUE(submit.stream_exits());
    peer.accept(42);
    for (std::uint32_t exit : {0u, 2u}) {
      wire::ExitResult result;
      result.set_job(42);
      result.mutable_answer()->set_exit(exit);
      result.mutable_answer()->add_scores(0.25F);
      peer.reply(result);
    }
    peer.finish(42, wire::COMPLETED, peer.request);
  }));
  auto client = Client::adopt(server.socket(), {});
  ASSERT_TRUE(client);
  JobRequest job = some_job();
  job.deadline = When{milliseconds(5)};
  job.mandatory_exit = 1;
  std::vector<int> exits;
  const auto ended = client->run(
      job,
      [&](JobId id, const Answer& answer) {
        EXPECT_EQ(id, JobId{42});
        EXPECT_EQ(answer.scores, std::vector<float>{0.25F});
        exits.push_back(answer.exit);
      },
      seconds(10));
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(exits, (std::vector<int>{0, 2}));
  EXPECT_EQ(ended->job, JobId{42});
  EXPECT_EQ(ended->outcome, wire::COMPLETED);
  EXPECT_EQ(ended->best->top_class, 7);
  EXPECT_EQ(ended->first_block->time_since_epoch(), Duration{5});
  EXPECT_FALSE(ended->deadline);
  EXPECT_EQ(client->pending(), 0u);
}

TEST(Client, ARejectionIsTheResultOfSubmitAndTheOutcomeOfPost) {
  const auto reject = [](Peer& peer) {
    peer.expect<wire::Submit>();
    wire::Rejected rejected;
    rejected.set_reason(wire::Rejected::QUOTA_JOBS);
    rejected.set_words("tenant camera has 8 jobs");
    peer.reply(rejected);
  };
  FakeDaemon server(after_hello([&](Peer& peer) {
    reject(peer);
    reject(peer);
  }));
  auto client = Client::adopt(server.socket(), {});
  ASSERT_TRUE(client);
  const auto submission = client->submit(some_job(), {});
  ASSERT_TRUE(submission);
  ASSERT_TRUE(submission->rejected);
  EXPECT_EQ(submission->job, JobId{});
  EXPECT_EQ(submission->rejected->reason, "quota_jobs");
  EXPECT_EQ(submission->rejected->words, "tenant camera has 8 jobs");
  const auto ended = client->run(some_job(), {}, seconds(10));
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->outcome, wire::REJECTED);
}

TEST(Client, HandlersOfManyJobsAreEachCalledOnceInAnEventLoop) {
  constexpr int kJobs = 100;
  FakeDaemon server(after_hello([](Peer& peer) {
    std::vector<std::uint64_t> requests;
    for (int i = 0; i < kJobs; ++i) {
      peer.expect<wire::Submit>();
      requests.push_back(peer.request);
      peer.accept(1000 + requests.size());
    }
    for (std::size_t i = requests.size(); i > 0; --i) peer.finish(1000 + i, wire::COMPLETED, requests[i - 1]);
  }));
  auto client = Client::adopt(server.socket(), {});
  ASSERT_TRUE(client);
  std::vector<int> calls(kJobs);
  for (std::size_t i = 0; i < kJobs; ++i) {
    const auto ended = [&calls, i](const Ended& e) {
      EXPECT_EQ(e.job, JobId{1001 + i});
      ++calls[i];
    };
    ASSERT_TRUE(client->post(some_job(), {.exit = {}, .ended = ended}));
  }
  while (client->pending() > 0) {
    pollfd poll{client->fd(), static_cast<short>(POLLIN | (client->wants_write() ? POLLOUT : 0)), 0};
    ::poll(&poll, 1, 10'000);
    (void)client->process();  // an error once the script has ended
  }
  EXPECT_EQ(calls, std::vector<int>(kJobs, 1));
}

TEST(Client, AHandlerMayPostTheNextJob) {
  FakeDaemon server(after_hello([](Peer& peer) {
    for (std::uint64_t job = 1; job <= 3; ++job) {
      peer.expect<wire::Submit>();
      peer.accept(job);
      peer.finish(job, wire::COMPLETED, peer.request);
    }
  }));
  auto client = Client::adopt(server.socket(), {});
  ASSERT_TRUE(client);
  int ended = 0;
  std::function<void(const Ended&)> next = [&](const Ended&) {
    if (++ended < 3) {
      EXPECT_TRUE(client->post(some_job(), {.exit = {}, .ended = next}));
    }
  };
  ASSERT_TRUE(client->post(some_job(), {.exit = {}, .ended = next}));
  while (client->pending() > 0) (void)client->wait_any(seconds(10));
  EXPECT_EQ(ended, 3);
}

TEST(ClientDeathTest, AHandlerMustNotWait) {
  const auto wait_in_handler = [] {
    FakeDaemon server(after_hello([](Peer& peer) {
      peer.expect<wire::Submit>();
      peer.accept(1);
      peer.finish(1, wire::COMPLETED, peer.request);
    }));
    auto client = Client::adopt(server.socket(), {});
    const auto ended = [&](const Ended&) { (void)client->status(); };
    (void)client->post(some_job(), {.exit = {}, .ended = ended});
    while (client->pending() > 0) (void)client->wait_any(seconds(10));
  };
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(wait_in_handler(), "a handler must not process or wait");
}

TEST(Client, CancelsAJobThatIsNotYetAccepted) {
  FakeDaemon server(after_hello([](Peer& peer) {
    peer.expect<wire::Submit>();
    const std::uint64_t submitted = peer.request;
    peer.expect<wire::ListJobs>();  // posted after the cancel: so nothing was sent for it yet
    peer.reply(wire::JobList{});
    peer.request = submitted;
    peer.accept(9);
    EXPECT_EQ(peer.expect<wire::Cancel>().job(), 9u);
    peer.reply(wire::Done{});
    peer.finish(9, wire::CANCELLED, submitted);
  }));
  auto client = Client::adopt(server.socket(), {});
  ASSERT_TRUE(client);
  const auto ticket = client->post(some_job(), {});
  ASSERT_TRUE(ticket);
  client->post_cancel(*ticket);
  ASSERT_TRUE(client->jobs());
  const auto ended = client->wait(*ticket, seconds(10));
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->outcome, wire::CANCELLED);
  EXPECT_FALSE(client->wait(*ticket, seconds(10))) << "an outcome is handed out once";
}

TEST(Client, SilenceIsATimeoutAndALateReplyIsDropped) {
  FakeDaemon server(after_hello([](Peer& peer) {
    peer.expect<wire::GetStatus>();
    const std::uint64_t first = peer.request;
    peer.expect<wire::GetStatus>();
    wire::Status late;
    late.set_version("late");
    peer.reply(late, first);
    wire::Status fresh;
    fresh.set_version("fresh");
    peer.reply(fresh);
  }));
  auto client = Client::adopt(server.socket(), {});
  ASSERT_TRUE(client);
  EXPECT_EQ(message_of(client->status(milliseconds(1))),
            "einetd did not answer a get_status request within 1.00ms");
  EXPECT_TRUE(client->connected());
  const auto second = client->status(seconds(10));
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->version(), "fresh");
}

TEST(Client, AServerThatNeverSaysHelloIsATimeout) {
  std::array<int, 2> fds{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()), 0);
  const UniqueFd silent(fds[0]);
  EXPECT_EQ(
      message_of(Client::adopt(UniqueFd(fds[1]), {.name = "x", .tenant = {}, .timeout = milliseconds(1)})),
      "einetd did not answer a hello request within 1.00ms");
}

constexpr const char* kLost = "the connection to einetd is lost: ";

// Every way to lose the connection with a job posted: the job ends exactly once, as failed, and every later
// call says the same.
void expect_loss(const std::function<void(Peer&)>& misbehave, const std::string& words) {
  FakeDaemon server(after_hello([&](Peer& peer) {
    peer.expect<wire::Submit>();
    peer.accept(5);
    misbehave(peer);
  }));
  auto client = Client::adopt(server.socket(), {});
  ASSERT_TRUE(client);
  std::vector<Ended> ends;
  ASSERT_TRUE(client->post(some_job(), {.exit = {}, .ended = [&](const Ended& e) { ends.push_back(e); }}));
  Result<void> last;
  while (last) last = client->wait_any(seconds(10));
  EXPECT_EQ(last.error().message, words);
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].outcome, wire::FAILED);
  EXPECT_EQ(ends[0].reason, "connection_lost");
  EXPECT_EQ(ends[0].job, JobId{5});
  EXPECT_FALSE(client->connected());
  EXPECT_EQ(message_of(client->status()), last.error().message);
  EXPECT_EQ(message_of(client->post(some_job(), {})), last.error().message);
  EXPECT_EQ(client->pending(), 0u);
}

TEST(ClientLoss, TheServerEndsTheConnection) {
  expect_loss([](Peer&) {}, std::string(kLost) + "the daemon closed it; see its log for the reason");
}

TEST(ClientLoss, TheServerEndsWithinAMessage) {
  expect_loss([](Peer& peer) { peer.send_raw("EINT"); },
              std::string(kLost) + "the connection ended within a frame, after 4 of its bytes");
}

TEST(ClientLoss, TheServerSendsGarbage) {
  expect_loss(
      [](Peer& peer) { peer.send_raw("xyz"); },
      std::string(kLost) +
          "a frame begins with \"xyz\"; expected \"EINT\": this is not the einetd protocol, or an earlier "
          "frame had the wrong length");
}

TEST(ClientLoss, TheServerSaysWhy) {
  expect_loss(
      [](Peer& peer) {
        wire::Error error;
        error.set_words("this client reads too slowly");
        peer.reply(error, 0);
      },
      "einetd ended the connection: this client reads too slowly");
}

TEST(ClientLoss, TheServerAnswersWhatWasNeverAsked) {
  expect_loss([](Peer& peer) { peer.reply(wire::Done{}, 77); },
              std::string(kLost) + "the daemon answered request 77, which was never made");
}

TEST(ClientLoss, TheServerSendsARequest) {
  expect_loss([](Peer& peer) { peer.reply(wire::ListJobs{}); },
              std::string(kLost) +
                  "the daemon sent message list_jobs, which only clients send (or file descriptors with it)");
}

TEST(ClientLoss, TheServerAcceptsTwice) {
  expect_loss([](Peer& peer) { peer.accept(5); },
              std::string(kLost) + "the daemon accepted a job twice, or as job 0");
}

TEST(ClientLoss, AnAnswerOfAnImpossibleExit) {
  expect_loss(
      [](Peer& peer) {
        wire::ExitResult result;
        result.mutable_answer()->set_exit(64);
        peer.reply(result);
      },
      std::string(kLost) + "an answer of exit 64 makes no sense");
}

TEST(ClientLoss, ASecondOutcomeIsNotPassedOn) {
  FakeDaemon server(after_hello([](Peer& peer) {
    peer.expect<wire::Submit>();
    peer.accept(5);
    peer.finish(5, wire::COMPLETED, peer.request);
    peer.finish(5, wire::FAILED, peer.request);
  }));
  auto client = Client::adopt(server.socket(), {});
  ASSERT_TRUE(client);
  int ends = 0;
  ASSERT_TRUE(client->post(some_job(), {.exit = {}, .ended = [&](const Ended&) { ++ends; }}));
  Result<void> last;
  while (last) last = client->wait_any(seconds(10));
  EXPECT_EQ(ends, 1);
  EXPECT_EQ(
      last.error().message,
      "the connection to einetd is lost: the daemon sent message outcome for a job that is not pending");
}

TEST(Client, RefusesAnInputOverTheDaemonsLimitAndStaysConnected) {
  FakeDaemon server(after_hello([](Peer& peer) {
    peer.expect<wire::GetStatus>();
    peer.reply(wire::Status{});
  }));
  auto client = Client::adopt(server.socket(), {});
  ASSERT_TRUE(client);
  const std::vector<std::byte> big(2 << 20);
  JobRequest job = some_job();
  job.input = InlineInput{big};
  EXPECT_EQ(message_of(client->post(job, {})), "a submit message takes 2.0MiB; at most 1MiB are allowed");
  EXPECT_EQ(client->pending(), 0u);
  EXPECT_TRUE(client->status());
}

TEST(Client, ARegionIsSharedSealedMemory) {
  FakeDaemon server(after_hello([](Peer& peer) {
    EXPECT_EQ(peer.expect<wire::RegisterRegion>().size(), 4096u);
    ASSERT_TRUE(peer.fd);
    const int seals = ::fcntl(peer.fd.get(), F_GET_SEALS);
    EXPECT_NE(seals & F_SEAL_SHRINK, 0);
    EXPECT_NE(::ftruncate(peer.fd.get(), 1), 0) << "the negative control: it cannot shrink";
    wire::RegionRegistered registered;
    registered.set_region(3);
    peer.reply(registered);
    const auto submit = peer.expect<wire::Submit>();
    EXPECT_EQ(submit.region().region(), 3u);
    char byte = 0;
    EXPECT_EQ(::pread(peer.fd.get(), &byte, 1, 100), 1);
    EXPECT_EQ(byte, 'x');
    peer.accept(1);
    EXPECT_EQ(peer.expect<wire::UnregisterRegion>().region(), 3u);
    peer.reply(wire::Done{});
  }));
  auto client = Client::adopt(server.socket(), {});
  ASSERT_TRUE(client);
  auto region = client->register_region(ByteCount{4096}, seconds(10));
  ASSERT_TRUE(region) << region.error().message;
  ASSERT_EQ(region->bytes().size(), 4096u);
  region->bytes()[100] = std::byte{'x'};
  JobRequest job = some_job();
  job.input = RegionInput{.region = region->id(), .offset = 100, .length = 4};
  ASSERT_TRUE(client->submit(job, {}));
  EXPECT_TRUE(client->unregister_region(std::move(*region)));
}

TEST(Client, WatchesEventsThatComeWithTheReplyToo) {
  FakeDaemon server(after_hello([](Peer& peer) {
    EXPECT_TRUE(peer.expect<wire::Watch>().blocks());
    peer.reply(wire::Done{});
    for (std::uint64_t job : {1u, 2u}) {
      wire::Event event;
      event.set_kind(wire::Event::STARTED);
      event.set_job(job);
      peer.reply(event);
    }
  }));
  auto client = Client::adopt(server.socket(), {});
  ASSERT_TRUE(client);
  std::vector<std::uint64_t> jobs;
  ASSERT_TRUE(
      client->watch(Client::Watch::jobs_and_blocks, [&](const wire::Event& e) { jobs.push_back(e.job()); }));
  while (client->wait_any(seconds(10))) {
  }
  EXPECT_EQ(jobs, (std::vector<std::uint64_t>{1, 2}));
}

TEST(Client, ATaskIsAcceptedOrRefusedInTheDaemonsWords) {
  FakeDaemon server(after_hello([](Peer& peer) {
    auto add = peer.expect<wire::AddTask>();
    EXPECT_EQ(add.name(), "detector");
    EXPECT_EQ(add.period_ns(), 20'000'000);
    EXPECT_FALSE(add.has_deadline_ns());
    EXPECT_FALSE(add.has_mandatory_exit());
    wire::TaskAdded added;
    added.set_task(7);
    peer.reply(added);
    add = peer.expect<wire::AddTask>();
    EXPECT_EQ(add.deadline_ns(), 5'000'000);
    EXPECT_EQ(add.mandatory_exit(), 0u);
    wire::TaskRefused refused;
    refused.set_reason(wire::TaskRefused::NOT_SCHEDULABLE);
    peer.reply(refused);
    EXPECT_EQ(peer.expect<wire::RemoveTask>().name(), "detector");
    peer.reply(wire::Done{});
    EXPECT_EQ(peer.expect<wire::Submit>().task(), "detector");
  }));
  auto client = Client::adopt(server.socket(), {});
  ASSERT_TRUE(client);
  TaskRequest task{.name = "detector",
                   .model = "digits",
                   .period = milliseconds(20),
                   .deadline = {},
                   .mandatory_exit = {}};
  auto reply = client->add_task(task, seconds(10));
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(std::get<wire::TaskAdded>(*reply).task(), 7u);
  task.deadline = milliseconds(5);
  task.mandatory_exit = 0;
  reply = client->add_task(task, seconds(10));
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(name(std::get<wire::TaskRefused>(*reply).reason()), "not_schedulable");
  EXPECT_TRUE(client->remove_task("detector", seconds(10)));
  JobRequest job = some_job();
  job.task = "detector";
  EXPECT_TRUE(client->post(job, {}));
}

TEST(Client, ADaemonWithoutTasksIsToldApartFromOneThatRefuses) {
  FakeDaemon server([](Peer& peer) {
    peer.expect<wire::Hello>();
    wire::HelloReply reply;
    reply.set_version(1);
    peer.reply(reply);
  });
  auto client = Client::adopt(server.socket(), {});
  ASSERT_TRUE(client);
  EXPECT_EQ(message_of(client->tasks()), "this einetd does not offer tasks");
  EXPECT_EQ(message_of(client->add_task({}, seconds(10))), "this einetd does not offer tasks");
  EXPECT_EQ(message_of(client->remove_task("x")), "this einetd does not offer tasks");
}

TEST(Client, ASubmitThatIsNotAnsweredIsCancelledAndForgotten) {
  FakeDaemon server(after_hello([](Peer& peer) {
    peer.expect<wire::Submit>();
    const std::uint64_t submitted = peer.request;
    peer.expect<wire::ListJobs>();
    const std::uint64_t listed = peer.request;
    peer.request = submitted;
    peer.accept(4);
    EXPECT_EQ(peer.expect<wire::Cancel>().job(), 4u);
    peer.finish(4, wire::CANCELLED, submitted);
    peer.reply(wire::JobList{}, listed);
  }));
  auto client = Client::adopt(server.socket(), {});
  ASSERT_TRUE(client);
  const auto never = [](const Ended&) { ADD_FAILURE() << "the job was given up"; };
  EXPECT_EQ(message_of(client->submit(some_job(), {.exit = {}, .ended = never}, milliseconds(1))),
            "einetd did not accept or reject the job within 1.00ms");
  EXPECT_TRUE(client->jobs(seconds(10)));
  EXPECT_EQ(client->pending(), 0u);
}

TEST(Plan, IsAModeOrTheExitsOfAStaticPlan) {
  EXPECT_EQ(parse_plan("exact").value().mode, wire::EXACT);
  EXPECT_EQ(parse_plan("last").value().mode, wire::LAST);
  EXPECT_EQ(parse_plan("all").value().exits, 0u);
  const auto chosen = parse_plan("0,2,63").value();
  EXPECT_EQ(chosen.mode, wire::ALL);
  EXPECT_EQ(chosen.exits, (ExitMask{1} << 63) | 5u);
  EXPECT_EQ(parse_plan("ALL").error().message, "found \"ALL\"; expected exact, all, last, or exits: 0,2");
}

}  // namespace
}  // namespace einet::client
