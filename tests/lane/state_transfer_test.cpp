// A job's state goes from one einet-worker to another, through the real control sockets, and the job goes on
// there as if it had never moved; what cannot be moved is refused with a reason, and the worker lives.
#include <fcntl.h>
#include <string>
#include <unistd.h>

#include <gtest/gtest.h>

#include "ipc/lane/shared_memory.h"
#include "models/synthetic/synthetic_backend.h"
#include "temporary_folder.h"
#include "worker_harness.h"

namespace einet::lane {
namespace {

UniqueFd memory_for_a_state() {
  auto memory = make_to_be_filled("state");
  EXPECT_TRUE(memory.has_value());
  return std::move(*memory);
}

UniqueFd copy_of(const UniqueFd& fd) {
  return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
}

// Of the job with this number, which is that of its slot, too; model 0 unless it says otherwise.
SaveState save(std::uint64_t job, int next_block, const UniqueFd& memory) {
  return {JobId{job}, static_cast<std::uint32_t>(job), ModelId{0}, next_block, copy_of(memory)};
}
LoadState load(std::uint64_t job, int next_block, const UniqueFd& memory) {
  return {JobId{job}, static_cast<std::uint32_t>(job), ModelId{0}, next_block, copy_of(memory)};
}

StateMoved answer(WorkerHarness& worker, ToWorker message) {
  worker.send(std::move(message));
  return worker.receive<StateMoved>();
}

void expect_done(const StateMoved& answer, std::uint64_t job) {
  EXPECT_EQ(answer.job, JobId{job});
  EXPECT_EQ(answer.problem, "");
}

void expect_refused(const StateMoved& answer, const std::string& why) {
  EXPECT_NE(answer.problem.find(why), std::string::npos) << answer.problem << "; expected: " << why;
  EXPECT_FALSE(answer.out_of_memory);
}

// Runs blocks first … last of the job, with the last one's exit, and returns its answer.
Answer run(WorkerHarness& worker, std::uint64_t number, std::uint64_t job, int first, int last) {
  worker.channel->post(0, grant(number, job, first, exit_bit(last)));
  const auto reports = worker.finish();
  EXPECT_EQ(reports.size(), static_cast<std::size_t>(last - first + 1));
  EXPECT_EQ(reports.back().finished, End::done);
  return reports.back().answer.value_or(Answer{});
}

class StateTransfer : public testing::Test {
 protected:
  StateTransfer() { serve(from); }

  void serve(WorkerHarness& worker) {
    worker.receive<Ready>();
    worker.load(ModelId{0}, package);
  }

  // Job 1 of `from` stands before block 2, its state in the memory.
  void save_job_1() {
    run(from, 1, 1, 0, 1);
    expect_done(answer(from, save(1, 2, memory)), 1);
  }

  test::TemporaryFolder folder;
  std::filesystem::path package = test::write_synthetic_package(folder.path(), small_package());
  UniqueFd memory = memory_for_a_state();
  WorkerHarness from{"synthetic", 1};
};

TEST_F(StateTransfer, LetsAJobGoOnInAnotherWorkerOnEveryBackendThatWasBuilt) {
  for (const std::string backend : {EINET_BACKENDS}) {
    WorkerHarness first(backend, 1), second(backend, 1);
    serve(first);
    serve(second);
    // Only the first worker has the job's input.
    for (std::size_t i = 0; i < 64; ++i) first.arena.mapping.writable_data()[i] = std::byte(3 * i);
    const Answer alone = run(first, 1, 1, 0, 2);
    run(first, 2, 2, 0, 1);
    const UniqueFd carrier = memory_for_a_state();
    expect_done(answer(first, save(2, 2, carrier)), 2);
    ASSERT_TRUE(seal_filled(carrier.get()).has_value());
    run(second, 1, 2, 0, 2);  // the slot's job before
    expect_done(answer(second, load(2, 2, carrier)), 2);
    const Answer moved = run(second, 2, 2, 2, 2);
    EXPECT_EQ(moved.top_class, alone.top_class) << backend;
    EXPECT_EQ(moved.confidence, alone.confidence) << backend;
    // The first worker has kept it.
    EXPECT_EQ(run(first, 3, 2, 2, 2).confidence, alone.confidence) << backend;
  }
}

TEST_F(StateTransfer, AnswersInTheOrderInWhichItIsAsked) {
  save_job_1();
  ASSERT_TRUE(seal_filled(memory.get()).has_value());
  const UniqueFd other = memory_for_a_state();
  from.send(load(7, 2, memory));
  from.send(save(7, 2, other));
  from.send(save(8, 2, other));
  expect_done(from.receive<StateMoved>(), 7);
  expect_done(from.receive<StateMoved>(), 7);
  EXPECT_EQ(from.receive<StateMoved>().job, JobId{8});
}

TEST_F(StateTransfer, RefusesToSaveWhatIsNotThere) {
  run(from, 1, 1, 0, 1);
  SaveState unknown = save(1, 2, memory);
  unknown.model = ModelId{5};
  expect_refused(answer(from, std::move(unknown)), "model 5 is not loaded");
  expect_refused(answer(from, save(1, 3, memory)), "the model has 3 blocks, none with number 3");
  expect_refused(answer(from, save(1, 1, memory)), "job slot 1 is before block 2, not 1");
  expect_refused(answer(from, save(2, 2, memory)), "job slot 2 holds another job");
  SaveState another = save(9, 2, memory);
  another.job_slot = 1;
  expect_refused(answer(from, std::move(another)), "job slot 1 holds another job");
  expect_done(answer(from, save(1, 2, memory)), 1);
}

TEST_F(StateTransfer, RefusesToSaveIntoWhatCannotTakeIt) {
  run(from, 1, 1, 0, 1);
  expect_refused(answer(from, save(1, 2, UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)))),
                 "shared memory");
  ASSERT_TRUE(seal_filled(memory.get()).has_value());
  expect_refused(answer(from, save(1, 2, memory)), "shared memory");
}

TEST_F(StateTransfer, RefusesToLoadWhatIsNotTheStateOfAJobThere) {
  save_job_1();
  expect_refused(answer(from, load(2, 2, memory)), "not shared memory of a sealed size");
  ASSERT_TRUE(seal_filled(memory.get()).has_value());
  LoadState unknown = load(2, 2, memory);
  unknown.model = ModelId{5};
  expect_refused(answer(from, std::move(unknown)), "model 5 is not loaded");
  expect_refused(answer(from, load(2, 3, memory)), "the model has 3 blocks, none with number 3");
  for (const std::uint64_t size : {7, 9}) {
    const UniqueFd wrong = memory_for_a_state();
    ASSERT_TRUE(map_for_filling(wrong.get(), ByteCount{size}).has_value());
    ASSERT_TRUE(seal_filled(wrong.get()).has_value());
    expect_refused(answer(from, load(2, 2, wrong)),
                   "the shared memory has " + std::to_string(size) + " bytes; ");
  }
  // Nothing has arrived that a grant could go on with.
  from.channel->post(0, grant(2, 2, 2, 0b100));
  EXPECT_EQ(from.finish().back().finished, End::failed);
  from.receive<LogLine>();
  expect_done(answer(from, load(2, 2, memory)), 2);
}

TEST_F(StateTransfer, DoesNotWaitForALaneThatUsesTheSlot) {
  auto want = small_package();
  want.name = "slow";
  want.trunk[2] = std::chrono::milliseconds(500);
  from.load(ModelId{1}, test::write_synthetic_package(folder.path(), want));
  save_job_1();
  ASSERT_TRUE(seal_filled(memory.get()).has_value());
  GrantMessage message = grant(2, 2, 0, 0b100);
  message.model = ModelId{1};
  from.channel->post(0, message);
  while (!from.channel->running_since(0) && from.channel->arm() == Arm::asleep) std::this_thread::yield();
  const UniqueFd other = memory_for_a_state();
  expect_refused(answer(from, save(2, 2, other)), "job slot 2 is in use");
  expect_refused(answer(from, load(2, 2, memory)), "job slot 2 is in use");
  // Others' states move meanwhile.
  expect_done(answer(from, save(1, 2, other)), 1);
  EXPECT_NE(from.channel->outstanding(0), 0U) << "the block was over too soon";
  EXPECT_EQ(from.finish().back().finished, End::done);
}

TEST_F(StateTransfer, SaysWhenTheDeviceHasNoMemoryLeftForTheState) {
  save_job_1();
  ASSERT_TRUE(seal_filled(memory.get()).has_value());
  Configure configure;
  configure.backend = "synthetic";
  configure.lanes = 1;
  configure.memory = size_of(read_package(package).value().weights) + ByteCount{12};
  WorkerHarness small(std::move(configure));
  serve(small);
  expect_done(answer(small, load(1, 2, memory)), 1);
  const StateMoved refused = answer(small, load(2, 2, memory));
  EXPECT_TRUE(refused.out_of_memory);
  EXPECT_NE(refused.problem.find("job slot 2: 8B is more than the 4B left of this device's `memory`"),
            std::string::npos)
      << refused.problem;
  run(small, 1, 1, 2, 2);
}

TEST_F(StateTransfer, IsMeasuredAtEveryBoundaryWhenAModelIsLoaded) {
  for (const std::string backend : {EINET_BACKENDS}) {
    WorkerHarness worker(backend, 1);
    worker.receive<Ready>();
    const auto moves = worker.load(ModelId{0}, package).moves;
    ASSERT_EQ(moves.size(), 3U) << backend;
    EXPECT_EQ(moves[0], MoveTime{});
    for (std::size_t b = 1; b < moves.size(); ++b) {
      EXPECT_EQ(moves[b].bytes, ByteCount{backend == "synthetic" ? 8U : 64 * sizeof(float)}) << backend;
      EXPECT_GT(moves[b].out, Duration{});
      EXPECT_GT(moves[b].in, Duration{});
    }
  }
}

TEST_F(StateTransfer, OfAGpuIsMeasuredWithItsTransfers) {
  WorkerHarness worker("synthetic-gpu", 1);
  worker.receive<Ready>();
  const auto moves = worker.load(ModelId{0}, package).moves;
  ASSERT_EQ(moves.size(), 3U);
  for (std::size_t b = 1; b < moves.size(); ++b) {
    EXPECT_GE(moves[b].out, kSyntheticTransfer);
    EXPECT_GE(moves[b].in, kSyntheticTransfer);
  }
}

}  // namespace
}  // namespace einet::lane
