// `einet simulate` from the outside: the set file, its errors, and the two CSV files.
#include "tools/einet/simulate.h"

#include <fcntl.h>
#include <sstream>
#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/files.h"
#include "config/unique_fd.h"
#include "scheduler/simulation/simulate.h"
#include "temporary_folder.h"

namespace einet {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr std::string_view kSet = R"(policy = "edf"
horizon = "20ms"
[[task]]
name = "a"
period = "10ms"
deadline = "8ms"
blocks = ["1.5ms", "2ms"]
[[job]]
name = "b"
release = "1ms"
deadline = "2ms"
blocks = ["1ms", "1ms", "1ms"]
)";

std::string blocks_of(std::string_view text) {
  const Result<TaskSet> set = parse_task_set(text, "set.toml");
  if (!set) return set.error().message;
  const Result<SimulationResult> result = simulate(*set);
  return result ? blocks_csv(*set, *result) : result.error().message;
}

std::string error_of(std::string_view text) {
  const Result<TaskSet> set = parse_task_set(text, "set.toml");
  return set ? "no error" : set.error().message;
}

TEST(Simulate, WritesARowPerBlockAndARowPerJob) {
  const Result<TaskSet> set = parse_task_set(kSet, "set.toml");
  ASSERT_TRUE(set.has_value()) << set.error().message;
  const Result<SimulationResult> result = simulate(*set);
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(blocks_csv(*set, *result),
            "job,task,index,block,lane,start_ns,finish_ns\n"
            "0,a,0,0,0,0,1500000\n"
            "2,b,0,0,0,1500000,2500000\n"
            "2,b,0,1,0,2500000,3500000\n"
            "0,a,0,1,0,3500000,5500000\n"
            "1,a,1,0,0,10000000,11500000\n"
            "1,a,1,1,0,11500000,13500000\n");
  EXPECT_EQ(jobs_csv(*set, *result),
            "job,task,index,release_ns,deadline_ns,finish_ns,outcome\n"
            "0,a,0,0,8000000,5500000,completed\n"
            "1,a,1,10000000,18000000,13500000,completed\n"
            "2,b,0,1000000,3000000,3500000,missed\n");
}

// A short task beside long jobs, which take both lanes before it comes.
constexpr std::string_view kBlocked = R"(lanes = 2
horizon = "100ms"
[[task]]
name = "short"
offset = "1ms"
period = "50ms"
deadline = "14ms"
blocks = ["2ms", "2ms"]
[[job]]
name = "one"
deadline = "1s"
priority = 9
blocks = ["10ms", "10ms", "10ms"]
[[job]]
name = "two"
deadline = "1s"
priority = 9
blocks = ["10ms", "10ms", "10ms"]
)";

std::string first_job(const std::string& head) {
  const Result<TaskSet> set = parse_task_set(head + std::string(kBlocked), "set.toml");
  if (!set) return set.error().message;
  const Result<SimulationResult> result = simulate(*set);
  return std::string(name(result->jobs[0].outcome)) + " at " +
         format_duration(result->jobs[0].finish.time_since_epoch());
}

TEST(Simulate, ReservesPartitionedTasksSoThatNoPriorityOutranksThem) {
  EXPECT_EQ(first_job("policy = \"fixed-priority\"\n"), "missed at 15ms");
  EXPECT_EQ(first_job("policy = \"fixed-priority\"\nplacement = \"partitioned\"\n"), "completed at 14ms");
  EXPECT_EQ(first_job("policy = \"imprecise\"\nplacement = \"partitioned\"\n"), "completed at 14ms");
}

TEST(Simulate, TakesTheCoreAtOnceWherePreemptionIsInstant) {
  EXPECT_EQ(first_job("policy = \"edf\"\n"), "completed at 14ms");
  EXPECT_EQ(first_job("policy = \"edf\"\npreemption = \"instant\"\n"), "completed at 5ms");
  EXPECT_EQ(first_job("policy = \"edf\"\npreemption = \"as-needed\"\n"), "completed at 14ms");
  const Result<TaskSet> set =
      parse_task_set("policy = \"edf\"\npreemption = \"instant\"\n" + std::string(kBlocked), "set.toml");
  const std::string rows = blocks_csv(*set, *simulate(*set));
  // On the urgent lane beside the least urgent block, which takes as much longer.
  EXPECT_NE(rows.find("0,short,0,0,3,1000000,3000000\n"), std::string::npos) << rows;
  EXPECT_NE(rows.find("3,two,0,0,1,0,14000000\n"), std::string::npos) << rows;
}

TEST(Simulate, NumbersTasksBeforeJobsWhateverTheFileSays) {
  EXPECT_EQ(blocks_of("policy = \"fifo\"\nhorizon = \"1ns\"\n"
                      "[[job]]\nname = \"j\"\ndeadline = \"9ns\"\nblocks = [\"1ns\"]\n"
                      "[[task]]\nname = \"t\"\nperiod = \"5ns\"\nblocks = [\"2ns\"]\n"),
            "job,task,index,block,lane,start_ns,finish_ns\n0,t,0,0,0,0,2\n1,j,0,0,0,2,3\n");
}

TEST(Simulate, ExpandsTasksStrictlyBeforeTheHorizon) {
  const std::string task = "[[task]]\nname = \"t\"\noffset = \"2ns\"\nperiod = \"4ns\"\nblocks = [\"1ns\"]\n";
  EXPECT_EQ(parse_task_set("policy = \"edf\"\nhorizon = \"10ns\"\n" + task, "f")->jobs.size(), 2u);
  EXPECT_EQ(parse_task_set("policy = \"edf\"\nhorizon = \"11ns\"\n" + task, "f")->jobs.size(), 3u);
  EXPECT_EQ(parse_task_set("policy = \"edf\"\nhorizon = \"2ns\"\n" + task, "f")->jobs.size(), 0u);
}

TEST(Simulate, AcceptsTheLargestTimesAndRefusesToRunPastTheClock) {
  const std::string head = "policy = \"edf\"\n";
  const std::string job = "deadline = \"4611686018427387903ns\"\nblocks = [\"4611686018427387903ns\"]\n";
  EXPECT_THAT(blocks_of(head + "[[job]]\nname = \"x\"\n" + job),
              HasSubstr("0,x,0,0,0,0,4611686018427387903\n"));
  EXPECT_EQ(blocks_of(head + "[[job]]\nname = \"x\"\nrelease = \"1ns\"\n" + job),
            "job 0 (x, index 0) would run past 2^62 ns");
}

TEST(Simulate, AcceptsAnEmptySet) {
  EXPECT_EQ(blocks_of("policy = \"edf\""), "job,task,index,block,lane,start_ns,finish_ns\n");
}

// Each line of `changes`: what is replaced in kSet, what it becomes, and what the error must say.
TEST(Simulate, RefusesABadSetAndNamesThePlace) {
  const struct {
    std::string_view from, to, says;
  } changes[] = {
      {"policy = \"edf\"\n", "", "policy: is missing"},
      {"\"edf\"", "\"efd\"",
       "set.toml:1:10: policy: found \"efd\"; expected edf, fixed-priority, fifo or "
       "imprecise"},
      {"\"edf\"", "7", "policy: found 7"},
      {"\"edf\"\n", "\"edf\"\nlanes = 0\n", "lanes: found 0"},
      {"\"edf\"\n", "\"edf\"\nlanes = 1.5\n", "lanes: found"},
      {"\"edf\"\n", "\"edf\"\npreemption = \"now\"\n",
       "preemption: found \"now\"; expected boundary, as-needed or instant"},
      {"\"edf\"\n", "\"edf\"\npreemption = 1\n", "preemption: found 1"},
      {"\"edf\"\n", "\"edf\"\nplacement = \"partition\"\n",
       "placement: found \"partition\"; expected global"},
      {"\"edf\"\n", "\"edf\"\nlane = 2\n", "lane: unknown key; did you mean \"lanes\"?"},
      {"\"edf\"\n", "\"edf\"\non_miss = \"go\"\n", "on_miss: found \"go\""},
      {"horizon = \"20ms\"\n", "", "horizon: is missing"},
      {"\"20ms\"", "20", "horizon: found 20"},
      {"\"20ms\"", "\"1.5ns\"", "not a whole number"},
      {"\"20ms\"", "\"4611686018427387904ns\"", "2^62"},
      {"\"20ms\"", "\"-1ms\"", "is not a duration"},
      {"\"20ms\"", "\"1 ms\"", "is not a duration"},
      {"name = \"a\"\n", "", "task[0].name: is missing"},
      {"\"a\"", "\"\"", "task[0].name: found \"\"; use letters"},
      {"\"a\"", "\"a,b\"", "task[0].name: found \"a,b\"; use letters"},
      {"\"a\"", "\"b\"", "job[0].name: \"b\" is taken"},
      {"period = \"10ms\"\n", "", "task[0].period: is missing"},
      {"period = \"10ms\"", "period = \"0ms\"", "task[0].period: found \"0ms\""},
      {"deadline = \"8ms\"", "deadline = \"0s\"", "task[0].deadline: found \"0s\""},
      {"deadline = \"8ms\"", "release = \"8ms\"", "task[0].release: unknown key"},
      {"deadline = \"8ms\"", "priority = 2147483648", "task[0].priority: found 2147483648"},
      {"blocks = [\"1.5ms\", \"2ms\"]", "", "task[0].blocks: a list of at least one duration"},
      {"[\"1.5ms\", \"2ms\"]", "[]", "task[0].blocks: a list of at least one duration"},
      {"[\"1.5ms\", \"2ms\"]", "[\"1ms\", \"0ms\"]", "task[0].blocks[1]: found \"0ms\""},
      {"[\"1.5ms\", \"2ms\"]", "[\"1ms\", 2]", "task[0].blocks[1]: found 2"},
      {"deadline = \"2ms\"\n", "", "job[0].deadline: is missing"},
      {"release = \"1ms\"", "offset = \"1ms\"", "job[0].offset: unknown key"},
      {"release = \"1ms\"", "period = \"1ms\"", "job[0].period: unknown key"},
      {"[[job]]", "[job]", "job: found a table"},
      {"[[job]]", "[[jobs]]", "jobs: unknown key; did you mean \"job\"?"},
      {"[[task]]", "[[task", "not TOML"},
  };
  for (const auto& change : changes) {
    std::string text(kSet);
    const std::size_t place = text.find(change.from);
    ASSERT_NE(place, std::string::npos) << change.from;
    text.replace(place, change.from.size(), change.to);
    const std::string error = error_of(text);
    EXPECT_THAT(error, StartsWith("set.toml:")) << change.to;
    EXPECT_THAT(error, HasSubstr(change.says));
  }
}

TEST(Simulate, RefusesASetThatWouldNotFitIntoMemory) {
  std::string text(kSet);
  text.replace(text.find("\"10ms\""), 6, "\"1ns\"");
  EXPECT_THAT(error_of(text), HasSubstr("task[0].period: the set has more than 1000000 jobs"));
}

TEST(Simulate, WritesBothFilesTheSameEveryTime) {
  const test::TemporaryFolder folder;
  ASSERT_TRUE(write_file(folder.path() / "set.toml", kSet));
  std::ostringstream words;
  std::string before;
  for (const char* out : {"one.csv", "two.csv"}) {
    EXPECT_EQ(run_simulate({folder.path() / "set.toml", folder.path() / out}, words, words), 0);
    const std::string both = *read_file(folder.path() / out, kMaxSetBytes) +
                             *read_file(folder.path() / (std::string(out) + ".jobs"), kMaxSetBytes);
    EXPECT_TRUE(before.empty() || both == before);
    before = both;
  }
  EXPECT_EQ(words.str(), "");
}

TEST(Simulate, LeavesNoFileAndOneLineForABadSet) {
  const test::TemporaryFolder folder;
  ASSERT_TRUE(write_file(folder.path() / "set.toml", "policy = \"edf\"\nhorizon = \"1\\nms\"\n"));
  for (const char* set : {"set.toml", "missing\n.toml"}) {
    std::ostringstream words;
    EXPECT_EQ(run_simulate({folder.path() / set, folder.path() / "out.csv"}, words, words), 2);
    EXPECT_EQ(words.str().find('\n'), words.str().size() - 1) << words.str();
    EXPECT_FALSE(std::filesystem::exists(folder.path() / "out.csv"));
    EXPECT_FALSE(std::filesystem::exists(folder.path() / "out.csv.jobs"));
  }
  // Nor for a place that cannot be written to.
  ASSERT_TRUE(write_file(folder.path() / "good.toml", kSet));
  std::ostringstream words;
  EXPECT_EQ(run_simulate({folder.path() / "good.toml", folder.path() / "no" / "out.csv"}, words, words), 2);
  std::filesystem::create_directory(folder.path() / "folder");
  EXPECT_EQ(run_simulate({folder.path() / "good.toml", folder.path() / "folder"}, words, words), 2);
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "folder.jobs"));
}

TEST(Simulate, WritesOnlyTheBlocksIntoAFifo) {
  const test::TemporaryFolder folder;
  ASSERT_TRUE(write_file(folder.path() / "set.toml", kSet));
  const std::filesystem::path fifo = folder.path() / "out.csv";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const UniqueFd reader(::open(fifo.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  std::ostringstream words;
  EXPECT_EQ(run_simulate({folder.path() / "set.toml", fifo}, words, words), 0);
  EXPECT_EQ(words.str(), "einet: " + fifo.string() +
                             " is no regular file: it gets the blocks, and the jobs are not written\n");
  std::string text(10'000, '\0');
  const ssize_t n = ::read(reader.get(), text.data(), text.size());
  ASSERT_GT(n, 0);
  text.resize(static_cast<std::size_t>(n));
  EXPECT_EQ(text, blocks_of(kSet));
  EXPECT_TRUE(std::filesystem::is_fifo(fifo));
  EXPECT_FALSE(std::filesystem::exists(fifo.string() + ".jobs"));
}

TEST(Simulate, LeavesAFifoInTheJobsPlaceAlone) {
  const test::TemporaryFolder folder;
  ASSERT_TRUE(write_file(folder.path() / "set.toml", kSet));
  const std::filesystem::path jobs = folder.path() / "folder.jobs";
  ASSERT_EQ(::mkfifo(jobs.c_str(), 0600), 0);
  const UniqueFd reader(::open(jobs.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  std::filesystem::create_directory(folder.path() / "folder");  // cannot become a file
  std::ostringstream words;
  EXPECT_EQ(run_simulate({folder.path() / "set.toml", folder.path() / "folder"}, words, words), 2);
  EXPECT_TRUE(std::filesystem::is_fifo(jobs));
}

}  // namespace
}  // namespace einet
