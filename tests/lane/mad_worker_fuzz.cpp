// libFuzzer: the bytes say what a worker gone mad writes into its memory, between what a daemon does with its
// end of the channel. Whatever it writes, the daemon's end gives an error or reports that keep to their
// grants.
#include <cstdlib>
#include <cstring>
#include <map>

#include "config/time.h"
#include "ipc/lane/daemon_end.h"
#include "ipc/lane/record.h"

namespace einet::lane {
namespace {

constexpr int kBlocks = 5;
constexpr int kClasses = 3;

void require(bool condition) {
  if (!condition) std::abort();
}

// Numbers out of the input; zeros when it is used up.
class Script {
 public:
  Script(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}
  bool empty() const { return left_ == 0; }
  template <class T>
  T next() {
    T value{};
    const std::size_t n = std::min(sizeof(T), left_);
    std::memcpy(&value, data_, n);
    data_ += n;
    left_ -= n;
    return value;
  }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

struct Seen {
  bool rides = false;
  int next_block = 0;
  bool ended = false;
};

void play(Script script) {
  auto created = DaemonEnd::create(1);
  require(created.has_value());
  DaemonEnd& daemon = *created;
  auto mapping = map_for_writing(daemon.up_fd(), ByteCount{up_bytes(1)});
  require(mapping.has_value());
  LaneUp& up = *reinterpret_cast<LaneUp*>(mapping->writable_data());
  const VirtualClock clock(TimePoint{Duration{200}});
  std::uint64_t posted = 0;
  std::uint64_t sequence = 0;
  std::map<std::uint64_t, Seen> grants;
  std::uint64_t leads = 0;  // of those that ride with none, the one that was heard of last
  auto drain = [&] {
    const auto drained = daemon.drain(clock, [&](const Report& r) {
      require(grants.contains(r.grant.value) && r.job.value == 100 + r.grant.value);
      Seen& seen = grants[r.grant.value];
      if (!seen.rides && r.grant.value != leads) {
        require(r.grant.value > leads && (leads == 0 || grants[leads].ended));
        leads = r.grant.value;
      }
      require(!seen.ended && r.start <= r.end && r.end <= clock.now());
      require(r.used >= Duration{0} && r.used <= r.end - r.start);
      if (r.block >= 0) require(r.block == seen.next_block++ && r.block < kBlocks);
      if (r.answer) require(r.scores.size() == kClasses && r.answer->top_class < kClasses);
      seen.ended = r.finished != End::none;
    });
    return drained.has_value();
  };
  bool works = true;
  while (works && !script.empty()) {
    switch (script.next<std::uint8_t>() % 8) {
      case 0: {
        if (daemon.outstanding(0) == kSlots) break;
        ++posted;
        // With the next one, or with one that was posted, or alone.
        const auto with = script.next<std::uint8_t>();
        const std::uint64_t leader = with % 4 == 0 ? posted + 1 : with % 4 == 1 ? with / 4 % posted : 0;
        grants[posted].rides = leader != 0;
        daemon.post(0, GrantMessage{.number = GrantNumber{posted},
                                    .job = JobId{100 + posted},
                                    .blocks = kBlocks,
                                    .classes = kClasses,
                                    .exits = exit_bit(kBlocks - 1),
                                    .with = GrantNumber{leader}});
        break;
      }
      case 1:
        daemon.stop(0, GrantNumber{script.next<std::uint8_t>()});
        break;
      case 2:
        daemon.set_exits(0, GrantNumber{script.next<std::uint8_t>()}, script.next<std::uint8_t>() % 32);
        break;
      case 3: {  // any word anywhere
        const std::size_t at = script.next<std::uint32_t>() % (mapping->size() / 8) * 8;
        const auto word = script.next<std::uint64_t>();
        std::memcpy(mapping->writable_data() + at, &word, sizeof word);
        break;
      }
      case 4: {  // the next record, whole, saying anything
        RecordData record;
        record.sequence = ++sequence;
        record.grant = script.next<std::uint8_t>();
        record.job = script.next<std::uint8_t>() % 4 == 0 ? 0 : 100 + record.grant;
        record.block = script.next<std::uint8_t>() % 8;
        record.flags = script.next<std::uint8_t>() % 64;
        record.start_ns = script.next<std::uint8_t>();
        record.end_ns = script.next<std::uint8_t>();
        if ((record.flags & kBlock) != 0) record.used_ns = static_cast<std::uint32_t>(record.start_ns);
        std::array<float, kClasses> scores{0.25F, 0.5F, 0.25F};
        if ((record.flags & kExit) != 0) {
          record.classes = kClasses;
          record.top_class = script.next<std::uint8_t>() % 4;
          record.confidence = 0.5F;
        }
        commit(up, record, std::span(scores).first(record.classes), [] {});
        break;
      }
      case 5:
        works = drain();
        break;
      case 6:
        daemon.disarm();
        works = drain();
        (void)daemon.arm();
        break;
      default:
        (void)daemon.running_since(0);
    }
  }
  if (!works) require(!drain());
}

}  // namespace
}  // namespace einet::lane

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  einet::lane::play({data, size});
  return 0;
}
