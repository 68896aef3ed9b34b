// Writing whole files: what is replaced, what is written into, and what is left alone.
#include "config/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/unique_fd.h"
#include "temporary_folder.h"

namespace einet {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr ByteCount kLimit{1000};

class Files : public testing::Test {
 protected:
  // The names in the folder; a temporary file that was left behind is among them.
  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), {}));
  }
  std::string read(const fs::path& path) const {
    const auto bytes = read_file(path, kLimit);
    return bytes ? *bytes : bytes.error().message;
  }

  test::TemporaryFolder temporary_;
  const fs::path folder_ = temporary_.path();
};

TEST_F(Files, AFileIsReplacedAsAWhole) {
  const fs::path file = folder_ / "file";
  ASSERT_TRUE(write_file(file, "old"));
  const UniqueFd held(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(write_file(file, "new"));
  EXPECT_EQ(read(file), "new");
  char bytes[4]{};
  EXPECT_EQ(::read(held.get(), bytes, sizeof bytes), 3);
  EXPECT_STREQ(bytes, "old");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(Files, AFifoIsWrittenInto) {
  const fs::path fifo = folder_ / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const UniqueFd reader(::open(fifo.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  EXPECT_TRUE(is_special(fifo));
  ASSERT_TRUE(check_can_write(fifo));
  ASSERT_TRUE(write_file(fifo, "words"));
  EXPECT_TRUE(fs::is_fifo(fifo));
  char bytes[10]{};
  EXPECT_EQ(::read(reader.get(), bytes, sizeof bytes), 5);
  EXPECT_STREQ(bytes, "words");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(Files, ADeviceStaysOne) {
  const fs::path null = folder_ / "null", full = folder_ / "full", link = folder_ / "link";
  if (::mknod(null.c_str(), S_IFCHR | 0600, ::makedev(1, 3)) != 0 ||
      ::mknod(full.c_str(), S_IFCHR | 0600, ::makedev(1, 7)) != 0 ||
      !UniqueFd(::open(null.c_str(), O_WRONLY | O_CLOEXEC)))
    GTEST_SKIP() << "this user cannot make devices here";
  fs::create_symlink("null", link);
  EXPECT_TRUE(write_file(null, "words"));
  EXPECT_TRUE(write_file(link, "words"));
  EXPECT_TRUE(fs::is_character_file(fs::symlink_status(null)));
  EXPECT_TRUE(fs::is_symlink(link));
  const auto failed = write_file(full, "words");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, full.string() + ": cannot write: No space left on device");
  EXPECT_TRUE(fs::is_character_file(fs::symlink_status(full)));
  EXPECT_EQ(entries(), 3u);
}

TEST_F(Files, ALinkStaysAndItsTargetIsReplaced) {
  fs::create_directory(folder_ / "elsewhere");
  ASSERT_TRUE(write_file(folder_ / "elsewhere" / "file", "old"));
  fs::create_symlink("elsewhere/file", folder_ / "link");
  fs::create_symlink(folder_ / "link", folder_ / "link to it");
  for (const std::string text : {"new", "newer"}) {
    ASSERT_TRUE(write_file(folder_ / "link to it", text));
    EXPECT_EQ(fs::read_symlink(folder_ / "link to it"), folder_ / "link");
    EXPECT_EQ(fs::read_symlink(folder_ / "link"), "elsewhere/file");
    EXPECT_FALSE(fs::is_symlink(folder_ / "elsewhere" / "file"));
    EXPECT_EQ(read(folder_ / "elsewhere" / "file"), text);
    fs::remove(folder_ / "elsewhere" / "file");  // then it leads to nothing
  }
  EXPECT_EQ(entries(), 3u);
}

TEST_F(Files, LinksInACircleAreAnError) {
  fs::create_symlink("b", folder_ / "a");
  fs::create_symlink("a", folder_ / "b");
  for (const auto& done : {write_file(folder_ / "a", "words"), check_can_write(folder_ / "a")}) {
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().message, HasSubstr("is a link in a circle of links"));
  }
  EXPECT_EQ(entries(), 2u);
}

TEST_F(Files, APlaceThatCannotBeWrittenIsKnownBefore) {
  const auto failed = check_can_write(folder_ / "none" / "file");
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("cannot create: No such file or directory"));
  EXPECT_TRUE(check_can_write(folder_ / "file"));
  EXPECT_EQ(entries(), 0u);
}

}  // namespace
}  // namespace einet
