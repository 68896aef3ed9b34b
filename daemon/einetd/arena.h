// The daemon's memory for job inputs: one sealed memfd that the workers map read-only, with a first-fit
// allocator over it. What a client sends is copied here once, before admission; nothing of a job refers to
// client memory after that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>

#include "config/bytes.h"
#include "config/result.h"
#include "ipc/lane/shared_memory.h"

namespace einet {

class Arena;

// A piece of the arena; gives it back when destroyed. Move-only; must not outlive its arena.
class ArenaBlock {
 public:
  ArenaBlock() = default;
  ArenaBlock(ArenaBlock&&) noexcept;
  ArenaBlock& operator=(ArenaBlock&&) noexcept;
  ~ArenaBlock();

  std::uint64_t offset() const { return offset_; }  // in the memfd; a multiple of Arena::kAlignment
  std::size_t size() const { return size_; }        // as asked for
  std::span<std::byte> bytes() const;

 private:
  friend class Arena;
  ArenaBlock(Arena* arena, std::uint64_t offset, std::size_t size)
      : arena_(arena), offset_(offset), size_(size) {}
  Arena* arena_ = nullptr;
  std::uint64_t offset_ = 0;
  std::size_t size_ = 0;
};

// One thread.
class Arena {
 public:
  static constexpr std::uint64_t kAlignment = 64;

  // `capacity` is rounded up to whole pages; memory is taken as it is first used. Error: the system's words.
  static Result<std::unique_ptr<Arena>> create(ByteCount capacity);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // The lowest free piece that is large enough; its bytes are whatever was there. Empty: no such piece.
  std::optional<ArenaBlock> allocate(std::size_t size);

  // Its size never changes, and only this process can write to it.
  int fd() const { return memory_.fd.get(); }
  ByteCount capacity() const { return ByteCount{capacity_}; }
  ByteCount used() const { return ByteCount{used_}; }  // of blocks alive, rounded up to kAlignment

 private:
  friend class ArenaBlock;
  explicit Arena(lane::SharedMemory);
  void free(std::uint64_t offset, std::size_t size);

  lane::SharedMemory memory_;
  std::uint64_t capacity_;
  std::uint64_t used_ = 0;
  std::map<std::uint64_t, std::uint64_t> holes_;  // offset -> size; never adjacent, never empty
};

}  // namespace einet
