// Training of the zoo's networks and of converted ones: joint loss over all exits, resumable after every
// epoch, the same weights for the same recipe whether it was interrupted or not. A checkpoint is for this
// trainer alone; what leaves it is a package. No LibTorch in this header, no printing in this room.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/result.h"
#include "models/data/images.h"
#include "models/package.h"
#include "models/torch/conversion.h"
#include "models/torch/recipe.h"

namespace einet {

// Where and how a training computes. On CUDA the images are kept on the device, and maps have their channels
// last.
struct Compute {
  enum class Device : std::uint8_t { cpu, cuda } device = Device::cpu;
  // bf16: convolutions and linear maps in it, weights and sums in fp32 (mixed precision).
  enum class Precision : std::uint8_t { fp32, bf16 } precision = Precision::fp32;
  // On CUDA. graph: the first steps are launched kernel by kernel, then one is recorded as a CUDA graph and
  // replayed, so that a thread keeps the device busy however small the kernels are; eager: all as the first.
  enum class Steps : std::uint8_t { graph, eager } steps = Steps::graph;
};

// The training images that no epoch sees: the last tenth. Accuracies that are used to decide anything come
// from them, so that the test images stay unseen.
struct TrainingSplit {
  Images learn;
  Images validate;
};
// Precondition: at least 10 images.
TrainingSplit split_training(const Images& train);

// Threads that LibTorch uses in this process from now on, >= 1. Call it before anything else in here.
void set_training_threads(int threads);

class Training {
 public:
  struct Step {
    std::size_t images = 0;  // of this epoch, so far
    std::size_t of = 0;
    double loss = 0;  // mean over the epoch so far
  };
  // What an epoch that is done left behind: the curves of a training.
  struct Epoch {
    double loss = 0;  // mean over its steps
    // By exit, on the images that were held out, in the training's precision, [0, 1].
    std::vector<double> accuracy;
    friend bool operator==(const Epoch&, const Epoch&) = default;
  };

  // New weights from the seed. Error: the recipe, a network that cannot take these images, or no such device.
  static Result<Training> begin(const Recipe& recipe, const Images& learn, Compute compute = {});
  // Branches for a network that is trained already, which keeps its normalisation too. Error: as above, or a
  // network that cannot be converted.
  static Result<Training> convert(const Recipe& recipe, const Conversion& conversion, const Images& learn,
                                  Compute compute = {});
  // Reads what `save` wrote. Error: unreadable, damaged, not a checkpoint, or no such device.
  static Result<Training> load(const std::filesystem::path& checkpoint, Compute compute = {});

  Training(Training&&) noexcept;
  Training& operator=(Training&&) noexcept;
  ~Training();

  const Recipe& recipe() const;
  int block_count() const;
  int epochs_done() const { return static_cast<int>(history().size()); }
  const std::vector<Epoch>& history() const;
  // What a loaded training's epochs were computed in; none: its checkpoint does not say, or it is new.
  std::optional<Compute::Precision> precision() const;

  // One epoch on `learn`, judged by `validate`. `on_step` is called after every batch (on CUDA after every
  // fiftieth, and the last). One thread runs all epochs. Precondition:
  // epochs_done() < recipe().epochs. Error: these images do not fit the network, or the loss is no longer a
  // number (a smaller learning rate helps).
  Result<void> run_epoch(const Images& learn, const Images& validate,
                         const std::function<void(const Step&)>& on_step);

  // Weights, optimiser and history, all or nothing. Error: names the path.
  Result<void> save(const std::filesystem::path& checkpoint) const;

  // What every exit answers to every image, in evaluation mode, in fp32. Error: these images do not fit the
  // network.
  Result<CsProfile> answers(const Images& images) const;
  // The same as softmax scores, one per class, image by image and exit by exit.
  Result<void> answer(const Images& images,
                      const std::function<void(std::span<const float>)>& on_scores) const;

  // The network as a package, profiles empty.
  Result<Package> to_package(std::string name) const;

 private:
  struct State;
  explicit Training(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace einet
