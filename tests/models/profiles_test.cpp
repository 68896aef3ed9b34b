// Profiles that were written read back the same; whatever else a file holds is refused with its place and the
// reason.
#include "models/profiles.h"

#include <cmath>
#include <fstream>
#include <functional>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/files.h"
#include "models/compression.h"
#include "models/safetensors.h"
#include "synthetic_profiles.h"
#include "temporary_folder.h"

namespace einet {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(Half, ReadsBackWhatItWroteForEveryHalf) {
  for (int half = 0; half <= 0xffff; ++half) {
    const auto bits = static_cast<std::uint16_t>(half);
    const float value = float_of_half(bits);
    if (std::isnan(value)) {
      EXPECT_TRUE((bits & 0x7c00) == 0x7c00 && (bits & 0x3ff) != 0);
      EXPECT_TRUE(std::isnan(float_of_half(half_of_float(value))));
    } else {
      EXPECT_EQ(half_of_float(value), bits);
    }
  }
}

TEST(Half, RoundsToTheNearestAndTiesToEven) {
  EXPECT_EQ(float_of_half(0x3c00), 1.0F);
  EXPECT_EQ(float_of_half(0x3555), 0.333251953125F);
  EXPECT_EQ(float_of_half(0x0001), 0x1p-24F);
  EXPECT_EQ(float_of_half(0xfbff), -65504.0F);
  EXPECT_EQ(half_of_float(1.0F / 3), 0x3555);
  EXPECT_EQ(half_of_float(1 + 0x1p-11F), 0x3c00);      // a tie, to even
  EXPECT_EQ(half_of_float(1 + 3 * 0x1p-11F), 0x3c02);  // a tie, to even
  EXPECT_EQ(half_of_float(0x1p-25F), 0);               // a tie, to even
  EXPECT_EQ(half_of_float(0x1.8p-25F), 1);
  EXPECT_EQ(half_of_float(65519.0F), 0x7bff);
  EXPECT_EQ(half_of_float(65520.0F), 0x7c00);
  EXPECT_EQ(half_of_float(std::numeric_limits<float>::infinity()), 0x7c00);
}

ProfileRecord small() {
  return test::make_synthetic_profiles(
      {.blocks = 3, .classes = 4, .samples = {{Split::train, 5}, {Split::validation, 4}, {Split::test, 3}}});
}

// Two exits, three classes, one sample, by hand.
ProfileRecord by_hand(int kept = 2) {
  ProfileRecord record = small();
  record.classes = 3;
  record.blocks = 2;
  for (EtProfile& times : record.times) {
    times.trunk.pop_back();
    times.exit.pop_back();
  }
  SplitRecord test(2, 3, kept);
  test.add_label(2);
  test.add_scores(std::vector<float>{0.25F, 0.5F, 0.25F});
  test.add_scores(std::vector<float>{0.0F, 0.125F, 0.875F});
  record.splits.clear();
  record.splits.emplace(Split::test, test);
  return record;
}

TEST(Profiles, HoldWhatWasGathered) {
  const auto set = ProfileSet::parse(format_profiles(by_hand()), "x.profiles");
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(set->network(), "synthetic-3");
  EXPECT_EQ(set->data(), "made-up");
  EXPECT_EQ(set->classes(), 3);
  EXPECT_EQ(set->blocks(), 2);
  EXPECT_EQ(set->times(), by_hand().times);
  EXPECT_EQ(set->times_on("cuda"), &set->times()[1]);
  EXPECT_EQ(set->times_on("gpu"), nullptr);
  EXPECT_EQ(set->split(Split::train), nullptr);
  const ProfileSplit* test = set->split(Split::test);
  ASSERT_NE(test, nullptr);
  EXPECT_EQ(test->samples(), 1);
  EXPECT_EQ(test->exits(), 2);
  EXPECT_EQ(test->kept(), 2);
  EXPECT_EQ(test->label(0), 2);
  EXPECT_EQ(test->top(0, 0), 1);
  EXPECT_EQ(test->top(0, 0, 1), 0);  // of equal scores the first class
  EXPECT_EQ(test->score(0, 0), 0.5F);
  EXPECT_EQ(test->score(0, 0, 1), 0.25F);
  EXPECT_EQ(test->score_of_others(0, 0), 0.25F);
  EXPECT_EQ(test->top(0, 1), 2);
  EXPECT_EQ(test->confidence(0, 1), 0.875F);
  EXPECT_EQ(test->score_of_others(0, 1), 0.0F);
  EXPECT_FALSE(test->right(0, 0));
  EXPECT_TRUE(test->right(0, 1));
  EXPECT_EQ(test->accuracy(0), 0.0);
  EXPECT_EQ(test->accuracy(1), 1.0);
}

TEST(Profiles, AreCopiedWithoutAChange) {
  for (const ProfileRecord& record : {small(), by_hand()}) {
    const std::string bytes = format_profiles(record);
    EXPECT_EQ(format_profiles(record_of(ProfileSet::parse(bytes, "x.profiles").value())), bytes);
  }
}

TEST(Profiles, ReadTheSameFromAFileThatIsReplacedMeanwhile) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "net.profiles";
  ASSERT_TRUE(write_profiles(path, small()));
  const auto set = ProfileSet::read(path);
  ASSERT_TRUE(set) << set.error().message;
  ASSERT_TRUE(write_profiles(path, by_hand()));
  const auto in_memory = ProfileSet::parse(format_profiles(small()), "");
  ASSERT_TRUE(in_memory);
  for (const Split split : kSplits) {
    const ProfileSplit& a = *set->split(split);
    const ProfileSplit& b = *in_memory->split(split);
    ASSERT_EQ(a.samples(), b.samples());
    for (int s = 0; s < a.samples(); ++s) {
      EXPECT_EQ(a.label(s), b.label(s));
      for (int e = 0; e < 3; ++e) {
        EXPECT_EQ(a.top(s, e), b.top(s, e));
        EXPECT_EQ(a.score(s, e, 3), b.score(s, e, 3));
      }
    }
  }
  EXPECT_EQ(ProfileSet::read(path)->blocks(), 2);
}

TEST(Profiles, ArePartedWithoutLosingOrMixingSamples) {
  const auto set =
      ProfileSet::parse(format_profiles(test::make_synthetic_profiles({.samples = {{Split::test, 9}}})), "x");
  const ProfileSplit& whole = *set->split(Split::test);
  const int count = whole.samples();
  const auto same = [&](const ProfileSplit& part, int s, int of_whole) {
    bool equal = part.label(s) == whole.label(of_whole);
    for (int e = 0; e < whole.exits(); ++e) {
      for (int k = 0; k < whole.kept(); ++k) {
        equal = equal && part.top(s, e, k) == whole.top(of_whole, e, k) &&
                part.score(s, e, k) == whole.score(of_whole, e, k);
      }
    }
    return equal;
  };
  for (const auto& [first, size] : {std::pair{0, 1}, {3, 4}, {count - 2, 2}}) {
    const ProfileSplit part = whole.slice(first, size);
    const ProfileSplit rest = whole.without(first, size);
    ASSERT_EQ(part.samples(), size);
    ASSERT_EQ(rest.samples(), count - size);
    for (int s = 0; s < size; ++s) EXPECT_TRUE(same(part, s, first + s)) << first << " " << s;
    for (int s = 0; s < count - size; ++s) EXPECT_TRUE(same(rest, s, s < first ? s : s + size)) << first << s;
  }
}

TEST(Profiles, AreCompressedInAFileThatIsCalledSo) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "net.profiles.zst";
  ASSERT_TRUE(write_profiles(path, small()));
  const std::string bytes = *read_file(path, ByteCount{1 << 20});
  EXPECT_LT(bytes.size(), format_profiles(small()).size());
  EXPECT_EQ(*decompress(bytes, ByteCount{1 << 20}), format_profiles(small()));
  // The bytes say that they are compressed, whatever the file is called.
  const auto elsewhere = folder.path() / "renamed.profiles";
  std::filesystem::rename(path, elsewhere);
  const auto set = ProfileSet::read(elsewhere);
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(set->network(), "synthetic-3");
}

TEST(Profiles, RefuseCompressedFilesCutShortDamagedOrTooLarge) {
  const auto refused = [](const std::string& bytes) {
    const auto set = ProfileSet::parse(bytes, "x.profiles.zst");
    return set ? "" : set.error().message;
  };
  const std::string good = compress(format_profiles(by_hand()));
  EXPECT_EQ(refused(good), "");
  EXPECT_THAT(refused(good.substr(0, good.size() - 3)), HasSubstr("x.profiles.zst: is cut short"));
  std::string damaged = good;
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  EXPECT_THAT(refused(damaged), HasSubstr("x.profiles.zst: is damaged"));
  // A frame that claims 2^40 bytes: magic number, descriptor, size.
  EXPECT_THAT(refused(std::string("\x28\xb5\x2f\xfd\xe0\0\0\0\0\0\x01\0\0", 13)),
              HasSubstr("x.profiles.zst: unpacks to more than 256MiB"));
  EXPECT_THAT(refused(compress("data")), HasSubstr("x.profiles.zst: is cut short: no header"));
  EXPECT_THAT(refused(compress(good)), StartsWith("x.profiles.zst: "));  // once is enough
}

std::string refusal(std::string bytes) {
  const auto set = ProfileSet::parse(std::move(bytes), "x.profiles");
  return set ? "" : set.error().message;
}

// The file of `small` with one thing changed.
struct Parts {
  std::map<std::string, TensorView> tensors;
  std::map<std::string, std::string> metadata;
};
std::string changed(const std::function<void(Parts&)>& change) {
  const std::string bytes = format_profiles(by_hand());
  Parts parts{*read_safetensors(bytes), *read_safetensors_metadata(bytes)};
  change(parts);
  return refusal(write_safetensors(parts.tensors, parts.metadata));
}

// The same with one tensor's 16-bit values replaced.
std::string with_values(const std::string& tensor, std::vector<std::uint16_t> values) {
  return changed([&](Parts& parts) {
    parts.tensors.at(tensor).bytes = {reinterpret_cast<const char*>(values.data()), values.size() * 2};
  });
}

constexpr std::uint16_t kOne = 0x3c00, kHalf = 0x3800, kQuarter = 0x3400;

TEST(Profiles, RefuseMetadataThatIsMissingOrWrong) {
  const auto with = [](const std::string& key, const std::string& value) {
    return changed([&](Parts& parts) { parts.metadata[key] = value; });
  };
  EXPECT_EQ(changed([](Parts&) {}), "");
  for (const char* key : {"format", "network", "data", "classes", "blocks", "et"}) {
    EXPECT_EQ(changed([&](Parts& parts) { parts.metadata.erase(key); }),
              "x.profiles: is no profile of a network: its metadata has no \"" + std::string(key) + "\"");
  }
  EXPECT_THAT(with("format", "2"), HasSubstr("format: found \"2\"; this version reads \"1\""));
  EXPECT_THAT(with("colour", "red"), HasSubstr("unknown key \"colour\""));
  EXPECT_THAT(with("network", ""), HasSubstr("network: found \"\""));
  EXPECT_THAT(with("network", "a\nb"), HasSubstr("printable"));
  EXPECT_THAT(with("data", std::string(65, 'x')), HasSubstr("1 to 64 bytes of printable"));
  for (const char* number : {"0", "-1", "65", "", "3 ", "2.0", "99999999999999999999"}) {
    EXPECT_THAT(with("blocks", number), HasSubstr("whole number from 1 to 64")) << number;
  }
  EXPECT_THAT(with("classes", "65537"), HasSubstr("whole number from 1 to 65536"));
  EXPECT_THAT(with("et", ""), HasSubstr("has no device"));
  EXPECT_THAT(with("et", "x"), HasSubstr("metadata et:1:"));
}

TEST(Profiles, RefuseTimesThatAreZeroOrNegative) {
  const auto with_time = [](const std::string& time) {
    return changed([&](Parts& parts) {
      std::string& text = parts.metadata.at("et");
      text.replace(text.find("\"80us\""), 6, time);
    });
  };
  EXPECT_EQ(with_time("\"80us\""), "");
  EXPECT_THAT(with_time("\"0us\""), HasSubstr("trunk.p50[0]: found \"0us\"; expected at least \"1ns\""));
  EXPECT_THAT(with_time("\"-80us\""), HasSubstr("p50[0]"));
  EXPECT_THAT(with_time("80"), HasSubstr("p50[0]"));
  EXPECT_THAT(with_time("\"nan\""), HasSubstr("p50[0]"));
}

TEST(Profiles, RefuseTensorsOfAnotherShapeOrType) {
  for (const char* tensor : {"test.label", "test.top", "test.score"}) {
    EXPECT_THAT(changed([&](Parts& parts) { parts.tensors.erase(tensor); }),
                HasSubstr("\"" + std::string(tensor) + "\" is missing"));
    EXPECT_THAT(
        changed([&](Parts& parts) { parts.tensors.at(tensor).dtype = tensor[5] == 's' ? "U16" : "F16"; }),
        HasSubstr("expected"));
    EXPECT_THAT(changed([&](Parts& parts) { parts.tensors.at(tensor).shape.push_back(1); }),
                HasSubstr("expected"));
  }
  EXPECT_THAT(changed([](Parts& p) {
                p.tensors.at("test.score").shape = {2, 1, 2};
              }),
              HasSubstr("\"test.score\" is F16 [2, 1, 2]; expected F16 [1, 2, 2]"));
  EXPECT_THAT(changed([](Parts& p) {
                for (auto& [name, tensor] : p.tensors) {
                  tensor.shape[0] = 0;
                  tensor.bytes = {};
                }
              }),
              HasSubstr("test.label has 0 samples; allowed are 1 to 1048576"));
  EXPECT_THAT(changed([](Parts& p) { p.metadata["classes"] = "1"; }), HasSubstr("allowed are 1 to 1"));
  EXPECT_THAT(changed([](Parts& p) { p.metadata["blocks"] = "3"; }),
              HasSubstr("p50, p99 and max must have one"));
  EXPECT_THAT(changed([](Parts& p) { p.tensors["weights"] = p.tensors.at("test.label"); }),
              HasSubstr("unknown tensor \"weights\""));
}

TEST(Profiles, RefuseValuesThatCannotBe) {
  EXPECT_THAT(with_values("test.label", {3}), HasSubstr("test: label of sample 0 is 3; there are 3 classes"));
  EXPECT_THAT(with_values("test.top", {1, 0, 2, 3}),
              HasSubstr("top holds class 3; there are 3 (sample 0, exit 1)"));
  EXPECT_THAT(with_values("test.top", {1, 1, 2, 1}), HasSubstr("top holds class 1 twice (sample 0, exit 0)"));
  EXPECT_THAT(with_values("test.score", {kHalf, 0x7e00, kHalf, 0}), HasSubstr("score holds nan"));
  EXPECT_THAT(with_values("test.score", {0x7c00, 0, kHalf, 0}), HasSubstr("score holds inf"));
  EXPECT_THAT(with_values("test.score", {kHalf, kQuarter, 0x3c01, 0}),
              HasSubstr("expected a number from 0 to 1"));
  EXPECT_THAT(with_values("test.score", {kHalf, 0xb400, kHalf, 0}), HasSubstr("score holds -0.25"));
  EXPECT_THAT(with_values("test.score", {kHalf, kQuarter, kQuarter, kHalf}),
              HasSubstr("score rises; the best class must come first (sample 0, exit 1)"));
  EXPECT_THAT(with_values("test.score", {kOne, kQuarter, kHalf, 0}), HasSubstr("score sums up to 1.25"));
  EXPECT_EQ(with_values("test.score", {kHalf, kHalf, kOne, 0}), "");
}

TEST(Profiles, RefuseFilesCutShortAndOtherFiles) {
  const std::string bytes = format_profiles(by_hand());
  for (std::size_t size = 0; size < bytes.size(); size += size < 64 ? 1 : 7) {
    EXPECT_THAT(refusal(bytes.substr(0, size)), StartsWith("x.profiles: ")) << size;
  }
  EXPECT_THAT(refusal(bytes + "x"), HasSubstr("bytes after the last tensor"));
  EXPECT_THAT(refusal(write_safetensors({})), HasSubstr("is no profile of a network"));
  const test::TemporaryFolder folder;
  EXPECT_THAT(ProfileSet::read(folder.path() / "none").error().message, HasSubstr("none: cannot open"));
  EXPECT_THAT(ProfileSet::read(folder.path()).error().message, HasSubstr("is not a regular file"));
  std::ofstream(folder.path() / "empty").flush();
  EXPECT_THAT(ProfileSet::read(folder.path() / "empty").error().message, HasSubstr("empty: is cut short"));
}

TEST(Profiles, AreNotWrittenUnlessTheyCanBeRead) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "net.profiles";
  ASSERT_TRUE(write_profiles(path, by_hand()));
  ProfileRecord bad = by_hand();
  bad.times.front().trunk.front() = PartTime{};
  EXPECT_THAT(write_profiles(path, bad).error().message, HasSubstr("net.profiles: metadata et"));
  EXPECT_EQ(*read_file(path, ByteCount{1 << 20}), format_profiles(by_hand()));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

}  // namespace
}  // namespace einet
