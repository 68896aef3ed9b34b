// Strong identifiers: numbers that cannot be mixed up. An id says which thing, never how many or how large.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace einet {

template <class Tag, class T>
struct Id {
  T value{};

  constexpr Id() = default;
  constexpr explicit Id(T v) : value(v) {}
  friend constexpr auto operator<=>(Id, Id) = default;
};

using JobId = Id<struct JobTag, std::uint64_t>;        // never reused while the daemon lives; 0 is no job
using TenantId = Id<struct TenantTag, std::uint32_t>;  // index into the daemon's tenants
using TaskId = Id<struct TaskTag, std::uint32_t>;      // never reused while the daemon lives; 0 is no task
using ModelId = Id<struct ModelTag, std::uint32_t>;    // index into the daemon's models
using DeviceId = Id<struct DeviceTag, std::uint32_t>;  // index into the configured devices
using LaneId = Id<struct LaneTag, std::uint32_t>;      // index over all lanes of all devices
// Counts the grants of one lane from 1; 0 is no grant.
using GrantNumber = Id<struct GrantTag, std::uint64_t>;

// A model has at most this many blocks, so that a set of exits is one machine word.
inline constexpr int kMaxBlocks = 64;

// The most jobs that run a block at the same time, as one batch.
inline constexpr int kMaxBatch = 8;

// The most blocks of a job that a GPU's lane has enqueued at a time.
inline constexpr int kMaxInFlight = 4;

// A set of exits: bit k is exit k. An "exit plan" in the documents.
using ExitMask = std::uint64_t;

constexpr ExitMask exit_bit(int exit) {
  return ExitMask{1} << exit;
}

}  // namespace einet

template <class Tag, class T>
struct std::hash<einet::Id<Tag, T>> {
  std::size_t operator()(einet::Id<Tag, T> id) const noexcept { return std::hash<T>{}(id.value); }
};
