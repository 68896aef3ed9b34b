// What planning and policies are worth in overload: the same arrivals, of jobs with the answers that a
// package's network truly gave to held-out samples, through the decision core on a simulated lane, under
// several policies and exit plans. Deterministic: the same package gives the same table on every machine.
//
//   bench_value LOAD DEADLINE PACKAGE.einet…
//
// LOAD: work that arrives, in lanes. DEADLINE: of each job after its release, in its whole network's times.
// With several packages each job is of one of them, at random. A job that has no answer at its deadline
// counts as wrong.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "models/package.h"
#include "scheduler/simulation/replay.h"

namespace einet {
namespace {

constexpr int kSeeds = 10;
constexpr int kJobs = 5000;  // per seed
constexpr int kRight = 1;    // the class of a right answer
constexpr int kWrong = 0;
constexpr int kNone = -1;  // of an exit that a static plan leaves out

enum class Plan { exact, all, half, last };

struct Variant {
  const char* name;
  Policy policy;
  Plan plan;
};

// The first is what the others are compared with.
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
  std::shared_ptr<const ModelTimes> times;
  std::shared_ptr<const ModelTimes> half;  // for Plan::half: what it leaves out takes no time
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
  ModelTimes half = times;
  for (int b = 0; b < times.blocks(); ++b) {
    BlockTime& t = half.on_device[0][static_cast<std::size_t>(b)];
    if (!in_half(b, times.blocks())) t.exit = t.worst_exit = Duration{};
  }
  const Duration whole = whole_network(times.on_device[0]);
  return {std::move(package), std::make_shared<const ModelTimes>(std::move(times)),
          std::make_shared<const ModelTimes>(std::move(half)), whole};
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

  Recording as(const Variant& variant) const {
    Recording r;
    r.options = {.policy = variant.policy, .max_jobs = kJobs};
    r.devices = {"cpu"};
    r.tenants = {"t"};
    for (const Model& m : models_) r.models.push_back(m.package.name);
    r.inputs.push_back({TimePoint{}, input::LaneUp{LaneId{0}, DeviceId{0}}});
    for (std::size_t i = 0; i < arrivals_.size(); ++i) {
      const Arrival& a = arrivals_[i];
      const Model& model = models_[a.model];
      RecordedJob job{.id = JobId{i + 1}, .spec = {}};
      job.spec.model = ModelId{static_cast<std::uint32_t>(a.model)};
      job.spec.times = variant.plan == Plan::half ? model.half : model.times;
      job.spec.release = a.at;
      job.spec.deadline = a.deadline;
      job.spec.plan = variant.plan == Plan::exact  ? PlanMode::exact
                      : variant.plan == Plan::last ? PlanMode::last
                                                   : PlanMode::all;
      job.answers = answers(model.package.confidences, a.sample, variant.plan);
      r.inputs.push_back({a.at, input::Submit{i}});
      r.jobs.push_back(std::move(job));
    }
    return r;
  }

 private:
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

void print(const std::vector<Model>& models, double load, double deadline) {
  for (const Model& m : models)
    std::printf("%s (whole network %s) ", m.package.name.c_str(), format_duration_short(m.whole).c_str());
  std::printf("\n%d jobs in each of %d seeds, load %g, deadlines %g whole networks\n", kJobs, kSeeds, load,
              deadline);
  std::printf("%-38s %9s %9s %9s %17s %6s %9s %9s\n", "", "answered", "no answer", "accuracy",
              "less the first", "exit", "p50", "p99");
  std::vector<double> first;
  for (const Variant& variant : kVariants) {
    std::vector<double> answered, right, exits, less;
    std::vector<Duration> responses;
    for (unsigned seed = 1; seed <= kSeeds; ++seed) {
      const Score s = score(Load(models, load, deadline, seed).as(variant));
      answered.push_back(s.answered);
      right.push_back(s.right);
      exits.push_back(s.exit);
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
}

int run(int argc, char** argv) {
  const double load = argc > 3 ? std::atof(argv[1]) : 0;
  const double deadline = argc > 3 ? std::atof(argv[2]) : 0;
  if (!(load > 0) || !(deadline > 0))
    return complain("usage: bench_value LOAD DEADLINE PACKAGE.einet…; both above 0");
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
  print(models, load, deadline);
  return 0;
}

}  // namespace
}  // namespace einet

int main(int argc, char** argv) {
  return einet::run(argc, argv);
}
