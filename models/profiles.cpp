#include "models/profiles.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <numeric>

#include "config/check.h"
#include "config/files.h"
#include "config/text.h"
#include "models/compression.h"
#include "models/package_files.h"
#include "models/safetensors.h"

namespace einet {
namespace {

static_assert(std::endian::native == std::endian::little, "profiles are little-endian; so is their reader");

using Metadata = std::map<std::string, std::string>;

constexpr std::string_view kFormat = "1";
constexpr std::array<std::string_view, 6> kKeys{"format", "network", "data", "classes", "blocks", "et"};
constexpr std::array<std::string_view, 3> kSplitNames{"train", "validation", "test"};
// Scores that sum up to 1 may sum up to this much after each is rounded to 11 bits.
constexpr float kLargestSum = 1.001F;

Result<int> whole_number(const Metadata& metadata, std::string_view key, int max) {
  const std::string& text = metadata.find(std::string(key))->second;
  int value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || end != text.data() + text.size() || value < 1 || value > max) {
    return error("metadata " + std::string(key) + ": found \"" + escape(text, 60) +
                 "\"; expected a whole number from 1 to " + std::to_string(max));
  }
  return value;
}

Result<std::string> word(const Metadata& metadata, std::string_view key) {
  const std::string& text = metadata.find(std::string(key))->second;
  if (!text.empty() && text.size() <= PackageLimits::kName && escape(text) == text) return text;
  return error("metadata " + std::string(key) + ": found \"" + escape(text, 60) + "\"; expected 1 to " +
               std::to_string(PackageLimits::kName) + " bytes of printable text");
}

// What the split's tensors say, once their shapes are known to be right.
Result<void> check_values(const ProfileSplit& split) {
  const auto place = [](int s, int e) {
    return " (sample " + std::to_string(s) + ", exit " + std::to_string(e) + ")";
  };
  const int kept = split.kept();
  for (int s = 0; s < split.samples(); ++s) {
    if (split.label(s) >= split.classes()) {
      return error("label of sample " + std::to_string(s) + " is " + std::to_string(split.label(s)) +
                   "; there are " + std::to_string(split.classes()) + " classes");
    }
    for (int e = 0; e < split.exits(); ++e) {
      float sum = 0;
      float before = 1;
      for (int k = 0; k < kept; ++k) {
        const int top = split.top(s, e, k);
        if (top >= split.classes()) {
          return error("top holds class " + std::to_string(top) + "; there are " +
                       std::to_string(split.classes()) + place(s, e));
        }
        for (int other = 0; other < k; ++other) {
          if (split.top(s, e, other) == top) {
            return error("top holds class " + std::to_string(top) + " twice" + place(s, e));
          }
        }
        const float score = split.score(s, e, k);
        if (!(score >= 0 && score <= 1)) {
          return error("score holds " + std::to_string(score) + "; expected a number from 0 to 1" +
                       place(s, e));
        }
        if (score > before) return error("score rises; the best class must come first" + place(s, e));
        before = score;
        sum += score;
      }
      if (sum > kLargestSum) {
        return error("score sums up to " + std::to_string(sum) + "; expected at most 1" + place(s, e));
      }
    }
  }
  return {};
}

std::string_view bytes_of(const std::vector<std::uint16_t>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(std::uint16_t)};
}

}  // namespace

std::string_view name(Split split) {
  return kSplitNames[static_cast<std::size_t>(split)];
}

float ProfileSplit::score_of_others(int sample, int exit) const {
  if (kept_ == classes_) return 0;
  float missing = 1;
  for (int k = 0; k < kept_; ++k) missing -= score(sample, exit, k);
  return std::max(0.0F, missing) / static_cast<float>(classes_ - kept_);
}

double ProfileSplit::accuracy(int exit) const {
  int count = 0;
  for (int s = 0; s < samples_; ++s) count += right(s, exit) ? 1 : 0;
  return static_cast<double>(count) / samples_;
}

ProfileSplit ProfileSplit::slice(int first, int count) const {
  EINET_CHECK(first_ == 0 && hole_size_ == 0 && first >= 0 && count > 0 && count <= samples_ - first,
              "a part of a whole split");
  ProfileSplit out = *this;
  out.first_ = first;
  out.samples_ = count;
  return out;
}

ProfileSplit ProfileSplit::without(int first, int count) const {
  EINET_CHECK(first_ == 0 && hole_size_ == 0 && first >= 0 && count >= 0 && count < samples_ &&
                  first <= samples_ - count,
              "less than a whole split");
  ProfileSplit out = *this;
  out.hole_ = first;
  out.hole_size_ = count;
  out.samples_ -= count;
  return out;
}

Result<ProfileSet> ProfileSet::read(const std::filesystem::path& path) {
  auto file = MappedFile::open(path, ProfilesLimits::kFile);
  if (!file) return file.error();
  const auto owner = std::make_shared<const MappedFile>(std::move(*file));
  auto set = parse(owner, owner->bytes());
  if (!set) return within(path.string(), set.error());
  return set;
}

Result<ProfileSet> ProfileSet::parse(std::string bytes, std::string_view file) {
  const auto owner = std::make_shared<const std::string>(std::move(bytes));
  auto set = parse(owner, *owner);
  if (!set) return within(file, set.error());
  return set;
}

Result<ProfileSet> ProfileSet::parse(std::shared_ptr<const void> owner, std::string_view bytes) {
  if (is_compressed(bytes)) {
    auto unpacked = decompress(bytes, ProfilesLimits::kUnpacked);
    if (!unpacked) return unpacked.error();
    const auto text = std::make_shared<const std::string>(std::move(*unpacked));
    owner = text;
    bytes = *text;
  }
  ProfileSet set;
  set.owner_ = std::move(owner);
  if (auto ok = set.read_metadata(bytes); !ok) return ok.error();
  auto tensors = read_safetensors(bytes);
  if (!tensors) return tensors.error();

  // The tensor NAME, or an error; taken out, so that what is left at the end is unknown.
  const auto take = [&](const std::string& tensor, std::string_view dtype,
                        const std::vector<std::int64_t>& shape) -> Result<const char*> {
    const auto found = tensors->find(tensor);
    if (found == tensors->end()) return error("the tensor \"" + tensor + "\" is missing");
    const TensorView view = std::move(found->second);
    tensors->erase(found);
    // -1: any size, and the same in the tensors that follow.
    bool same = view.dtype == dtype && view.shape.size() == shape.size();
    for (std::size_t i = 0; same && i < shape.size(); ++i) same = shape[i] == view.shape[i];
    if (same) return view.bytes.data();
    const auto words = [](const std::vector<std::int64_t>& numbers) {
      std::string out;
      for (const std::int64_t n : numbers) out += (out.empty() ? "" : ", ") + std::to_string(n);
      return "[" + out + "]";
    };
    return error("the tensor \"" + tensor + "\" is " + std::string(view.dtype) + " " + words(view.shape) +
                 "; expected " + std::string(dtype) + " " + words(shape));
  };

  for (const Split split : kSplits) {
    const std::string prefix = std::string(name(split)) + ".";
    const auto label = tensors->find(prefix + "label");
    const auto top = tensors->find(prefix + "top");
    if (label == tensors->end() && top == tensors->end() && !tensors->contains(prefix + "score")) continue;
    // The sizes that are free come from the first two tensors; then all must agree.
    const std::int64_t samples =
        label != tensors->end() && label->second.shape.size() == 1 ? label->second.shape[0] : 1;
    const std::int64_t kept =
        top != tensors->end() && top->second.shape.size() == 3 ? top->second.shape[2] : 1;
    const std::int64_t most = std::min(set.classes_, ProfilesLimits::kKept);
    if (samples < 1 || samples > ProfilesLimits::kSamples) {
      return error(prefix + "label has " + std::to_string(samples) + " samples; allowed are 1 to " +
                   std::to_string(ProfilesLimits::kSamples));
    }
    if (kept < 1 || kept > most) {
      return error(prefix + "top keeps " + std::to_string(kept) + " classes; allowed are 1 to " +
                   std::to_string(most));
    }
    const auto labels = take(prefix + "label", "U16", {samples});
    if (!labels) return labels.error();
    const auto tops = take(prefix + "top", "U16", {samples, set.blocks_, kept});
    if (!tops) return tops.error();
    const auto scores = take(prefix + "score", "F16", {samples, set.blocks_, kept});
    if (!scores) return scores.error();
    ProfileSplit view;
    view.label_ = *labels;
    view.top_ = *tops;
    view.score_ = *scores;
    view.samples_ = static_cast<int>(samples);
    view.exits_ = set.blocks_;
    view.kept_ = static_cast<int>(kept);
    view.classes_ = set.classes_;
    if (auto ok = check_values(view); !ok) return within(name(split), ok.error());
    set.splits_[static_cast<std::size_t>(split)] = view;
  }
  if (!tensors->empty()) {
    return error("unknown tensor \"" + escape(tensors->begin()->first, 60) +
                 "\"; expected label, top and score of train, validation and test");
  }
  return set;
}

Result<void> ProfileSet::read_metadata(std::string_view bytes) {
  const auto metadata = read_safetensors_metadata(bytes);
  if (!metadata) return metadata.error();
  for (const std::string_view key : kKeys) {
    if (!metadata->contains(std::string(key))) {
      return error("is no profile of a network: its metadata has no \"" + std::string(key) + "\"");
    }
  }
  if (const std::string& format = metadata->at("format"); format != kFormat) {
    return error("metadata format: found \"" + escape(format, 60) + "\"; this version reads \"" +
                 std::string(kFormat) + "\"");
  }
  if (metadata->size() != kKeys.size()) {
    const auto extra = std::find_if(metadata->begin(), metadata->end(), [](const auto& entry) {
      return std::find(kKeys.begin(), kKeys.end(), entry.first) == kKeys.end();
    });
    return error("metadata: unknown key \"" + escape(extra->first, 60) + "\"; expected " + one_of(kKeys));
  }
  auto network = word(*metadata, "network");
  if (!network) return network.error();
  auto data = word(*metadata, "data");
  if (!data) return data.error();
  const auto classes = whole_number(*metadata, "classes", ProfilesLimits::kClasses);
  if (!classes) return classes.error();
  const auto blocks = whole_number(*metadata, "blocks", kMaxBlocks);
  if (!blocks) return blocks.error();
  auto times = parse_et_profile(metadata->at("et"), "metadata et", *blocks);
  if (!times) return times.error();
  if (times->empty()) return error("metadata et: has no device; expected at least one");
  network_ = std::move(*network);
  data_ = std::move(*data);
  classes_ = *classes;
  blocks_ = *blocks;
  times_ = std::move(*times);
  return {};
}

const EtProfile* ProfileSet::times_on(std::string_view device) const {
  const auto found =
      std::find_if(times_.begin(), times_.end(), [&](const EtProfile& p) { return p.device == device; });
  return found == times_.end() ? nullptr : &*found;
}

const ProfileSplit* ProfileSet::split(Split split) const {
  const std::optional<ProfileSplit>& view = splits_[static_cast<std::size_t>(split)];
  return view ? &*view : nullptr;
}

SplitRecord::SplitRecord(int blocks, int classes, int kept)
    : blocks_(blocks), classes_(classes), kept_(kept) {
  EINET_CHECK(kept >= 1 && kept <= std::min(classes, ProfilesLimits::kKept), "so many classes can be kept");
}

SplitRecord::SplitRecord(int blocks, int classes)
    : SplitRecord(blocks, classes, std::min(classes, ProfilesLimits::kUsuallyKept)) {}

SplitRecord::SplitRecord(const ProfileSplit& split)
    : SplitRecord(split.exits(), split.classes(), split.kept()) {
  for (int s = 0; s < split.samples(); ++s) {
    add_label(split.label(s));
    for (int e = 0; e < split.exits(); ++e) {
      for (int k = 0; k < kept_; ++k) {
        top_.push_back(static_cast<std::uint16_t>(split.top(s, e, k)));
        score_.push_back(half_of_float(split.score(s, e, k)));  // exact: it was a half
      }
    }
  }
}

void SplitRecord::add_scores(std::span<const float> scores) {
  EINET_CHECK(scores.size() == static_cast<std::size_t>(classes_), "a score for every class");
  order_.resize(scores.size());
  std::iota(order_.begin(), order_.end(), 0);
  const auto score = [&](int c) { return scores[static_cast<std::size_t>(c)]; };
  std::partial_sort(order_.begin(), order_.begin() + kept_, order_.end(),
                    [&](int a, int b) { return score(a) != score(b) ? score(a) > score(b) : a < b; });
  for (int k = 0; k < kept_; ++k) {
    const int c = order_[static_cast<std::size_t>(k)];
    top_.push_back(static_cast<std::uint16_t>(c));
    score_.push_back(half_of_float(std::min(score(c), 1.0F)));  // a softmax may round to just above 1
  }
}

ProfileRecord record_of(const ProfileSet& set) {
  ProfileRecord record{set.network(), set.data(), set.classes(), set.blocks(), set.times(), {}};
  for (const Split split : kSplits) {
    if (const ProfileSplit* found = set.split(split)) record.splits.emplace(split, SplitRecord(*found));
  }
  return record;
}

std::string format_profiles(const ProfileRecord& record) {
  std::map<std::string, TensorView> tensors;
  for (const auto& [split, samples] : record.splits) {
    const std::string prefix = std::string(name(split)) + ".";
    const auto count = static_cast<std::int64_t>(samples.label_.size());
    const std::size_t answers = samples.label_.size() * static_cast<std::size_t>(record.blocks);
    EINET_CHECK(samples.blocks_ == record.blocks && samples.classes_ == record.classes &&
                    samples.top_.size() == answers * static_cast<std::size_t>(samples.kept_),
                "every sample of a split has an answer of every block");
    const std::vector<std::int64_t> shape{count, record.blocks, samples.kept_};
    tensors.emplace(prefix + "label", TensorView{"U16", {count}, bytes_of(samples.label_)});
    tensors.emplace(prefix + "top", TensorView{"U16", shape, bytes_of(samples.top_)});
    tensors.emplace(prefix + "score", TensorView{"F16", shape, bytes_of(samples.score_)});
  }
  return write_safetensors(tensors, {{"format", std::string(kFormat)},
                                     {"network", record.network},
                                     {"data", record.data},
                                     {"classes", std::to_string(record.classes)},
                                     {"blocks", std::to_string(record.blocks)},
                                     {"et", format_et_profile(record.times)}});
}

Result<void> write_profiles(const std::filesystem::path& path, const ProfileRecord& record) {
  std::string bytes = format_profiles(record);
  if (path.extension() == ".zst") bytes = compress(bytes);
  // What is written must be readable: the reader itself is the check.
  if (const auto set = ProfileSet::parse(bytes, path.string()); !set) return set.error();
  return write_file(path, bytes);
}

}  // namespace einet
