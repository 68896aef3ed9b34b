#include "ipc/lane/record.h"

namespace einet::lane {

namespace {

// One step of a multiplicative hash: every input bit reaches the upper half, the shift brings it back down.
constexpr std::uint64_t mix(std::uint64_t hash, std::uint64_t word) {
  hash = (hash ^ word) * 0x9E37'79B9'7F4A'7C15;
  return hash ^ hash >> 29;
}

}  // namespace

std::uint64_t checksum(const RecordData& r, std::span<const float> scores) {
  std::uint64_t hash = 0x243F'6A88'85A3'08D3;
  for (std::uint64_t word : {r.sequence, r.grant, r.job, pack_what(r), static_cast<std::uint64_t>(r.start_ns),
                             static_cast<std::uint64_t>(r.end_ns), pack_answer(r)}) {
    hash = mix(hash, word);
  }
  for (float score : scores) hash = mix(hash, std::bit_cast<std::uint32_t>(score));
  return hash;
}

Fetched fetch(const LaneUp& up, std::uint64_t sequence, RecordData& data,
              std::span<float, kMaxClasses> scores) {
  const Record& from = up.ring[sequence % kRing];
  const std::uint64_t committed = from.sequence.load(kAcquire);
  if (committed != sequence) {
    // Before a record comes, its place holds the one of a round ago, or nothing.
    const std::uint64_t before = sequence > kRing ? sequence - kRing : 0;
    return committed == before ? Fetched::nothing : Fetched::nonsense;
  }
  data.sequence = sequence;
  data.grant = from.grant.load(kRelaxed);
  data.job = from.job.load(kRelaxed);
  const std::uint64_t what = from.what.load(kRelaxed);
  data.block = static_cast<std::uint8_t>(what);
  data.flags = static_cast<std::uint8_t>(what >> 8);
  data.classes = static_cast<std::uint16_t>(what >> 16);
  data.top_class = static_cast<std::uint32_t>(what >> 32);
  data.start_ns = static_cast<std::int64_t>(from.start_ns.load(kRelaxed));
  data.end_ns = static_cast<std::int64_t>(from.end_ns.load(kRelaxed));
  const std::uint64_t answer = from.answer.load(kRelaxed);
  data.confidence = std::bit_cast<float>(static_cast<std::uint32_t>(answer));
  data.used_ns = static_cast<std::uint32_t>(answer >> 32);
  const std::uint64_t expected = from.checksum.load(kRelaxed);
  if (data.classes > kMaxClasses) return Fetched::nonsense;
  const ScoreRow& row = up.scores[sequence % kRing];
  for (std::size_t i = 0; i < data.classes; ++i) scores[i] = row[i].load(kRelaxed);
  return checksum(data, scores.first(data.classes)) == expected ? Fetched::record : Fetched::nonsense;
}

}  // namespace einet::lane
