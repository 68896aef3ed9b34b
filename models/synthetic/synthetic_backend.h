// A backend without a neural-network library: every part of a block burns the CPU time that the package's
// "cpu" ET-profile gives as its p50, and the answers follow the CS-profile. For sanitizer builds, system
// tests and trying out schedules; it never computes a network.
#pragma once

#include <memory>

#include "models/executor.h"

namespace einet {

// Load fails for a package without a "cpu" ET-profile. The time is the calling thread's CPU time, so a
// preempted lane still does all of its work.
//
// Answers depend on the input's bytes alone: their hash picks a label (synthetic_label) and a sample of the
// CS-profile; the exit answers the label if that sample was right there, else the next class, with the
// sample's confidence. Without a CS-profile every exit is right, with confidence 1.
std::unique_ptr<Backend> make_synthetic_backend();

// The same in the manner of a GPU: a part takes the kSyntheticGpuSpeed-th of that time, in which the lane's
// thread sleeps and others have its core. While parts of urgent lanes run, those of base lanes stand still. A
// further job in a batch takes the kSyntheticBatchGain-th of what it takes alone. Blocks that a base lane
// launched follow each other without a gap, however late they are awaited. A job's state takes
// kSyntheticTransfer to the host, and as long back.
// Its kind of device is its own, "synthetic-gpu", so that a daemon can have both.
//
// It fails on demand, as GPUs do: `faults` is empty, or a list of
//   lost-after=N  with the Nth trunk that it runs the device is lost: that fails, and all that come after
//   full-every=N  every Nth time there is no memory for a job's state
//   memory=N      its memory holds models of so many bytes of weights,
//   others=FILE   less the size of this file, as if other programs filled it
// Error: what was found, what is allowed.
inline constexpr int kSyntheticGpuSpeed = 5;
inline constexpr int kSyntheticBatchGain = 8;
inline constexpr Duration kSyntheticTransfer = std::chrono::microseconds(100);
Result<std::unique_ptr<Backend>> make_synthetic_gpu_backend(std::string_view faults = {});
// The environment variable from which einet-worker takes `faults`.
inline constexpr const char* kSyntheticGpuFaults = "EINET_SYNTHETIC_GPU_FAULTS";

// The class that a right answer to this input has, in [0, classes).
int synthetic_label(std::span<const std::byte> input, int classes);

}  // namespace einet
