#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>

#include "commands.h"
#include "config/files.h"
#include "config/text.h"
#include "models/onednn/onednn_backend.h"
#include "models/profiles.h"
#include "progress.h"

namespace einet {
namespace {

Result<void> check_fits(const Package& package, const Images& images) {
  const Program& program = package.info.program;
  const Shape shape = {images.shape.channels, images.shape.height, images.shape.width};
  if (program.input() == shape && program.classes() == images.classes) return {};
  return error("the package takes " + format_shape(program.input()) + " in " +
               std::to_string(program.classes()) + " classes; \"" + images.set + "\" has " +
               format_shape(shape) + " in " + std::to_string(images.classes) +
               "; give the set that it was trained on");
}

using Answer = std::function<Result<void>(const Images&, SplitRecord&, ProgressBar&)>;

// What every exit answers to every image, run one at a time as a lane runs them.
Result<void> answer_as_a_lane(LoadedModel& model, const Images& images, SplitRecord& record,
                              ProgressBar& bar) {
  const auto lane = model.make_lane();
  if (!lane) return lane.error();
  const Program& program = model.info().program;
  TrunkState state(model.state_bytes());
  std::vector<float> scores(static_cast<std::size_t>(program.classes()));
  for (std::size_t i = 0; i < images.size(); ++i) {
    if (auto ok = (*lane)->begin({ElementType::u8, std::as_bytes(images.image(i))}, state); !ok) {
      return ok.error();
    }
    record.add_label(images.labels[i]);
    for (int b = 0; b < program.block_count(); ++b) {
      if (auto ok = (*lane)->run_trunk(b, state); !ok) return ok.error();
      if (auto ok = (*lane)->run_exit(b, state, scores); !ok) return ok.error();
      record.add_scores(scores);
    }
    bar.show(i + 1, images.size(), "images");
  }
  return {};
}

// The same by the network that was trained, many images at a time.
Result<void> answer_as_trained(const Training& training, const Images& images, SplitRecord& record,
                               ProgressBar& bar) {
  const auto exits = static_cast<std::size_t>(training.block_count());
  std::size_t done = 0;
  return training.answer(images, [&](std::span<const float> scores) {
    if (done % exits == 0) record.add_label(images.labels[done / exits]);
    record.add_scores(scores);
    ++done;
    bar.show(done / exits, images.size(), "images");
  });
}

// Whether they are of one network, but for rounding.
bool are_near(const Weights& a, const Weights& b) {
  const auto near = [](const auto& x, const auto& y) {
    if (x.first != y.first || x.second.shape != y.second.shape) return false;
    double off = 0, all = 0;
    for (std::size_t i = 0; i < x.second.values.size(); ++i) {
      off += std::abs(x.second.values[i] - y.second.values[i]);
      all += std::abs(x.second.values[i]);
    }
    return off <= 0.01 * all;
  };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), near);
}

Result<Answer> answer_of(const ProfileCommand& command, Package package) {
  if (!command.checkpoint) {
    const auto backend = make_onednn_backend({});
    backend->enter_lane();
    auto model = backend->load(std::move(package));
    if (!model) return model.error();
    return [model = std::shared_ptr(std::move(*model))](const Images& images, SplitRecord& record,
                                                        ProgressBar& bar) {
      return answer_as_a_lane(*model, images, record, bar);
    };
  }
  auto training = Training::load(*command.checkpoint, command.compute);
  if (!training) return training.error();
  const auto exported = training->to_package(package.info.name);
  if (!exported) return exported.error();
  if (!are_near(exported->weights, package.weights)) {
    return error(command.checkpoint->string() + " holds other weights than " + command.package.string() +
                 "; give the checkpoint that the package was exported from");
  }
  return [training = std::make_shared<const Training>(std::move(*training))](
             const Images& images, SplitRecord& record, ProgressBar& bar) {
    return answer_as_trained(*training, images, record, bar);
  };
}

Result<void> profile_times(const ProfileCommand& command) {
  const auto backend = make_onednn_backend({});
  const SystemClock clock;
  ProgressBar bar("profile", clock);
  const auto show = [&](int rounds) {
    bar.show(static_cast<std::size_t>(rounds), static_cast<std::size_t>(command.options.rounds), "rounds");
  };
  if (auto ok = profile_package(*backend, command.package, command.options, show); !ok) return ok.error();
  if (command.profiles) {
    const auto package = read_package(command.package);
    if (!package) return package.error();
    const auto set = ProfileSet::read(*command.profiles);
    if (!set) return set.error();
    if (set->network() != package->info.name || set->blocks() != package->info.program.block_count()) {
      return error(command.profiles->string() + " is of \"" + escape(set->network()) + "\" with " +
                   std::to_string(set->blocks()) + " blocks, not of this package");
    }
    ProfileRecord record = record_of(*set);
    record.times = package->info.times;
    if (auto written = write_profiles(*command.profiles, record); !written) return written.error();
  }
  std::fprintf(stderr, "%s has a profile for %s; see: einet-model info %s\n", command.package.c_str(),
               command.options.device.c_str(), command.package.c_str());
  return {};
}

Result<void> profile_answers(const ProfileCommand& command, const std::string& data) {
  const std::filesystem::path out =
      command.out.value_or(std::filesystem::path(command.package).replace_extension(".profiles"));
  if (auto ok = check_can_write(out); !ok) return ok;
  auto package = read_package(command.package);
  if (!package) return package.error();
  if (package->info.times.empty()) {
    return error(command.package.string() +
                 " has no measured times, which plans need; first: einet-model profile " +
                 command.package.string());
  }
  const auto train = load_images(data, ImageSplit::train);
  if (!train) return train.error();
  const auto test = load_images(data, ImageSplit::test);
  if (!test) return test.error();
  for (const Images* images : {&*train, &*test}) {
    if (auto ok = check_fits(*package, *images); !ok) return ok.error();
  }
  const TrainingSplit split = split_training(*train);

  const int blocks = package->info.program.block_count(), classes = train->classes;
  ProfileRecord record{package->info.name, train->set, classes, blocks, package->info.times, {}};
  const int kept = command.kept.value_or(ProfilesLimits::kUsuallyKept);
  const auto answer = answer_of(command, std::move(*package));
  if (!answer) return answer.error();
  const SystemClock clock;
  const auto add = [&](Split name_of, const Images& images) -> Result<void> {
    ProgressBar bar(std::string(name(name_of)), clock);
    SplitRecord answers(blocks, classes, std::min(classes, kept));
    if (auto ok = (*answer)(images, answers, bar); !ok) return ok.error();
    record.splits.emplace(name_of, std::move(answers));
    return {};
  };
  const Images sample = split.learn.slice(0, std::min(split.learn.size(), command.train_images));
  if (sample.size() > 0) {
    if (auto ok = add(Split::train, sample); !ok) return ok.error();
  }
  if (auto ok = add(Split::validation, split.validate); !ok) return ok.error();
  if (auto ok = add(Split::test, *test); !ok) return ok.error();
  if (auto written = write_profiles(out, record); !written) return written.error();
  std::fprintf(stderr, "%s is written: %zu train, %zu validation and %zu test images\n", out.c_str(),
               sample.size(), split.validate.size(), test->size());
  return {};
}

}  // namespace

Result<void> run(const ProfileCommand& command) {
  return command.data ? profile_answers(command, *command.data) : profile_times(command);
}

}  // namespace einet
