// NAME.profiles: what a trained network's exits answered on one data set, and how long its blocks take: all
// that planning is trained and evaluated on. A foreign file: reading is bounded and checked. No planning
// here.
//
// A safetensors file. Metadata: format = "1", network, data ("cifar-10"), classes, blocks, and et: the text
// of an et.profile (docs/packages.md), at least one device, all times above zero. Per split that is there:
//   SPLIT.label  U16 [samples]
//   SPLIT.top    U16 [samples, blocks, kept]  the classes with the highest scores, best first, no class twice
//   SPLIT.score  F16 [samples, blocks, kept]  their softmax scores in [0, 1], never rising, in sum at most 1;
//   what is
//                missing to 1 is spread evenly over the other classes
// SPLIT: "train" (possibly a part of it), "validation" (held out from train) and "test".
// All of it may be compressed, as one Zstandard frame; such a file is called NAME.profiles.zst.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/bytes.h"
#include "config/result.h"
#include "models/half.h"
#include "models/package.h"

namespace einet {

enum class Split : std::uint8_t { train, validation, test };
inline constexpr std::array<Split, 3> kSplits{Split::train, Split::validation, Split::test};
std::string_view name(Split);

struct ProfilesLimits {
  static constexpr int kClasses = 65536;
  static constexpr int kKept = 64;         // classes with a score, per sample and exit
  static constexpr int kUsuallyKept = 10;  // by writers, where there are so many classes
  static constexpr int kSamples = 1 << 20;
  static constexpr ByteCount kFile{std::uint64_t{2} << 30};
  // Of a compressed file, which lies in memory as a whole.
  static constexpr ByteCount kUnpacked{std::uint64_t{256} << 20};
};

// The samples of one split. A view: valid while its ProfileSet, or one that it was moved into, lives.
// Preconditions of all: sample, exit and rank lie below samples(), exits() and kept().
class ProfileSplit {
 public:
  int samples() const { return samples_; }
  int exits() const { return exits_; }
  int kept() const { return kept_; }
  int classes() const { return classes_; }

  int label(int sample) const { return load(label_, row(sample)); }
  // The class with the highest score but `rank` others, and its score.
  int top(int sample, int exit, int rank = 0) const { return load(top_, at(sample, exit, rank)); }
  float score(int sample, int exit, int rank = 0) const {
    return float_of_half(load(score_, at(sample, exit, rank)));
  }
  // The score of each class that is not among the kept ones.
  float score_of_others(int sample, int exit) const;

  float confidence(int sample, int exit) const { return score(sample, exit); }
  bool right(int sample, int exit) const { return top(sample, exit) == label(sample); }
  // Share of the samples that the exit answers right.
  double accuracy(int exit) const;

  // Only `count` samples from `first` on; all but these. Preconditions: they lie in a split of which nothing
  // was taken out before, and some are left.
  ProfileSplit slice(int first, int count) const;
  ProfileSplit without(int first, int count) const;

 private:
  friend class ProfileSet;
  // The bytes are little-endian, as the machine is, and of any alignment.
  static std::uint16_t load(const char* values, std::size_t i) {
    std::uint16_t value = 0;
    __builtin_memcpy(&value, values + i * sizeof value, sizeof value);
    return value;
  }
  // Where the sample lies in the file.
  std::size_t row(int sample) const {
    return static_cast<std::size_t>(first_ + sample + (sample < hole_ ? 0 : hole_size_));
  }
  std::size_t at(int sample, int exit, int rank) const {
    return (row(sample) * static_cast<std::size_t>(exits_) + static_cast<std::size_t>(exit)) *
               static_cast<std::size_t>(kept_) +
           static_cast<std::size_t>(rank);
  }

  const char* label_ = nullptr;
  const char* top_ = nullptr;
  const char* score_ = nullptr;
  int first_ = 0;  // the sample in the file that is this split's first
  int hole_ = 0;   // from this sample on, hole_size_ samples of the file are left out
  int hole_size_ = 0;
  int samples_ = 0;
  int exits_ = 0;
  int kept_ = 0;
  int classes_ = 0;
};

// A file's content. Immutable, so any number of threads may read it.
class ProfileSet {
 public:
  // Maps the file, or unpacks it into memory: its first bytes say which. Error: names the file and what is
  // wrong with it.
  static Result<ProfileSet> read(const std::filesystem::path& path);
  // The same from bytes in memory; `file` is only used in messages.
  static Result<ProfileSet> parse(std::string bytes, std::string_view file);

  const std::string& network() const { return network_; }
  const std::string& data() const { return data_; }
  int classes() const { return classes_; }
  int blocks() const { return blocks_; }
  // At least one; every part's p50 is above zero.
  const std::vector<EtProfile>& times() const { return times_; }
  // Null if there is none.
  const EtProfile* times_on(std::string_view device) const;
  // Null if the file has no such split.
  const ProfileSplit* split(Split) const;

 private:
  static Result<ProfileSet> parse(std::shared_ptr<const void> owner, std::string_view bytes);
  Result<void> read_metadata(std::string_view bytes);

  std::shared_ptr<const void> owner_;  // of the bytes that the splits refer to
  std::string network_, data_;
  int classes_ = 0;
  int blocks_ = 0;
  std::vector<EtProfile> times_;
  std::array<std::optional<ProfileSplit>, kSplits.size()> splits_;
};

struct ProfileRecord;

// What a writer gathers for one split, in the file's layout.
class SplitRecord {
 public:
  // `kept` classes of each answer: from 1 to min(classes, ProfilesLimits::kKept).
  SplitRecord(int blocks, int classes, int kept);
  SplitRecord(int blocks, int classes);  // the usual number of them

  void add_label(int label) { label_.push_back(static_cast<std::uint16_t>(label)); }
  // A copy of what a file holds.
  explicit SplitRecord(const ProfileSplit&);

  // The softmax scores of one exit, one per class, in [0, 1], in sum 1 but for rounding: for every label
  // `blocks` times, exit by exit. Equal scores keep the order of their classes.
  void add_scores(std::span<const float> scores);

  int kept() const { return kept_; }

 private:
  friend std::string format_profiles(const ProfileRecord&);
  int blocks_;
  int classes_;
  int kept_;
  std::vector<std::uint16_t> label_, top_, score_;
  std::vector<int> order_;  // of the classes, while sorting
};

struct ProfileRecord {
  std::string network;
  std::string data;
  int classes = 0;
  int blocks = 0;
  std::vector<EtProfile> times;
  std::map<Split, SplitRecord> splits;
};

// A copy of what a file holds, to be changed.
ProfileRecord record_of(const ProfileSet&);

// The bytes of a file. Precondition: every split has `blocks` answers for each of its labels.
std::string format_profiles(const ProfileRecord&);

// Writes a file all or nothing (write_file), compressed if the path ends with ".zst". Error: what ProfileSet
// would refuse, or that it cannot be written.
Result<void> write_profiles(const std::filesystem::path& path, const ProfileRecord&);

}  // namespace einet
