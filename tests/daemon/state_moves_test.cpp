// States on their way between two workers, of which only the messages exist here.
#include "daemon/einetd/state_moves.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace einet {
namespace {

constexpr DeviceId kFrom{0}, kTo{1};
constexpr StateMoves::Order kOrder{
    .job = JobId{7}, .slot = 3, .model = ModelId{2}, .next_block = 4, .from = kFrom, .to = kTo};

// What a worker was asked for.
struct Asked {
  bool to_load = false;
  JobId job;
  std::uint32_t slot = 0;
  int next_block = 0;
  UniqueFd memory;
};

struct Moves : testing::Test {
  Moves() {
    moves.attach(kFrom, [this](const lane::ToWorker& m) { return take(m, from); });
    moves.attach(kTo, [this](const lane::ToWorker& m) { return take(m, to); });
  }
  Result<void> take(const lane::ToWorker& message, std::vector<Asked>& asked) {
    if (full) return error("the socket is full");
    const auto note = [&](const auto& m, bool load) {
      asked.push_back({load, m.job, m.job_slot, m.next_block, UniqueFd(::dup(m.memory.get()))});
    };
    if (const auto* save = std::get_if<lane::SaveState>(&message)) note(*save, false);
    if (const auto* load = std::get_if<lane::LoadState>(&message)) note(*load, true);
    return {};
  }
  StateMoves::Progress progress() const { return moves.progress(kOrder.job); }

  SystemClock clock;
  StateMoves moves{clock, 2};
  std::vector<Asked> from, to;
  bool full = false;
};

using Progress = StateMoves::Progress;

TEST_F(Moves, AreSavedByTheOneWorkerAndLoadedByTheOther) {
  moves.begin(kOrder);
  ASSERT_EQ(from.size(), 1u);
  EXPECT_FALSE(from[0].to_load);
  EXPECT_EQ(from[0].slot, 3u);
  EXPECT_EQ(from[0].next_block, 4);
  EXPECT_TRUE(to.empty()) << "before it is saved";
  EXPECT_EQ(progress(), Progress::under_way);
  EXPECT_TRUE(moves.is_busy(kFrom, 3) && !moves.is_busy(kTo, 3) && moves.is_busy(3));
  EXPECT_TRUE(moves.waits_since(kFrom));

  ASSERT_EQ(::write(from[0].memory.get(), "state", 5), 5);
  EXPECT_EQ(moves.answered(kFrom, {kOrder.job}).value(), "");
  ASSERT_EQ(to.size(), 1u);
  EXPECT_TRUE(to[0].to_load);
  struct stat file {};
  ASSERT_EQ(::fstat(to[0].memory.get(), &file), 0);
  EXPECT_EQ(file.st_size, 5) << "the same memory";
  EXPECT_NE(::ftruncate(from[0].memory.get(), 0), 0) << "nobody can cut it under its reader";
  EXPECT_EQ(progress(), Progress::under_way);

  EXPECT_EQ(moves.answered(kTo, {kOrder.job}).value(), "");
  EXPECT_EQ(progress(), Progress::arrived);
  EXPECT_FALSE(moves.is_busy(3));
  moves.forget(kOrder.job);
  EXPECT_EQ(progress(), Progress::none);
}

TEST_F(Moves, FailWithTheWorkersWords) {
  moves.begin(kOrder);
  EXPECT_EQ(moves.answered(kFrom, {kOrder.job, "no"}).value(), "no");
  EXPECT_EQ(progress(), Progress::failed);
  EXPECT_TRUE(to.empty());
}

TEST_F(Moves, SayWhetherMemoryIsLackingWhereTheyGo) {
  moves.begin(kOrder);
  EXPECT_EQ(moves.answered(kFrom, {kOrder.job, "no room", true}).value(), "no room");
  EXPECT_EQ(progress(), Progress::failed) << "it was not to stay there";
  moves.forget(kOrder.job);
  moves.begin(kOrder);
  EXPECT_EQ(moves.answered(kFrom, {kOrder.job}).value(), "");
  EXPECT_EQ(moves.answered(kTo, {kOrder.job, "no room", true}).value(), "no room");
  EXPECT_EQ(progress(), Progress::no_memory);
}

TEST_F(Moves, FailWhereAWorkerCannotBeAskedOrGoes) {
  full = true;
  moves.begin(kOrder);
  EXPECT_EQ(progress(), Progress::failed);
  full = false;
  moves.forget(kOrder.job);
  moves.begin(kOrder);
  moves.detach(kFrom);
  EXPECT_EQ(progress(), Progress::failed);
  EXPECT_FALSE(moves.is_busy(3)) << "it answers nothing any more";
  moves.forget(kOrder.job);
  moves.begin(kOrder);
  EXPECT_EQ(progress(), Progress::failed) << "it is gone";
}

TEST_F(Moves, AreNotMistakenForTheNextMoveOfTheSameJob) {
  moves.begin(kOrder);
  moves.forget(kOrder.job);
  moves.begin(kOrder);
  EXPECT_EQ(moves.answered(kFrom, {kOrder.job}).value(), "");
  EXPECT_TRUE(to.empty()) << "that was the first one's";
  EXPECT_TRUE(moves.is_busy(kFrom, 3));
  EXPECT_EQ(moves.answered(kFrom, {kOrder.job}).value(), "");
  EXPECT_EQ(to.size(), 1u);
}

TEST_F(Moves, BelieveNoAnswerThatNobodyAskedFor) {
  EXPECT_FALSE(moves.answered(kFrom, {kOrder.job}));
  moves.begin(kOrder);
  EXPECT_FALSE(moves.answered(kFrom, {JobId{8}}));
  EXPECT_FALSE(moves.answered(kTo, {kOrder.job}));
  EXPECT_EQ(progress(), Progress::under_way);
}

}  // namespace
}  // namespace einet
