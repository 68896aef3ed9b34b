// Tasks as tenants ask for them: what is promised and kept in the core, what is refused with which words, and
// what becomes of promises when models change.
#include "daemon/einetd/tasks.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kept_promises.h"
#include "temporary_folder.h"

namespace einet {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using wire::TaskRefused;

constexpr TenantId kCamera{0};
constexpr TenantId kBatch{1};
constexpr DeviceId kCpu{0};
constexpr LaneId kLane{0};

// Every trunk takes as long, and no exit any time.
lane::ModelDescription network(int blocks, Duration trunk) {
  lane::ModelDescription d;
  d.digest = "d";
  d.input = {4};
  d.blocks = blocks;
  d.classes = 2;
  for (int b = 0; b < blocks; ++b) {
    d.times.push_back({.trunk = {trunk, trunk, trunk}, .exit = {}});
    d.accuracy.push_back(0.5 + 0.01 * b);
  }
  return d;
}

class TasksTest : public testing::Test {
 protected:
  TasksTest() {
    config_.devices = {{.name = "cpu"}};
    config_.tenants = {{.name = "camera", .uid = 7, .max_priority = 5, .max_tasks = 3},
                       {.name = "batch", .uid = 8, .weight = 2}};
    config_.admission = {.margin = 1, .overhead = Duration{0}};
    for (const char* name : {"a", "b"}) {
      std::filesystem::create_directory(folder_.path() / (std::string(name) + ".einet"));
    }
    catalog_.emplace(*Catalog::scan(folder_.path(), {1}, "lookalikes"));
    start();
  }

  void start() {
    tasks_.emplace(Tasks::Parts{config_, *catalog_, core_, statistics_, log_});
    tasks_->lane_up(kLane, kCpu, Preemption::boundary);
    EXPECT_TRUE(load(kA, network(4, milliseconds(1))));
    EXPECT_TRUE(load(kB, network(2, milliseconds(2))));
  }

  // As the supervisor does it.
  Result<void> load(ModelId model, const lane::ModelDescription& description) {
    const auto before = catalog_->model(model).times;
    auto times = catalog_->times_with(model, kCpu, description);
    EXPECT_TRUE(times) << times.error().message;
    auto ok = tasks_->model_loads(model, kCpu, *times);
    if (ok) {
      catalog_->loaded(model, description, *times);
    } else {
      catalog_->refused(model, kCpu, ok.error().message);
      tasks_->model_lost(model, kCpu, before, ok.error().message);
    }
    return ok;
  }

  static wire::AddTask ask(const std::string& name, Duration period = milliseconds(10), int exit = 3) {
    wire::AddTask add;
    add.set_name(name);
    add.set_model("a");
    add.set_period_ns(period.count());
    add.set_mandatory_exit(static_cast<std::uint32_t>(exit));
    return add;
  }
  // Empty until it is answered.
  std::shared_ptr<std::optional<Tasks::Reply>> asks(const wire::AddTask& add, TenantId tenant = kCamera,
                                                    SessionId session = SessionId{1}) {
    auto reply = std::make_shared<std::optional<Tasks::Reply>>();
    tasks_->add(add, tenant, session, [reply](const Tasks::Reply& r) { *reply = r; });
    return reply;
  }
  wire::TaskAdded accepted(const wire::AddTask& add, TenantId tenant = kCamera) {
    const Tasks::Reply reply = asks(add, tenant)->value();
    const auto* added = std::get_if<wire::TaskAdded>(&reply);
    EXPECT_TRUE(added) << std::get<TaskRefused>(reply).words();
    return added != nullptr ? *added : wire::TaskAdded();
  }
  TaskRefused refused(const wire::AddTask& add, TenantId tenant = kCamera) {
    const std::size_t before = core_.tasks.size();
    const Tasks::Reply reply = asks(add, tenant)->value();
    EXPECT_TRUE(std::holds_alternative<TaskRefused>(reply));
    EXPECT_EQ(core_.tasks.size(), before);
    return std::holds_alternative<TaskRefused>(reply) ? std::get<TaskRefused>(reply) : TaskRefused();
  }

  static constexpr ModelId kA{0};
  static constexpr ModelId kB{1};
  test::TemporaryFolder folder_;
  DaemonConfig config_;
  std::optional<Catalog> catalog_;
  test::KeptPromises core_;
  TaskStatistics statistics_;
  Log log_{"off"};
  std::optional<Tasks> tasks_;
};

TEST_F(TasksTest, AnAcceptedTaskIsReservedInTheCoreAndListedWithItsBound) {
  wire::AddTask add = ask("detector");
  add.set_priority(5);
  const wire::TaskAdded added = accepted(add);
  ASSERT_EQ(core_.tasks.size(), 1u);
  const Reservation& kept = core_.tasks.at(TaskId{added.task()});
  EXPECT_EQ(kept.period, milliseconds(10));
  EXPECT_EQ(kept.deadline, milliseconds(10));
  EXPECT_EQ(kept.budget, milliseconds(4));
  EXPECT_EQ(kept.mandatory_exit, 3);
  EXPECT_EQ(kept.home, kLane);
  EXPECT_EQ(added.bound().device(), "cpu");
  // 4 ms of its own, and a block of model b in progress, which is 2 ms long, less the instant at its start.
  EXPECT_EQ(Duration(added.bound().blocking_ns()), milliseconds(2) - Duration{1});
  EXPECT_EQ(Duration(added.bound().response_ns()), milliseconds(6) - Duration{1});
  EXPECT_EQ(Duration(added.bound().slack_ns()), milliseconds(4) + Duration{1});
  EXPECT_DOUBLE_EQ(tasks_->promised(kLane), 0.4);

  statistics_.find(TaskId{added.task()})->jobs = 3;
  const wire::TaskList list = tasks_->list(kCamera);
  ASSERT_EQ(list.tasks_size(), 1);
  EXPECT_EQ(list.tasks(0).name(), "detector");
  EXPECT_EQ(list.tasks(0).tenant(), "camera");
  EXPECT_EQ(list.tasks(0).model(), "a");
  EXPECT_EQ(list.tasks(0).jobs(), 3u);
  EXPECT_FALSE(list.tasks(0).has_worst_response_ns());
  EXPECT_EQ(list.tasks(0).bound().response_ns(), added.bound().response_ns());
  EXPECT_EQ(tasks_->list(kBatch).tasks_size(), 0);
  EXPECT_EQ(tasks_->list(std::nullopt).tasks_size(), 1);
}

TEST_F(TasksTest, WithoutADeadlineItIsThePeriodAndWithoutAnExitTheFirst) {
  wire::AddTask add = ask("x");
  add.clear_mandatory_exit();
  accepted(add);
  EXPECT_EQ(tasks_->find("x", kCamera)->deadline, milliseconds(10));
  EXPECT_EQ(tasks_->find("x", kCamera)->mandatory_exit, 0);
  EXPECT_EQ(tasks_->find("x", kBatch), nullptr);
}

TEST_F(TasksTest, ATaskThatDoesNotFitIsRefusedWithTheNumbersAndWhatWouldFit) {
  accepted(ask("first", milliseconds(10)));
  const TaskRefused no = refused(ask("second", milliseconds(7)));
  EXPECT_EQ(no.reason(), TaskRefused::NOT_SCHEDULABLE);
  EXPECT_THAT(no.words(), HasSubstr("would fit"));
  EXPECT_NE(no.misses(), "");
  EXPECT_GT(no.lateness_ns(), 0);
  ASSERT_TRUE(no.has_smallest_period_ns());
  accepted(ask("second", Duration(no.smallest_period_ns())));  // it was not a guess
}

TEST_F(TasksTest, ARemovedTaskMakesRoomForAnother) {
  accepted(ask("first", milliseconds(8)));
  EXPECT_EQ(refused(ask("second", milliseconds(8))).reason(), TaskRefused::NOT_SCHEDULABLE);
  ASSERT_TRUE(tasks_->remove("first", kCamera));
  EXPECT_TRUE(core_.tasks.empty());
  accepted(ask("second", milliseconds(8)));
  EXPECT_EQ(core_.tasks.size(), 1u);
}

TEST_F(TasksTest, BadRequestsSayWhatIsAllowed) {
  const auto no = [&](auto change, TaskRefused::Reason reason, const char* words) {
    wire::AddTask add = ask("x");
    change(add);
    const TaskRefused answer = refused(add);
    EXPECT_EQ(answer.reason(), reason) << answer.words();
    EXPECT_THAT(answer.words(), HasSubstr(words));
  };
  const auto bad = TaskRefused::BAD_ARGUMENT;
  no([](auto& t) { t.set_name(""); }, bad, "1 to 64 letters, digits or _-.");
  no([](auto& t) { t.set_name("a b"); }, bad, "\"a b\" is not allowed");
  no([](auto& t) { t.set_name(std::string(65, 'x')); }, bad, "1 to 64");
  no([](auto& t) { t.set_name("\x1b[31m"); }, bad, "\\x1b");
  no([](auto& t) { t.set_model("c"); }, TaskRefused::UNKNOWN_MODEL, "there is no model \"c\"");
  no([](auto& t) { t.set_period_ns(0); }, bad, "the period is 0ns; allowed: above 0ns");
  no([](auto& t) { t.set_period_ns(-1); }, bad, "the period is negative");
  no([](auto& t) { t.set_period_ns(std::numeric_limits<std::int64_t>::max()); }, bad, "the period is");
  no([](auto& t) { t.set_deadline_ns(0); }, bad, "the deadline is 0ns");
  no([](auto& t) { t.set_deadline_ns(-5); }, bad, "the deadline is negative");
  no([](auto& t) { t.set_mandatory_exit(4); }, bad, "model a has exits 0 to 3");
  no([](auto& t) { t.set_mandatory_exit(~0u); }, bad, "mandatory_exit is 4294967295");
  no([](auto& t) { t.set_priority(6); }, TaskRefused::PRIORITY_CEILING, "may use -1000000 to 5");
}

TEST_F(TasksTest, NamesAreUniqueAndCountedPerTenant) {
  accepted(ask("x", milliseconds(100)));
  EXPECT_EQ(refused(ask("x", milliseconds(100))).reason(), TaskRefused::NAME_TAKEN);
  accepted(ask("x", milliseconds(100)), kBatch);
  accepted(ask("y", milliseconds(100)));
  accepted(ask("z", milliseconds(100)));
  const TaskRefused many = refused(ask("w", milliseconds(100)));
  EXPECT_EQ(many.reason(), TaskRefused::QUOTA_TASKS);
  EXPECT_THAT(many.words(), HasSubstr("3 tasks, as many as it may (max_tasks)"));

  EXPECT_THAT(tasks_->remove("xx", kCamera).error().message,
              HasSubstr("there is no task \"xx\" of tenant camera"));
  EXPECT_THAT(tasks_->remove("x", std::nullopt).error().message, HasSubstr("2 tenants have a task \"x\""));
  EXPECT_TRUE(tasks_->remove("y", std::nullopt));
  EXPECT_THAT(tasks_->remove("y", kBatch).error().message, HasSubstr("there is no task \"y\""));
  EXPECT_EQ(tasks_->count(kCamera), 2);
}

TEST_F(TasksTest, FifoPromisesNothing) {
  config_.policy = "fifo";
  start();
  const TaskRefused no = refused(ask("x"));
  EXPECT_EQ(no.reason(), TaskRefused::NO_PROMISES);
  EXPECT_THAT(no.words(), HasSubstr("choose another policy"));
}

TEST_F(TasksTest, WeightsAndBudgetsGoToTheCoreAndABudgetThatDoesNotFitIsSaid) {
  config_.tenants[0].budget = BudgetConfig{milliseconds(3), milliseconds(10)};
  config_.tenants[1].budget = BudgetConfig{milliseconds(9), milliseconds(10)};
  start();
  tasks_->open();
  EXPECT_EQ(core_.shares.at(kCamera).budget, (Budget{milliseconds(3), milliseconds(10), kLane}));
  EXPECT_EQ(core_.shares.at(kBatch).weight, 2);
  EXPECT_FALSE(core_.shares.at(kBatch).budget);
  EXPECT_THAT(tasks_->warnings(), testing::ElementsAre(HasSubstr("tenant batch has no budget: ")));
  // The budget counts: 4 ms each 6 ms would fit without it.
  EXPECT_EQ(refused(ask("x", milliseconds(7))).reason(), TaskRefused::NOT_SCHEDULABLE);
}

TEST_F(TasksTest, ABudgetThatIsRefusedIsTriedAgainOnTheNextLane) {
  config_.tenants[0].budget = BudgetConfig{milliseconds(3), milliseconds(10)};
  tasks_.emplace(Tasks::Parts{config_, *catalog_, core_, statistics_, log_});
  tasks_->open();
  EXPECT_FALSE(core_.shares.at(kCamera).budget);
  EXPECT_THAT(tasks_->warnings(), testing::ElementsAre(HasSubstr("tenant camera has no budget: ")));
  tasks_->lane_up(kLane, kCpu, Preemption::boundary);
  EXPECT_EQ(core_.shares.at(kCamera).budget, (Budget{milliseconds(3), milliseconds(10), kLane}));
  EXPECT_THAT(tasks_->warnings(), testing::IsEmpty());
}

TEST_F(TasksTest, AReloadWithOtherTimesKeepsTheTasksWhereTheyStillFit) {
  const wire::TaskAdded before = accepted(ask("x"));
  catalog_->reload();
  lane::ModelDescription slower = network(4, Duration(milliseconds(3)) / 2);
  slower.digest = "e";
  ASSERT_TRUE(load(kA, slower));
  EXPECT_EQ(core_.tasks.at(TaskId{before.task()}).budget, milliseconds(6));
  const wire::TaskInfo info = tasks_->list(kCamera).tasks(0);
  EXPECT_EQ(info.suspended(), "");
  EXPECT_GT(info.bound().response_ns(), before.bound().response_ns());
}

TEST_F(TasksTest, AReloadWithLongerBlocksSuspendsTheTasksThatNoLongerFit) {
  accepted(ask("x"));
  accepted(ask("y", milliseconds(100)));
  wire::AddTask other = ask("of-b", milliseconds(50), 1);
  other.set_model("b");
  accepted(other);
  catalog_->reload();
  ASSERT_TRUE(load(kA, network(4, milliseconds(3))));
  EXPECT_THAT(
      tasks_->find("x", kCamera)->suspended,
      testing::StartsWith("the blocks of model a take too long now: tasks and budgets would need 128.0% "
                          "of lane 0; mandatory exit 1 would fit"));
  EXPECT_EQ(tasks_->find("y", kCamera)->suspended, "");
  EXPECT_EQ(tasks_->find("of-b", kCamera)->suspended, "");
  const wire::TaskList list = tasks_->list(kCamera);
  EXPECT_FALSE(list.tasks(0).has_bound());
  EXPECT_TRUE(list.tasks(1).has_bound());
  EXPECT_TRUE(list.tasks(2).has_bound());
  EXPECT_EQ(core_.tasks.size(), 2u);

  catalog_->reload();
  ASSERT_TRUE(load(kA, network(4, milliseconds(1))));
  EXPECT_EQ(core_.tasks.size(), 3u);
  EXPECT_EQ(tasks_->find("x", kCamera)->suspended, "");
  EXPECT_TRUE(tasks_->list(kCamera).tasks(0).has_bound());
}

TEST_F(TasksTest, AModelWhoseBlocksWouldBlockAnothersTasksTooLongIsRefused) {
  accepted(ask("x"));
  wire::AddTask own = ask("of-b", milliseconds(50), 1);
  own.set_model("b");
  accepted(own);
  catalog_->reload();
  const auto no = load(kB, network(2, milliseconds(7)));
  ASSERT_FALSE(no);
  EXPECT_THAT(no.error().message, HasSubstr("task \"x\" would miss its deadline of 10ms by"));
  EXPECT_FALSE(catalog_->model(kB).loaded());
  EXPECT_THAT(tasks_->find("of-b", kCamera)->suspended, HasSubstr("model b was loaded again and refused"));
  EXPECT_EQ(core_.tasks.size(), 1u);
  // Without model b its blocks are in nobody's way: those of a's own optional parts are left.
  EXPECT_LT(Duration(tasks_->list(kCamera).tasks(0).bound().blocking_ns()), milliseconds(2) - Duration{1});
}

TEST_F(TasksTest, ASuspendedTaskCanBeRemoved) {
  const wire::TaskAdded added = accepted(ask("x"));
  const auto before = catalog_->model(kA).times;
  catalog_->refused(kA, kCpu, "wrong checksum");
  tasks_->model_lost(kA, kCpu, before, "wrong checksum");
  EXPECT_TRUE(core_.tasks.empty());
  EXPECT_NE(statistics_.find(TaskId{added.task()}), nullptr);
  ASSERT_TRUE(tasks_->remove("x", kCamera));
  EXPECT_EQ(tasks_->list(std::nullopt).tasks_size(), 0);
  EXPECT_EQ(statistics_.find(TaskId{added.task()}), nullptr);
}

TEST_F(TasksTest, ATaskOfAnEvictedModelIsAnsweredOnceThatIsBack) {
  catalog_->set_evicted(kA, kCpu, true);
  const auto first = asks(ask("x")), second = asks(ask("x"));
  EXPECT_FALSE(*first);
  EXPECT_TRUE(core_.tasks.empty());
  EXPECT_TRUE(tasks_->need(kA)) << "so it comes back";

  catalog_->set_evicted(kA, kCpu, false);
  tasks_->residence_changed(kA);
  ASSERT_TRUE(*first && *second);
  EXPECT_TRUE(std::holds_alternative<wire::TaskAdded>(**first));
  ASSERT_TRUE(std::holds_alternative<TaskRefused>(**second));
  EXPECT_EQ(std::get<TaskRefused>(**second).reason(), TaskRefused::NAME_TAKEN);
  EXPECT_EQ(core_.tasks.size(), 1u);
}

TEST_F(TasksTest, WhatWaitsForAnEvictedModelCountsAndIsForgottenWithItsSession) {
  catalog_->set_evicted(kA, kCpu, true);
  const auto gone = asks(ask("x"), kCamera, SessionId{1}), stays = asks(ask("y"), kCamera, SessionId{2});
  const auto third = asks(ask("z"), kCamera, SessionId{1});
  EXPECT_EQ(refused(ask("w")).reason(), TaskRefused::QUOTA_TASKS);
  tasks_->forget(SessionId{1});
  catalog_->set_evicted(kA, kCpu, false);
  tasks_->residence_changed(kA);
  EXPECT_FALSE(*gone || *third);
  EXPECT_TRUE(*stays);
  EXPECT_EQ(core_.tasks.size(), 1u);

  ASSERT_TRUE(tasks_->remove("y", kCamera));
  catalog_->set_evicted(kA, kCpu, true);
  asks(ask("x"), kCamera, SessionId{1});
  tasks_->forget(SessionId{1});
  EXPECT_FALSE(tasks_->need(kA));
}

TEST_F(TasksTest, WhatWaitsForAnEvictedModelCanBeRemoved) {
  catalog_->set_evicted(kA, kCpu, true);
  const auto waits = asks(ask("x")), stays = asks(ask("y"));
  const auto missing = tasks_->remove("z", kCamera);
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("there is no task \"z\" of tenant camera"));
  ASSERT_TRUE(tasks_->remove("x", std::nullopt));
  ASSERT_TRUE(*waits && std::holds_alternative<TaskRefused>(**waits));
  EXPECT_EQ(std::get<TaskRefused>(**waits).reason(), TaskRefused::REMOVED);
  EXPECT_FALSE(*stays);
  catalog_->set_evicted(kA, kCpu, false);
  tasks_->residence_changed(kA);
  EXPECT_TRUE(*stays);
  EXPECT_EQ(core_.tasks.size(), 1u);
}

TEST_F(TasksTest, WhereTasksFillTheMemoryOrTheModelIsRefusedMeanwhileTheTaskIsRefused) {
  wire::AddTask of_b = ask("b", milliseconds(10), 1);
  of_b.set_model("b");
  accepted(of_b);
  catalog_->set_evicted(kA, kCpu, true);
  const auto refusal = [&](const std::shared_ptr<std::optional<Tasks::Reply>>& reply) {
    const bool is = *reply && std::holds_alternative<TaskRefused>(**reply);
    EXPECT_TRUE(is);
    return is ? std::get<TaskRefused>(**reply).words() : "";
  };
  auto waits = asks(ask("x"));
  tasks_->no_room(kA, kCpu);
  EXPECT_EQ(refusal(waits),
            "model a does not fit into the memory of device cpu beside the models of tasks there (b); remove "
            "such a task, or give the device more `memory`");
  EXPECT_FALSE(tasks_->need(kA));

  waits = asks(ask("x"));
  const auto before = catalog_->model(kA).times;
  catalog_->refused(kA, kCpu, "wrong checksum");
  tasks_->model_lost(kA, kCpu, before, "wrong checksum");
  EXPECT_FALSE(*waits);
  catalog_->set_evicted(kA, kCpu, false);
  tasks_->residence_changed(kA);
  EXPECT_EQ(refusal(waits), "model a is not loaded: wrong checksum");
}

// As one can be while its device is down: what else is promised there is not asked of memory.
TEST_F(TasksTest, AnAcceptedTaskWhoseModelFindsNoRoomIsSuspended) {
  const TaskId id{accepted(ask("x")).task()};
  wire::AddTask other = ask("of-b", milliseconds(50), 1);
  other.set_model("b");
  accepted(other);
  catalog_->set_evicted(kA, kCpu, true);
  tasks_->no_room(kA, kCpu);
  EXPECT_EQ(tasks_->find("x", kCamera)->suspended,
            "model a does not fit into the memory of device cpu beside the models of tasks there (b); remove "
            "such a task, or give the device more `memory`");
  EXPECT_FALSE(core_.tasks.contains(id));
  EXPECT_FALSE(tasks_->need(kA));
  EXPECT_EQ(tasks_->find("of-b", kCamera)->suspended, "");
  ASSERT_TRUE(load(kA, network(4, milliseconds(1))));
  EXPECT_EQ(tasks_->find("x", kCamera)->suspended, "");
  EXPECT_TRUE(core_.tasks.contains(id));
}

}  // namespace
}  // namespace einet
