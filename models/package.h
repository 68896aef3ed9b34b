// A model package, NAME.einet/: model.toml, program, weights.safetensors, et.profile, cs.profile, predictor.
// A package is foreign data: reading is bounded, checked and never runs anything. What lives here is plain
// data and its reading and writing; docs/packages.md is the format. No neural-network library.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/bytes.h"
#include "config/result.h"
#include "config/time.h"
#include "models/program.h"
#include "planner/predictor.h"

namespace einet {

// An fp32 tensor, row-major, outermost dimension first.
struct Tensor {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
  friend bool operator==(const Tensor&, const Tensor&) = default;
};

using Weights = std::map<std::string, Tensor>;
ByteCount size_of(const Weights&);  // of all values

// x = (v - mean) / deviation per channel, where v is a byte / 255 or a float as it is.
struct Normalisation {
  std::vector<float> mean;       // one per input channel
  std::vector<float> deviation;  // > 0
  friend bool operator==(const Normalisation&, const Normalisation&) = default;
};

// Measured times of one part of a block; p50 <= p99 <= max.
struct PartTime {
  Duration p50{};
  Duration p99{};
  Duration max{};
  friend bool operator==(const PartTime&, const PartTime&) = default;
};

// ET-profile: execution times on one kind of device.
struct EtProfile {
  std::string device;           // "cpu", "cuda": unique in a package
  std::string machine;          // what it was measured on, for people
  std::string method;           // how, for people
  std::vector<PartTime> trunk;  // one per block
  std::vector<PartTime> exit;   // one per block
  friend bool operator==(const EtProfile&, const EtProfile&) = default;
};

// CS-profile: for held-out samples, what every exit answered. Row-major, samples x exits. Empty: not
// measured.
struct CsProfile {
  int samples = 0;
  int exits = 0;
  std::vector<float> confidence;      // of the top class, in [0, 1]
  std::vector<std::uint8_t> correct;  // 1: the top class is the label

  // Share of the samples that the exit answers right. Precondition: samples > 0.
  double accuracy(int exit) const;
  friend bool operator==(const CsProfile&, const CsProfile&) = default;
};

struct PackageLimits {
  static constexpr int kClasses = 65536;
  static constexpr int kSamples = 1 << 20;
  static constexpr std::size_t kName = 64;  // [A-Za-z0-9_.-]+, not beginning with '.'
  static constexpr std::size_t kText = 1000;
  static constexpr std::size_t kProfiles = 16;
  static constexpr ByteCount kModelFile{4u << 20};
  static constexpr ByteCount kProfileFile{64u << 20};
  static constexpr ByteCount kWeightsFile{std::uint64_t{5} << 30};
};

// Everything but the weights: what the daemon and the CLI need.
struct PackageInfo {
  std::string name;
  std::string version;
  Program program;  // input shape, classes and blocks are the program's
  Normalisation normalisation;
  std::vector<std::string> labels;  // one per class, or none
  std::vector<EtProfile> times;     // possibly none
  CsProfile confidences;            // possibly empty
  // SHA-256 of model.toml, in hex. It covers the other files' checksums, so it names the package's content.
  // Set by the reader; ignored by the writer.
  std::string digest;
  // None: exits are worth what the CS-profile says, on every sample. The writer binds it to the package's
  // weights, and the reader refuses one that is bound to others.
  std::optional<PredictorParameters> predictor = std::nullopt;

  // The ET-profile of a device kind; null if there is none.
  const EtProfile* times_on(std::string_view device) const;
};

struct Package {
  PackageInfo info;
  Weights weights;  // exactly the tensors of the program
};

// Reads and checks a package. The error names the file and the reason: missing file, wrong checksum, bad
// value, shapes that do not chain, too many blocks or operations, sizes that overflow, weights that are
// missing, of the wrong shape or not finite. Never crashes and never allocates more than a small multiple of
// the files' sizes.
Result<Package> read_package(const std::filesystem::path& directory);

// The same without weights.safetensors, which is not opened.
Result<PackageInfo> read_package_info(const std::filesystem::path& directory);

// Writes a package all or nothing: a temporary directory beside it, synced, then renamed into place; one that
// is there already is exchanged. Error: what read_package would refuse, or the file that cannot be written.
Result<void> write_package(const std::filesystem::path& directory, const Package&);

}  // namespace einet
