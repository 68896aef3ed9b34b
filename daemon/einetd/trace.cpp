#include "daemon/einetd/trace.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "config/text.h"

namespace einet {
namespace {

// Long enough that a busy daemon writes in large pieces, short enough that `tail -f` feels alive.
constexpr auto kWriteEvery = std::chrono::milliseconds(50);

// What was traced before is wanted most after a crash.
Result<void> keep_previous(const std::filesystem::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0) return {};
  const std::string previous = path.string() + ".1";
  if (::rename(path.c_str(), previous.c_str()) == 0) return {};
  return error(path.string() + ": cannot keep the previous trace as " + previous + ": " +
               std::strerror(errno) + "; move it away, or choose another path for the trace");
}

}  // namespace

Result<std::unique_ptr<Trace>> Trace::open(const std::filesystem::path& path) {
  if (auto ok = keep_previous(path); !ok) return ok.error();
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file) return error(path.string() + ": cannot write the trace: " + std::strerror(errno));
  return std::unique_ptr<Trace>(new Trace(std::move(file), path));
}

Trace::Trace(UniqueFd file, std::filesystem::path path)
    : file_(std::move(file)), path_(std::move(path)), names_(std::make_shared<TraceNames>()) {
  waiting_.events.reserve(kBufferedEvents);
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
  if (!failure_.empty()) return;
  if (waiting_.events.size() < kBufferedEvents) {
    waiting_.events.push_back(event);
  } else {
    ++waiting_.lost;
  }
}

void Trace::add_line(std::string line) {
  const std::lock_guard lock(mutex_);
  if (failure_.empty()) waiting_.texts.push_back({waiting_.events.size(), std::move(line)});
}

void Trace::set_names(TraceNames names) {
  const std::lock_guard lock(mutex_);
  names_ = std::make_shared<TraceNames>(std::move(names));
}

void Trace::when_broken(std::function<void(const std::string&)> broken) {
  const std::lock_guard lock(mutex_);
  if (!failure_.empty()) return broken(failure_);
  broken_ = std::move(broken);
}

void Trace::append(std::string& out, const Batch& batch, const TraceNames& names) {
  auto text = batch.texts.begin();
  for (std::size_t i = 0; i <= batch.events.size(); ++i) {
    for (; text != batch.texts.end() && text->after == i; ++text) out += text->line + '\n';
    if (i < batch.events.size()) out += format_trace(batch.events[i], names) + '\n';
  }
  if (batch.lost > 0) out += "{\"event\":\"lost\",\"count\":" + std::to_string(batch.lost) + "}\n";
}

bool Trace::write_all(const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t n = ::write(file_.get(), text.data() + done, text.size() - done);
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) done += static_cast<std::size_t>(n);
  }
  return true;
}

void Trace::write_out() {
  Batch batch;
  batch.events.reserve(kBufferedEvents);
  std::string text;
  std::unique_lock lock(mutex_);
  for (bool last = false; !last;) {
    // Nobody notifies for an event: that would cost the scheduler a system call for each.
    last = ended_.wait_for(lock, kWriteEvery, [this] { return ending_; });
    batch.events.clear();
    batch.texts.clear();
    batch.lost = 0;
    std::swap(batch, waiting_);
    const std::shared_ptr<const TraceNames> names = names_;
    lock.unlock();
    text.clear();
    append(text, batch, *names);
    const bool written = write_all(text);
    const int why = errno;
    lock.lock();
    if (!written) {
      // A hole in the middle would be worse than an end: what came before can still be used.
      failure_ =
          escape(path_.string()) + ": cannot be written: " + std::strerror(why) + "; the trace ends here";
      waiting_ = {};
      if (broken_) broken_(failure_);
      return;
    }
  }
}

}  // namespace einet
