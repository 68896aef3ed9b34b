// einet-model: trains the zoo's networks and makes packages of them. This file is the command line alone.
#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>

#include "commands.h"
#include "config/files.h"
#include "models/profiles.h"
#include "predictor.h"
#include "tools/options/options.h"

namespace {

using einet::cli::choice_option;

constexpr int kFailed = 1;
constexpr int kUsage = 2;

template <class Command>
int finish(const Command& command) {
  const auto done = einet::run(command);
  if (done) return 0;
  std::fprintf(stderr, "einet-model: %s\n", done.error().message.c_str());
  return kFailed;
}

const char* const kDataHelp =
    "\"mnist\", \"cifar-10\" or \"cifar-100\" in the directory that EINET_DATA names, "
    "a directory with one of them, or \"digits\" (drawn here)";

void add_device(CLI::App& app, const char* option, einet::Compute& compute) {
  using Device = einet::Compute::Device;
  choice_option<Device>(app, option, compute.device, "what computes",
                        {{"cpu", Device::cpu}, {"cuda", Device::cuda}});
}

// The options that train and convert share.
void add_training(CLI::App& app, einet::TrainCommand& command, bool& resume) {
  const CLI::Range share(0.0, 0.999999);
  app.add_option("--data", command.data, kDataHelp)->required();
  app.add_option("--out", command.out, "the checkpoint file; its curves go to OUT.png")->required();
  app.add_option("--epochs", command.changes.epochs, "passes over the data")->check(CLI::Range(1, 10000));
  app.add_option("--epoch-images", command.changes.epoch_images,
                 "images per epoch, drawn anew for each; 0: all");
  app.add_option("--batch", command.changes.batch, "images per step")->check(CLI::Range(2, 4096));
  using einet::Optimiser;
  choice_option<Optimiser>(app, "--optimiser", command.changes.optimiser, "sgd has momentum",
                           {{"adamw", Optimiser::adamw}, {"sgd", Optimiser::sgd}});
  app.add_option("--learning-rate", command.changes.learning_rate, "its peak")->check(CLI::Range(1e-9, 1.0));
  app.add_option("--weight-decay", command.changes.weight_decay, "as the optimiser means it")
      ->check(CLI::Range(0.0, 1.0));
  using einet::Augmentation;
  choice_option<Augmentation>(
      app, "--augment", command.changes.augmentation, "how images are varied",
      {{"none", Augmentation::none}, {"crop", Augmentation::crop}, {"crop-flip", Augmentation::crop_flip}});
  app.add_option("--label-smoothing", command.changes.label_smoothing,
                 "share of the target that all classes get")
      ->check(share);
  app.add_option("--distil", command.changes.distillation,
                 "share of earlier exits' loss that is their distance from the last exit")
      ->check(share);
  app.add_option("--seed", command.changes.seed, "same seed, same weights");
  add_device(app, "--device", command.compute);
  app.add_option_function<int>(
         "--save-every", [&](int seconds) { command.save_every = std::chrono::seconds(seconds); },
         "seconds between checkpoints, which follow epochs; 0: one after each")
      ->check(CLI::Range(0, 86400));
  using Precision = einet::Compute::Precision;
  choice_option<Precision>(app, "--precision", command.compute.precision, "bf16 is mixed",
                           {{"fp32", Precision::fp32}, {"bf16", Precision::bf16}});
  using Steps = einet::Compute::Steps;
  choice_option<Steps>(app, "--steps", command.compute.steps,
                       "on cuda: graph is recorded once and replayed, eager goes kernel by kernel",
                       {{"graph", Steps::graph}, {"eager", Steps::eager}});
  app.add_option("--threads", command.threads, "threads; the weights depend on it in the last bits")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_flag("--resume", resume, "go on from the checkpoint if it is there");
}

int run_command_line(int argc, char** argv) {
  CLI::App app("Trains multi-exit networks and makes einetd's model packages of them.", "einet-model");
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 done; 1 failed (the message says what to do); 2 wrong usage.\n"
      "A first package:\n"
      "  einet-model train b-alexnet --data digits --epochs 2 --out digits.checkpoint\n"
      "  einet-model export digits.checkpoint --out digits.einet\n"
      "  einet-model profile digits.einet && einet-model info digits.einet\n"
      "It predicts each sample's accuracy at later exits, once it has a predictor:\n"
      "  einet-model profile digits.einet --data digits\n"
      "  einet-model predictor digits.profiles --package digits.einet");
  einet::TrainCommand train;
  bool resume = false;
  CLI::App* train_app =
      app.add_subcommand("train", "train a network of the zoo; a checkpoint after every epoch");
  train_app->footer("What is not given comes from the network's standard recipe (docs/networks.md).");
  train_app
      ->add_option(
          "network", train.network,
          "b-alexnet, early-alexnet, fine-resnet, flex-vgg-16, vgg-16, resnet-50, msdnet-21, msdnet-40; "
          "each also with -single or -compressed behind it")
      ->required();
  add_training(*train_app, train, resume);

  einet::ConvertCommand convert;
  CLI::App* convert_app = app.add_subcommand(
      "convert",
      "make a multi-exit network of a single-exit package: cut its trunk, attach and train branches");
  convert_app->add_option("package", convert.package, "NAME.einet, whose last exit is kept")->required();
  using einet::CutAt;
  choice_option<CutAt>(
      *convert_app, "--cut", convert.at,
      "convolutions: before each but the first; stages: before maps get smaller; times: see --exits",
      {{"convolutions", CutAt::convolutions}, {"stages", CutAt::stages}, {"times", CutAt::times}});
  convert_app
      ->add_option("--exits", convert.exits, "for --cut times: in so many parts of equal measured time")
      ->check(CLI::Range(2, 64))
      ->capture_default_str();
  using einet::Learn;
  choice_option<Learn>(*convert_app, "--train", convert.learn, "branches: the rest keeps its weights",
                       {{"branches", Learn::branches}, {"all", Learn::all}});
  add_training(*convert_app, convert.training, resume);

  einet::ExportCommand exporting;
  CLI::App* export_app =
      app.add_subcommand("export", "write the package of a checkpoint, with its CS-profile");
  export_app->add_option("checkpoint", exporting.checkpoint, "what train wrote")->required();
  export_app->add_option("--out", exporting.out, "the package, NAME.einet")->required();
  export_app->add_option("--data", exporting.data, std::string(kDataHelp) + "; default: as trained");
  add_device(*export_app, "--device", exporting.compute);
  export_app->add_option("--threads", exporting.threads, "threads")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();

  einet::ProfileCommand profile;
  CLI::App* profile_app = app.add_subcommand(
      "profile",
      "measure block times on this machine, write them into the package; with --data: write "
      "what its exits answer to a set's images to NAME.profiles");
  profile_app->add_option("package", profile.package, "NAME.einet")->required();
  profile_app->add_option("--device", profile.options.device, "the kind of lane to measure")
      ->check(CLI::IsMember({"cpu"}))
      ->capture_default_str();
  profile_app->add_option("--rounds", profile.options.rounds, "runs of every block")
      ->check(CLI::Range(10, 1000000))
      ->capture_default_str();

  CLI::Option* profile_data = profile_app->add_option("--data", profile.data, kDataHelp)
                                  ->excludes(profile_app->get_option("--device"))
                                  ->excludes(profile_app->get_option("--rounds"));
  profile_app
      ->add_option("--out", profile.out,
                   "default: NAME.profiles beside the package; NAME.profiles.zst is compressed")
      ->needs(profile_data);
  profile_app->add_option("--train-images", profile.train_images, "training images in it, at most")
      ->needs(profile_data)
      ->capture_default_str();
  profile_app->add_option("--kept", profile.kept, "classes with a score, of each answer [10]")
      ->needs(profile_data)
      ->check(CLI::Range(1, einet::ProfilesLimits::kKept));
  CLI::Option* checkpoint =
      profile_app
          ->add_option("--checkpoint", profile.checkpoint,
                       "let the network that the package was exported from answer, many images at a time")
          ->needs(profile_data);
  add_device(*profile_app, "--compute", profile.compute);
  profile_app->get_option("--compute")->needs(checkpoint);
  profile_app
      ->add_option("--into", profile.profiles,
                   "NAME.profiles or NAME.profiles.zst, which gets the times, too")
      ->excludes(profile_data);

  einet::PredictorCommand predictor;
  CLI::App* predictor_app = app.add_subcommand(
      "predictor", "train what predicts a sample's accuracy at the exits to come, print how well it does");
  predictor_app->add_option("profiles", predictor.profiles, "NAME.profiles, with a validation split")
      ->required();
  predictor_app->add_option("--package", predictor.package,
                            "write it into this NAME.einet, of the same network");
  predictor_app->add_option("--seed", predictor.seed, "same seed, same predictor")->capture_default_str();

  einet::InfoCommand info;
  bool json = false;
  CLI::App* info_app = app.add_subcommand("info", "print what a package holds");
  info_app->add_option("package", info.package, "NAME.einet")->required();
  info_app->add_flag("--json", json, "for programs");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);
    const CLI::App& command = einet::cli::named_command(app);
    std::fprintf(stderr, "einet-model: %s\nsee: einet-model %s%s--help\n",
                 einet::cli::words_of(e, app).c_str(), &command == &app ? "" : command.get_name().c_str(),
                 &command == &app ? "" : " ");
    return kUsage;
  }
  if (train_app->parsed()) {
    if (resume) train.start = einet::TrainCommand::Start::resume;
    return finish(train);
  }
  if (convert_app->parsed()) {
    if (resume) convert.training.start = einet::TrainCommand::Start::resume;
    return finish(convert);
  }
  if (export_app->parsed()) return finish(exporting);
  if (profile_app->parsed()) return finish(profile);
  if (predictor_app->parsed()) return finish(predictor);
  if (json) info.form = einet::InfoCommand::Form::json;
  return finish(info);
}

}  // namespace

int main(int argc, char** argv) {
  const int code = run_command_line(argc, argv);
  const auto written = einet::flush_stdout();
  if (written) return code;
  std::fprintf(stderr, "einet-model: %s\n", written.error().message.c_str());
  return code == 0 ? kFailed : code;
}
