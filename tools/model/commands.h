// The commands of einet-model, one function each: options in, files and words out. Parsing of the command
// line is in main.cpp. Data goes to stdout, words to stderr.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "config/result.h"
#include "config/time.h"
#include "models/profiler.h"
#include "models/torch/training.h"

namespace einet {

// What the command line asks for other than the network's standard recipe.
struct RecipeChanges {
  std::optional<int> epochs, batch;
  std::optional<std::size_t> epoch_images;
  std::optional<Optimiser> optimiser;
  std::optional<Augmentation> augmentation;
  std::optional<double> learning_rate, weight_decay, label_smoothing, distillation;
  std::optional<std::uint64_t> seed;
};

struct TrainCommand {
  std::string network;
  std::string data;
  RecipeChanges changes;
  std::filesystem::path out;
  enum class Start : std::uint8_t { anew, resume } start = Start::anew;
  Duration save_every{0};  // a checkpoint follows an epoch if the last one is so old
  Compute compute;
  int threads = 1;
};
// Trains and writes checkpoints, after the last epoch in any case.
Result<void> run(const TrainCommand&);

struct ConvertCommand {
  std::filesystem::path package;
  CutAt at = CutAt::convolutions;
  int exits = 6;  // for CutAt::times
  Learn learn = Learn::branches;
  // The recipe's network is a label; the rest is as for train.
  TrainCommand training;
};
// Cuts a package's network, attaches branches and trains them; the checkpoint is exported like any other.
Result<void> run(const ConvertCommand&);

struct ExportCommand {
  std::filesystem::path checkpoint;
  std::filesystem::path out;
  std::optional<std::string> data;  // default: where the checkpoint's recipe says
  Compute compute;
  int threads = 1;
};
// Writes the package of a checkpoint, with its CS-profile.
Result<void> run(const ExportCommand&);

struct ProfileCommand {
  std::filesystem::path package;
  ProfileOptions options;
  std::optional<std::string> data;           // load_images
  std::optional<std::filesystem::path> out;  // default: beside the package, NAME.profiles
  std::size_t train_images = 10'000;         // of the training images at most so many; 0: none
  std::optional<int> kept;                   // classes with a score; default: the usual number of them
  // Its network answers instead of the package, many images at a time, on `compute`.
  std::optional<std::filesystem::path> checkpoint;
  Compute compute;
  // A profile file that gets the measured times, too.
  std::optional<std::filesystem::path> profiles;
};
// Without `data`: measures the ET-profile of a package and writes it into it. With it: runs the package on
// the set's images and writes what its exits answered to a profile file (models/profiles.h).
Result<void> run(const ProfileCommand&);

struct InfoCommand {
  std::filesystem::path package;
  enum class Form : std::uint8_t { table, json } form = Form::table;
};
// Prints what a package holds.
Result<void> run(const InfoCommand&);

}  // namespace einet
