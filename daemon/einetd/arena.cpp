#include "daemon/einetd/arena.h"

#include <unistd.h>
#include <utility>

namespace einet {
namespace {

constexpr std::uint64_t round_up(std::uint64_t n, std::uint64_t unit) {
  return (n + unit - 1) / unit * unit;
}

// An empty input still gets a piece of its own, so that offsets are unique.
std::uint64_t footprint(std::size_t size) {
  return round_up(size == 0 ? 1 : size, Arena::kAlignment);
}

}  // namespace

ArenaBlock::ArenaBlock(ArenaBlock&& other) noexcept
    : arena_(std::exchange(other.arena_, nullptr)), offset_(other.offset_), size_(other.size_) {}

ArenaBlock& ArenaBlock::operator=(ArenaBlock&& other) noexcept {
  std::swap(arena_, other.arena_);
  std::swap(offset_, other.offset_);
  std::swap(size_, other.size_);
  return *this;
}

ArenaBlock::~ArenaBlock() {
  if (arena_ != nullptr) arena_->free(offset_, size_);
}

std::span<std::byte> ArenaBlock::bytes() const {
  return {arena_->memory_.mapping.writable_data() + offset_, size_};
}

Result<std::unique_ptr<Arena>> Arena::create(ByteCount capacity) {
  const std::uint64_t size = round_up(capacity.value, static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)));
  Result<lane::SharedMemory> memory = lane::make_readable_by_others("einet-arena", ByteCount{size});
  if (!memory) return within("input arena", memory.error());
  return std::unique_ptr<Arena>(new Arena(std::move(*memory)));
}

Arena::Arena(lane::SharedMemory memory) : memory_(std::move(memory)), capacity_(memory_.mapping.size()) {
  holes_.emplace(0, capacity_);
}

Arena::~Arena() {
  EINET_CHECK(used_ == 0, "every block is given back before the arena goes");
}

std::optional<ArenaBlock> Arena::allocate(std::size_t size) {
  if (size > capacity_) return std::nullopt;
  const std::uint64_t needed = footprint(size);
  for (auto hole = holes_.begin(); hole != holes_.end(); ++hole) {
    const auto [offset, length] = *hole;
    if (length < needed) continue;
    holes_.erase(hole);
    if (length > needed) holes_.emplace(offset + needed, length - needed);
    used_ += needed;
    return ArenaBlock(this, offset, size);
  }
  return std::nullopt;
}

void Arena::free(std::uint64_t offset, std::size_t size) {
  std::uint64_t length = footprint(size);
  EINET_CHECK(used_ >= length && offset + length <= capacity_, "a block is given back once");
  used_ -= length;
  auto after = holes_.lower_bound(offset);
  EINET_CHECK(after == holes_.end() || after->first >= offset + length, "a block is given back once");
  if (after != holes_.end() && after->first == offset + length) {
    length += after->second;
    after = holes_.erase(after);
  }
  if (after != holes_.begin()) {
    const auto before = std::prev(after);
    EINET_CHECK(before->first + before->second <= offset, "a block is given back once");
    if (before->first + before->second == offset) {
      before->second += length;
      return;
    }
  }
  holes_.emplace_hint(after, offset, length);
}

}  // namespace einet
