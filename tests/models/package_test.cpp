// A package that was written reads back equal; a damaged one is refused with its file and the reason.
#include "models/package.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/files.h"
#include "models/package_files.h"
#include "models/predictor_file.h"
#include "models/safetensors.h"
#include "synthetic_package.h"
#include "temporary_folder.h"

namespace einet {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

class PackageTest : public testing::Test {
 protected:
  PackageTest() {
    test::SyntheticPackage want;
    want.name = "small";
    want.trunk = {1ms, 2ms};
    want.exit = {100us, 200us};
    want.accuracy = {0.5, 0.75};
    want.samples = 4;
    want.input = {2, 3, 3};
    want.classes = 3;
    package_ = test::make_synthetic_package(want);
    package_.info.labels = {"cat", "dog \"\\", "fi\tsh"};
    package_.info.normalisation = {{0.1F, -3e-5F}, {0.25F, 123456.7F}};
    package_.info.predictor = {
        .classes = 3,
        .calibration = {{1.5F, {0.25F, 0.75F}, {0.5F, 0.625F}}, {0.75F, {0.5F}, {0.5F}}},
        .prior = {0.5F, 0.75F},
        .layers = {{4, 1, {1, -2, 3, 0.5F}, {0.125F}}, {1, 2, {1, 2}, {3, 4}}},
        .aggregation = Aggregation::discounted,
        .discount = 0.5F,
        .lookalikes = LookalikeParameters{
            .mean = {0.5F, 0.75F},
            .groups = {{{0.25F, {0.375F, 0.5F}}, {0.75F, {0.875F, 1}}}, {{0.5F, {0.75F}}}}}};
    write();
    for (const auto& entry : fs::directory_iterator(path_)) {
      const std::string file = entry.path().filename().string();
      good_[file] = bytes(file);
    }
  }

  void write() {
    const auto ok = write_package(path_, package_);
    ASSERT_TRUE(ok) << ok.error().message;
  }
  std::string bytes(std::string_view file) { return *read_file(path_ / file, ByteCount{1 << 20}); }
  // Not write_file, and not over the old file: a thousand damaged files need no syncing.
  void put(std::string_view file, std::string_view bytes) {
    fs::remove(path_ / file);
    std::ofstream out(path_ / file, std::ios::binary | std::ios::trunc);
    out << bytes;
    ASSERT_TRUE(out.flush());
  }
  // The files as write_package wrote them.
  void restore() {
    for (const auto& [file, bytes] : good_) put(file, bytes);
  }
  // Puts other bytes and makes model.toml agree, so that the readers behind the checksum are reached.
  void forge(std::string_view file, std::string_view forged) {
    std::string model = bytes(kModelFile);
    const std::string sum = sha256(bytes(file));
    const std::size_t at = model.find(sum);
    ASSERT_NE(at, std::string::npos);
    put(kModelFile, model.replace(at, sum.size(), sha256(forged)));
    put(file, forged);
    // The predictor is bound to the weights.
    if (file == kWeightsFile)
      forge(kPredictorFile, format_predictor(*package_.info.predictor, sha256(forged)));
  }
  void edit(std::string_view file, std::string_view from, std::string_view to) {
    std::string text = bytes(file);
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    file == kModelFile ? put(file, text) : forge(file, text);
  }
  std::string refusal() {
    const auto read = read_package(path_);
    return read ? "" : read.error().message;
  }

  test::TemporaryFolder folder_;
  const fs::path path_ = folder_.path() / "small.einet";
  std::map<std::string, std::string> good_;
  Package package_ = test::make_synthetic_package({.trunk = {1ms}, .exit = {1ms}, .accuracy = {}});
};

TEST_F(PackageTest, ReadsBackEqual) {
  const auto read = read_package(path_);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->info.name, package_.info.name);
  EXPECT_EQ(read->info.version, package_.info.version);
  EXPECT_EQ(read->info.program, package_.info.program);
  EXPECT_EQ(read->info.normalisation, package_.info.normalisation);
  EXPECT_EQ(read->info.labels, package_.info.labels);
  EXPECT_EQ(read->info.times, package_.info.times);
  EXPECT_EQ(read->info.confidences, package_.info.confidences);
  EXPECT_EQ(read->info.predictor, package_.info.predictor);
  EXPECT_EQ(read->weights, package_.weights);
  EXPECT_DOUBLE_EQ(read->info.confidences.accuracy(1), 0.75);
  EXPECT_EQ(read->info.digest, sha256(bytes(kModelFile)));
}

TEST_F(PackageTest, ChecksumsAreSha256) {
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_F(PackageTest, InfoIsReadWithoutOpeningTheWeights) {
  fs::remove(path_ / kWeightsFile);
  const auto info = read_package_info(path_);
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->program, package_.info.program);
  EXPECT_FALSE(read_package(path_));
}

TEST_F(PackageTest, WritingReplacesTheWholePackageAndLeavesNothingBeside) {
  package_.info.version = "2";
  package_.info.times.clear();
  package_.info.confidences = {};
  package_.info.predictor.reset();
  write();
  const auto read = read_package(path_);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->info.version, "2");
  EXPECT_TRUE(read->info.times.empty());
  EXPECT_EQ(read->info.confidences.samples, 0);
  EXPECT_FALSE(read->info.predictor);
  EXPECT_FALSE(fs::exists(path_ / kEtProfileFile));
  EXPECT_FALSE(fs::exists(path_ / kPredictorFile));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator()), 1);
}

TEST_F(PackageTest, WritingRefusesWhatReadingWouldRefuseAndKeepsTheOldPackage) {
  const Package good = package_;
  package_.weights.begin()->second.values[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(write_package(path_, package_).error().message, HasSubstr("not finite"));
  package_ = good;
  package_.weights.erase(package_.weights.begin());
  EXPECT_THAT(write_package(path_, package_).error().message, HasSubstr("is missing"));
  package_ = good;
  package_.info.predictor->prior[1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(write_package(path_, package_).error().message, HasSubstr("predictor: prior[1]: found nan"));
  package_ = good;
  package_.info.name = "../evil";
  EXPECT_THAT(write_package(path_, package_).error().message, HasSubstr("name: found"));
  package_ = good;
  package_.info.normalisation.deviation[0] = 0;
  EXPECT_THAT(write_package(path_, package_).error().message, HasSubstr("deviation[0]"));
  EXPECT_EQ(refusal(), "");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator()), 1);
}

TEST_F(PackageTest, WritingReplacesNothingButAPackage) {
  const fs::path other = folder_.path() / "other.einet";
  fs::create_directories(other / "photos");
  EXPECT_THAT(write_package(other, package_).error().message,
              HasSubstr("is there already and is no package"));
  EXPECT_TRUE(fs::exists(other / "photos"));
  EXPECT_THAT(write_package(folder_.path(), package_).error().message, HasSubstr("is named NAME.einet"));
  EXPECT_TRUE(fs::exists(path_));
  EXPECT_FALSE(write_package(folder_.path() / "missing" / "a.einet", package_));
}

TEST_F(PackageTest, AMissingFileIsNamed) {
  for (const std::string_view file :
       {kModelFile, kProgramFile, kWeightsFile, kEtProfileFile, kCsProfileFile, kPredictorFile}) {
    fs::remove(path_ / file);
    EXPECT_THAT(refusal(), AllOf(StartsWith((path_ / file).string()), HasSubstr("No such file"))) << file;
    restore();
  }
  fs::remove_all(path_);
  EXPECT_THAT(refusal(), HasSubstr("model.toml: cannot open"));
}

TEST_F(PackageTest, AFlippedByteIsSeenByTheChecksum) {
  for (const std::string_view file :
       {kProgramFile, kWeightsFile, kEtProfileFile, kCsProfileFile, kPredictorFile}) {
    const std::string good = bytes(file);
    for (const std::size_t at : {std::size_t{0}, good.size() / 2, good.size() - 1}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ 1);
      put(file, bad);
      EXPECT_THAT(refusal(), AllOf(StartsWith((path_ / file).string()), HasSubstr("is damaged")))
          << file << at;
    }
    put(file, good);
  }
  EXPECT_EQ(refusal(), "");
}

// Behind the checksum the readers stand alone.
TEST_F(PackageTest, AFileCutAnywhereIsRefusedEvenWithAMatchingChecksum) {
  for (const std::string_view file :
       {kWeightsFile, kEtProfileFile, kCsProfileFile, kProgramFile, kPredictorFile}) {
    const std::string good = bytes(file);
    const std::size_t step = good.size() / 50 + 1;
    for (std::size_t n = 0; n + 2 < good.size(); n += step) {
      forge(file, good.substr(0, n));
      // An et.profile cut before its first device is a valid, empty one.
      if (file == kEtProfileFile && good.substr(0, n).find("[[device]]") == std::string::npos) continue;
      EXPECT_THAT(refusal(), StartsWith((path_ / file).string())) << file << " cut at " << n;
    }
    forge(file, good);
  }
  const std::string good = bytes(kModelFile);
  for (std::size_t n = 0; n + 2 < good.size(); ++n) {
    put(kModelFile, good.substr(0, n));
    EXPECT_THAT(refusal(), StartsWith((path_ / kModelFile).string())) << "model.toml cut at " << n;
  }
}

TEST_F(PackageTest, AByteFlippedAnywhereBehindTheChecksumNeverCrashes) {
  for (const std::string_view file :
       {kModelFile, kProgramFile, kWeightsFile, kEtProfileFile, kCsProfileFile, kPredictorFile}) {
    const std::string good = bytes(file);
    const std::size_t step = good.size() / 200 + 1;
    for (std::size_t at = 0; at < good.size(); at += step) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << at % 8));
      file == kModelFile ? put(file, bad) : forge(file, bad);
      const std::string said = refusal();
      EXPECT_TRUE(said.empty() || said.starts_with(path_.string())) << said;
    }
    file == kModelFile ? put(file, good) : forge(file, good);
  }
  EXPECT_EQ(refusal(), "");
}

TEST_F(PackageTest, ModelTomlSaysWhatIsWrongWithIt) {
  const auto said = [&](std::string_view from, std::string_view to) {
    restore();
    edit(kModelFile, from, to);
    return refusal();
  };
  EXPECT_THAT(said("format = 1", "format = 2"),
              HasSubstr("format: found 2; expected a whole number from 1 to 1"));
  EXPECT_THAT(said("\"small\"", "\"a/b\""), HasSubstr("name: found \"a/b\"; expected 1 to 64"));
  EXPECT_THAT(said("\"small\"", "\"\""), HasSubstr("name: must not be empty"));
  EXPECT_THAT(said("input = [2, 3, 3]", "input = [2, 3]"),
              HasSubstr("expected [channels, height, width] or [N]"));
  EXPECT_THAT(said("input = [2, 3, 3]", "input = [2, 3, 70000]"), HasSubstr("input[2]: found 70000"));
  EXPECT_THAT(said("classes = 3", "classes = 0"), HasSubstr("classes: found 0"));
  EXPECT_THAT(said("blocks = 2", "blocks = 65"),
              HasSubstr("blocks: found 65; expected a whole number from 1 to 64"));
  EXPECT_THAT(said("blocks = 2", "blocks = 3"), HasSubstr("program: has 2 blocks; model.toml says 3"));
  EXPECT_THAT(said("labels = [\"cat\", ", "labels = ["),
              HasSubstr("labels: has 2 entries; expected one per class (3)"));
  EXPECT_THAT(said("mean = [", "mean = [1, "), HasSubstr("mean: has 3 values; expected one per channel (2)"));
  EXPECT_THAT(said("mean = [", "mean = [nan, "), HasSubstr("mean[0]: found nan"));
  EXPECT_THAT(said("\"program\" = \"", "\"program\" = \"0"),
              HasSubstr("files.program: expected the file's SHA-256"));
  EXPECT_THAT(said("\"program\"", "\"extra\" = \"\"\n\"program\""), HasSubstr("files.extra: unknown key"));
  EXPECT_THAT(said("version", "versoin"), HasSubstr("version: is missing"));
}

TEST_F(PackageTest, ProgramsThatDoNotChainAreRefused) {
  const auto said = [&](std::string_view from, std::string_view to) {
    restore();
    edit(kProgramFile, from, to);
    return refusal();
  };
  EXPECT_THAT(said("op = \"flatten\"", "op = \"global_mean\""),
              HasSubstr("the tensor \"block0.weight\" is F32 [3, 18]; the program needs F32 [3, 2]"));
  EXPECT_THAT(
      said("op = \"flatten\", ", "op = \"relu\", "),
      HasSubstr("program: block 0 exit[1] (linear): its input is the map [2, 3, 3]; expected a vector [N]"));
  EXPECT_THAT(said("in = [0]", "in = [3]"),
              HasSubstr("block 0 trunk[0] (relu): reads register 3 before it is written"));
  EXPECT_THAT(said("size = 3", "size = 4"),
              HasSubstr("block 0 exit: must end with a softmax over the 3 classes"));
  EXPECT_THAT(said("op = \"relu\"", "op = \"rleu\""), HasSubstr("(did you mean \"relu\"?)"));
  EXPECT_THAT(said("size = 3", "size = 99999999999"), HasSubstr("size: found 99999999999"));
  std::string blocks;
  for (int b = 0; b < 65; ++b) blocks += "[[block]]\n";
  restore();
  forge(kProgramFile, blocks);
  EXPECT_THAT(refusal(), HasSubstr("block: found 65 blocks; at most 64 are allowed"));
  std::string operations = "[[block]]\ntrunk = [\n";
  for (int i = 0; i < 9000; ++i) {
    operations += "{op='relu',in=[" + std::to_string(i) + "],out=" + std::to_string(i + 1) + "},\n";
  }
  restore();
  forge(kProgramFile, operations + "]\n");
  EXPECT_THAT(refusal(), HasSubstr("found 9000 operations; at most 8192 are allowed"));
}

TEST_F(PackageTest, WeightsMustBeTheProgramsAndFinite) {
  const std::string good = bytes(kWeightsFile);
  const auto said = [&](const std::function<void(Weights&)>& change) {
    Weights weights = package_.weights;
    change(weights);
    restore();
    forge(kWeightsFile, format_weights(weights));
    return refusal();
  };
  EXPECT_EQ(said([](Weights&) {}), "");
  EXPECT_THAT(
      said([](Weights& w) { w.at("block1.bias").values[2] = std::numeric_limits<float>::infinity(); }),
      HasSubstr("weights.safetensors: the tensor \"block1.bias\" holds a value that is not finite"));
  EXPECT_THAT(said([](Weights& w) { w.erase("block1.bias"); }),
              HasSubstr("weights.safetensors: the tensor \"block1.bias\" is missing"));
  EXPECT_THAT(said([](Weights& w) {
                w["extra"] = {{1}, {0}};
              }),
              HasSubstr("the tensor \"extra\" is used by no operation"));
  EXPECT_THAT(said([](Weights& w) {
                w.at("block0.weight").shape = {18, 3};
              }),
              HasSubstr("\"block0.weight\" is F32 [18, 3]; the program needs F32 [3, 18]"));
}

TEST_F(PackageTest, ProfilesMustFitTheBlocks) {
  const auto said = [&](std::string_view from, std::string_view to) {
    restore();
    edit(kEtProfileFile, from, to);
    return refusal();
  };
  EXPECT_THAT(said("p50 = [\"1ms\", ", "p50 = ["),
              HasSubstr("device[0].trunk: p50, p99 and max must have one duration per block (2)"));
  EXPECT_THAT(said("p50 = [\"1ms\"", "p50 = [\"9ms\""), HasSubstr("block 0 must have p50 <= p99 <= max"));
  EXPECT_THAT(said("p50 = [\"1ms\"", "p50 = [\"1 ms\""), HasSubstr("trunk.p50[0]"));
  EXPECT_THAT(said("\"cpu\"", "\"c p u\""), HasSubstr("device[0].kind: found \"c p u\""));
  restore();
  const std::string profile = bytes(kEtProfileFile);
  forge(kEtProfileFile, profile + profile);
  EXPECT_THAT(refusal(), HasSubstr("device[1].kind: \"cpu\" is there twice"));

  const auto confidences = [&](const std::function<void(CsProfile&)>& change) {
    CsProfile p = package_.info.confidences;
    change(p);
    restore();
    forge(kCsProfileFile, format_cs_profile(p));
    return refusal();
  };
  EXPECT_EQ(confidences([](CsProfile&) {}), "");
  EXPECT_THAT(confidences([](CsProfile& p) { p.confidence[3] = 1.5F; }),
              HasSubstr("cs.profile: a confidence is not a number from 0 to 1"));
  EXPECT_THAT(confidences([](CsProfile& p) { p.correct[3] = 2; }),
              HasSubstr("\"correct\" holds a value other than 0 and 1"));
  EXPECT_THAT(confidences([](CsProfile& p) { std::swap(p.samples, p.exits); }),
              HasSubstr("\"confidence\" must be F32 and \"correct\" U8, both [samples, 2]"));
}

TEST_F(PackageTest, ThePredictorMustBeThisNetworks) {
  const auto said = [&](const std::function<void(PredictorParameters&)>& change) {
    PredictorParameters p = *package_.info.predictor;
    change(p);
    restore();
    forge(kPredictorFile, format_predictor(p, sha256(bytes(kWeightsFile))));
    return refusal();
  };
  using P = PredictorParameters;
  EXPECT_EQ(said([](P&) {}), "");
  EXPECT_EQ(said([](P& p) { p.layers.clear(); }), "");
  EXPECT_THAT(
      said([](P& p) { p.classes = 4; }),
      HasSubstr("predictor: classes: found \"4\"; expected \"3\": it was trained for another network"));
  EXPECT_THAT(said([](P& p) {
                p.calibration.pop_back();
                p.prior.pop_back();
              }),
              HasSubstr("\"prior\" and \"temperature\" must have one value per exit, 2"));
  EXPECT_THAT(
      said([](P& p) {
        p.calibration[0].accuracy = {0.5F, 0.25F};
      }),
      HasSubstr("calibration of exit 0: accuracy[1]: found 0.250000; expected at least the knot before"));
  EXPECT_THAT(said([](P& p) { p.layers[0].weight[2] = std::numeric_limits<float>::infinity(); }),
              HasSubstr("layer 0: weight[2]: found inf"));
  EXPECT_THAT(said([](P& p) {
                p.layers[0] = {6, 1, std::vector<float>(6), {0}};
              }),
              HasSubstr("layer 0: found 6 inputs; expected 4"));
  EXPECT_THAT(said([](P& p) {
                p.layers[1] = {1, 3, std::vector<float>(3), std::vector<float>(3)};
              }),
              HasSubstr("the last layer: found 3 outputs; expected one per exit, 2"));
  EXPECT_THAT(said([](P& p) { p.discount = 0; }), HasSubstr("discount: found 0.000000; expected a number"));
  EXPECT_EQ(said([](P& p) { p.lookalikes.reset(); }), "");
  EXPECT_THAT(said([](P& p) { p.lookalikes->groups[0][1].held = 0.125F; }),
              HasSubstr("lookalikes: exit 0, held: it must never fall"));
  EXPECT_THAT(said([](P& p) { p.lookalikes->groups[0][1].accuracy[1] = 1.5F; }),
              HasSubstr("lookalikes: exit 0, accuracy: found 1.500000; expected a number from 0 to 1"));
  EXPECT_THAT(said([](P& p) { p.lookalikes->groups[1][0].held = std::numeric_limits<float>::quiet_NaN(); }),
              HasSubstr("lookalikes: exit 1, held: found nan"));
  EXPECT_THAT(said([](P& p) {
                for (auto& group : p.lookalikes->groups[0]) group.accuracy.pop_back();
              }),
              HasSubstr("the tensor \"exit0.lookalikes\" must have 3 columns"));
  EXPECT_THAT(said([](P& p) { p.lookalikes->groups[1].clear(); }),
              HasSubstr("lookalikes: exit 1, groups: found 0; expected from 1 to 64"));
  EXPECT_THAT(said([](P& p) { p.lookalikes->groups[1].resize(65, p.lookalikes->groups[1][0]); }),
              HasSubstr("lookalikes: exit 1, groups: found 65; expected from 1 to 64"));
  EXPECT_THAT(said([](P& p) { p.lookalikes->mean.pop_back(); }),
              HasSubstr("lookalikes: found 1 numbers; expected 2"));
  EXPECT_THAT(said([](P& p) { p.lookalikes->groups.pop_back(); }),
              HasSubstr("the tensor \"exit1.lookalikes\" is missing"));
  EXPECT_THAT(said([](P& p) { p.layers.resize(5, p.layers[1]); }),
              HasSubstr("\"layer4.bias\" is not a predictor's"));

  // Of the same shape, but for other weights.
  restore();
  forge(kPredictorFile, format_predictor(*package_.info.predictor, sha256("other weights")));
  EXPECT_THAT(refusal(),
              AllOf(StartsWith((path_ / kPredictorFile).string() + ": weights: found \""),
                    HasSubstr("it was trained for another network; train one with: einet-model predictor")));
}

TEST_F(PackageTest, ThePredictorsFileSaysWhatIsWrongWithIt) {
  const auto said = [&](std::map<std::string, TensorView> tensors,
                        const std::map<std::string, std::string>& metadata) {
    restore();
    forge(kPredictorFile, write_safetensors(tensors, metadata));
    return refusal();
  };
  const std::string good = bytes(kPredictorFile);
  const auto tensors = *read_safetensors(good);
  const auto metadata = *read_safetensors_metadata(good);
  EXPECT_EQ(said(tensors, metadata), "");
  for (const auto& [key, value] : metadata) {
    auto fewer = metadata;
    fewer.erase(key);
    EXPECT_THAT(said(tensors, fewer), HasSubstr("the metadata \"" + key + "\" is missing"));
  }
  auto newer = metadata;
  newer["format"] = "3";
  EXPECT_THAT(said(tensors, newer), HasSubstr("predictor: format: found \"3\"; expected \"2\""));
  auto median = metadata;
  median["aggregation"] = "median";
  EXPECT_THAT(said(tensors, median), HasSubstr("aggregation: found \"median\"; expected last"));
  median["aggregation"] = "most-confident";
  EXPECT_THAT(said(tensors, median), HasSubstr("aggregation: found \"most-confident\"; expected"));
  for (const auto& [name, tensor] : tensors) {
    auto fewer = tensors;
    fewer.erase(name);
    EXPECT_THAT(said(fewer, metadata), HasSubstr("predictor: ")) << name;
    auto flat = tensors;
    flat[name].shape.insert(flat[name].shape.begin(), 1);
    EXPECT_THAT(said(flat, metadata), HasSubstr("the tensor \"" + name + "\" must be F32 with")) << name;
  }
  auto more = tensors;
  more["extra"] = {"U8", {1}, "x"};
  EXPECT_THAT(said(more, metadata), HasSubstr("the tensor \"layer2.weight\" is missing"));
  const std::string wide(sizeof(float) * 1000, '\0');
  more = tensors;
  more["layer0.weight"] = {"F32", {1, 1000}, wide};
  EXPECT_THAT(said(more, metadata), HasSubstr("\"layer0.weight\" must have 1 to 256 rows and columns"));
}

// The container on its own: headers that lie.
TEST(Safetensors, RefusesHeadersThatLie) {
  const auto said = [](std::string_view header, std::size_t data) {
    std::uint64_t length = header.size();
    std::string file(8, '\0');
    std::memcpy(file.data(), &length, 8);
    const auto read = read_safetensors(file + std::string(header) + std::string(data, 'x'));
    return read ? "" : read.error().message;
  };
  const std::string one = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  EXPECT_EQ(said(one, 8), "");
  EXPECT_EQ(said("{}", 0), "");
  EXPECT_EQ(said(R"({"__metadata__":{"format":"pt"}})", 0), "");
  EXPECT_THAT(said(R"({"__metadata__":{"a":"b","a":"c"}})", 0), HasSubstr("metadata \"a\" is there twice"));
  EXPECT_THAT(said(one, 7), HasSubstr("its bytes are 0 to 8, but the file has 7"));
  EXPECT_THAT(said(one, 9), HasSubstr("bytes after the last tensor"));
  EXPECT_THAT(said("[]", 0), HasSubstr("not a JSON object"));
  EXPECT_THAT(said("{\"a\"", 0), HasSubstr("not a JSON object"));
  EXPECT_THAT(said(std::string(1000, '['), 0), HasSubstr("not a JSON object"));
  EXPECT_THAT(said(R"({"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,8]}})", 8),
              HasSubstr("below 2^62"));
  EXPECT_THAT(said(R"({"a":{"dtype":"F32","shape":[2147483648,2147483648],"data_offsets":[0,8]}})", 8),
              HasSubstr("size of its shape overflows"));
  EXPECT_THAT(said(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8),
              HasSubstr("its shape needs 12 bytes, but it has 8"));
  EXPECT_THAT(said(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8),
              HasSubstr("whole numbers"));
  EXPECT_THAT(said(R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}})", 8),
              HasSubstr("expected F32, F16, U16 or U8"));
  EXPECT_THAT(said(R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[8,0]}})", 8),
              HasSubstr("its bytes are 8 to 0"));
  EXPECT_THAT(said(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                   R"("b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
                   6),
              HasSubstr("overlap or leave holes"));
  EXPECT_THAT(said(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                   R"("a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
                   4),
              HasSubstr("\"a\" is there twice"));
  EXPECT_THAT(said(R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1),
              HasSubstr("shape has more than 8 numbers"));
  EXPECT_THAT(said(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1),
              HasSubstr("are not two numbers"));
  EXPECT_THAT(said(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1),
              HasSubstr("tensor \"a\": dtype, shape or data_offsets is missing"));
  EXPECT_THAT(said(R"({"a":{"dtype":"U8","dtype":"U8"}})", 1), HasSubstr("dtype is there twice"));
  EXPECT_THAT(said(R"({"a":{"type":"U8"}})", 1), HasSubstr("unknown key \"type\""));
  EXPECT_THAT(said(R"({"a":{"dtype":8}})", 1), HasSubstr("dtype is not a string"));
  EXPECT_THAT(said(R"({"a":{"shape":"x"}})", 1), HasSubstr("shape is not a list of whole numbers"));
  EXPECT_THAT(said(R"({"a":3})", 0), HasSubstr("not a JSON object of tensors"));
  std::string many = "{";
  for (int i = 0; i < 20000; ++i) {
    many += "\"" + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)";
  }
  many.back() = '}';
  EXPECT_THAT(said(many, 0), HasSubstr("more than 16384 tensors"));
  EXPECT_THAT(read_safetensors("abc").error().message, HasSubstr("cut short"));
  EXPECT_THAT(read_safetensors(std::string(8, '\xff')).error().message,
              HasSubstr("at most 4194304 are allowed"));
}

TEST(Safetensors, ReadBackTheirMetadata) {
  const std::map<std::string, std::string> words{{"a", "\"x\"\n"}, {"shape", ""}};
  const std::string file = write_safetensors({{"t", {"U16", {1}, "ab"}}}, words);
  EXPECT_EQ(*read_safetensors_metadata(file), words);
  EXPECT_EQ(read_safetensors(file)->at("t").bytes, "ab");
  EXPECT_TRUE(read_safetensors_metadata(write_safetensors({}))->empty());
}

}  // namespace
}  // namespace einet
