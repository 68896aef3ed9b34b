#include <cstdio>

#include "commands.h"
#include "config/text.h"

namespace einet {
namespace {

void print_accuracies(const char* words, const CsProfile& answers) {
  std::fprintf(stderr, "%s (%d images), accuracy per exit (%%):", words, answers.samples);
  for (int e = 0; e < answers.exits; ++e) std::fprintf(stderr, " %.2f", 100 * answers.accuracy(e));
  std::fputc('\n', stderr);
}

// What the package that is there already has and a new one has not; "": nothing.
std::string lost_with(const std::filesystem::path& package) {
  const auto there = read_package_info(package);
  if (!there) return "";
  std::string lost;
  for (const EtProfile& times : there->times) lost += (lost.empty() ? "" : ", ") + escape(times.device);
  if (!lost.empty()) lost = "its measured times (" + lost + ")";
  if (there->predictor) lost += (lost.empty() ? "its" : " and its") + std::string(" predictor");
  return lost;
}

}  // namespace

Result<void> run(const ExportCommand& command) {
  if (command.out.extension() != ".einet") {
    return error("--out is \"" + escape(command.out.string()) + "\"; a package's name ends with .einet");
  }
  set_training_threads(command.threads);
  const auto training = Training::load(command.checkpoint, command.compute);
  if (!training) return training.error();
  if (training->epochs_done() < training->recipe().epochs) {
    std::fprintf(
        stderr, "einet-model: %s stopped after epoch %d of %d; its accuracy will be lower than it could be\n",
        command.checkpoint.c_str(), training->epochs_done(), training->recipe().epochs);
  }
  const std::string source = command.data.value_or(training->recipe().data);
  const auto train = load_images(source, ImageSplit::train);
  if (!train) return train.error();
  const auto test = load_images(source, ImageSplit::test);
  if (!test) return test.error();

  auto package = training->to_package(command.out.stem().string());
  if (!package) return package.error();
  // Plans are made from the profile, so it must not know the test images that judge them.
  auto held_out = training->answers(split_training(*train).validate);
  if (!held_out) return held_out.error();
  const auto unseen = training->answers(*test);
  if (!unseen) return unseen.error();
  print_accuracies("validation, into the CS-profile", *held_out);
  print_accuracies("test", *unseen);
  package->info.confidences = std::move(*held_out);
  const std::string lost = lost_with(command.out);
  if (auto written = write_package(command.out, *package); !written) return written.error();
  if (!lost.empty()) {
    std::fprintf(stderr, "einet-model: %s was there already; gone with it: %s\n", command.out.c_str(),
                 lost.c_str());
  }
  std::fprintf(stderr, "%s is written; next: einet-model profile %s\n", command.out.c_str(),
               command.out.c_str());
  return {};
}

}  // namespace einet
