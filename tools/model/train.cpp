#include <cstdio>

#include "commands.h"
#include "config/text.h"
#include "progress.h"

namespace einet {
namespace {

std::string percentages(const std::vector<double>& shares) {
  std::string text;
  for (const double share : shares) {
    char one[16];
    std::snprintf(one, sizeof one, " %.2f", 100 * share);
    text += one;
  }
  return text;
}

Recipe recipe_of(const TrainCommand& command, const Images& images) {
  Recipe r = standard_recipe(command.network, images.set);
  r.network = command.network;
  r.data = command.data;
  const auto change = [](auto& value, const auto& asked) { value = asked.value_or(value); };
  const RecipeChanges& c = command.changes;
  change(r.epochs, c.epochs);
  change(r.batch, c.batch);
  change(r.epoch_images, c.epoch_images);
  change(r.optimiser, c.optimiser);
  change(r.augmentation, c.augmentation);
  change(r.learning_rate, c.learning_rate);
  change(r.weight_decay, c.weight_decay);
  change(r.label_smoothing, c.label_smoothing);
  change(r.distillation, c.distillation);
  change(r.seed, c.seed);
  return r;
}

// The first difference, as "seed 1, not 2"; "" if the recipes are the same.
std::string difference(const Recipe& found, const Recipe& asked) {
  const auto differ = [](const char* what, const std::string& a, const std::string& b) {
    return a == b ? "" : std::string(what) + " " + escape(a) + ", not " + escape(b);
  };
  const auto number = [](auto v) { return std::to_string(v); };
  for (const std::string& words :
       {differ("network", found.network, asked.network), differ("data", found.data, asked.data),
        differ("seed", number(found.seed), number(asked.seed)),
        differ("epochs", number(found.epochs), number(asked.epochs)),
        differ("epoch-images", number(found.epoch_images), number(asked.epoch_images)),
        differ("batch", number(found.batch), number(asked.batch)),
        differ("optimiser", std::string(name(found.optimiser)), std::string(name(asked.optimiser))),
        differ("learning-rate", number(found.learning_rate), number(asked.learning_rate)),
        differ("weight-decay", number(found.weight_decay), number(asked.weight_decay)),
        differ("augment", std::string(name(found.augmentation)), std::string(name(asked.augmentation))),
        differ("label-smoothing", number(found.label_smoothing), number(asked.label_smoothing)),
        differ("distil", number(found.distillation), number(asked.distillation))}) {
    if (!words.empty()) return words;
  }
  return "";
}

Result<Training> start(const TrainCommand& command, const Recipe& recipe, const Images& learn) {
  const std::string place = command.out.string();
  std::error_code ignored;
  if (!std::filesystem::exists(command.out, ignored)) return Training::begin(recipe, learn, command.compute);
  if (command.start == TrainCommand::Start::anew) {
    return error(place + ": is there already; --resume continues it, or give another --out");
  }
  auto training = Training::load(command.out, command.compute);
  if (!training) return training;
  const std::string differs = difference(training->recipe(), recipe);
  if (!differs.empty()) {
    return error(place + ": was trained with " + differs +
                 "; give the options it was begun with, or another --out");
  }
  return training;
}

}  // namespace

Result<void> run(const TrainCommand& command) {
  set_training_threads(command.threads);
  const auto train = load_images(command.data, ImageSplit::train);
  if (!train) return train.error();
  if (train->size() < 10) return error("\"" + escape(command.data) + "\" has fewer than 10 training images");
  const TrainingSplit images = split_training(*train);
  const Recipe recipe = recipe_of(command, *train);
  auto training = start(command, recipe, images.learn);
  if (!training) return training.error();

  const SystemClock clock;
  std::fprintf(stderr, "%s on %s: %zu images, %zu held out to validate; epoch %d of %d is next\n",
               recipe.network.c_str(), escape(recipe.data).c_str(), images.learn.size(),
               images.validate.size(), training->epochs_done() + 1, recipe.epochs);
  while (training->epochs_done() < recipe.epochs) {
    const TimePoint began = clock.now();
    const std::string title =
        "epoch " + std::to_string(training->epochs_done() + 1) + "/" + std::to_string(recipe.epochs);
    {
      ProgressBar bar(title, clock);
      const auto done = training->run_epoch(images.learn, images.validate, [&](const Training::Step& step) {
        bar.show(step.images, step.of, "images, loss " + std::to_string(step.loss));
      });
      if (!done) return done.error();
    }
    if (auto saved = training->save(command.out); !saved) return saved.error();
    const Training::Epoch& epoch = training->history().back();
    std::fprintf(stderr, "%s: loss %.4f, %s, validation accuracy per exit (%%):%s\n", title.c_str(),
                 epoch.loss, format_duration_short(clock.now() - began).c_str(),
                 percentages(epoch.accuracy).c_str());
  }
  std::fprintf(stderr, "%s is complete; next: einet-model export %s --out NAME.einet\n", command.out.c_str(),
               command.out.c_str());
  return {};
}

}  // namespace einet
