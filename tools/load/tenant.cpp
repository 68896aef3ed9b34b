#include "tools/load/tenant.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include "config/text.h"

namespace einet::load {
namespace {

constexpr Duration kLongestWait = std::chrono::milliseconds(100);
constexpr Duration kDrain = std::chrono::seconds(30);

// A rejection that every other job of this load would get too.
bool refused_for_good(const client::Ended& e) {
  if (e.outcome != wire::REJECTED) return false;
  constexpr std::array kReasons{wire::Rejected::UNKNOWN_MODEL,    wire::Rejected::MODEL_REFUSED,
                                wire::Rejected::WRONG_INPUT,      wire::Rejected::BAD_ARGUMENT,
                                wire::Rejected::PRIORITY_CEILING, wire::Rejected::SHUTTING_DOWN,
                                wire::Rejected::NO_SUCH_TASK,     wire::Rejected::TASK_SUSPENDED};
  return std::any_of(kReasons.begin(), kReasons.end(), [&](auto r) { return client::name(r) == e.reason; });
}

class Sender {
 public:
  Sender(const Load& load, const Images& images, const Clock& clock, client::Client& daemon)
      : load_(load), images_(images), clock_(clock), daemon_(daemon), random_(load.seed.value_or(0)) {}

  Result<void> run() {
    const TimePoint start = load_.start.value_or(clock_.now());
    const TimePoint end = start + load_.length;
    const bool timed = load_.every || !load_.due.empty();
    TimePoint next = start;
    TimePoint give_up = kNever;
    while (true) {
      const TimePoint now = clock_.now();
      const bool sending = hopeless_.empty() && now < end && jobs_.size() < load_.jobs;
      if (sending && !load_.due.empty()) next = start + load_.due[jobs_.size()];
      if (sending && next <= now &&
          (timed || daemon_.pending() < static_cast<std::size_t>(load_.in_flight))) {
        if (auto ok = send(timed ? next : now); !ok) return ok.error();
        if (load_.every) next += gap();
        continue;
      }
      if (!sending && daemon_.pending() == 0) return outcome();
      if (!sending && give_up == kNever) give_up = now + kDrain;
      if (now > give_up)
        return error("jobs without an outcome " + format_duration(kDrain) + " after the last was sent");
      const Duration wait = sending && timed ? next - now : kLongestWait;
      if (auto ok = daemon_.wait_any(std::clamp(wait, Duration{0}, kLongestWait)); !ok)
        return hopeless_.empty() ? ok : outcome();
    }
  }

  std::vector<Sent> jobs() && { return std::move(jobs_); }

 private:
  Result<void> outcome() const { return hopeless_.empty() ? Result<void>() : error(printable(hopeless_)); }

  Duration gap() {
    if (!load_.seed) return *load_.every;
    // Not std::exponential_distribution: what it draws differs between libraries.
    const double uniform = static_cast<double>(random_() >> 11) * 0x1p-53;
    return Duration{std::llround(-std::log1p(-uniform) * static_cast<double>(load_.every->count()))};
  }

  Result<void> send(TimePoint nominal) {
    const std::size_t index = jobs_.size();
    Sent job;
    job.image = index % images_.size();
    job.label = images_.labels[job.image];
    job.nominal = nominal;
    jobs_.push_back(job);

    client::JobRequest request;
    request.model = load_.model;
    request.dtype = wire::U8;
    for (int n : {images_.shape.channels, images_.shape.height, images_.shape.width}) {
      request.shape.push_back(static_cast<std::uint32_t>(n));
    }
    request.input = client::InlineInput{std::as_bytes(images_.image(job.image))};
    if (load_.deadline) request.deadline = client::When{nominal + *load_.deadline};
    request.priority = load_.priority;
    request.mandatory_exit = load_.mandatory_exit;
    request.plan = load_.plan.mode;
    request.exits = load_.plan.exits;
    request.task = load_.task;
    jobs_[index].sent = clock_.now();
    const auto ended = [this, index](const client::Ended& e) {
      jobs_[index].ended = e;
      jobs_[index].answered = clock_.now();
      if (refused_for_good(e) && hopeless_.empty()) hopeless_ = e.words;
    };
    auto ticket = daemon_.post(request, {.exit = {}, .ended = ended});
    if (ticket) return {};
    jobs_.pop_back();  // it was not sent
    return ticket.error();
  }

  const Load& load_;
  const Images& images_;
  const Clock& clock_;
  client::Client& daemon_;
  std::mt19937_64 random_;
  std::vector<Sent> jobs_;
  std::string hopeless_;  // why no job will ever be accepted
};

// A task's jobs come at its period.
Result<void> pace(Load& load, client::Client& daemon) {
  if (load.task.empty() || load.every || !load.due.empty()) return {};
  const auto list = daemon.tasks();
  if (!list) return list.error();
  for (const wire::TaskInfo& task : list->tasks()) {
    if (task.name() == load.task) load.every = Duration{task.period_ns()};
  }
  if (!load.every) return error("there is no task \"" + escape(load.task) + "\"; see: einet task list");
  return {};
}

}  // namespace

Result<std::vector<Duration>> parse_due(std::string_view text, const std::string& file) {
  auto times = parse_durations(text, file);
  if (!times) return times;
  if (times->empty()) return error(escape(file) + ": found no times; expected a duration per line");
  const auto falls = std::is_sorted_until(times->begin(), times->end());
  if (falls == times->end()) return times;
  return error(escape(file) + ":" + std::to_string(falls - times->begin() + 1) + ": found " +
               format_duration(*falls) + " after " + format_duration(*(falls - 1)) +
               "; expected times that never fall");
}

Result<client::Client> connect(const Load& load) {
  client::Options options;
  options.name = "einet-load";
  options.tenant = load.tenant;
  return client::Client::connect(load.socket, options);
}

Ran run(client::Client& daemon, const Load& asked, const Images& images, const Clock& clock) {
  Load load = asked;
  if (auto ok = pace(load, daemon); !ok) return {{}, ok};
  if (!load.due.empty()) load.jobs = std::min(load.jobs, load.due.size());
  Sender sender(load, images, clock, daemon);
  Result<void> end = sender.run();
  return {std::move(sender).jobs(), std::move(end)};
}

void write_csv(std::ostream& out, const std::vector<Sent>& jobs) {
  const auto ns = [](TimePoint t) { return t.time_since_epoch().count(); };
  out << "job,image,label,nominal_ns,sent_ns,received_ns,first_block_ns,finished_ns,answered_ns,deadline_ns,"
         "outcome,reason,exit,"
         "top_class,confidence,executed_exits,preemptions,lane_time_ns\n";
  for (const Sent& job : jobs) {
    const client::Ended& e = job.ended;
    out << e.job.value << ',' << job.image << ',' << job.label << ',' << ns(job.nominal) << ','
        << ns(job.sent) << ',' << ns(e.received) << ',';
    if (e.first_block) out << ns(*e.first_block);
    out << ',' << ns(e.finished) << ',' << ns(job.answered) << ',';
    if (e.deadline) out << ns(*e.deadline);
    out << ',' << client::name(e.outcome) << ',' << e.reason << ',';
    if (e.best)
      out << e.best->exit << ',' << e.best->top_class << ',' << e.best->confidence;
    else
      out << ",,";
    out << ',' << e.executed_exits << ',' << e.preemptions << ',' << e.lane_time.count() << '\n';
  }
}

}  // namespace einet::load
