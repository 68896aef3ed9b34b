// The same road with a network that computes: answers do not depend on the lane, nor on having been
// preempted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "running_daemon.h"

namespace einet::test {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(OneDnn, AnswersAreTheSameWhateverElseRuns) {
  SyntheticPackage model = model_of("computes", 48, 50us, 50us);
  model.input = {8, 32, 32};
  RunningDaemon daemon({.models = {model}, .backend = "onednn", .device = "lanes = 2\n"});
  std::vector<std::byte> pixels(8 * 32 * 32);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::byte>(i * 37 % 251);
  client::JobRequest job = job_of(model);
  job.input = client::InlineInput{pixels};
  job.plan = wire::ALL;

  client::Client client = daemon.connect("control");
  const auto alone = client.run(job, {}, kPatience);
  ASSERT_TRUE(alone) << alone.error().message;
  ASSERT_TRUE(alone->best) << alone->words << daemon.log();
  EXPECT_EQ(alone->best->exit, 47);

  // Until some of them were preempted: which, is up to the machine.
  int jobs = 0;
  int same = 0;
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (daemon.counter("preemptions") == 0 && std::chrono::steady_clock::now() < until) {
    for (int i = 0; i < 40; ++i, ++jobs) {
      job.priority = i % 7;
      EXPECT_TRUE(client.post(job, {.exit = {}, .ended = [&](const client::Ended& e) {
                                      same += e.best && e.best->scores == alone->best->scores ? 1 : 0;
                                    }}));
      EXPECT_TRUE(client.process());
    }
    while (client.pending() > 0) ASSERT_TRUE(client.wait_any(kPatience));
  }
  EXPECT_GT(daemon.counter("preemptions"), 0u);
  EXPECT_EQ(same, jobs);
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_EQ(broken_promises(daemon.trace()), "");
}

TEST(OneDnn, WarnsOfBlockTimesThatAreAnotherMachines) {
  const SyntheticPackage model = model_of("from-afar", 2, 50us, 50us);
  RunningDaemon computes({.models = {model}, .backend = "onednn"});
  const auto warning =
      HasSubstr("measure them here: einet-worker --profile " +
                (computes.models() / "from-afar.einet").string() + ", then send einetd a SIGHUP");
  EXPECT_THAT(computes.log(), warning);
  EXPECT_THAT(computes.status().warnings(), Contains(warning));
  client::TaskRequest task;
  task.name = "t";
  task.model = model.name;
  task.period = 10s;
  const auto added = computes.connect().add_task(task, kPatience);
  ASSERT_TRUE(added && std::holds_alternative<wire::TaskAdded>(*added));
  EXPECT_THAT(std::get<wire::TaskAdded>(*added).warnings(), ElementsAre(warning));

  RunningDaemon keeps_to_them({.models = {model}});
  EXPECT_THAT(keeps_to_them.status().warnings(), Not(Contains(HasSubstr("measure them here"))));
  EXPECT_EQ(keeps_to_them.stop(), 0);
  EXPECT_THAT(keeps_to_them.log(), Not(HasSubstr("measure them here")));
}

}  // namespace
}  // namespace einet::test
