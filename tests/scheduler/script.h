// Drives the core by hand: events are called on `core`, and every command that comes out is written down as a
// line of text.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "scheduler/core.h"

namespace einet {

constexpr TimePoint at(int ns) {
  return TimePoint{Duration{ns}};
}

// A model of equal blocks on device 0. No accuracies: no exits.
inline std::shared_ptr<const ModelTimes> model(int blocks, int trunk_ns, std::vector<double> accuracy = {},
                                               int exit_ns = 0) {
  auto m = std::make_shared<ModelTimes>();
  m->on_device.emplace_back(blocks, BlockTime{.trunk = Duration{trunk_ns},
                                              .exit = Duration{exit_ns},
                                              .worst_trunk = Duration{trunk_ns},
                                              .worst_exit = Duration{exit_ns}});
  m->accuracy = std::move(accuracy);
  return m;
}

struct Script : Commands, Observer {
  explicit Script(Policy policy, int lanes = 1, std::size_t max_jobs = 100)
      : Script(CoreOptions{.policy = policy, .max_jobs = max_jobs}, lanes) {}
  explicit Script(const CoreOptions& options, int lanes = 1) : core(options, *this, *this) {
    for (int i = 0; i < lanes; ++i) core.lane_up(lane(i), DeviceId{0}, at(0));
  }

  static LaneId lane(int i) { return LaneId{static_cast<std::uint32_t>(i)}; }

  static JobSpec spec(std::uint64_t id, std::shared_ptr<const ModelTimes> times, TimePoint deadline,
                      TimePoint release = at(0)) {
    JobSpec s;
    s.id = JobId{id};
    s.times = std::move(times);
    s.release = release;
    s.deadline = deadline;
    return s;
  }

  // A block that ended at `end`; its start does not matter to the core.
  bool block(int l, std::uint64_t grant, int index, TimePoint end, std::optional<ExitAnswer> answer = {}) {
    return core.block_done({lane(l), GrantNumber{grant}, index, end, end, answer}, end);
  }
  bool ended(int l, std::uint64_t grant, GrantEnd how, TimePoint now) {
    return core.grant_ended(lane(l), GrantNumber{grant}, how, now);
  }
  // What decide() commands, joined with "; ".
  std::string decide(TimePoint now) {
    lines.clear();
    core.decide(now);
    std::string out;
    for (const std::string& line : lines) out += (out.empty() ? "" : "; ") + line;
    return out;
  }

  void grant(const Grant& g, Reason) override {
    line("grant " + of(g.lane, g.number) + ": job " + std::to_string(g.job.value) + " from " +
         std::to_string(g.first_block) +
         (g.from ? ", moved from device " + std::to_string(g.from->value) : "") +
         (g.with ? ", with " + of(g.lane, *g.with) : ""));
    exits = g.exits;
  }
  void stop(LaneId l, GrantNumber n, Reason why) override { line("stop " + of(l, n) + because(why)); }
  bool withdraw(LaneId l, GrantNumber n, Reason why) override {
    line("withdraw " + of(l, n) + because(why));
    return can_withdraw;
  }
  void set_exits(LaneId l, GrantNumber n, ExitMask e, Reason) override {
    line("exits " + of(l, n));
    exits = e;
  }
  void finish(JobId job, Outcome outcome, Reason why) override {
    line("finish " + std::to_string(job.value) + " " + std::string(name(outcome)) + because(why));
  }
  void release(JobId job) override { line("release " + std::to_string(job.value)); }
  void preempted(LaneId, JobId victim, JobId by, TimePoint) override {
    preemptions.push_back({victim.value, by.value});
  }

  void line(std::string text) { lines.push_back(std::move(text)); }
  static std::string of(LaneId l, GrantNumber n) {
    return std::to_string(l.value) + "/" + std::to_string(n.value);
  }
  static std::string because(Reason why) { return " (" + std::string(name(why)) + ")"; }

  std::vector<std::string> lines;
  ExitMask exits = 0;  // the latest that a lane was told
  bool can_withdraw = true;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> preemptions;
  Core core;
};

}  // namespace einet
