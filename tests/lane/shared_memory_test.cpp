// What the seals promise: a worker can neither write what the daemon owns nor take pages away.
#include "ipc/lane/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <gtest/gtest.h>

#include "harness.h"

namespace einet::lane::test {
namespace {

bool can_map_writable(int fd) {
  void* data = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return false;
  ::munmap(data, 4096);
  return true;
}

TEST(SharedMemory, OfTheDaemonCannotBeMadeWritableByAWorker) {
  const DaemonEnd daemon = make_channel(2);
  EXPECT_FALSE(can_map_writable(daemon.down_fd()));
  // Nor a mapping for reading turned into one for writing,
  void* data = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, daemon.down_fd(), 0);
  ASSERT_NE(data, MAP_FAILED);
  EXPECT_NE(::mprotect(data, 4096, PROT_READ | PROT_WRITE), 0);
  ::munmap(data, 4096);
  // nor written as a file, nor the seals taken off.
  EXPECT_LT(::pwrite(daemon.down_fd(), "x", 1, 0), 0);
  EXPECT_NE(::fcntl(daemon.down_fd(), F_ADD_SEALS, F_SEAL_WRITE), 0);
  // Opening it anew through /proc does not help either.
  const UniqueFd again(::open(("/proc/self/fd/" + std::to_string(daemon.down_fd())).c_str(), O_RDWR));
  ASSERT_TRUE(again);
  EXPECT_FALSE(can_map_writable(again.get()));
  // The negative control: memory without that seal can be written.
  EXPECT_TRUE(can_map_writable(daemon.up_fd()));
}

TEST(SharedMemory, KeepsItsSize) {
  const DaemonEnd daemon = make_channel(1);
  for (const int fd : {daemon.down_fd(), daemon.up_fd()}) {
    EXPECT_NE(::ftruncate(fd, 0), 0);
    EXPECT_NE(::ftruncate(fd, 1 << 30), 0);
  }
}

TEST(SharedMemory, IsRefusedWhenItsSizeIsNotSealedOrTooSmall) {
  const UniqueFd plain(::memfd_create("plain", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(plain.get(), 1 << 20), 0);
  EXPECT_FALSE(map_for_reading(plain.get(), ByteCount{4096}).has_value());
  ASSERT_EQ(::fcntl(plain.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
  EXPECT_TRUE(map_for_reading(plain.get(), ByteCount{4096}).has_value());
  EXPECT_FALSE(map_for_reading(plain.get(), ByteCount{2 << 20}).has_value());
  const UniqueFd file(::open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_FALSE(map_for_reading(file.get(), ByteCount{1}).has_value());
  EXPECT_FALSE(map_for_reading(-1, ByteCount{1}).has_value());
}

TEST(SharedMemory, ToBeFilledGetsItsSizeAndContentFromAnotherAndKeepsThemWhenItIsSealed) {
  const auto memory = make_to_be_filled("state");
  ASSERT_TRUE(memory.has_value());
  for (const std::size_t size : {std::size_t{5000}, std::size_t{3}}) {
    auto filled = map_for_filling(memory->get(), ByteCount{size});
    ASSERT_TRUE(filled.has_value()) << filled.error().message;
    ASSERT_EQ(filled->size(), size);
    filled->writable_data()[size - 1] = std::byte{7};
  }
  EXPECT_FALSE(map_for_reading(memory->get(), ByteCount{3}).has_value()) << "it may still shrink";
  ASSERT_TRUE(seal_filled(memory->get()).has_value());
  EXPECT_FALSE(map_for_filling(memory->get(), ByteCount{3}).has_value());
  EXPECT_FALSE(map_for_filling(memory->get(), ByteCount{2}).has_value());
  EXPECT_FALSE(can_map_writable(memory->get()));
  const auto read = map_for_reading(memory->get(), ByteCount{3});
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->size(), 3U);
  EXPECT_EQ(read->data()[2], std::byte{7});
}

TEST(WorkerEnd, RefusesMemoryOfAnotherVersionOrSize) {
  const DaemonEnd one = make_channel(1);
  const DaemonEnd many = make_channel(4);
  EXPECT_TRUE(WorkerEnd::map(one.down_fd(), one.up_fd(), UniqueFd()).has_value());
  // Four lanes in down, one in up.
  EXPECT_FALSE(WorkerEnd::map(many.down_fd(), one.up_fd(), UniqueFd()).has_value());
  auto blank = make_writable_by_others("blank", ByteCount{up_bytes(1)});
  ASSERT_TRUE(blank.has_value());
  const auto refused = WorkerEnd::map(blank->fd.get(), one.up_fd(), UniqueFd());
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message.find("version 0"), std::string::npos) << refused.error().message;
}

}  // namespace
}  // namespace einet::lane::test
