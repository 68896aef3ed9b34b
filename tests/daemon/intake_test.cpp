// What a Submit may say, and with which words anything else is refused. Whatever is refused leaves nothing
// behind.
#include "daemon/einetd/intake.h"

#include <fcntl.h>
#include <filesystem>
#include <limits>
#include <sys/mman.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kept_promises.h"
#include "temporary_folder.h"

namespace einet {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using wire::Rejected;

constexpr TimePoint kNow{std::chrono::seconds(1000)};

lane::ModelDescription description() {
  lane::ModelDescription d;
  d.name = "digits";
  d.digest = "d";
  d.input = {1, 2, 3};
  d.blocks = 2;
  d.classes = 10;
  d.times.resize(2);
  d.accuracy = {0.5, 0.9};
  return d;
}

class IntakeTest : public testing::Test {
 protected:
  IntakeTest() {
    config_.devices = {{.name = "cpu"}};
    config_.tenants = {
        {.name = "camera", .uid = 7, .max_priority = 5, .max_jobs = 2, .max_bytes = ByteCount{40}}};
    for (const char* name : {"broken", "digits"}) {
      std::filesystem::create_directory(folder_.path() / (std::string(name) + ".einet"));
    }
    catalog_.emplace(*Catalog::scan(folder_.path(), {1}, "lookalikes"));
    catalog_->refused(ModelId{0}, DeviceId{0}, "weights.safetensors: wrong checksum");
    const auto times = catalog_->times_with(ModelId{1}, DeviceId{0}, description());
    EXPECT_TRUE(times);
    catalog_->loaded(ModelId{1}, description(), *times);
    tenants_.emplace(config_);
    arena_ = *Arena::create(ByteCount{4096});
    tasks_.emplace(Tasks::Parts{config_, *catalog_, core_, statistics_, log_});
    tasks_->lane_up(LaneId{0}, DeviceId{0}, Preemption::boundary);
    intake_.emplace(*catalog_, *tasks_, *tenants_, *arena_);

    good_.set_model("digits");
    good_.set_dtype(wire::U8);
    for (const std::uint32_t n : {1u, 2u, 3u}) good_.add_shape(n);
    good_.set_inline_bytes("abcdef");
  }

  auto check(const wire::Submit& s) { return intake_->check(s, TenantId{0}, regions_, kNow); }

  // Checks that `change` makes a good submission one that is refused.
  template <class Change>
  void refused(Change change, Rejected::Reason reason, const char* words) {
    wire::Submit s = good_;
    change(s);
    const auto result = check(s);
    ASSERT_FALSE(result) << words;
    EXPECT_EQ(result.error().reason, reason) << result.error().words;
    EXPECT_THAT(result.error().words, HasSubstr(words));
    EXPECT_EQ(tenants_->total().jobs, 0);
    EXPECT_EQ(arena_->used(), ByteCount{0});
  }

  test::TemporaryFolder folder_;
  DaemonConfig config_;
  std::optional<Catalog> catalog_;
  std::optional<Tenants> tenants_;
  std::unique_ptr<Arena> arena_;
  test::KeptPromises core_;
  TaskStatistics statistics_;
  Log log_{"off"};
  std::optional<Tasks> tasks_;
  std::optional<Intake> intake_;
  Regions regions_{config_.limits};
  wire::Submit good_;
};

TEST_F(IntakeTest, TakesWhatIsRightAndGivesItBack) {
  good_.set_priority(5);
  good_.set_release_in_ns(1000);
  good_.set_deadline_in_ns(5000);
  good_.set_mandatory_exit(1);
  {
    const auto job = check(good_);
    ASSERT_TRUE(job) << job.error().words;
    EXPECT_EQ(job->spec.release, kNow + Duration(1000));
    EXPECT_EQ(job->spec.deadline, kNow + Duration(6000));
    EXPECT_EQ(job->spec.mandatory_exit, 1);
    EXPECT_EQ(job->spec.priority, 5);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(job->input.bytes().data()), 6), "abcdef");
    EXPECT_EQ(tenants_->use(TenantId{0}).bytes, ByteCount{6});
  }
  EXPECT_EQ(tenants_->total().jobs, 0);
  EXPECT_EQ(arena_->used(), ByteCount{0});
}

TEST_F(IntakeTest, ARefusedModelSaysWhyAndAnUnknownOneNamesTheNearest) {
  refused([](auto& s) { s.set_model("digist"); }, Rejected::UNKNOWN_MODEL, "did you mean \"digits\"?");
  refused([](auto& s) { s.set_model("x\n"); }, Rejected::UNKNOWN_MODEL, "x\\x0a");
  refused([](auto& s) { s.set_model("broken"); }, Rejected::MODEL_REFUSED, "wrong checksum");
}

TEST_F(IntakeTest, TheInputMustFitTheModel) {
  const auto wrong = Rejected::WRONG_INPUT;
  refused([](auto& s) { s.clear_dtype(); }, wrong, "dtype 0 is unknown");
  refused([](auto& s) { s.set_dtype(static_cast<wire::DataType>(9)); }, wrong, "allowed: U8 or F32");
  refused([](auto& s) { s.clear_shape(); }, wrong, "shape is none; model digits takes 1x2x3");
  refused([](auto& s) { s.set_shape(2, 4); }, wrong, "shape is 1x2x4; model digits takes 1x2x3");
  refused([](auto& s) { s.add_shape(1); }, wrong, "1x2x3x1");
  refused(
      [](auto& s) {
        for (int i = 0; i < 1000; ++i) s.add_shape(~0u);
      },
      wrong, "…");
  refused([](auto& s) { s.clear_input(); }, wrong, "there is no input");
  refused([](auto& s) { s.set_inline_bytes("abcde"); }, wrong, "has 5 bytes; 1x2x3 U8 has 6");
  refused([](auto& s) { s.set_dtype(wire::F32); }, wrong, "has 6 bytes; 1x2x3 F32 has 24");
  refused([](auto& s) { s.mutable_region()->set_length(6); }, wrong, "there is no region 0");
  refused([](auto& s) { s.mutable_region()->set_length(~0ull); }, wrong, "has 18446744073709551615 bytes");
  refused(
      [](auto& s) {
        s.set_dtype(wire::F32);
        s.mutable_region()->set_length(24);
        s.mutable_region()->set_offset(2);
      },
      wrong, "multiple of the element size");
}

TEST_F(IntakeTest, EveryElementMustBeFiniteAndStaySo) {
  const auto set = [](wire::Submit& s, float third) {
    s.set_dtype(wire::F32);
    const float values[6] = {0, 1, 2, third, 4, 5};
    s.set_inline_bytes(values, sizeof values);
  };
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const auto& [bad, words] :
       {std::pair(std::numeric_limits<float>::quiet_NaN(), "is NaN; every"),
        std::pair(kInfinity, "is infinite; every"), std::pair(-kInfinity, "is infinite; every"),
        std::pair(1e38F, "is 1e+38; every"),
        std::pair(-2e12F, "is -2e+12; every element must be from -1e12 to 1e12")}) {
    refused([&, bad = bad](auto& s) { set(s, bad); }, Rejected::INPUT_NOT_FINITE,
            (std::string("element 3 of the input ") + words).c_str());
  }
  set(good_, -1e12F);
  EXPECT_TRUE(check(good_));
}

TEST_F(IntakeTest, TimesMustMakeSense) {
  const std::int64_t now = kNow.time_since_epoch().count();
  refused([&](auto& s) { s.set_deadline_at_ns(now - 1'000'000); }, Rejected::DEADLINE_IN_PAST,
          "1.00ms before the job was received");
  refused(
      [&](auto& s) {
        s.set_release_at_ns(1);
        s.set_deadline_at_ns(now - 1'000'000);
      },
      Rejected::DEADLINE_IN_PAST, "1.00ms before the job was received");
  refused(
      [&](auto& s) {
        s.set_release_in_ns(1000);
        s.set_deadline_at_ns(now + 10);
      },
      Rejected::DEADLINE_BEFORE_RELEASE, "990ns before the release");
  refused([](auto& s) { s.set_deadline_in_ns(0); }, Rejected::DEADLINE_BEFORE_RELEASE, "must be after");
  refused([](auto& s) { s.set_deadline_in_ns(-1); }, Rejected::BAD_ARGUMENT, "deadline is negative");
  refused([](auto& s) { s.set_release_in_ns(std::int64_t{1} << 62); }, Rejected::BAD_ARGUMENT, "beyond 2^62");
  refused([](auto& s) { s.set_release_at_ns(std::numeric_limits<std::int64_t>::min()); },
          Rejected::BAD_ARGUMENT, "release");
  refused([](auto& s) { s.set_deadline_at_ns(std::numeric_limits<std::int64_t>::max()); },
          Rejected::BAD_ARGUMENT, "beyond 2^62");
}

TEST_F(IntakeTest, AReleaseInThePastMeansNowAndItsDeadlineCountsFromIt) {
  good_.set_release_at_ns(kNow.time_since_epoch().count() - 100);
  good_.set_deadline_in_ns(1000);
  const auto job = check(good_);
  ASSERT_TRUE(job) << job.error().words;
  EXPECT_EQ(job->spec.release, kNow);
  EXPECT_EQ(job->spec.deadline, kNow + Duration(900));
}

TEST_F(IntakeTest, ArgumentsAndCeilingsHold) {
  refused([](auto& s) { s.set_priority(6); }, Rejected::PRIORITY_CEILING,
          "tenant camera may use -1000000 to 5");
  refused([](auto& s) { s.set_priority(-2'000'000'000); }, Rejected::PRIORITY_CEILING, "may use");
  refused([](auto& s) { s.set_mandatory_exit(2); }, Rejected::BAD_ARGUMENT, "has exits 0 to 1");
  refused([](auto& s) { s.set_mandatory_exit(~0u); }, Rejected::BAD_ARGUMENT, "has exits 0 to 1");
  for (const float bad : {0.0f, -1.0f, 1.5f, std::numeric_limits<float>::quiet_NaN()}) {
    refused([&](auto& s) { s.set_target_confidence(bad); }, Rejected::BAD_ARGUMENT, "above 0, at most 1");
  }
  refused([](auto& s) { s.set_plan(static_cast<wire::PlanMode>(7)); }, Rejected::BAD_ARGUMENT,
          "plan 7 is unknown");
}

TEST_F(IntakeTest, AStaticPlanHasExitsOfTheModel) {
  good_.set_plan(wire::ALL);
  {
    const auto job = check(good_);
    ASSERT_TRUE(job) << job.error().words;
    EXPECT_EQ(job->spec.exits, kEveryExit);
  }
  refused([](auto& s) { s.set_exits(4); }, Rejected::BAD_ARGUMENT, "exits has exit 2; model");
  refused([](auto& s) { s.set_exits(~0ull); }, Rejected::BAD_ARGUMENT, "exits has exit 63; model");
  refused([](auto& s) { s.set_exits(1), s.set_mandatory_exit(1); }, Rejected::BAD_ARGUMENT,
          "exits has none from mandatory_exit, 1, on");
  refused([](auto& s) { s.set_exits(1), s.set_plan(wire::EXACT); }, Rejected::BAD_ARGUMENT,
          "with plan ALL only");
  good_.set_exits(2);
  good_.set_mandatory_exit(1);
  const auto job = check(good_);
  ASSERT_TRUE(job) << job.error().words;
  EXPECT_EQ(job->spec.exits, 2u);
}

TEST_F(IntakeTest, QuotasHold) {
  const auto first = check(good_);
  ASSERT_TRUE(first);
  {
    const auto second = check(good_);
    ASSERT_TRUE(second);
    EXPECT_EQ(check(good_).error().reason, Rejected::QUOTA_JOBS);
  }
  good_.set_dtype(wire::F32);
  good_.set_inline_bytes(std::string(24, '\0'));
  const auto second = check(good_);
  ASSERT_TRUE(second);
  EXPECT_EQ(tenants_->use(TenantId{0}).bytes, ByteCount{30});
}

TEST_F(IntakeTest, AFullArenaIsARejectionNotAFailure) {
  auto all = arena_->allocate(4096);
  const auto job = check(good_);
  ASSERT_FALSE(job);
  EXPECT_EQ(job.error().reason, Rejected::QUEUE_FULL);
  EXPECT_EQ(tenants_->total().jobs, 0);
}

UniqueFd memfd(off_t size, int seals) {
  UniqueFd fd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(::ftruncate(fd.get(), size), 0);
  EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, seals), 0);
  return fd;
}

TEST(Regions, TakeOnlyMemoryThatCannotShrink) {
  LimitsConfig limits;
  limits.region = ByteCount{8192};
  limits.regions = 2;
  Regions regions(limits);
  EXPECT_THAT(regions.add(memfd(4096, 0), 4096).error().words, HasSubstr("could shrink"));
  EXPECT_THAT(regions.add(memfd(4096, F_SEAL_SHRINK), 4097).error().words,
              HasSubstr("less than the announced"));
  EXPECT_THAT(regions.add(memfd(4096, F_SEAL_SHRINK), 0).error().words, HasSubstr("allowed: 1B to 8KiB"));
  EXPECT_THAT(regions.add(memfd(16384, F_SEAL_SHRINK), 8193).error().words, HasSubstr("allowed: 1B to 8KiB"));
  EXPECT_THAT(regions.add(UniqueFd(::open("/dev/zero", O_RDONLY | O_CLOEXEC)), 1).error().words,
              HasSubstr("not a memfd"));
  EXPECT_EQ(*regions.add(memfd(4096, F_SEAL_SHRINK), 4096), 1u);
  EXPECT_EQ(*regions.add(memfd(4096, F_SEAL_SHRINK), 4096), 2u);
  EXPECT_EQ(regions.add(memfd(4096, F_SEAL_SHRINK), 4096).error().why, Regions::Refusal::too_many);
  EXPECT_TRUE(regions.remove(1));
  EXPECT_FALSE(regions.remove(1));
  EXPECT_EQ(*regions.add(memfd(4096, F_SEAL_SHRINK), 4096), 3u);  // numbers are not reused
}

TEST(Regions, SlicesAreWithinThem) {
  const LimitsConfig limits;
  Regions regions(limits);
  UniqueFd fd = memfd(4096, F_SEAL_SHRINK);
  ASSERT_EQ(::pwrite(fd.get(), "hello", 5, 4091), 5);
  ASSERT_TRUE(regions.add(std::move(fd), 4096));
  std::byte to[5];
  ASSERT_TRUE(regions.copy(1, 4091, to));
  EXPECT_EQ(std::memcmp(to, "hello", 5), 0);
  EXPECT_FALSE(regions.copy(1, 4092, to));
  EXPECT_FALSE(regions.copy(1, ~0ull, to));
  EXPECT_FALSE(regions.copy(2, 0, to));
}

class TaskIntakeTest : public IntakeTest {
 protected:
  TaskIntakeTest() {
    wire::AddTask add;
    add.set_name("detector");
    add.set_model("digits");
    add.set_period_ns(Duration(milliseconds(100)).count());
    add.set_deadline_ns(Duration(milliseconds(50)).count());
    add.set_priority(3);
    add.set_mandatory_exit(1);
    tasks_->add(add, TenantId{0}, SessionId{1}, [](const Tasks::Reply& reply) {
      EXPECT_TRUE(std::holds_alternative<wire::TaskAdded>(reply));
    });
    good_.set_task("detector");
    good_.clear_model();
  }
};

TEST_F(TaskIntakeTest, AJobOfATaskHasFromItWhatTheTaskSays) {
  const auto job = check(good_);
  ASSERT_TRUE(job) << job.error().words;
  EXPECT_EQ(job->spec.task, TaskId{1});
  EXPECT_EQ(job->spec.model, ModelId{1});
  EXPECT_EQ(job->spec.deadline, kNow + milliseconds(50));
  EXPECT_EQ(job->spec.priority, 3);
  EXPECT_EQ(job->spec.mandatory_exit, 1);
  good_.set_model("digits");
  EXPECT_TRUE(check(good_));
}

TEST_F(TaskIntakeTest, WhatTheTaskSaysTheJobMayNotSay) {
  const auto bad = Rejected::BAD_ARGUMENT;
  refused([](auto& s) { s.set_deadline_in_ns(5); }, bad, "has its deadline from the task; leave it out");
  refused([](auto& s) { s.set_priority(1); }, bad, "has its priority from the task");
  refused([](auto& s) { s.set_mandatory_exit(0); }, bad, "has its mandatory exit from the task");
  refused([](auto& s) { s.set_model("broken"); }, bad,
          "task \"detector\" is of model digits, the job of model \"broken\"; submit it to digits");
  refused([](auto& s) { s.set_task("detectr"); }, Rejected::NO_SUCH_TASK, "there is no task \"detectr\"");
  refused([](auto& s) { s.set_task("a\nb"); }, Rejected::NO_SUCH_TASK, "a\\x0ab");
}

// Reserved work executes the mandatory exit and none before it.
TEST_F(TaskIntakeTest, AStaticPlanBeginsWithTheMandatoryExitOfTheTask) {
  good_.set_plan(wire::ALL);
  for (const std::uint64_t exits : {1u, 3u}) {
    refused(
        [&](auto& s) { s.set_exits(exits); }, Rejected::BAD_ARGUMENT,
        "the first of exits is 0; what is reserved for a job of a task executes the task's mandatory exit, "
        "1, and none before it: begin with that one");
  }
  good_.set_exits(2);
  const auto job = check(good_);
  ASSERT_TRUE(job) << job.error().words;
  EXPECT_EQ(job->spec.exits, 2u);
}

TEST_F(TaskIntakeTest, AJobOfASuspendedTaskIsToldWhy) {
  const auto before = catalog_->model(ModelId{1}).times;
  catalog_->refused(ModelId{1}, DeviceId{0}, "wrong checksum");
  tasks_->model_lost(ModelId{1}, DeviceId{0}, before, "wrong checksum");
  refused([](auto&) {}, Rejected::TASK_SUSPENDED, "loaded again and refused: wrong checksum");
}

}  // namespace
}  // namespace einet
