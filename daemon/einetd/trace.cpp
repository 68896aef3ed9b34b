#include "daemon/einetd/trace.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

namespace einet {
namespace {

// Long enough that a busy daemon writes in large pieces, short enough that `tail -f` feels alive.
constexpr auto kWriteEvery = std::chrono::milliseconds(50);

using Kind = TraceEvent::Kind;

std::string_view kind_name(Kind kind) {
  constexpr std::array<std::string_view, 10> kNames{"submit", "reject",  "grant",   "stop",    "withdraw",
                                                    "block",  "preempt", "outcome", "lane_up", "lane_lost"};
  return kNames[static_cast<std::size_t>(kind)];
}

// Appends `"key":value` pairs. Names come from the configuration and from packages and hold no character that
// JSON would want escaped (both are checked where they are read).
class Line {
 public:
  explicit Line(std::string_view event) {
    text_ = "{\"event\":\"";
    text_ += event;
    text_ += '"';
  }
  void add(std::string_view key, std::string_view value) {
    key_(key);
    text_ += '"';
    text_ += value;
    text_ += '"';
  }
  template <std::integral T>
  void add(std::string_view key, T value) {
    key_(key);
    text_ += std::to_string(value);
  }
  void add(std::string_view key, TimePoint t) {
    add(key, t == kNever ? std::int64_t{0} : std::int64_t{t.time_since_epoch().count()});
  }
  void add(const ExitAnswer& a) {
    if (a.exit < 0) return;
    add("exit", a.exit);
    add("class", a.top_class);
    std::array<char, 32> number{};
    std::snprintf(number.data(), number.size(), "%.6g", static_cast<double>(a.confidence));
    key_("confidence");
    text_ += number.data();
  }
  std::string finish() {
    text_ += '}';
    return std::move(text_);
  }

 private:
  void key_(std::string_view key) {
    text_ += ",\"";
    text_ += key;
    text_ += "\":";
  }
  std::string text_;
};

template <class Id>
std::string_view name_of(const std::vector<std::string>& names, Id id) {
  return id.value < names.size() ? std::string_view(names[id.value]) : std::string_view("?");
}

}  // namespace

std::string format_trace(const TraceEvent& e, const TraceNames& names) {
  Line line(kind_name(e.kind));
  line.add("at_ns", e.at);
  const bool of_lane = e.kind != Kind::submit && e.kind != Kind::reject && e.kind != Kind::outcome;
  if (of_lane) {
    line.add("lane", e.lane.value);
    line.add("device", name_of(names.devices, e.lane));
  }
  if (e.kind == Kind::lane_up || e.kind == Kind::lane_lost) return line.finish();
  line.add("job", e.job.value);
  line.add("tenant", name_of(names.tenants, e.tenant));
  line.add("model", name_of(names.models, e.model));
  line.add("priority", e.priority);
  if (of_lane && e.kind != Kind::preempt) line.add("grant", e.grant.value);
  switch (e.kind) {
    case Kind::submit:
      line.add("release_ns", e.release);
      line.add("deadline_ns", e.deadline);
      break;
    case Kind::grant:
      line.add("first_block", e.block);
      line.add("exits", e.exits);
      line.add("reason", name(e.reason));
      break;
    case Kind::reject:
    case Kind::stop:
    case Kind::withdraw:
      line.add("reason", name(e.reason));
      break;
    case Kind::block:
      line.add("block", e.block);
      line.add("start_ns", e.start);
      line.add("end_ns", e.end);
      line.add("granted_ns", e.granted);
      line.add(e.answer);
      break;
    case Kind::preempt:
      line.add("by", e.by.value);
      break;
    case Kind::outcome:
      line.add("outcome", name(e.outcome));
      line.add("reason", name(e.reason));
      line.add(e.answer);
      line.add("preemptions", e.preemptions);
      break;
    case Kind::lane_up:
    case Kind::lane_lost:
      break;
  }
  return line.finish();
}

Result<std::unique_ptr<Trace>> Trace::open(const std::filesystem::path& path) {
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file) return error(path.string() + ": cannot write the trace: " + std::strerror(errno));
  return std::unique_ptr<Trace>(new Trace(std::move(file)));
}

Trace::Trace(UniqueFd file) : file_(std::move(file)), names_(std::make_shared<TraceNames>()) {
  buffer_.reserve(kBufferedEvents);
  writer_ = std::thread([this] { write_out(); });
}

Trace::~Trace() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  ended_.notify_one();
  writer_.join();
}

void Trace::add(const TraceEvent& event) {
  // The writer holds the mutex only to swap two vectors.
  const std::lock_guard lock(mutex_);
  if (buffer_.size() < kBufferedEvents) {
    buffer_.push_back(event);
  } else {
    ++lost_;
  }
}

void Trace::set_names(TraceNames names) {
  const std::lock_guard lock(mutex_);
  names_ = std::make_shared<TraceNames>(std::move(names));
}

void Trace::write_out() {
  std::vector<TraceEvent> batch;
  batch.reserve(kBufferedEvents);
  std::string text;
  std::unique_lock lock(mutex_);
  for (bool last = false; !last;) {
    // Nobody notifies for an event: that would cost the scheduler a system call for each.
    last = ended_.wait_for(lock, kWriteEvery, [this] { return ending_; });
    batch.clear();
    batch.swap(buffer_);
    const std::uint64_t lost = std::exchange(lost_, 0);
    const std::shared_ptr<const TraceNames> names = names_;
    lock.unlock();
    text.clear();
    for (const TraceEvent& event : batch) text += format_trace(event, *names) + '\n';
    if (lost > 0) text += "{\"event\":\"lost\",\"count\":" + std::to_string(lost) + "}\n";
    for (std::size_t done = 0; done < text.size();) {
      const ssize_t n = ::write(file_.get(), text.data() + done, text.size() - done);
      if (n < 0 && errno != EINTR) break;  // a full disk costs trace lines, nothing else
      if (n > 0) done += static_cast<std::size_t>(n);
    }
    lock.lock();
  }
}

}  // namespace einet
