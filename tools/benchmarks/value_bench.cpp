// What planning and policies are worth in overload: the same arrivals, of jobs with the answers that a
// package's network truly gave to held-out samples, through the decision core on a simulated lane, under
// several policies and exit plans. Deterministic: the same package gives the same table on every machine.
//
//   bench_value [--mixed] LOAD DEADLINE PACKAGE.einet…
//
// LOAD: work that arrives, in CPU lanes. DEADLINE: of each job after its release, in its whole network's
// times on the CPU. With several packages each job is of one of them, at random. A job that has no answer at
// its deadline counts as wrong. --mixed: two CPU lanes and a device that is several times as fast, beside
// accepted tasks; what is compared is where jobs may run.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/package.h"
#include "scheduler/admission/admission.h"
#include "scheduler/simulation/replay.h"

namespace einet {
namespace {

constexpr int kSeeds = 10;
constexpr int kJobs = 5000;  // per seed
constexpr int kRight = 1;    // the class of a right answer
constexpr int kWrong = 0;
constexpr int kNone = -1;  // of an exit that a static plan leaves out

enum class Plan { exact, all, half, last };

// Where jobs may run. All but one_lane: on lanes 0 and 1 of a CPU, and lane 2 of a fast device.
enum class Where {
  one_lane,
  anywhere,        // where they are done soonest, and on from there
  anywhere_stays,  // where they are done soonest; on the device that they have begun on
  fast_only,
  cpu_only,
  by_model,  // the first model on the fast device, the others on the CPU
};

constexpr std::uint32_t kMixedLanes = 3;
constexpr DeviceId device_of(std::uint32_t lane) {
  return DeviceId{lane / 2};
}

struct Variant {
  const char* name;
  Policy policy;
  Plan plan;
  Where where = Where::one_lane;
};

// The first is what the others are compared with.
constexpr std::array kMixed = {
    Variant{"any device, moving on", Policy::imprecise, Plan::exact, Where::anywhere},
    Variant{"any device, staying there", Policy::imprecise, Plan::exact, Where::anywhere_stays},
    Variant{"the fast device only", Policy::imprecise, Plan::exact, Where::fast_only},
    Variant{"the CPU only", Policy::imprecise, Plan::exact, Where::cpu_only},
    Variant{"static: a device for each model", Policy::imprecise, Plan::exact, Where::by_model},
};
constexpr std::array kVariants = {
    Variant{"imprecise, exact plans", Policy::imprecise, Plan::exact},
    Variant{"edf, exact plans", Policy::edf, Plan::exact},
    Variant{"edf, all exits", Policy::edf, Plan::all},
    Variant{"edf, one static plan: every 2nd exit", Policy::edf, Plan::half},
    Variant{"edf, one static plan: the last exit", Policy::edf, Plan::last},
    Variant{"fifo, all exits", Policy::fifo, Plan::all},
    Variant{"fifo, the last exit", Policy::fifo, Plan::last},
};

Duration whole_network(const std::vector<BlockTime>& times) {
  Duration sum = times.back().exit;
  for (const BlockTime& t : times) sum += t.trunk;
  return sum;
}

bool in_half(int exit, int blocks) {
  return (blocks - 1 - exit) % 2 == 0;
}

struct Model {
  PackageInfo package;
  ModelTimes times;  // on one CPU lane
  Duration whole{};
};

Model model_of(PackageInfo package, const EtProfile& profile) {
  ModelTimes times;
  times.on_device.emplace_back();
  for (std::size_t b = 0; b < profile.trunk.size(); ++b) {
    times.on_device[0].push_back({.trunk = profile.trunk[b].p50,
                                  .exit = profile.exit[b].p50,
                                  .worst_trunk = profile.trunk[b].max,
                                  .worst_exit = profile.exit[b].max});
    times.accuracy.push_back(package.confidences.accuracy(static_cast<int>(b)));
  }
  const Duration whole = whole_network(times.on_device[0]);
  return {std::move(package), std::move(times), whole};
}

// The fast device: so much faster, but no part of a block takes less than a launch. A state leaves or comes
// to a device in kMove.
constexpr int kFaster = 5;
constexpr Duration kLaunch = std::chrono::microseconds(10);
constexpr Duration kMove = std::chrono::microseconds(100);

std::vector<BlockTime> on_fast_device(std::vector<BlockTime> blocks) {
  for (BlockTime& b : blocks) {
    for (Duration* t : {&b.trunk, &b.exit, &b.worst_trunk, &b.worst_exit})
      *t = std::max(kLaunch, *t / kFaster);
  }
  return blocks;
}

// What the core is told of a model. For Plan::half, what it leaves out takes no time.
std::shared_ptr<const ModelTimes> times_for(const Variant& variant, const std::vector<Model>& models,
                                            std::size_t model) {
  ModelTimes times = models[model].times;
  std::vector<BlockTime>& cpu = times.on_device[0];
  for (int b = 0; variant.plan == Plan::half && b < times.blocks(); ++b) {
    if (!in_half(b, times.blocks())) {
      cpu[static_cast<std::size_t>(b)].exit = cpu[static_cast<std::size_t>(b)].worst_exit = Duration{};
    }
  }
  if (variant.where == Where::one_lane) return std::make_shared<const ModelTimes>(std::move(times));
  const bool fast = variant.where != Where::cpu_only && (variant.where != Where::by_model || model == 0);
  const bool slow = variant.where != Where::fast_only && (variant.where != Where::by_model || model != 0);
  times.on_device.push_back(fast ? on_fast_device(cpu) : std::vector<BlockTime>{});
  if (!slow) times.on_device[0].clear();
  if (variant.where == Where::anywhere) {
    times.moves.assign(2, std::vector<MoveTime>(static_cast<std::size_t>(times.blocks()), {kMove, kMove}));
  }
  return std::make_shared<const ModelTimes>(std::move(times));
}

// What the network answered to a sample. An exit that the plan leaves out answers what was answered before.
std::vector<ExitAnswer> answers(const CsProfile& cs, std::size_t sample, Plan plan) {
  std::vector<ExitAnswer> out;
  ExitAnswer held{.exit = -1, .top_class = kNone, .confidence = 0};
  for (int e = 0; e < cs.exits; ++e) {
    const std::size_t at = sample * static_cast<std::size_t>(cs.exits) + static_cast<std::size_t>(e);
    if (plan != Plan::half || in_half(e, cs.exits)) {
      held.top_class = cs.correct[at] != 0 ? kRight : kWrong;
      held.confidence = cs.confidence[at];
    }
    held.exit = e;
    out.push_back(held);
  }
  return out;
}

// Arrivals of one seed: exponential gaps, each job one of the models and one of its samples.
class Load {
 public:
  Load(const std::vector<Model>& models, double load, double deadline, unsigned seed) : models_(models) {
    std::mt19937_64 random(seed);
    double whole = 0;  // mean
    for (const Model& m : models) whole += static_cast<double>(m.whole.count());
    whole /= static_cast<double>(models.size());
    TimePoint at{};
    for (int i = 0; i < kJobs; ++i) {
      // Not std::exponential_distribution: what it draws differs between libraries.
      const double uniform = static_cast<double>(random() >> 11) * 0x1p-53;
      at += Duration{std::llround(-std::log1p(-uniform) * whole / load)};
      const std::size_t model = random() % models.size();
      const Duration after{std::llround(deadline * static_cast<double>(models[model].whole.count()))};
      const auto samples = static_cast<unsigned>(models[model].package.confidences.samples);
      arrivals_.push_back({at, at + after, model, random() % samples});
    }
  }

  // Its first kJobs jobs are the arrivals.
  Recording as(const Variant& variant) const {
    Recording r;
    r.options = {.policy = variant.policy, .max_jobs = 2 * kJobs};
    r.tenants = {"t"};
    std::vector<std::shared_ptr<const ModelTimes>> times;
    for (std::size_t m = 0; m < models_.size(); ++m) {
      r.models.push_back(models_[m].package.name);
      times.push_back(times_for(variant, models_, m));
    }
    const bool mixed = variant.where != Where::one_lane;
    r.devices = mixed ? std::vector<std::string>{"cpu", "fast"} : std::vector<std::string>{"cpu"};
    for (std::uint32_t lane = 0; lane < (mixed ? kMixedLanes : 1); ++lane) {
      r.inputs.push_back({TimePoint{}, input::LaneUp{LaneId{lane}, device_of(lane)}});
    }
    for (std::size_t i = 0; i < arrivals_.size(); ++i) {
      const Arrival& a = arrivals_[i];
      const Model& model = models_[a.model];
      RecordedJob job{.id = JobId{i + 1}, .spec = {}};
      job.spec.model = ModelId{static_cast<std::uint32_t>(a.model)};
      job.spec.times = times[a.model];
      job.spec.release = a.at;
      job.spec.deadline = a.deadline;
      job.spec.plan = variant.plan == Plan::exact  ? PlanMode::exact
                      : variant.plan == Plan::last ? PlanMode::last
                                                   : PlanMode::all;
      job.answers = answers(model.package.confidences, a.sample, variant.plan);
      r.inputs.push_back({a.at, input::Submit{i}});
      r.jobs.push_back(std::move(job));
    }
    if (mixed) add_tasks(r, times);
    return r;
  }

 private:
  // Two tasks of every model, with periods of 10 and 15 whole networks and their middle exit mandatory. Each
  // must be accepted.
  void add_tasks(Recording& r, const std::vector<std::shared_ptr<const ModelTimes>>& times) const {
    Admission admission({.policy = r.options.policy, .margin = 1, .overhead = {}});
    std::array<Duration, 2> longest{};
    for (const auto& model : times) {
      for (std::size_t d = 0; d < model->on_device.size(); ++d) {
        for (const BlockTime& b : model->on_device[d]) {
          longest[d] = std::max(longest[d], b.worst_trunk + b.worst_exit);
        }
      }
    }
    for (std::uint32_t lane = 0; lane < kMixedLanes; ++lane) {
      admission.add_lane(LaneId{lane}, device_of(lane), Preemption::boundary);
    }
    for (std::uint32_t d = 0; d < longest.size(); ++d) {
      EINET_CHECK(admission.set_longest_stretch(DeviceId{d}, longest[d]).has_value(),
                  "nothing is promised yet");
    }
    std::vector<Input> reserved, submitted;
    for (std::uint32_t t = 0; t < 2 * models_.size(); ++t) {
      const std::size_t m = t / 2;
      const Duration period = models_[m].whole * (t % 2 == 0 ? 10 : 15);
      const TaskId task{t + 1};
      const auto accepted = admission.add({.id = task,
                                           .name = std::to_string(t),
                                           .times = times[m],
                                           .period = period,
                                           .deadline = period,
                                           .priority = 1,
                                           .mandatory_exit = times[m]->blocks() / 2});
      EINET_CHECK(accepted.has_value(), accepted ? "" : accepted.error().words.c_str());
      for (TimePoint at{}; at < arrivals_.back().at; at += period) {
        RecordedJob job{.id = JobId{r.jobs.size() + 1}, .spec = {}};
        job.spec.task = task;
        job.spec.model = ModelId{static_cast<std::uint32_t>(m)};
        job.spec.times = times[m];
        job.spec.release = at;
        job.answers = answers(models_[m].package.confidences, r.jobs.size() % 100, Plan::exact);
        submitted.push_back({at, input::Submit{r.jobs.size()}});
        r.jobs.push_back(std::move(job));
      }
    }
    for (const TaskId task : admission.tasks()) {
      reserved.push_back({TimePoint{}, input::Reserve{task, *admission.reservation(task)}});
    }
    r.inputs.insert(r.inputs.begin() + kMixedLanes, reserved.begin(), reserved.end());
    r.inputs.insert(r.inputs.end(), submitted.begin(), submitted.end());
    std::stable_sort(r.inputs.begin(), r.inputs.end(),
                     [](const Input& a, const Input& b) { return a.at < b.at; });
  }

  struct Arrival {
    TimePoint at, deadline;
    std::size_t model = 0;
    std::size_t sample = 0;
  };

  const std::vector<Model>& models_;
  std::vector<Arrival> arrivals_;
};

struct Score {
  double answered = 0;  // share of all jobs that have an answer at their deadline
  double right = 0;     // share of all jobs whose answer is right
  double exit = 0;      // mean index, of those answered
  int missed = 0;       // jobs of accepted tasks without their mandatory answer
  int promised = 0;     // jobs of accepted tasks
  std::vector<Duration> responses;
};

Score score(const Recording& recording) {
  const ReplayedRecording played = replay(recording);
  Score s;
  int answered = 0;
  int right = 0;
  for (std::size_t i = 0; i < played.jobs.size(); ++i) {
    EINET_CHECK(played.jobs[i].has_value(), "every job ends");
    const JobEnd& end = *played.jobs[i];
    if (recording.jobs[i].spec.task != TaskId{}) {
      ++s.promised;
      s.missed += end.outcome != Outcome::completed && end.outcome != Outcome::deadline;
      continue;
    }
    const bool counts = end.outcome == Outcome::completed || end.outcome == Outcome::deadline;
    if (!counts || end.best.top_class == kNone) continue;
    ++answered;
    right += end.best.top_class == kRight;
    s.exit += end.best.exit;
    s.responses.push_back(end.at - recording.jobs[i].spec.release);
  }
  s.answered = static_cast<double>(answered) / kJobs;
  s.right = static_cast<double>(right) / kJobs;
  if (answered > 0) s.exit /= answered;
  return s;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

// Of the mean: t for 9 degrees of freedom.
double half_width_95(const std::vector<double>& values) {
  const double m = mean(values);
  double sum = 0;
  for (const double v : values) sum += (v - m) * (v - m);
  const auto n = static_cast<double>(values.size());
  return 2.262 * std::sqrt(sum / (n - 1) / n);
}

int complain(const std::string& words) {
  std::fprintf(stderr, "bench_value: %s\n", words.c_str());
  return 2;
}

void print(const std::vector<Model>& models, double load, double deadline,
           std::span<const Variant> variants) {
  for (const Model& m : models)
    std::printf("%s (whole network %s) ", m.package.name.c_str(), format_duration_short(m.whole).c_str());
  std::printf("\n%d jobs in each of %d seeds, load %g, deadlines %g whole networks\n", kJobs, kSeeds, load,
              deadline);
  std::printf("%-38s %9s %9s %9s %17s %6s %9s %9s\n", "", "answered", "no answer", "accuracy",
              "less the first", "exit", "p50", "p99");
  std::vector<double> first;
  int missed = 0, promised = 0;
  for (const Variant& variant : variants) {
    std::vector<double> answered, right, exits, less;
    std::vector<Duration> responses;
    for (unsigned seed = 1; seed <= kSeeds; ++seed) {
      const Score s = score(Load(models, load, deadline, seed).as(variant));
      answered.push_back(s.answered);
      right.push_back(s.right);
      exits.push_back(s.exit);
      missed += s.missed;
      promised += s.promised;
      responses.insert(responses.end(), s.responses.begin(), s.responses.end());
    }
    if (first.empty()) first = right;
    for (std::size_t i = 0; i < right.size(); ++i) less.push_back(right[i] - first[i]);
    std::sort(responses.begin(), responses.end());
    const auto at = [&](double q) {
      const auto rank = static_cast<std::size_t>(q * static_cast<double>(responses.size()));
      return responses.empty() ? std::string("-")
                               : format_duration_short(responses[std::min(responses.size() - 1, rank)]);
    };
    std::printf("%-38s %9.4f %9zu %9.4f %+8.4f +-%6.4f %6.2f %9s %9s\n", variant.name, mean(answered),
                std::size_t{kSeeds} * kJobs - responses.size(), mean(right), mean(less), half_width_95(less),
                mean(exits), at(0.5).c_str(), at(0.99).c_str());
  }
  if (promised > 0) std::printf("jobs of accepted tasks, all variants: %d of %d missed\n", missed, promised);
}

int run(int argc, char** argv) {
  const bool mixed = argc > 1 && std::string_view(argv[1]) == "--mixed";
  if (mixed) {
    --argc;
    ++argv;
  }
  const double load = argc > 3 ? std::atof(argv[1]) : 0;
  const double deadline = argc > 3 ? std::atof(argv[2]) : 0;
  if (!(load > 0) || !(deadline > 0))
    return complain("usage: bench_value [--mixed] LOAD DEADLINE PACKAGE.einet…; both above 0");
  std::vector<Model> models;
  for (int i = 3; i < argc; ++i) {
    Result<PackageInfo> package = read_package_info(argv[i]);
    if (!package) return complain(package.error().message);
    const EtProfile* profile = package->times_on("cpu");
    if (profile == nullptr || package->confidences.samples == 0)
      return complain(std::string(argv[i]) + " has no profiles; run einet-model profile");
    const EtProfile times = *profile;
    models.push_back(model_of(std::move(*package), times));
  }
  print(models, load, deadline,
        mixed ? std::span<const Variant>(kMixed) : std::span<const Variant>(kVariants));
  return 0;
}

}  // namespace
}  // namespace einet

int main(int argc, char** argv) {
  return einet::run(argc, argv);
}
