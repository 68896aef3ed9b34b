// The models: found in the folder, loaded or refused by workers, per device.
#include "daemon/einetd/catalog.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "temporary_folder.h"

namespace einet {
namespace {

using testing::HasSubstr;

lane::ModelDescription description(const std::string& digest) {
  lane::ModelDescription d;
  d.digest = digest;
  d.input = {1, 2, 3};
  d.blocks = 1;
  d.classes = 2;
  d.times.resize(1);
  return d;
}

// As the supervisor does it.
Result<void> load(Catalog& catalog, ModelId model, DeviceId device,
                  const lane::ModelDescription& description) {
  auto times = catalog.times_with(model, device, description);
  if (!times) return times.error();
  catalog.loaded(model, description, *times);
  return {};
}

TEST(Catalog, ListsPackagesByNameAndNothingElse) {
  const test::TemporaryFolder folder;
  for (const char* name : {"b.einet", "a.einet", "readme.txt", "we ird.einet"}) {
    std::filesystem::create_directory(folder.path() / name);
  }
  const Catalog catalog = *Catalog::scan(folder.path(), {1}, "lookalikes");
  ASSERT_EQ(catalog.size(), 3u);
  EXPECT_EQ(catalog.model(ModelId{0}).name, "a");
  EXPECT_EQ(catalog.model(ModelId{1}).name, "b");
  EXPECT_THAT(catalog.model(ModelId{2}).reason, HasSubstr("1 to 64 letters"));
  EXPECT_THAT(Catalog::scan("/nowhere", {1}, "lookalikes").error().message,
              HasSubstr("/nowhere: cannot read the model directory"));
}

TEST(Catalog, AFolderHoldsAsManyPackagesAsAWorkerTakes) {
  const test::TemporaryFolder folder;
  for (std::uint32_t i = 0; i < lane::kMaxModels; ++i) {
    std::filesystem::create_directory(folder.path() / (std::to_string(i) + ".einet"));
  }
  EXPECT_TRUE(Catalog::scan(folder.path(), {1}, "lookalikes"));
  std::filesystem::create_directory(folder.path() / "more.einet");
  EXPECT_THAT(Catalog::scan(folder.path(), {1}, "lookalikes").error().message,
              HasSubstr(folder.path().string() + ": found 1025 packages; at most 1024 are allowed"));
}

TEST(Catalog, AModelIsLoadedWhileAnyDeviceRunsIt) {
  const test::TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() / "a.einet");
  Catalog catalog = *Catalog::scan(folder.path(), {1, 1}, "lookalikes");
  const ModelId a{0};
  EXPECT_FALSE(catalog.model(a).loaded());
  catalog.refused(a, DeviceId{0}, "no such operation");
  EXPECT_EQ(catalog.model(a).reason, "no such operation");
  ASSERT_TRUE(load(catalog, a, DeviceId{1}, description("x")));
  EXPECT_TRUE(catalog.model(a).loaded());
  EXPECT_EQ(catalog.model(a).elements(), 6u);
  EXPECT_TRUE(catalog.model(a).times->on_device[0].empty());
  EXPECT_EQ(catalog.model(a).times->on_device[1].size(), 1u);
  catalog.refused(a, DeviceId{1}, "gone");
  EXPECT_FALSE(catalog.model(a).loaded());
}

TEST(Catalog, ExitsWithoutMeasuredAccuracyCountAsBetterTheDeeper) {
  const test::TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() / "a.einet");
  Catalog catalog = *Catalog::scan(folder.path(), {1}, "lookalikes");
  lane::ModelDescription four_blocks = description("x");
  four_blocks.blocks = 4;
  four_blocks.times.resize(4);
  ASSERT_TRUE(load(catalog, ModelId{0}, DeviceId{0}, four_blocks));
  EXPECT_THAT(catalog.model(ModelId{0}).times->accuracy, testing::ElementsAre(0.25, 0.5, 0.75, 1));
  EXPECT_TRUE(catalog.model(ModelId{0}).description.accuracy.empty());  // nobody measured it
}

TEST(Catalog, APackageThatChangedOrHasNoProfileIsRefused) {
  const test::TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() / "a.einet");
  Catalog catalog = *Catalog::scan(folder.path(), {1, 1}, "lookalikes");
  const ModelId a{0};
  lane::ModelDescription no_profile = description("x");
  no_profile.times.clear();
  EXPECT_THAT(load(catalog, a, DeviceId{0}, no_profile).error().message, HasSubstr("no profile"));
  ASSERT_TRUE(load(catalog, a, DeviceId{0}, description("x")));
  EXPECT_THAT(load(catalog, a, DeviceId{1}, description("y")).error().message, HasSubstr("has changed"));
  EXPECT_TRUE(catalog.model(a).loaded());
}

TEST(Catalog, ADoubtAboutBlockTimesStaysUntilAReload) {
  const test::TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() / "a.einet");
  Catalog catalog = *Catalog::scan(folder.path(), {1, 1}, "lookalikes");
  const ModelId a{0};
  ASSERT_TRUE(load(catalog, a, DeviceId{0}, description("x")));
  lane::ModelDescription elsewhere = description("x");
  elsewhere.doubt = "measured elsewhere";
  ASSERT_TRUE(load(catalog, a, DeviceId{1}, elsewhere));
  EXPECT_EQ(catalog.model(a).doubt, "measured elsewhere");
  catalog.reload();
  ASSERT_TRUE(load(catalog, a, DeviceId{0}, description("y")));
  EXPECT_EQ(catalog.model(a).doubt, "");
}

TEST(Catalog, AReloadNamesPackagesThatItDoesNotTakeUp) {
  const test::TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() / "b.einet");
  Catalog catalog = *Catalog::scan(folder.path(), {1}, "lookalikes");
  EXPECT_THAT(catalog.reload(), testing::IsEmpty());
  std::filesystem::create_directory(folder.path() / "a.einet");
  EXPECT_THAT(catalog.reload(), testing::ElementsAre(folder.path() / "a.einet"));
  EXPECT_EQ(catalog.size(), 1u);
}

TEST(Catalog, JobsMoveOnlyBetweenDevicesThatHoldTheSameState) {
  const test::TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() / "a.einet");
  Catalog catalog = *Catalog::scan(folder.path(), {1, 1, 1}, "lookalikes");
  const ModelId a{0};
  lane::ModelDescription two_blocks = description("x");
  two_blocks.blocks = 2;
  two_blocks.times.resize(2);
  two_blocks.moves = {{}, {.bytes = ByteCount{100}}};
  lane::ModelDescription others = two_blocks;
  others.moves[1].bytes = ByteCount{8};
  ASSERT_TRUE(load(catalog, a, DeviceId{0}, two_blocks));
  ASSERT_TRUE(load(catalog, a, DeviceId{1}, others));
  ASSERT_TRUE(load(catalog, a, DeviceId{2}, two_blocks));
  const auto& moves = catalog.model(a).times->moves;
  EXPECT_EQ(moves[0].size(), 2u);
  EXPECT_TRUE(moves[1].empty());
  EXPECT_EQ(moves[2].size(), 2u);
}

TEST(Catalog, AfterAReloadStatesMayHaveAnotherSize) {
  const test::TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() / "a.einet");
  Catalog catalog = *Catalog::scan(folder.path(), {1, 1}, "lookalikes");
  const ModelId a{0};
  lane::ModelDescription two_blocks = description("x");
  two_blocks.blocks = 2;
  two_blocks.times.resize(2);
  two_blocks.moves = {{}, {.bytes = ByteCount{100}}};
  for (const DeviceId device : {DeviceId{0}, DeviceId{1}}) ASSERT_TRUE(load(catalog, a, device, two_blocks));
  catalog.reload();
  two_blocks.digest = "y";
  two_blocks.moves[1].bytes = ByteCount{200};
  for (const DeviceId device : {DeviceId{1}, DeviceId{0}}) ASSERT_TRUE(load(catalog, a, device, two_blocks));
  EXPECT_EQ(catalog.model(a).times->moves[0].size(), 2u);
  EXPECT_EQ(catalog.model(a).times->moves[1].size(), 2u);
}

TEST(Catalog, AfterAReloadAPackageMayHaveChangedButNotItsShape) {
  const test::TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() / "a.einet");
  Catalog catalog = *Catalog::scan(folder.path(), {1, 1}, "lookalikes");
  const ModelId a{0};
  ASSERT_TRUE(load(catalog, a, DeviceId{0}, description("x")));
  ASSERT_TRUE(load(catalog, a, DeviceId{1}, description("x")));
  catalog.reload();
  lane::ModelDescription changed = description("y");
  changed.times[0].trunk = {Duration{5}, Duration{5}, Duration{9}};
  ASSERT_TRUE(load(catalog, a, DeviceId{0}, changed));
  EXPECT_EQ(catalog.model(a).times->on_device[0][0].worst_trunk, Duration{9});
  EXPECT_EQ(catalog.model(a).times->on_device[1][0].worst_trunk, Duration{0});
  // The other device must have the same package.
  EXPECT_THAT(load(catalog, a, DeviceId{1}, description("x")).error().message, HasSubstr("has changed"));

  catalog.reload();
  for (const auto change :
       {+[](lane::ModelDescription& d) { d.blocks = 2; }, +[](lane::ModelDescription& d) { d.classes = 3; },
        +[](lane::ModelDescription& d) { d.input = {6}; }}) {
    lane::ModelDescription other = description("z");
    change(other);
    EXPECT_THAT(load(catalog, a, DeviceId{0}, other).error().message, HasSubstr("another shape"));
  }
}

}  // namespace
}  // namespace einet
