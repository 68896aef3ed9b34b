#include "reference.h"

#include <algorithm>
#include <tuple>

namespace einet::reference {
namespace {

struct Job {
  const Source* source;
  std::int64_t index, release, deadline;
  std::size_t done = 0;  // blocks
  int last_lane = -1;
  std::int64_t last_end = -1;
  bool running = false;
  bool left = false;
  bool completed = false;
};

struct Row {
  std::int64_t start, lane, finish;
  std::size_t job, block;
};

struct LaneState {
  int job = -1;
  std::int64_t start = 0, end = 0;
};

std::vector<Job> expand(const Set& set) {
  std::vector<Job> jobs;
  for (const bool tasks : {true, false}) {
    for (const Source& s : set.sources) {
      if (s.is_task != tasks) continue;
      std::int64_t k = 0;
      for (std::int64_t r = s.offset; tasks ? r < set.horizon : k == 0; r += s.period, ++k) {
        jobs.push_back(
            {.source = &s, .index = k, .release = r, .deadline = r + s.deadline.value_or(s.period)});
      }
    }
  }
  return jobs;
}

}  // namespace

std::string to_toml(const Set& set) {
  std::string out = "policy = \"" + set.policy + "\"\nlanes = " + std::to_string(set.lanes) +
                    "\nhorizon = \"" + std::to_string(set.horizon) + "ns\"\non_miss = \"" +
                    (set.stop_on_miss ? "stop" : "continue") + "\"\n";
  for (const Source& s : set.sources) {
    out += s.is_task ? "[[task]]\n" : "[[job]]\n";
    out += "name = \"" + s.name + "\"\n";
    out += std::string(s.is_task ? "offset" : "release") + " = \"" + std::to_string(s.offset) + "ns\"\n";
    if (s.is_task) out += "period = \"" + std::to_string(s.period) + "ns\"\n";
    if (s.deadline) out += "deadline = \"" + std::to_string(*s.deadline) + "ns\"\n";
    out += "priority = " + std::to_string(s.priority) + "\nblocks = [";
    for (const std::int64_t b : s.blocks) out += "\"" + std::to_string(b) + "ns\",";
    out += "]\n";
  }
  return out;
}

Output simulate(const Set& set) {
  std::vector<Job> jobs = expand(set);
  std::vector<LaneState> lanes(static_cast<std::size_t>(set.lanes));
  std::vector<Row> rows;

  const auto key = [&](std::size_t i) {
    const Job& j = jobs[i];
    if (set.policy == "edf")
      return std::tuple<std::int64_t, std::int64_t, std::int64_t>(j.deadline, j.release, 0);
    if (set.policy == "fifo") return std::tuple<std::int64_t, std::int64_t, std::int64_t>(j.release, 0, 0);
    return std::tuple<std::int64_t, std::int64_t, std::int64_t>(-j.source->priority, j.deadline, j.release);
  };

  std::int64_t t = -1;
  while (std::any_of(jobs.begin(), jobs.end(), [](const Job& j) { return !j.left; })) {
    // The next instant at which anything can happen.
    std::int64_t next = INT64_MAX;
    for (const Job& j : jobs) {
      for (const std::int64_t event : {j.release, j.deadline}) {
        if (event > t) next = std::min(next, event);
      }
    }
    for (const LaneState& lane : lanes) {
      if (lane.job >= 0) next = std::min(next, lane.end);
    }
    t = next;

    // Blocks end.
    std::vector<int> idle;
    for (int l = 0; l < set.lanes; ++l) {
      LaneState& lane = lanes[static_cast<std::size_t>(l)];
      if (lane.job >= 0 && lane.end == t) {
        Job& j = jobs[static_cast<std::size_t>(lane.job)];
        rows.push_back({lane.start, l, t, static_cast<std::size_t>(lane.job), j.done});
        ++j.done;
        j.last_lane = l;
        j.last_end = t;
        j.running = false;
        lane.job = -1;
        if (j.done == j.source->blocks.size()) {
          j.left = true;
          j.completed = t <= j.deadline;
        }
      }
      if (lane.job < 0) idle.push_back(l);
    }
    // Who may start a block now, most urgent first.
    std::vector<std::size_t> ready;
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      Job& j = jobs[i];
      if (j.left || j.running || j.release > t) continue;
      if (set.stop_on_miss && t >= j.deadline) {
        j.left = true;
      } else {
        ready.push_back(i);
      }
    }
    std::stable_sort(ready.begin(), ready.end(),
                     [&](std::size_t a, std::size_t b) { return key(a) < key(b); });
    if (ready.size() > idle.size()) ready.resize(idle.size());

    const auto start = [&](std::size_t i, int l) {
      lanes[static_cast<std::size_t>(l)] = {static_cast<int>(i), t, t + jobs[i].source->blocks[jobs[i].done]};
      jobs[i].running = true;
      idle.erase(std::find(idle.begin(), idle.end(), l));
    };
    for (const std::size_t i : ready) {
      if (std::find(idle.begin(), idle.end(), jobs[i].last_lane) != idle.end()) start(i, jobs[i].last_lane);
    }
    for (const std::size_t i : ready) {
      if (!jobs[i].running) start(i, idle.front());
    }
  }

  std::sort(rows.begin(), rows.end(),
            [](const Row& a, const Row& b) { return std::tie(a.start, a.lane) < std::tie(b.start, b.lane); });
  Output out{"job,task,index,block,lane,start_ns,finish_ns\n",
             "job,task,index,release_ns,deadline_ns,finish_ns,outcome\n"};
  const auto s = [](std::int64_t v) { return std::to_string(v); };
  for (const Row& r : rows) {
    const Job& j = jobs[r.job];
    out.blocks_csv += s(static_cast<std::int64_t>(r.job)) + "," + j.source->name + "," + s(j.index) + "," +
                      s(static_cast<std::int64_t>(r.block)) + "," + s(r.lane) + "," + s(r.start) + "," +
                      s(r.finish) + "\n";
  }
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const Job& j = jobs[i];
    const bool ran_to_the_end = j.done == j.source->blocks.size() && (j.completed || !set.stop_on_miss);
    const std::int64_t finish = ran_to_the_end ? j.last_end : std::max(j.deadline, j.last_end);
    out.jobs_csv += s(static_cast<std::int64_t>(i)) + "," + j.source->name + "," + s(j.index) + "," +
                    s(j.release) + "," + s(j.deadline) + "," + s(finish) + "," +
                    (j.completed ? "completed" : "missed") + "\n";
  }
  return out;
}

}  // namespace einet::reference
