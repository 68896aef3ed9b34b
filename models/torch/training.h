// Training of the zoo's networks: joint loss over all exits, resumable after every epoch, the same weights
// for the same recipe whether it was interrupted or not. A checkpoint is for this trainer alone; what leaves
// it is a package. No LibTorch in this header, no printing in this room.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/result.h"
#include "models/data/images.h"
#include "models/package.h"

namespace einet {

// All that decides the weights, on one machine and with one number of threads.
struct Recipe {
  std::string network;           // make_network (models/torch/network.h)
  std::string data;              // load_images (models/data/images.h); here a label
  int epochs = 6;                // >= 1
  std::size_t epoch_images = 0;  // drawn anew for every epoch; 0: all
  int batch = 64;                // >= 2
  double learning_rate = 3e-3;   // the peak of the schedule, > 0
  std::uint64_t seed = 1;
  friend bool operator==(const Recipe&, const Recipe&) = default;
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

  // New weights from the seed. Error: the recipe, or a network that cannot take these images.
  static Result<Training> begin(const Recipe& recipe, const Images& learn);
  // Reads what `save` wrote. Error: unreadable, damaged, or not a checkpoint.
  static Result<Training> load(const std::filesystem::path& checkpoint);

  Training(Training&&) noexcept;
  Training& operator=(Training&&) noexcept;
  ~Training();

  const Recipe& recipe() const;
  int epochs_done() const;

  // One epoch. `on_step` is called after every batch. Precondition: epochs_done() < recipe().epochs.
  // Error: these images do not fit the network, or the loss is no longer a number (a smaller learning rate
  // helps).
  Result<void> run_epoch(const Images& learn, const std::function<void(const Step&)>& on_step);

  // Weights, optimiser and epoch, all or nothing. Error: names the path.
  Result<void> save(const std::filesystem::path& checkpoint) const;

  // What every exit answers to every image, in evaluation mode. Error: these images do not fit the network.
  Result<CsProfile> answers(const Images& images) const;

  // The network as a package, profiles empty.
  Result<Package> to_package(std::string name) const;

 private:
  struct State;
  explicit Training(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace einet
