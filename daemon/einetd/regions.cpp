#include "daemon/einetd/regions.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace einet {

boost::system::result<std::uint32_t, Regions::Refused> Regions::add(UniqueFd memfd, std::uint64_t size) {
  if (regions_.size() >= static_cast<std::size_t>(limits_.regions)) {
    return Refused{Refusal::too_many, "this connection has " + std::to_string(regions_.size()) +
                                          " regions, as many as it may; unregister one first"};
  }
  const auto bad = [](std::string words) { return Refused{Refusal::bad, std::move(words)}; };
  if (size == 0 || size > limits_.region.value) {
    return bad("the region has " + format_bytes(ByteCount{size}) + "; allowed: 1B to " +
               format_bytes(limits_.region));
  }
  const int seals = ::fcntl(memfd.get(), F_GET_SEALS);
  if (seals < 0) return bad("the descriptor is not a memfd (memfd_create with MFD_ALLOW_SEALING)");
  if ((seals & F_SEAL_SHRINK) == 0) {
    return bad("the memfd could shrink; seal it first: fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK)");
  }
  struct stat status {};
  if (::fstat(memfd.get(), &status) != 0 || static_cast<std::uint64_t>(status.st_size) < size) {
    return bad("the memfd has " + format_bytes(ByteCount{static_cast<std::uint64_t>(status.st_size)}) +
               ", less than the announced " + format_bytes(ByteCount{size}));
  }
  regions_.emplace(++newest_, Region{std::move(memfd), size});
  return newest_;
}

bool Regions::remove(std::uint32_t region) {
  return regions_.erase(region) > 0;
}

Result<void> Regions::copy(std::uint32_t region, std::uint64_t offset, std::span<std::byte> to) const {
  const auto found = regions_.find(region);
  if (found == regions_.end()) {
    return error("there is no region " + std::to_string(region) + " on this connection; register it first");
  }
  const Region& r = found->second;
  if (offset > r.size || to.size() > r.size - offset) {
    return error("bytes " + std::to_string(offset) + " to " + std::to_string(offset) + " + " +
                 std::to_string(to.size()) + " are not within region " + std::to_string(region) +
                 ", which has " + std::to_string(r.size));
  }
  for (std::size_t done = 0; done < to.size();) {
    const ssize_t n =
        ::pread(r.memfd.get(), to.data() + done, to.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return error("region " + std::to_string(region) + " cannot be read: " + std::strerror(errno));
    if (n == 0) return error("region " + std::to_string(region) + " ends before its size");
    done += static_cast<std::size_t>(n);
  }
  return {};
}

}  // namespace einet
