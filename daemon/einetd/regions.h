// The memory that one client shares with the daemon to hand over inputs. It is foreign: the client writes to
// it whenever it likes and may lie about it. So it is never mapped, only copied from with pread, which a
// truncated file can only make short.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>

#include "config/daemon_config.h"
#include "config/result.h"
#include "config/unique_fd.h"

namespace einet {

class Regions {
 public:
  // The limits must outlive this.
  explicit Regions(const LimitsConfig& limits) : limits_(limits) {}

  enum class Refusal : std::uint8_t { too_many, bad };
  struct Refused {
    Refusal why{};
    std::string words;
  };
  // Takes a memfd of at least `size` bytes that cannot shrink. Returns the number by which the client names
  // it: from 1, never reused by this connection.
  boost::system::result<std::uint32_t, Refused> add(UniqueFd memfd, std::uint64_t size);
  // False: there is no such region.
  bool remove(std::uint32_t region);
  // Copies `to.size()` bytes. Error: no such region, or the slice is not within it; words for the client.
  Result<void> copy(std::uint32_t region, std::uint64_t offset, std::span<std::byte> to) const;

 private:
  struct Region {
    UniqueFd memfd;
    std::uint64_t size = 0;
  };
  const LimitsConfig& limits_;
  std::map<std::uint32_t, Region> regions_;
  std::uint32_t newest_ = 0;
};

[[noreturn]] inline void throw_exception_from_error(const Regions::Refused& r,
                                                    const boost::source_location&) {
  check_failed(__FILE__, __LINE__, "has_value()", r.words.c_str());
}

}  // namespace einet
