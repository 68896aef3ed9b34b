// The input arena: blocks never overlap, everything comes back, and nobody but the daemon can write to it.
#include "daemon/einetd/arena.h"

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace einet {
namespace {

std::unique_ptr<Arena> arena(std::uint64_t size) {
  return Arena::create(ByteCount{size}).value();
}

TEST(Arena, BlocksNeverOverlapAndEverythingComesBack) {
  EXPECT_TRUE(rc::check([](const std::vector<std::uint16_t>& steps) {
    const auto a = arena(64 * 1024);
    std::vector<ArenaBlock> live;
    for (const std::uint16_t step : steps) {
      if (step % 3 == 0 && !live.empty()) {
        std::swap(live[step % live.size()], live.back());
        live.pop_back();
        continue;
      }
      auto block = a->allocate(step);
      if (!block) continue;
      RC_ASSERT(block->offset() % Arena::kAlignment == 0);
      RC_ASSERT(block->offset() + block->size() <= a->capacity().value);
      for (const ArenaBlock& other : live) {
        RC_ASSERT(block->offset() != other.offset());
        const auto& [low, high] =
            std::minmax(*block, other, [](auto& x, auto& y) { return x.offset() < y.offset(); });
        RC_ASSERT(low.offset() + low.size() <= high.offset());
      }
      live.push_back(std::move(*block));
    }
    live.clear();
    RC_ASSERT(a->used() == ByteCount{0});
    RC_ASSERT(a->allocate(a->capacity().value).has_value());  // the holes have become one again
  }));
}

TEST(Arena, SaysWhenItIsFull) {
  const auto a = arena(4096);
  EXPECT_FALSE(a->allocate(4097));
  EXPECT_FALSE(a->allocate(~std::size_t{0}));
  auto all = a->allocate(4096);
  ASSERT_TRUE(all);
  EXPECT_FALSE(a->allocate(0));
  all.reset();
  EXPECT_TRUE(a->allocate(1));
}

TEST(Arena, OnlyTheDaemonCanWriteAndNobodyCanResize) {
  const auto a = arena(4096);
  auto block = a->allocate(5);
  std::memcpy(block->bytes().data(), "hello", 5);
  EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd(), 0), MAP_FAILED);
  EXPECT_EQ(::ftruncate(a->fd(), 0), -1);
  EXPECT_EQ(::pwrite(a->fd(), "x", 1, 0), -1);
  void* view = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, a->fd(), 0);
  ASSERT_NE(view, MAP_FAILED);
  EXPECT_EQ(std::memcmp(static_cast<const char*>(view) + block->offset(), "hello", 5), 0);
  ::munmap(view, 4096);
}

}  // namespace
}  // namespace einet
