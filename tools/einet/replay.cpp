#include "tools/einet/replay.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <map>
#include <ostream>
#include <tuple>

#include "config/text.h"
#include "tools/einet/csv.h"
#include "tools/einet/json.h"
#include "tools/einet/recording.h"
#include "tools/einet/table.h"

namespace einet {
namespace {

using cli::Json;
using cli::Table;

constexpr std::array kOutcomes{Outcome::completed, Outcome::deadline, Outcome::missed,
                               Outcome::cancelled, Outcome::rejected, Outcome::failed};

// Nearest rank. Precondition: sorted, not empty.
Duration quantile(const std::vector<Duration>& sorted, double q) {
  const auto rank = static_cast<std::size_t>(q * static_cast<double>(sorted.size()));
  return sorted[std::min(rank, sorted.size() - 1)];
}

struct Quantiles {
  std::size_t count = 0;
  Duration p50{}, p99{}, max{};
};

Quantiles quantiles(std::vector<Duration> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  return {values.size(), quantile(values, 0.5), quantile(values, 0.99), values.back()};
}

// A block of a model on a device, with its exit or without.
struct BlockKind {
  ModelId model;
  DeviceId device;
  int block = 0;
  bool with_exit = false;
  friend auto operator<=>(const BlockKind&, const BlockKind&) = default;
};

struct BlockRow {
  BlockKind kind;
  Duration median{};  // profiled
  Duration worst{};
  Quantiles actual;
  std::size_t over_worst = 0;
};

struct Source {
  TenantId tenant;
  ModelId model;
  friend auto operator<=>(const Source&, const Source&) = default;
};

struct ResponseRow {
  Source source;
  Quantiles predicted, actual;
};

struct OutcomeRow {
  std::size_t predicted = 0, actual = 0, both = 0;
};

struct Comparison {
  std::vector<BlockRow> blocks;
  std::array<OutcomeRow, kOutcomes.size()> outcomes;
  std::size_t ended = 0;                               // jobs whose outcome was recorded
  std::size_t same_outcome = 0;                        // of them
  std::size_t same_exit = 0;                           // of those: the best answer is of the same exit, too
  double predicted_accuracy = 0, actual_accuracy = 0;  // expected, mean over these jobs; no answer counts 0
  std::vector<ResponseRow> responses;
};

bool answered(const JobEnd& end) {
  return end.outcome == Outcome::completed || end.outcome == Outcome::deadline;
}

double expected_accuracy(const RecordedJob& job, const JobEnd& end) {
  if (!answered(end)) return 0;
  const std::vector<double>& accuracy = job.spec.times->accuracy;
  if (accuracy.empty()) return 1;
  return end.best.exit < 0 ? 0 : accuracy[static_cast<std::size_t>(end.best.exit)];
}

std::vector<BlockRow> compare_blocks(const Recording& recording) {
  std::map<BlockKind, std::vector<Duration>> used;
  std::map<BlockKind, BlockTime> times;
  std::map<BlockKind, std::size_t> over;
  for (const RecordedBlock& b : recording.blocks) {
    const JobSpec& spec = recording.jobs[b.job].spec;
    const BlockKind kind{spec.model, b.device, b.block, b.with_exit};
    const BlockTime& t = spec.times->on_device[b.device.value][static_cast<std::size_t>(b.block)];
    times[kind] = t;  // the last that was said of it
    used[kind].push_back(b.used);
    over[kind] += b.used > t.worst_trunk + (b.with_exit ? t.worst_exit : Duration{});
  }
  std::vector<BlockRow> rows;
  for (auto& [kind, values] : used) {
    const BlockTime& t = times[kind];
    rows.push_back({.kind = kind,
                    .median = t.trunk + (kind.with_exit ? t.exit : Duration{}),
                    .worst = t.worst_trunk + (kind.with_exit ? t.worst_exit : Duration{}),
                    .actual = quantiles(std::move(values)),
                    .over_worst = over[kind]});
  }
  return rows;
}

Comparison compare(const Recording& recording, const ReplayedRecording& replay) {
  Comparison c;
  c.blocks = compare_blocks(recording);
  struct Responses {
    std::vector<Duration> predicted, actual;
  };
  std::map<Source, Responses> responses;
  for (std::size_t i = 0; i < recording.jobs.size(); ++i) {
    const RecordedJob& job = recording.jobs[i];
    if (!job.end) continue;
    const JobEnd& actual = *job.end;
    ++c.ended;
    ++c.outcomes[static_cast<std::size_t>(actual.outcome)].actual;
    c.actual_accuracy += expected_accuracy(job, actual);
    Responses& r = responses[{job.spec.tenant, job.spec.model}];
    const TimePoint release = job.spec.release;
    if (answered(actual)) r.actual.push_back(actual.at - release);
    if (!replay.jobs[i]) continue;
    const JobEnd& predicted = *replay.jobs[i];
    ++c.outcomes[static_cast<std::size_t>(predicted.outcome)].predicted;
    c.predicted_accuracy += expected_accuracy(job, predicted);
    if (answered(predicted)) r.predicted.push_back(predicted.at - release);
    if (predicted.outcome != actual.outcome) continue;
    ++c.outcomes[static_cast<std::size_t>(actual.outcome)].both;
    ++c.same_outcome;
    c.same_exit += predicted.best.exit == actual.best.exit;
  }
  const double jobs = static_cast<double>(std::max<std::size_t>(c.ended, 1));
  c.predicted_accuracy /= jobs;
  c.actual_accuracy /= jobs;
  for (auto& [source, r] : responses) {
    if (r.predicted.empty() && r.actual.empty()) continue;
    c.responses.push_back({source, quantiles(std::move(r.predicted)), quantiles(std::move(r.actual))});
  }
  return c;
}

// ---- for people ----

std::string short_time(const Quantiles& q, Duration value) {
  return q.count == 0 ? "-" : format_duration_short(value);
}

std::string fixed(double value, int digits) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

std::string share(std::size_t part, std::size_t whole) {
  return std::to_string(part) + " of " + std::to_string(whole) +
         (whole == 0 ? ""
                     : " (" + cli::percent(static_cast<double>(part) / static_cast<double>(whole)) + ")");
}

void print(const ReadRecording& read, const Comparison& c, std::ostream& out) {
  const Recording& r = read.recording;
  out << "recorded: " << r.jobs.size() << " jobs in " << format_duration_short(read.end - read.start)
      << " under " << read.policy << "; replayed under " << name(r.options.policy) << '\n';
  if (read.lost > 0) out << "incomplete: " << read.lost << " events were lost; figures leave them out\n";
  if (read.cut_off) out << "the last line is not whole and was left out\n";
  if (c.ended < r.jobs.size()) {
    out << r.jobs.size() - c.ended << " jobs have no outcome in the recording; figures leave them out\n";
  }
  out << "\nBlocks: lane time, profiled and actual\n";
  Table blocks(
      {"model", "device", "block", "n", "median", "worst", "p50", "p99", "max", "p50/median", "over worst"});
  for (const BlockRow& b : c.blocks) {
    const double median = static_cast<double>(b.median.count());
    blocks.add({escape(r.models[b.kind.model.value]), escape(r.devices[b.kind.device.value]),
                std::to_string(b.kind.block) + (b.kind.with_exit ? " + exit" : ""),
                std::to_string(b.actual.count), format_duration_short(b.median),
                format_duration_short(b.worst), format_duration_short(b.actual.p50),
                format_duration_short(b.actual.p99), format_duration_short(b.actual.max),
                median > 0 ? fixed(static_cast<double>(b.actual.p50.count()) / median, 2) : "-",
                std::to_string(b.over_worst)});
  }
  blocks.print(out);
  out << "\nOutcomes\n";
  Table outcomes({"outcome", "predicted", "actual", "of the same jobs"});
  for (const Outcome o : kOutcomes) {
    const OutcomeRow& row = c.outcomes[static_cast<std::size_t>(o)];
    if (row.predicted + row.actual == 0) continue;
    outcomes.add({std::string(name(o)), std::to_string(row.predicted), std::to_string(row.actual),
                  std::to_string(row.both)});
  }
  outcomes.print(out);
  out << "the same outcome: " << share(c.same_outcome, c.ended)
      << "; and the same best exit: " << share(c.same_exit, c.ended) << '\n'
      << "mean expected accuracy: predicted " << fixed(c.predicted_accuracy, 4) << ", actual "
      << fixed(c.actual_accuracy, 4) << '\n';
  out << "\nResponse times of jobs with an answer, from release to outcome\n";
  Table responses({"tenant", "model", "n predicted", "p50", "p99", "n actual", "p50", "p99"});
  for (const ResponseRow& row : c.responses) {
    responses.add({escape(r.tenants[row.source.tenant.value]), escape(r.models[row.source.model.value]),
                   std::to_string(row.predicted.count), short_time(row.predicted, row.predicted.p50),
                   short_time(row.predicted, row.predicted.p99), std::to_string(row.actual.count),
                   short_time(row.actual, row.actual.p50), short_time(row.actual, row.actual.p99)});
  }
  responses.print(out);
}

// ---- for programs ----

Json json_of(const Quantiles& q) {
  if (q.count == 0) return {{"count", 0}};
  return {{"count", q.count},
          {"p50", format_duration(q.p50)},
          {"p99", format_duration(q.p99)},
          {"max", format_duration(q.max)}};
}

Json json_of(const ReadRecording& read, const Comparison& c) {
  const Recording& r = read.recording;
  Json blocks = Json::array();
  for (const BlockRow& b : c.blocks) {
    blocks.push_back({{"model", r.models[b.kind.model.value]},
                      {"device", r.devices[b.kind.device.value]},
                      {"block", b.kind.block},
                      {"with_exit", b.kind.with_exit},
                      {"median", format_duration(b.median)},
                      {"worst", format_duration(b.worst)},
                      {"actual", json_of(b.actual)},
                      {"over_worst", b.over_worst}});
  }
  Json outcomes = Json::object();
  for (const Outcome o : kOutcomes) {
    const OutcomeRow& row = c.outcomes[static_cast<std::size_t>(o)];
    outcomes[std::string(name(o))] = {
        {"predicted", row.predicted}, {"actual", row.actual}, {"both", row.both}};
  }
  Json responses = Json::array();
  for (const ResponseRow& row : c.responses) {
    responses.push_back({{"tenant", r.tenants[row.source.tenant.value]},
                         {"model", r.models[row.source.model.value]},
                         {"predicted", json_of(row.predicted)},
                         {"actual", json_of(row.actual)}});
  }
  return {{"recorded_policy", read.policy},
          {"policy", name(r.options.policy)},
          {"jobs", r.jobs.size()},
          {"ended", c.ended},
          {"lost_events", read.lost},
          {"cut_off", read.cut_off},
          {"same_outcome", c.same_outcome},
          {"same_exit", c.same_exit},
          {"expected_accuracy", {{"predicted", c.predicted_accuracy}, {"actual", c.actual_accuracy}}},
          {"outcomes", std::move(outcomes)},
          {"responses", std::move(responses)},
          {"blocks", std::move(blocks)}};
}

// ---- files ----

std::string ns(TimePoint t) {
  return std::to_string(t.time_since_epoch().count());
}

std::string blocks_csv(const Recording& recording, const ReplayedRecording& replay) {
  std::string text = "job,model,block,lane,start_ns,finish_ns\n";
  for (const ReplayedBlock& b : replay.blocks) {
    const RecordedJob& job = recording.jobs[b.job];
    text += std::to_string(job.id.value) + ',' + recording.models[job.spec.model.value] + ',' +
            std::to_string(b.block) + ',' + std::to_string(b.lane.value) + ',' + ns(b.start) + ',' +
            ns(b.finish) + '\n';
  }
  return text;
}

// Empty fields: no outcome, or no answer.
std::string end_csv(const std::optional<JobEnd>& end) {
  if (!end) return ",,";
  return std::string(name(end->outcome)) + ',' + (end->best.exit < 0 ? "" : std::to_string(end->best.exit)) +
         ',' + ns(end->at);
}

std::string jobs_csv(const Recording& recording, const ReplayedRecording& replay) {
  std::string text =
      "job,tenant,model,release_ns,deadline_ns,predicted,predicted_exit,predicted_ns,actual,actual_exit,"
      "actual_ns\n";
  for (std::size_t i = 0; i < recording.jobs.size(); ++i) {
    const RecordedJob& job = recording.jobs[i];
    text += std::to_string(job.id.value) + ',' + recording.tenants[job.spec.tenant.value] + ',' +
            recording.models[job.spec.model.value] + ',' + ns(job.spec.release) + ',' +
            (job.spec.deadline == kNever ? "" : ns(job.spec.deadline)) + ',' + end_csv(replay.jobs[i]) + ',' +
            end_csv(job.end) + '\n';
  }
  return text;
}

Result<void> run(const ReplayArguments& arguments, std::ostream& out, std::ostream& words) {
  std::ifstream file(arguments.recording, std::ios::binary);
  if (!file || std::filesystem::is_directory(arguments.recording))
    return error(escape(arguments.recording.string()) + ": cannot be read");
  Result<ReadRecording> read = read_recording(file, arguments.recording.string());
  if (!read) return read.error();
  Recording& recording = read->recording;
  if (arguments.policy) recording.options.policy = *arguments.policy;
  const ReplayedRecording replayed = replay(recording);
  if (!arguments.csv.empty()) {
    const auto ok =
        write_csv(arguments.csv, blocks_csv(recording, replayed), jobs_csv(recording, replayed), words);
    if (!ok) return ok.error();
  }
  const Comparison comparison = compare(recording, replayed);
  if (arguments.output == ReplayArguments::Output::json) {
    out << cli::text_of(json_of(*read, comparison)) << '\n';
  } else {
    print(*read, comparison, out);
  }
  return {};
}

}  // namespace

int run_replay(const ReplayArguments& arguments, std::ostream& out, std::ostream& words) {
  const Result<void> done = run(arguments, out, words);
  if (done) return 0;
  words << "einet: " << printable(done.error().message) << '\n';
  return 2;
}

}  // namespace einet
