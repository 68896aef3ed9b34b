#include "scheduler/simulation/task_set.h"

#include <algorithm>
#include <array>
#include <limits>
#include <set>

#include "config/text.h"
#include "config/toml_reader.h"

namespace einet {
namespace {

constexpr Duration kPositive{1};

// The value of an enum whose words, in order, are `words`.
template <class E>
E value_of(std::span<const std::string_view> words, std::string_view word) {
  return static_cast<E>(std::find(words.begin(), words.end(), word) - words.begin());
}

// Reads the fields that [[task]] and [[job]] share.
class SourceReader {
 public:
  explicit SourceReader(TaskSet& set) : set_(set) {}

  // `period`: of a task.
  void read(TomlTable& table, std::optional<Duration> period) {
    JobSource source;
    source.name = table.text("name");
    check_name(table, source.name);
    source.period = period;
    source.deadline = table.duration("deadline", kPositive, period);
    source.priority = static_cast<int>(
        table.integer("priority", std::numeric_limits<int>::min(), std::numeric_limits<int>::max(), 0));
    auto times = std::make_shared<ModelTimes>();
    times->on_device.emplace_back();
    for (const Duration block : table.durations("blocks", kPositive, kMaxBlocks)) {
      times->on_device[0].push_back({.trunk = block, .exit = {}, .worst_trunk = block, .worst_exit = {}});
    }
    if (times->blocks() == 0) table.fail("blocks", "a list of at least one duration is needed");
    source.times = std::move(times);
    set_.sources.push_back(std::move(source));
  }

  // Adds the job of the newest source. False: the set has grown too large; an error was reported at `key`.
  bool add_job(TomlTable& table, std::string_view key, std::uint64_t index, Duration release) {
    const JobSource& source = set_.sources.back();
    blocks_ += static_cast<std::size_t>(source.times->blocks());
    if (set_.jobs.size() == kMaxSetJobs || blocks_ > kMaxSetBlocks) {
      table.fail(key, "the set has more than " + std::to_string(kMaxSetJobs) + " jobs or " +
                          std::to_string(kMaxSetBlocks) + " blocks in all; shorten the horizon");
      return false;
    }
    set_.jobs.push_back({.source = set_.sources.size() - 1,
                         .index = index,
                         .release = TimePoint{release},
                         .deadline = TimePoint{release + source.deadline}});
    return true;
  }

 private:
  void check_name(TomlTable& table, const std::string& name) {
    const bool legal = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
      return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
             c == '.' || c == '-';
    });
    if (!legal) {
      table.fail("name", "found \"" + escape(name, 60) + "\"; use letters, digits, \"_\", \".\" and \"-\"");
    }
    if (!names_.insert(name).second) {
      table.fail("name", "\"" + escape(name, 60) + "\" is taken; every task and job has a name of its own");
    }
  }

  TaskSet& set_;
  std::set<std::string> names_;
  std::size_t blocks_ = 0;
};

}  // namespace

Result<TaskSet> parse_task_set(std::string_view text, const std::string& file) {
  static constexpr std::array<std::string_view, 2> kPlacements{"global", "partitioned"};
  static constexpr std::array<std::string_view, 2> kOnMiss{"stop", "continue"};
  TomlDocument document(text, file);
  TomlTable root = document.root();
  TaskSet set;

  set.policy = value_of<Policy>(policy_words(), root.choice("policy", policy_words()));
  set.lanes = static_cast<int>(root.integer("lanes", 1, kMaxSetLanes, 1));
  set.preemption =
      value_of<Preemption>(preemption_words(), root.choice("preemption", preemption_words(), "boundary"));
  set.placement = value_of<Placement>(kPlacements, root.choice("placement", kPlacements, "global"));
  set.on_miss = root.choice("on_miss", kOnMiss, "stop") == "stop" ? OnMiss::stop : OnMiss::keep_on;
  std::vector<TomlTable> tasks = root.tables("task");
  std::vector<TomlTable> jobs = root.tables("job");
  const std::optional<Duration> no_horizon = tasks.empty() ? std::optional(Duration{}) : std::nullopt;
  const Duration horizon = root.duration("horizon", Duration{}, no_horizon);
  root.close();

  SourceReader reader(set);
  for (TomlTable& task : tasks) {
    const Duration period = task.duration("period", kPositive);
    const Duration offset = task.duration("offset", Duration{}, Duration{});
    reader.read(task, period);
    task.close();
    // Nothing is expanded from a set that is wrong: its values are fallbacks.
    if (!document.finish()) break;
    std::uint64_t k = 0;
    for (Duration release = offset; release < horizon; release += period) {
      if (!reader.add_job(task, "period", k++, release)) break;
    }
  }
  for (TomlTable& job : jobs) {
    const Duration release = job.duration("release", Duration{}, Duration{});
    reader.read(job, std::nullopt);
    job.close();
    if (!document.finish()) break;
    reader.add_job(job, "name", 0, release);
  }
  if (const Result<void> ok = document.finish(); !ok) return ok.error();
  return set;
}

}  // namespace einet
