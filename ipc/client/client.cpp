// One connection: requests out, replies matched by request id, handlers called. Everything that waits is a
// loop around poll() and process().
#include "ipc/client/client.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unordered_map>

#include <climits>

#include "config/check.h"
#include "config/text.h"
#include "ipc/client/frame_channel.h"
#include "ipc/client/message.h"

namespace einet::client {
namespace {

// So that one process() ends even if the daemon sends without end.
constexpr int kReceivesPerRound = 64;

constexpr const char* kRefuses = "einetd refuses: ";
constexpr const char* kLost = "the connection to einetd is lost: ";

TimePoint instant(std::int64_t ns) {
  return TimePoint{Duration{ns}};
}

std::optional<TimePoint> optional_instant(std::int64_t ns) {
  return ns == 0 ? std::nullopt : std::optional(instant(ns));
}

Result<Answer> to_answer(const wire::Answer& in) {
  if (in.exit() >= static_cast<std::uint32_t>(kMaxBlocks) || in.top_class() > INT_MAX)
    return error("an answer of exit " + std::to_string(in.exit()) + " makes no sense");
  Answer out;
  out.exit = static_cast<int>(in.exit());
  out.top_class = static_cast<int>(in.top_class());
  out.confidence = in.confidence();
  out.scores.assign(in.scores().begin(), in.scores().end());
  out.ready = instant(in.ready_ns());
  return out;
}

Result<Ended> to_ended(const wire::Outcome& in) {
  if (name(in.kind()).empty() || in.kind() == wire::REJECTED)
    return error("outcome " + std::to_string(in.kind()) + " is unknown");
  Ended out;
  out.job = JobId{in.job()};
  out.outcome = in.kind();
  out.reason = in.reason();
  out.words = in.words();
  if (in.has_best()) {
    auto best = to_answer(in.best());
    if (!best) return best.error();
    out.best = std::move(*best);
  }
  out.preemptions = static_cast<int>(std::min<std::uint32_t>(in.preemptions(), INT_MAX));
  out.received = instant(in.received_ns());
  out.released = instant(in.released_ns());
  out.first_block = optional_instant(in.first_block_ns());
  out.finished = instant(in.finished_ns());
  out.deadline = optional_instant(in.deadline_ns());
  out.lane_time = Duration{in.lane_time_ns()};
  out.executed_exits = in.executed_exits();
  return out;
}

wire::Submit to_submit(const JobRequest& job) {
  wire::Submit out;
  out.set_model(job.model);
  out.set_dtype(job.dtype);
  for (std::uint32_t d : job.shape) out.add_shape(d);
  if (const auto* input = std::get_if<InlineInput>(&job.input)) {
    out.set_inline_bytes(input->bytes.data(), input->bytes.size());
  } else {
    const auto& slice = std::get<RegionInput>(job.input);
    out.mutable_region()->set_region(slice.region);
    out.mutable_region()->set_offset(slice.offset);
    out.mutable_region()->set_length(slice.length);
  }
  if (const auto* after = std::get_if<Duration>(&job.release)) {
    if (*after != Duration{}) out.set_release_in_ns(after->count());
  } else {
    out.set_release_at_ns(std::get<TimePoint>(job.release).time_since_epoch().count());
  }
  if (job.deadline) {
    if (const auto* after = std::get_if<Duration>(&*job.deadline)) {
      out.set_deadline_in_ns(after->count());
    } else {
      out.set_deadline_at_ns(std::get<TimePoint>(*job.deadline).time_since_epoch().count());
    }
  }
  out.set_priority(job.priority);
  // A negative exit becomes a huge one, which the daemon refuses in words.
  if (job.mandatory_exit) out.set_mandatory_exit(static_cast<std::uint32_t>(*job.mandatory_exit));
  if (job.target_confidence) out.set_target_confidence(*job.target_confidence);
  out.set_plan(job.plan);
  out.set_exits(job.exits);
  out.set_task(job.task);
  return out;
}

Error unreachable(const std::string& path, int code) {
  std::string why;
  switch (code) {
    case ENOENT:
      why = "there is no such socket";
      break;
    case ECONNREFUSED:
      why = "nobody listens there";
      break;
    case EACCES:
    case EPERM:
      return error("einetd is unreachable at " + path +
                   ": this user may not open it; ask the administrator for access to the socket's group");
    case EAGAIN:
      return error("einetd is unreachable at " + path +
                   ": it does not take the connection in time; see: systemctl status einetd");
    default:
      why = std::strerror(code);
  }
  return error(
      "einetd is unreachable at " + path + ": " + why +
      "; start it with: einetd --config FILE (as a service: systemctl start einetd), or name its socket "
      "(einet: --socket PATH or $EINET_SOCKET)");
}

}  // namespace

class Client::Impl {
 public:
  Impl(UniqueFd socket, const Options& options) : channel_(std::move(socket), kMaxBody), options_(options) {}
  ~Impl() {
    if (!lost_) (void)channel_.flush();
  }

  Result<void> say_hello();
  Result<Ticket> post(const JobRequest& job, Handlers handlers);
  void post_cancel(Ticket ticket);
  Result<void> process();
  Result<Submission> submit(const JobRequest& job, Handlers handlers, Duration timeout);
  Result<Ended> wait(Ticket ticket, Duration timeout);
  Result<Ended> run(const JobRequest& job, std::function<void(JobId, const Answer&)> exit, Duration timeout);
  Result<void> wait_until(TimePoint until);

  // Sends a request and waits for its reply, which is then in awaited_. Error also: the daemon's refusal.
  template <class Request>
  Result<void> ask(const Request& request, Duration timeout, UniqueFd fd);
  // The same, with a reply of this type.
  template <class Reply, class Request>
  Result<Reply> call(const Request& request, Duration timeout, UniqueFd fd = {});

  Result<TaskReply> add_task(const TaskRequest& task, Duration timeout);
  Result<void> watch(Watch what, std::function<void(const wire::Event&)> handler, Duration timeout);
  Result<Region> register_region(ByteCount size, Duration timeout);
  Result<void> need(std::string_view capability) const;
  TimePoint after(Duration timeout) const {
    return clock_.now() + std::clamp(timeout, Duration{}, kNever - clock_.now());
  }

  FrameChannel channel_;
  wire::HelloReply hello_;
  std::optional<std::string> lost_;  // why
  bool refused_ = false;             // by an answer to the hello
  // What is known of a posted job that has not ended.
  struct Job {
    JobId id;
    Handlers handlers;
    bool cancel_on_accept = false;
    bool forgotten = false;            // nobody wants to hear of it any more
    Submission* submitting = nullptr;  // of a submit() that waits for the acceptance
  };
  std::unordered_map<std::uint64_t, Job> jobs_;    // by the request that posted it
  std::unordered_map<std::uint64_t, Ended> kept_;  // ended, without a handler, until fetched

 private:
  // The one request that a call waits for; replies to calls that gave up are dropped.
  struct Awaited {
    std::uint64_t request = 0;
    bool done = false;
    FrameHeader header;
    std::string body;
  };

  Error lost_error() const {
    Error why = error(*lost_);
    why.refused = refused_;
    return why;
  }
  void lose(const std::string& why);
  void forget(Ticket ticket);
  template <class Request>
  Result<std::uint64_t> send(const Request& request, UniqueFd fd = {});
  Result<void> pump();
  Result<void> dispatch(const Message& message);
  Result<void> job_message(const Message& message);
  void end(std::uint64_t request, Ended ended);

  template <class Handler, class... Args>
  void call_handler(const Handler& handler, const Args&... args) {
    const bool outer = std::exchange(in_handler_, true);
    handler(args...);
    in_handler_ = outer;
  }

  Options options_;
  SystemClock clock_;
  std::uint64_t next_request_ = 1;
  Awaited awaited_;
  std::uint64_t watching_ = 0;  // request of the watch, 0: none
  std::function<void(const wire::Event&)> on_event_;
  bool in_handler_ = false;
};

void Client::Impl::lose(const std::string& why) {
  if (lost_) return;
  lost_ = why;
  while (!jobs_.empty()) {
    Ended ended;
    ended.job = jobs_.begin()->second.id;
    ended.outcome = wire::FAILED;
    ended.reason = "connection_lost";
    ended.words = *lost_;
    end(jobs_.begin()->first, std::move(ended));
  }
}

void Client::Impl::end(std::uint64_t request, Ended ended) {
  const auto at = jobs_.find(request);
  const Job job = std::move(at->second);
  jobs_.erase(at);
  if (job.submitting != nullptr) {
    job.submitting->rejected = std::move(ended);
  } else if (job.handlers.ended) {
    call_handler(job.handlers.ended, ended);
  } else if (!job.forgotten) {
    kept_.emplace(request, std::move(ended));
  }
}

void Client::Impl::forget(Ticket ticket) {
  kept_.erase(ticket.value);
  post_cancel(ticket);
  if (const auto at = jobs_.find(ticket.value); at != jobs_.end()) {
    at->second.handlers = {};
    at->second.submitting = nullptr;
    at->second.forgotten = true;
  }
}

template <class Request>
Result<std::uint64_t> Client::Impl::send(const Request& request, UniqueFd fd) {
  if (lost_) return lost_error();
  const std::uint64_t id = next_request_;
  if (auto ok = channel_.queue(id, request, std::move(fd)); !ok) return ok.error();
  ++next_request_;
  // A broken connection is found by the next process(), which first reads what the daemon still had to say.
  (void)channel_.flush();
  return id;
}

Result<void> Client::Impl::pump() {
  if (lost_) return lost_error();
  const auto sent = channel_.flush();
  for (int i = 0; i < kReceivesPerRound; ++i) {
    const auto got = channel_.receive();
    if (!got || *got == FrameChannel::Receive::closed) {
      lose(std::string(kLost) +
           (got ? "the daemon closed it; see its log for the reason" : got.error().message));
      return lost_error();
    }
    if (*got == FrameChannel::Receive::nothing) break;
    while (true) {
      auto message = channel_.next();
      if (message && !*message) break;
      const auto ok = message ? dispatch(**message) : Result<void>(message.error());
      if (!ok) lose(std::string(kLost) + ok.error().message);
      if (lost_) return lost_error();
    }
  }
  if (!sent) {
    lose(std::string(kLost) + sent.error().message);
    return lost_error();
  }
  return {};
}

Result<void> Client::Impl::dispatch(const Message& message) {
  const FrameHeader& header = message.header;
  if (is_request(header.type) || !message.fds.empty()) {
    return error("the daemon sent message " + std::string(name(header.type)) +
                 ", which only clients send (or file descriptors with it)");
  }
  if (header.type == MessageType::error && header.request == 0) {
    const auto body = parse_body<wire::Error>(header, message.body);
    if (!body) return body.error();
    refused_ = hello_.version() == 0;
    lose((refused_ ? kRefuses : "einetd ended the connection: ") + printable(body->words()));
    return {};
  }
  if (header.request == 0 || header.request >= next_request_) {
    return error("the daemon answered request " + std::to_string(header.request) + ", which was never made");
  }
  if (jobs_.contains(header.request)) return job_message(message);
  switch (header.type) {
    case MessageType::accepted:
    case MessageType::rejected:
    case MessageType::exit_result:
    case MessageType::outcome:
      return error("the daemon sent message " + std::string(name(header.type)) +
                   " for a job that is not pending");
    case MessageType::event: {
      const auto body = parse_body<wire::Event>(header, message.body);
      if (!body) return body.error();
      if (header.request == watching_ && on_event_) call_handler(on_event_, *body);
      return {};
    }
    default:
      break;
  }
  if (header.request == awaited_.request) {
    awaited_.done = true;
    awaited_.header = header;
    awaited_.body = message.body;
  }
  return {};
}

Result<void> Client::Impl::job_message(const Message& message) {
  const FrameHeader& header = message.header;
  Job& job = jobs_.at(header.request);
  switch (header.type) {
    case MessageType::accepted: {
      const auto body = parse_body<wire::Accepted>(header, message.body);
      if (!body) return body.error();
      if (body->job() == 0 || job.id != JobId{}) return error("the daemon accepted a job twice, or as job 0");
      job.id = JobId{body->job()};
      if (job.submitting != nullptr) std::exchange(job.submitting, nullptr)->job = job.id;
      if (job.cancel_on_accept) post_cancel(Ticket{header.request});
      return {};
    }
    case MessageType::exit_result: {
      const auto body = parse_body<wire::ExitResult>(header, message.body);
      if (!body) return body.error();
      const auto answer = to_answer(body->answer());
      if (!answer) return answer.error();
      if (job.handlers.exit) call_handler(job.handlers.exit, job.id, *answer);
      return {};
    }
    case MessageType::outcome: {
      const auto body = parse_body<wire::Outcome>(header, message.body);
      if (!body) return body.error();
      auto ended = to_ended(*body);
      if (!ended) return ended.error();
      end(header.request, std::move(*ended));
      return {};
    }
    case MessageType::rejected: {
      const auto body = parse_body<wire::Rejected>(header, message.body);
      if (!body) return body.error();
      Ended ended;
      ended.outcome = wire::REJECTED;
      ended.reason = name(body->reason());
      ended.words = body->words();
      ended.finished = clock_.now();
      end(header.request, std::move(ended));
      return {};
    }
    case MessageType::error: {
      const auto body = parse_body<wire::Error>(header, message.body);
      if (!body) return body.error();
      Ended ended;
      ended.job = job.id;
      ended.outcome = wire::FAILED;
      ended.reason = "daemon_error";
      ended.words = body->words();
      ended.finished = clock_.now();
      end(header.request, std::move(ended));
      return {};
    }
    default:
      return error("the daemon answered a submit with message " + std::string(name(header.type)));
  }
}

Result<Ticket> Client::Impl::post(const JobRequest& job, Handlers handlers) {
  wire::Submit submit = to_submit(job);
  submit.set_stream_exits(static_cast<bool>(handlers.exit));
  const auto request = send(submit);
  if (!request) return request.error();
  jobs_[*request].handlers = std::move(handlers);
  return Ticket{*request};
}

void Client::Impl::post_cancel(Ticket ticket) {
  const auto at = jobs_.find(ticket.value);
  if (at == jobs_.end()) return;
  if (at->second.id == JobId{}) {
    at->second.cancel_on_accept = true;
    return;
  }
  wire::Cancel cancel;
  cancel.set_job(at->second.id.value);
  (void)send(cancel);  // on failure the connection is lost, and the job ends with it
}

Result<void> Client::Impl::process() {
  EINET_CHECK(!in_handler_, "a handler must not process or wait (client.h)");
  return pump();
}

Result<void> Client::Impl::wait_until(TimePoint until) {
  EINET_CHECK(!in_handler_, "a handler must not process or wait (client.h)");
  if (lost_) return lost_error();
  const auto events = static_cast<short>(POLLIN | (channel_.unsent() > 0 ? POLLOUT : 0));
  pollfd poll{channel_.fd(), events, 0};
  const Duration left = std::max(until - clock_.now(), Duration{});
  const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
  const timespec limit{seconds.count(), (left - seconds).count()};
  if (::ppoll(&poll, 1, &limit, nullptr) < 0 && errno != EINTR)
    return error(std::string("poll failed: ") + std::strerror(errno));
  return pump();
}

template <class Request>
Result<void> Client::Impl::ask(const Request& request, Duration timeout, UniqueFd fd) {
  EINET_CHECK(!in_handler_, "a handler must not process or wait (client.h)");
  const TimePoint until = after(timeout);
  const auto id = send(request, std::move(fd));
  if (!id) return id.error();
  awaited_ = {};
  awaited_.request = *id;
  while (!awaited_.done) {
    if (auto ok = wait_until(until); !ok && !awaited_.done) return ok.error();
    if (!awaited_.done && clock_.now() >= until) {
      awaited_.request = 0;
      return error("einetd did not answer a " + std::string(name(kTypeOf<Request>)) + " request within " +
                   format_duration_short(timeout));
    }
  }
  if (awaited_.header.type == MessageType::error) {
    const auto body = parse_body<wire::Error>(awaited_.header, awaited_.body);
    if (!body) return body.error();
    Error refusal = error(kRefuses + printable(body->words()));
    refusal.refused = true;
    return refusal;
  }
  return {};
}

template <class Reply, class Request>
Result<Reply> Client::Impl::call(const Request& request, Duration timeout, UniqueFd fd) {
  if (auto ok = ask(request, timeout, std::move(fd)); !ok) return ok.error();
  return parse_body<Reply>(awaited_.header, awaited_.body);
}

Result<Client::TaskReply> Client::Impl::add_task(const TaskRequest& task, Duration timeout) {
  if (auto ok = need(kTasks); !ok) return ok.error();
  wire::AddTask request;
  request.set_name(task.name);
  request.set_model(task.model);
  request.set_period_ns(task.period.count());
  if (task.deadline) request.set_deadline_ns(task.deadline->count());
  request.set_priority(task.priority);
  // A negative exit becomes a huge one, which the daemon refuses in words.
  if (task.mandatory_exit) request.set_mandatory_exit(static_cast<std::uint32_t>(*task.mandatory_exit));
  if (auto ok = ask(request, timeout, {}); !ok) return ok.error();
  if (awaited_.header.type == MessageType::task_refused) {
    auto refused = parse_body<wire::TaskRefused>(awaited_.header, awaited_.body);
    if (!refused) return refused.error();
    return TaskReply(std::move(*refused));
  }
  auto added = parse_body<wire::TaskAdded>(awaited_.header, awaited_.body);
  if (!added) return added.error();
  return TaskReply(std::move(*added));
}

Result<void> Client::Impl::say_hello() {
  wire::Hello hello;
  hello.set_min_version(kProtocolVersion);
  hello.set_max_version(kProtocolVersion);
  hello.add_capabilities(std::string(kRegions));
  hello.add_capabilities(std::string(kWatch));
  hello.add_capabilities(std::string(kTasks));
  hello.set_client(options_.name);
  hello.set_tenant(options_.tenant);
  auto reply = call<wire::HelloReply>(hello, options_.timeout);
  if (!reply) return reply.error();
  if (reply->version() != kProtocolVersion) {
    return error("einetd speaks version " + std::to_string(reply->version()) + "; this client speaks " +
                 std::to_string(kProtocolVersion) + ": install matching versions of both");
  }
  hello_ = std::move(*reply);
  if (const std::uint64_t limit = hello_.limits().max_body_bytes(); limit > 0 && limit < kMaxBody.value)
    channel_.limit_sending(ByteCount{limit});
  return {};
}

Result<Submission> Client::Impl::submit(const JobRequest& job, Handlers handlers, Duration timeout) {
  const TimePoint until = after(timeout);
  const auto ticket = post(job, std::move(handlers));
  if (!ticket) return ticket.error();
  Submission submission{.ticket = *ticket, .job = {}, .rejected = {}};
  jobs_.at(ticket->value).submitting = &submission;
  while (submission.job == JobId{} && !submission.rejected) {
    const auto ok = wait_until(until);
    if (lost_) return lost_error();
    if (submission.job != JobId{} || submission.rejected) break;
    if (!ok || clock_.now() >= until) {
      forget(*ticket);
      return ok ? error("einetd did not accept or reject the job within " + format_duration_short(timeout))
                : ok.error();
    }
  }
  return submission;
}

Result<Ended> Client::Impl::wait(Ticket ticket, Duration timeout) {
  const TimePoint until = after(timeout);
  while (true) {
    if (const auto kept = kept_.find(ticket.value); kept != kept_.end()) {
      Ended ended = std::move(kept->second);
      kept_.erase(kept);
      return ended;
    }
    const auto job = jobs_.find(ticket.value);
    if (job == jobs_.end() || job->second.handlers.ended) {
      return error("ticket " + std::to_string(ticket.value) +
                   " is unknown, or its outcome goes (or went) to a handler or an earlier wait");
    }
    if (clock_.now() >= until)
      return error("the job did not end within " + format_duration_short(timeout) + "; it goes on");
    if (auto ok = wait_until(until); !ok && !lost_) return ok.error();
  }
}

Result<Ended> Client::Impl::run(const JobRequest& job, std::function<void(JobId, const Answer&)> exit,
                                Duration timeout) {
  const auto ticket = post(job, {.exit = std::move(exit), .ended = {}});
  if (!ticket) return ticket.error();
  auto ended = wait(*ticket, timeout);
  if (ended) return ended;
  forget(*ticket);
  return error("the job did not end within " + format_duration_short(timeout) + " and was cancelled");
}

Result<void> Client::Impl::need(std::string_view capability) const {
  const auto& all = hello_.capabilities();
  if (std::find(all.begin(), all.end(), capability) != all.end()) return {};
  return error("this einetd does not offer " + std::string(capability));
}

Result<void> Client::Impl::watch(Watch what, std::function<void(const wire::Event&)> handler,
                                 Duration timeout) {
  if (auto ok = need(kWatch); !ok) return ok;
  if (watching_ != 0) return error("this connection watches already");
  wire::Watch request;
  request.set_blocks(what == Watch::jobs_and_blocks);
  // Events may come together with the reply.
  watching_ = next_request_;
  on_event_ = std::move(handler);
  const auto done = call<wire::Done>(request, timeout);
  if (!done) {
    watching_ = 0;
    return done.error();
  }
  return {};
}

Result<Region> Client::Impl::register_region(ByteCount size, Duration timeout) {
  if (auto ok = need(kRegions); !ok) return ok.error();
  const auto failed = [](const char* what) {
    return error(std::string("cannot make a region: ") + what + ": " + std::strerror(errno));
  };
  if (size.value == 0 || size.value >= (std::uint64_t{1} << 40))
    return error("a region has 1 byte to 1 TiB; asked for " + std::to_string(size.value));
  UniqueFd fd(::memfd_create("einet-region", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return failed("memfd_create");
  if (::ftruncate(fd.get(), static_cast<off_t>(size.value)) != 0) return failed("ftruncate");
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return failed("sealing");
  void* at = ::mmap(nullptr, size.value, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (at == MAP_FAILED) return failed("mmap");
  Region region(0, {static_cast<std::byte*>(at), size.value});
  wire::RegisterRegion request;
  request.set_size(size.value);
  const auto reply = call<wire::RegionRegistered>(request, timeout, std::move(fd));
  if (!reply) return reply.error();
  region.id_ = reply->region();
  return region;
}

Region::Region(Region&& other) noexcept : id_(other.id_), bytes_(std::exchange(other.bytes_, {})) {}

Region& Region::operator=(Region&& other) noexcept {
  std::swap(id_, other.id_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Region::~Region() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

Result<Client> Client::connect(const std::filesystem::path& socket, const Options& options) {
  const std::string path = socket.string();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return error("a socket's path has 1 to " + std::to_string(sizeof address.sun_path - 1) +
                 " characters; \"" + escape(path) + "\" has " + std::to_string(path.size()));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return error(std::string("cannot make a socket: ") + std::strerror(errno));
  // Bounds the connect(), which waits while the daemon's backlog is full.
  const Duration timeout = std::max(options.timeout, Duration{std::chrono::milliseconds(1)});
  timeval limit{};
  limit.tv_sec = std::chrono::floor<std::chrono::seconds>(timeout).count();
  limit.tv_usec = static_cast<suseconds_t>(
      std::chrono::floor<std::chrono::microseconds>(timeout % std::chrono::seconds(1)).count());
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  int done = -1;
  do {
    done = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  } while (done != 0 && errno == EINTR);
  if (done != 0) return unreachable(escape(path), errno);
  auto client = adopt(std::move(fd), options);
  if (!client) return within(escape(path), client.error());
  return client;
}

Result<Client> Client::adopt(UniqueFd socket, const Options& options) {
  auto impl = std::make_unique<Impl>(std::move(socket), options);
  if (auto ok = impl->say_hello(); !ok) return ok.error();
  return Client(std::move(impl));
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

const wire::HelloReply& Client::hello() const {
  return impl_->hello_;
}
bool Client::connected() const {
  return !impl_->lost_;
}
std::string Client::why_lost() const {
  return impl_->lost_.value_or("");
}
Result<Ticket> Client::post(const JobRequest& job, Handlers handlers) {
  return impl_->post(job, std::move(handlers));
}
void Client::post_cancel(Ticket ticket) {
  impl_->post_cancel(ticket);
}
int Client::fd() const {
  return impl_->channel_.fd();
}
bool Client::wants_write() const {
  return impl_->channel_.unsent() > 0;
}
Result<void> Client::process() {
  return impl_->process();
}
std::size_t Client::pending() const {
  return impl_->jobs_.size();
}
Result<Submission> Client::submit(const JobRequest& job, Handlers handlers, Duration timeout) {
  return impl_->submit(job, std::move(handlers), timeout);
}
Result<Ended> Client::wait(Ticket ticket, Duration timeout) {
  return impl_->wait(ticket, timeout);
}
Result<Ended> Client::run(const JobRequest& job, std::function<void(JobId, const Answer&)> exit,
                          Duration timeout) {
  return impl_->run(job, std::move(exit), timeout);
}
Result<void> Client::wait_any(Duration timeout) {
  return impl_->wait_until(impl_->after(timeout));
}
Result<void> Client::cancel(JobId job, Duration timeout) {
  wire::Cancel request;
  request.set_job(job.value);
  const auto done = impl_->call<wire::Done>(request, timeout);
  if (!done) return done.error();
  return {};
}
Result<void> Client::watch(Watch what, std::function<void(const wire::Event&)> handler, Duration timeout) {
  return impl_->watch(what, std::move(handler), timeout);
}
Result<wire::JobList> Client::jobs(Duration timeout, Jobs what) {
  wire::ListJobs list;
  list.set_explain(what == Jobs::with_plans);
  return impl_->call<wire::JobList>(list, timeout);
}
Result<wire::ModelList> Client::models(Duration timeout) {
  return impl_->call<wire::ModelList>(wire::ListModels{}, timeout);
}
Result<wire::Status> Client::status(Duration timeout) {
  return impl_->call<wire::Status>(wire::GetStatus{}, timeout);
}
Result<Client::TaskReply> Client::add_task(const TaskRequest& task, Duration timeout) {
  return impl_->add_task(task, timeout);
}
Result<void> Client::remove_task(const std::string& task, Duration timeout) {
  if (auto ok = impl_->need(kTasks); !ok) return ok;
  wire::RemoveTask request;
  request.set_name(task);
  const auto done = impl_->call<wire::Done>(request, timeout);
  if (!done) return done.error();
  return {};
}
Result<wire::TaskList> Client::tasks(Duration timeout) {
  if (auto ok = impl_->need(kTasks); !ok) return ok.error();
  return impl_->call<wire::TaskList>(wire::ListTasks{}, timeout);
}
Result<Region> Client::register_region(ByteCount size, Duration timeout) {
  return impl_->register_region(size, timeout);
}
Result<void> Client::unregister_region(Region region, Duration timeout) {
  wire::UnregisterRegion request;
  request.set_region(region.id());
  const auto done = impl_->call<wire::Done>(request, timeout);
  if (!done) return done.error();
  return {};
}

Result<ExitChoice> parse_plan(std::string_view text) {
  if (text == "exact") return ExitChoice{wire::EXACT};
  if (text == "all") return ExitChoice{wire::ALL};
  if (text == "last") return ExitChoice{wire::LAST};
  const auto exits = parse_exits(text);
  if (exits) return ExitChoice{wire::ALL, *exits};
  return error("found \"" + escape(text, 60) + "\"; expected exact, all, last, or exits: 0,2");
}

std::string_view name(wire::OutcomeKind kind) {
  switch (kind) {
    case wire::COMPLETED:
      return "completed";
    case wire::DEADLINE:
      return "deadline";
    case wire::MISSED:
      return "missed";
    case wire::CANCELLED:
      return "cancelled";
    case wire::REJECTED:
      return "rejected";
    case wire::FAILED:
      return "failed";
    default:
      return "";
  }
}

std::string_view name(wire::Rejected::Reason reason) {
  switch (reason) {
    case wire::Rejected::UNKNOWN_MODEL:
      return "unknown_model";
    case wire::Rejected::MODEL_REFUSED:
      return "model_refused";
    case wire::Rejected::WRONG_INPUT:
      return "wrong_input";
    case wire::Rejected::INPUT_NOT_FINITE:
      return "input_not_finite";
    case wire::Rejected::BAD_ARGUMENT:
      return "bad_argument";
    case wire::Rejected::DEADLINE_IN_PAST:
      return "deadline_in_past";
    case wire::Rejected::DEADLINE_BEFORE_RELEASE:
      return "deadline_before_release";
    case wire::Rejected::PRIORITY_CEILING:
      return "priority_ceiling";
    case wire::Rejected::QUOTA_JOBS:
      return "quota_jobs";
    case wire::Rejected::QUOTA_BYTES:
      return "quota_bytes";
    case wire::Rejected::QUEUE_FULL:
      return "queue_full";
    case wire::Rejected::SHUTTING_DOWN:
      return "shutting_down";
    case wire::Rejected::NO_SUCH_TASK:
      return "no_such_task";
    case wire::Rejected::TASK_SUSPENDED:
      return "task_suspended";
    default:
      return "unspecified";
  }
}

std::string_view name(wire::TaskRefused::Reason reason) {
  switch (reason) {
    case wire::TaskRefused::UNKNOWN_MODEL:
      return "unknown_model";
    case wire::TaskRefused::MODEL_REFUSED:
      return "model_refused";
    case wire::TaskRefused::BAD_ARGUMENT:
      return "bad_argument";
    case wire::TaskRefused::NAME_TAKEN:
      return "name_taken";
    case wire::TaskRefused::PRIORITY_CEILING:
      return "priority_ceiling";
    case wire::TaskRefused::QUOTA_TASKS:
      return "quota_tasks";
    case wire::TaskRefused::NOT_SCHEDULABLE:
      return "not_schedulable";
    case wire::TaskRefused::NO_PROMISES:
      return "no_promises";
    case wire::TaskRefused::SHUTTING_DOWN:
      return "shutting_down";
    case wire::TaskRefused::REMOVED:
      return "removed";
    default:
      return "unspecified";
  }
}

}  // namespace einet::client
