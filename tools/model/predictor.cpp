#include "predictor.h"

#include <cmath>
#include <cstdio>

#include "config/text.h"
#include "evaluation/learning.h"
#include "evaluation/lesson.h"
#include "models/package.h"
#include "models/profiles.h"
#include "planner/predictor_training.h"
#include "progress.h"

namespace einet {
namespace {

constexpr int kJudgedShare = 5;  // every such validation sample judges, where there is no test split

Result<void> check_same_network(const std::filesystem::path& path, const PackageInfo& info,
                                const ProfileSet& profiles) {
  const Program& program = info.program;
  const auto words = [](const std::string& network, int blocks, int classes) {
    return "\"" + escape(network) + "\" with " + std::to_string(blocks) + " blocks and " +
           std::to_string(classes) + " classes";
  };
  const std::string found = words(info.name, program.block_count(), program.classes());
  const std::string expected = words(profiles.network(), profiles.blocks(), profiles.classes());
  if (found == expected) return {};
  return error(path.string() + " is " + found + "; the profiles are of " + expected +
               "; make profiles of this package: einet-model profile --data");
}

// A network's answers to its held-out images are in its package, too, where it has a CS-profile. In profiles
// each score is rounded to a half, and another executor may round otherwise. Of two trainings of one network
// on MNIST, whose answers are mostly sure, one answer in four is further apart.
Result<void> check_same_training(const PredictorCommand& command, const CsProfile& own,
                                 const ProfileSplit& validation) {
  constexpr float kRounding = 0.002F;
  constexpr double kMostOff = 0.01;  // of all answers
  if (own.samples == 0) return {};
  const std::string advice =
      "; make profiles of this package, of the images that it was exported with: "
      "einet-model profile --data";
  if (own.samples != validation.samples()) {
    return error(command.profiles.string() + " has " + std::to_string(validation.samples()) +
                 " validation samples, and the CS-profile of " + command.package->string() + " " +
                 std::to_string(own.samples) + advice);
  }
  std::size_t off = 0;
  for (std::size_t i = 0; i < own.confidence.size(); ++i) {
    const int sample = static_cast<int>(i) / own.exits, exit = static_cast<int>(i) % own.exits;
    const float apart = std::abs(own.confidence[i] - validation.confidence(sample, exit));
    if (apart > kRounding || (own.correct[i] != 0) != validation.right(sample, exit)) ++off;
  }
  if (static_cast<double>(off) <= kMostOff * static_cast<double>(own.confidence.size())) return {};
  return error(command.profiles.string() + " is of another training than " + command.package->string() +
               ": " + std::to_string(off) + " of " + std::to_string(own.confidence.size()) +
               " answers to the validation images differ" + advice);
}

void print(const PredictorParameters& p, const PredictorQuality& quality) {
  std::printf("\n  exit  accuracy  calibration error: before   after  temperature\n");
  for (std::size_t k = 0; k < quality.exits.size(); ++k) {
    const PredictorQuality::Exit& exit = quality.exits[k];
    std::printf("  %4zu  %7.2f%%  %24.2f%%  %5.2f%%  %11.2f\n", k, 100 * exit.accuracy, 100 * exit.ece_before,
                100 * exit.ece_after, static_cast<double>(p.calibration[k].temperature));
  }
  if (p.exits() == 1) return;  // nothing is ever to come
  const auto less = [](double before, double after) { return before > 0 ? 100 * (1 - after / before) : 0; };
  std::printf("\n  exits to come   mean absolute error   Brier score\n");
  std::printf("  static prior    %18.2f%%   %11.4f\n", 100 * quality.prior.absolute, quality.prior.squared);
  std::printf("  predictor       %18.2f%%   %11.4f\n", 100 * quality.predicted.absolute,
              quality.predicted.squared);
  std::printf("  gain            %18.1f%%   %10.1f%%\n",
              less(quality.prior.absolute, quality.predicted.absolute),
              less(quality.prior.squared, quality.predicted.squared));
}

}  // namespace

Result<void> run(const PredictorCommand& command) {
  const auto profiles = ProfileSet::read(command.profiles);
  if (!profiles) return profiles.error();
  std::optional<Package> package;
  if (command.package) {  // what is refused is refused before the training
    auto read = read_package(*command.package);
    if (!read) return read.error();
    package = std::move(*read);
    if (auto ok = check_same_network(*command.package, package->info, *profiles); !ok) return ok;
  }
  const ProfileSplit* validation = profiles->split(Split::validation);
  if (validation == nullptr) {
    return error(
        command.profiles.string() +
        " has no validation split, and a predictor must learn from samples that neither trained the network "
        "nor judge plans; make one with: einet-model profile --data");
  }
  if (package) {
    if (auto ok = check_same_training(command, package->info.confidences, *validation); !ok) return ok;
  }
  ExitAnswers learn = exit_answers(*validation);
  ExitAnswers judge;
  const ProfileSplit* test = profiles->split(Split::test);
  if (test != nullptr) {
    judge = exit_answers(*test);
  } else {
    ExitAnswersParts parts = divide(learn, kJudgedShare);
    learn = std::move(parts.rest);
    judge = std::move(parts.part);
  }

  PredictorTraining training;
  training.seed = command.seed;
  auto parameters = [&] {
    const SystemClock clock;
    ProgressBar bar("predictor", clock);
    training.progress = [&](int done, int of) {
      bar.show(static_cast<std::size_t>(done), static_cast<std::size_t>(of), "epochs");
    };
    return train_predictor(learn, training);
  }();
  if (!parameters) return within(command.profiles.string() + ": validation", parameters.error());
  const auto predictor = Predictor::make(*parameters);
  if (!predictor) return predictor.error();
  std::printf("%s on %s: trained on %d validation samples, judged on %d %s\n",
              escape(profiles->network()).c_str(), escape(profiles->data()).c_str(), learn.samples,
              judge.samples, test != nullptr ? "test samples" : "other validation samples");
  print(*parameters, measure(*predictor, judge));
  const BlockTimes times = median_times(profiles->times().front());
  const Result<Survival> survival = Survival::uniform(0, times.whole_ns());
  if (!survival) return survival.error();
  auto judgement =
      learn_judgement(std::move(*parameters), *validation, {*survival, times.trunk_ns, times.exit_ns});
  if (!judgement) return within(command.profiles.string() + ": validation", judgement.error());
  std::printf("\n  answers: %s\n", judgement->aggregation == Aggregation::discounted
                                       ? "the product of all executed exits' scores, earlier ones discounted"
                                   : judgement->aggregation == Aggregation::product
                                       ? "the product of all executed exits' scores"
                                       : "the deepest executed exit's");
  if (!package) return {};
  package->info.predictor = std::move(*judgement);
  if (auto written = write_package(*command.package, *package); !written) return written.error();
  std::fprintf(stderr, "%s has this predictor\n", command.package->c_str());
  return {};
}

}  // namespace einet
