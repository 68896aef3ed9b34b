#include <cstdio>
#include <functional>

#include "commands.h"
#include "config/files.h"
#include "config/text.h"
#include "progress.h"
#include "tools/plot/plot.h"

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

std::string name_of(Compute::Precision precision) {
  return precision == Compute::Precision::bf16 ? "bf16" : "fp32";
}

// The first difference, as "seed 1, not 2"; "" if the training goes on as asked. A precision that is not
// known is none.
std::string difference(const Training& training, const Recipe& asked, Compute::Precision precision) {
  const Recipe& found = training.recipe();
  const auto differ = [](const char* what, const std::string& a, const std::string& b) {
    return a == b ? "" : std::string(what) + " " + escape(a) + ", not " + escape(b);
  };
  const auto number = [](auto v) { return std::to_string(v); };
  for (const std::string& words :
       {differ("network", found.network, asked.network), differ("data", found.data, asked.data),
        differ("train", std::string(name(found.learn)), std::string(name(asked.learn))),
        differ("seed", number(found.seed), number(asked.seed)),
        differ("epochs", number(found.epochs), number(asked.epochs)),
        differ("epoch-images", number(found.epoch_images), number(asked.epoch_images)),
        differ("batch", number(found.batch), number(asked.batch)),
        differ("optimiser", std::string(name(found.optimiser)), std::string(name(asked.optimiser))),
        differ("learning-rate", number(found.learning_rate), number(asked.learning_rate)),
        differ("weight-decay", number(found.weight_decay), number(asked.weight_decay)),
        differ("augment", std::string(name(found.augmentation)), std::string(name(asked.augmentation))),
        differ("label-smoothing", number(found.label_smoothing), number(asked.label_smoothing)),
        differ("distil", number(found.distillation), number(asked.distillation)),
        differ("precision", name_of(training.precision().value_or(precision)), name_of(precision))}) {
    if (!words.empty()) return words;
  }
  return "";
}

// Loss and accuracy over the epochs. Precondition: two epochs or more.
Result<void> write_curves(const std::filesystem::path& path, const Recipe& recipe,
                          const std::vector<Training::Epoch>& history) {
  // As many exits as have colours of their own, the last and the first among them.
  constexpr std::size_t kMostExits = 7;
  const std::size_t exits = history.front().accuracy.size(), shown = std::min(exits, kMostExits);
  const auto exit_of = [&](std::size_t i) {
    return shown == 1 ? 0 : (shown - 1 - i) * (exits - 1) / (shown - 1);
  };
  const double x_max = static_cast<double>(history.size() - 1);
  const std::string title = recipe.network + " on " + escape(recipe.data, 40);
  Panel loss{title, "epochs after the first", "loss", x_max, {{"training", {}}}};
  Panel accuracy{title, "epochs after the first", "validation accuracy", x_max, {}};
  for (std::size_t i = 0; i < shown; ++i) {
    accuracy.curves.push_back({"exit " + std::to_string(exit_of(i)), {}});
  }
  for (const Training::Epoch& epoch : history) {
    loss.curves[0].y.push_back(epoch.loss);
    for (std::size_t i = 0; i < shown; ++i) accuracy.curves[i].y.push_back(epoch.accuracy[exit_of(i)]);
  }
  const auto png = draw_png({loss, accuracy});
  if (!png) return png.error();
  return write_file(path, *png);
}

using Begin = std::function<Result<Training>(const Recipe&, const Images& learn)>;

Result<Training> start(const TrainCommand& command, const Recipe& recipe, const Images& learn,
                       const Begin& begin) {
  const std::string place = command.out.string();
  std::error_code ignored;
  if (!std::filesystem::exists(command.out, ignored)) return begin(recipe, learn);
  if (command.start == TrainCommand::Start::anew) {
    return error(place + ": is there already; --resume continues it, or give another --out");
  }
  auto training = Training::load(command.out, command.compute);
  if (!training) return training;
  const std::string differs = difference(*training, recipe, command.compute.precision);
  if (!differs.empty()) {
    return error(place + ": was trained with " + differs +
                 "; give the options it was begun with, or another --out");
  }
  return training;
}

// Trains to the end of the recipe.
Result<void> train_all(const TrainCommand& command, const std::function<Recipe(const Images&)>& recipe_for,
                       const Begin& begin) {
  if (auto ok = check_can_write(command.out); !ok) return ok;
  set_training_threads(command.threads);
  const auto train = load_images(command.data, ImageSplit::train);
  if (!train) return train.error();
  if (train->size() < 10) return error("\"" + escape(command.data) + "\" has fewer than 10 training images");
  const TrainingSplit images = split_training(*train);
  const Recipe recipe = recipe_for(*train);
  auto training = start(command, recipe, images.learn, begin);
  if (!training) return training.error();

  const SystemClock clock;
  TimePoint saved_at = clock.now();
  if (training->epochs_done() < recipe.epochs) {
    std::fprintf(stderr, "%s on %s: %zu images, %zu held out to validate; epoch %d of %d is next\n",
                 recipe.network.c_str(), escape(recipe.data).c_str(), images.learn.size(),
                 images.validate.size(), training->epochs_done() + 1, recipe.epochs);
  }
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
    const bool last = training->epochs_done() == recipe.epochs;
    if (last || clock.now() - saved_at >= command.save_every) {
      if (auto saved = training->save(command.out); !saved) return saved.error();
      saved_at = clock.now();
      if (training->epochs_done() > 1) {
        const auto drawn = write_curves(command.out.string() + ".png", recipe, training->history());
        if (!drawn) return drawn.error();
      }
    }
    const Training::Epoch& epoch = training->history().back();
    std::fprintf(stderr, "%s: loss %.4f, %s, validation accuracy per exit (%%):%s\n", title.c_str(),
                 epoch.loss, format_duration_short(clock.now() - began).c_str(),
                 percentages(epoch.accuracy).c_str());
  }
  std::fprintf(stderr, "%s is complete; next: einet-model export %s --out NAME.einet\n", command.out.c_str(),
               command.out.c_str());
  return {};
}

}  // namespace

Result<void> run(const TrainCommand& command) {
  return train_all(
      command, [&](const Images& images) { return recipe_of(command, images); },
      [&](const Recipe& recipe, const Images& learn) {
        return Training::begin(recipe, learn, command.compute);
      });
}

Result<void> run(const ConvertCommand& command) {
  const auto label = [&]() -> std::string {
    const std::string source = command.package.filename().string();
    switch (command.at) {
      case CutAt::stages:
        return source + " cut at stages";
      case CutAt::times:
        return source + " cut at " + std::to_string(command.exits) + " times";
      default:
        return source + " cut at convolutions";
    }
  };
  return train_all(
      command.training,
      [&](const Images& images) {
        Recipe recipe = recipe_of(command.training, images);
        recipe.network = label();
        recipe.learn = command.learn;
        return recipe;
      },
      [&](const Recipe& recipe, const Images& learn) -> Result<Training> {
        auto source = read_package(command.package);
        if (!source) return source.error();
        auto cuts = find_cuts(*source, command.at, command.exits);
        if (!cuts) return cuts.error();
        std::fprintf(stderr, "%s: %zu exits\n", recipe.network.c_str(), cuts->size() + 1);
        return Training::convert(recipe, {std::move(*source), std::move(*cuts)}, learn,
                                 command.training.compute);
      });
}

}  // namespace einet
