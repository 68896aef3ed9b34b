#include "daemon/einetd/session.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>

#include "config/text.h"

namespace einet {
namespace {

using Wait = boost::asio::posix::stream_descriptor::wait_type;
using boost::system::error_code;

// A client that has sent many messages at once waits after so long for the others, and for the lanes.
constexpr auto kTurn = std::chrono::milliseconds(1);
constexpr std::size_t kMaxClientName = 64;
constexpr uid_t kRoot = 0;

// The one frame that ends a conversation before it has begun is within every limit.
constexpr std::uint64_t kAboutConnection = 0;

}  // namespace

Session::Session(Desk& desk, SessionId id, UniqueFd socket, uid_t user, std::function<void(SessionId)> on_end)
    : desk_(desk),
      id_(id),
      user_(user),
      on_end_(std::move(on_end)),
      channel_(std::move(socket), desk.config.limits.message),
      socket_(desk.io, channel_.fd()),
      patience_(desk.io),
      regions_(desk.config.limits) {}

Session::~Session() {
  socket_.release();  // the channel closes it
}

void Session::start() {
  wait_readable();
  patience_.expires_after(desk_.config.limits.hello);
  patience_.async_wait([self = weak_from_this()](error_code cancelled) {
    const auto session = self.lock();
    if (cancelled || !session || session->greeted_) return;
    session->end(wire::Error::BAD_REQUEST,
                 "no hello came in " + format_duration(session->desk_.config.limits.hello));
  });
}

std::string_view Session::tenant_name() const {
  return tenant_ ? std::string_view(desk_.tenants.config(*tenant_).name) : "none";
}

// ---- reading ----

void Session::wait_readable() {
  socket_.async_wait(Wait::wait_read, [self = shared_from_this()](error_code ended) {
    if (!ended && !self->ending_) self->on_readable();
  });
}

void Session::on_readable() {
  const Result<FrameChannel::Receive> received = channel_.receive();
  if (!received) return end(wire::Error::BAD_REQUEST, received.error().message);
  if (*received == FrameChannel::Receive::closed) return close("the client left");
  take_messages();
}

void Session::take_messages() {
  const TimePoint until = desk_.clock.now() + kTurn;
  bool more = false;
  do {
    more = take_next();
  } while (more && !ending_ && desk_.clock.now() < until);
  // Once for all that was taken: the lanes get their grants before the replies are sent.
  if (std::exchange(changed_, false)) desk_.driver.pump();
  if (ending_) return;
  if (!more) return wait_readable();
  boost::asio::post(desk_.io, [self = shared_from_this()] {
    if (!self->ending_) self->take_messages();
  });
}

bool Session::take_next() {
  Result<std::optional<Message>> message = channel_.next();
  if (!message) {
    end(wire::Error::BAD_REQUEST, message.error().message);
    return false;
  }
  if (!*message) return false;
  take(**message);
  return true;
}

template <class Body>
std::optional<Body> Session::parse(const Message& message) {
  Result<Body> body = parse_body<Body>(message.header, message.body);
  if (body) return std::move(*body);
  end(wire::Error::BAD_REQUEST, body.error().message);
  return std::nullopt;
}

void Session::take(Message& message) {
  const FrameHeader& header = message.header;
  const auto bad = [&](const std::string& words) { end(wire::Error::BAD_REQUEST, words); };
  if (!is_request(header.type))
    return bad("a " + std::string(name(header.type)) + " message comes only from the daemon");
  if (header.request == 0) return bad("request id 0 is not allowed; number requests from 1");
  if (!greeted_ && header.type != MessageType::hello) return bad("the first message must be hello");
  const std::size_t fds = header.type == MessageType::register_region ? 1 : 0;
  if (message.fds.size() != fds) {
    return bad("a " + std::string(name(header.type)) + " message brings " + std::to_string(fds) +
               " file descriptors; found " + std::to_string(message.fds.size()));
  }
  switch (header.type) {
    case MessageType::hello:
      return take_hello(message);
    case MessageType::register_region:
      return take_register(message);
    case MessageType::unregister_region:
      return take_unregister(message);
    case MessageType::submit:
      return take_submit(message);
    case MessageType::cancel:
      return take_cancel(message);
    case MessageType::watch:
      return take_watch(message);
    case MessageType::add_task:
      return take_add_task(message);
    case MessageType::remove_task:
      return take_remove_task(message);
    case MessageType::list_tasks:
      if (!parse<wire::ListTasks>(message)) return;
      desk_.driver.pump();  // what their jobs have done meanwhile
      return send(header.request, desk_.tasks.list(scope_));
    case MessageType::list_jobs:
      return list_jobs(message);
    case MessageType::list_models:
      if (parse<wire::ListModels>(message)) send(header.request, desk_.status.models());
      return;
    case MessageType::get_status:
      if (!parse<wire::GetStatus>(message)) return;
      desk_.driver.pump();
      return send(header.request, desk_.status.status(scope_));
    default:
      return bad("a " + std::string(name(header.type)) + " message is not known here");
  }
}

void Session::take_hello(const Message& message) {
  const std::optional<wire::Hello> hello = parse<wire::Hello>(message);
  if (!hello) return;
  if (greeted_) return end(wire::Error::BAD_REQUEST, "hello was said already");
  if (hello->min_version() > kProtocolVersion || hello->max_version() < kProtocolVersion) {
    return end(wire::Error::VERSION, "the client speaks versions " + std::to_string(hello->min_version()) +
                                         " to " + std::to_string(hello->max_version()) +
                                         "; this daemon speaks " + std::to_string(kProtocolVersion));
  }
  if (hello->client().size() > kMaxClientName) {
    return end(wire::Error::BAD_REQUEST, "the client's name has " + std::to_string(hello->client().size()) +
                                             " bytes; at most " + std::to_string(kMaxClientName) +
                                             " are allowed");
  }
  // Root looks after everybody, unless it says as which tenant it acts.
  const bool rules = user_ == kRoot && hello->tenant().empty();
  const Result<TenantId> tenant = desk_.tenants.choose(user_, hello->tenant());
  if (tenant) {
    // Whoever looks after everybody gets in although a tenant has all its connections.
    if (!rules) {
      Result<Tenants::Charge> connection = desk_.tenants.connect(*tenant);
      if (!connection) return end(wire::Error::LIMIT, connection.error().message);
      connection_ = std::move(*connection);
    }
    tenant_ = *tenant;
  } else if (!rules) {
    desk_.log.warn("client refused",
                   {{"uid", user_}, {"client", hello->client()}, {"reason", tenant.error().message}});
    return end(wire::Error::NOT_ALLOWED, tenant.error().message);
  }
  scope_ = rules ? std::nullopt : tenant_;
  greeted_ = true;
  patience_.cancel();
  desk_.log.debug("client connected",
                  {{"session", id_}, {"tenant", tenant_name()}, {"client", hello->client()}});

  const LimitsConfig& limits = desk_.config.limits;
  wire::HelloReply reply;
  reply.set_version(kProtocolVersion);
  reply.set_daemon(desk_.status.version());
  for (const std::string& capability : hello->capabilities()) {
    if (capability == kRegions || capability == kWatch || capability == kTasks)
      reply.add_capabilities(capability);
  }
  reply.mutable_limits()->set_max_body_bytes(limits.message.value);
  reply.mutable_limits()->set_max_regions(static_cast<std::uint32_t>(limits.regions));
  reply.mutable_limits()->set_max_region_bytes(limits.region.value);
  if (tenant_) {
    const TenantConfig& own = desk_.tenants.config(*tenant_);
    reply.set_tenant(own.name);
    reply.mutable_limits()->set_max_jobs(static_cast<std::uint32_t>(std::min(own.max_jobs, limits.jobs)));
    reply.mutable_limits()->set_max_bytes(own.max_bytes.value);
    reply.mutable_limits()->set_max_priority(own.max_priority);
    reply.mutable_limits()->set_max_tasks(static_cast<std::uint32_t>(own.max_tasks));
  }
  send(message.header.request, reply);
}

void Session::take_register(Message& message) {
  const auto body = parse<wire::RegisterRegion>(message);
  if (!body) return;
  const auto region = regions_.add(std::move(message.fds.front()), body->size());
  if (!region) {
    const bool many = region.error().why == Regions::Refusal::too_many;
    return refuse(message.header.request, many ? wire::Error::LIMIT : wire::Error::BAD_REGION,
                  region.error().words);
  }
  wire::RegionRegistered reply;
  reply.set_region(*region);
  send(message.header.request, reply);
}

void Session::take_unregister(const Message& message) {
  const auto body = parse<wire::UnregisterRegion>(message);
  if (!body) return;
  if (regions_.remove(body->region())) return send(message.header.request, wire::Done());
  refuse(message.header.request, wire::Error::NO_SUCH_REGION,
         "there is no region " + std::to_string(body->region()) + " on this connection");
}

void Session::take_submit(const Message& message) {
  const std::uint64_t request = message.header.request;
  const TimePoint received = desk_.clock.now();
  const auto body = parse<wire::Submit>(message);
  if (!body) return;
  if (!tenant_)
    return refuse(request, wire::Error::NOT_ALLOWED, "root is not a tenant here and submits no jobs");
  if (jobs_.contains(request) || request == watch_request_) {
    return end(wire::Error::BAD_REQUEST, "request id " + std::to_string(request) +
                                             " is still in use; its answers could not be told apart");
  }
  const auto reject = [&](const Rejection& why) {
    if (desk_.log.debugs()) {
      desk_.log.debug("job rejected",
                      {{"tenant", tenant_name()}, {"model", body->model()}, {"reason", why.words}});
    }
    desk_.intake.count_rejected(*tenant_, why.reason);
    wire::Rejected reply;
    reply.set_reason(why.reason);
    reply.set_words(why.words);
    send(request, reply);
  };
  if (desk_.open == Desk::Open::draining) {
    return reject({wire::Rejected::SHUTTING_DOWN, "the daemon is shutting down; try again when it is back"});
  }
  auto submission = desk_.intake.check(*body, *tenant_, regions_, received);
  if (!submission) return reject(submission.error());
  const auto stream = body->stream_exits() ? JobOrigin::Stream::every_exit : JobOrigin::Stream::outcome_only;
  const auto job = desk_.driver.submit(std::move(*submission), {id_, request, stream}, received);
  if (!job) return reject(job.error());
  jobs_.emplace(request, *job);
  changed_ = true;
  wire::Accepted reply;
  reply.set_job(job->value);
  send(request, reply);
}

void Session::list_jobs(const Message& message) {
  const auto list = parse<wire::ListJobs>(message);
  if (!list) return;
  desk_.driver.pump();  // what the lanes have done meanwhile
  const auto plans = list->explain() ? StatusView::Plans::explain : StatusView::Plans::leave;
  send(message.header.request, desk_.status.jobs(scope_, plans));
}

void Session::take_cancel(const Message& message) {
  const auto body = parse<wire::Cancel>(message);
  if (!body) return;
  if (!desk_.driver.cancel(JobId{body->job()}, scope_)) {
    return refuse(message.header.request, wire::Error::NO_SUCH_JOB,
                  "there is no job " + std::to_string(body->job()) +
                      (scope_ ? " of tenant " + std::string(tenant_name()) : std::string()) +
                      " that has not ended");
  }
  changed_ = true;
  send(message.header.request, wire::Done());
}

void Session::take_watch(const Message& message) {
  const auto body = parse<wire::Watch>(message);
  if (!body) return;
  if (watch_request_ != 0) {
    return refuse(message.header.request, wire::Error::LIMIT, "this connection watches already");
  }
  watch_request_ = message.header.request;
  watch_blocks_ = body->blocks();
  send(message.header.request, wire::Done());
}

void Session::take_add_task(const Message& message) {
  const auto body = parse<wire::AddTask>(message);
  if (!body) return;
  const std::uint64_t request = message.header.request;
  if (!tenant_) {
    return refuse(request, wire::Error::NOT_ALLOWED,
                  "root is not a tenant here; act as one to add its tasks");
  }
  if (desk_.open == Desk::Open::draining) {
    wire::TaskRefused refused;
    refused.set_reason(wire::TaskRefused::SHUTTING_DOWN);
    refused.set_words("the daemon is shutting down; try again when it is back");
    return send(request, refused);
  }
  desk_.tasks.add(*body, *tenant_, id_, [self = weak_from_this(), request](const Tasks::Reply& reply) {
    const auto session = self.lock();
    if (session) std::visit([&](const auto& answer) { session->send(request, answer); }, reply);
  });
  changed_ = true;
}

void Session::take_remove_task(const Message& message) {
  const auto body = parse<wire::RemoveTask>(message);
  if (!body) return;
  if (auto ok = desk_.tasks.remove(body->name(), scope_); !ok) {
    return refuse(message.header.request, wire::Error::NO_SUCH_TASK, ok.error().message);
  }
  changed_ = true;
  send(message.header.request, wire::Done());
}

// ---- writing ----

void Session::exit_result(std::uint64_t request, const wire::ExitResult& result) {
  send(request, result);
}

void Session::outcome(std::uint64_t request, const wire::Outcome& outcome) {
  jobs_.erase(request);
  // Many jobs may end at once, before the client can read. These pass the queue's limit: each follows an
  // acceptance that did not, so that the tenant's max_jobs bounds them.
  queue(request, outcome);
}

void Session::event(TenantId tenant, const wire::Event& event) {
  if (!watches() || (scope_ && tenant != *scope_)) return;
  if (event.kind() == wire::Event::BLOCK && !watch_blocks_) return;
  // Events may be lost, outcomes may not: events use half of the queue.
  if (unread(desk_.config.limits.write_queue.value / 2)) {
    ++lost_events_;
    return;
  }
  send_lost_events();
  send(watch_request_, event);
}

void Session::send_lost_events() {
  if (lost_events_ == 0) return;
  wire::Event lost;
  lost.set_kind(wire::Event::LOST);
  lost.set_at_ns(desk_.clock.now().time_since_epoch().count());
  lost.set_lost(std::exchange(lost_events_, 0));
  send(watch_request_, lost);
}

void Session::refuse(std::uint64_t request, wire::Error::Code code, const std::string& words) {
  wire::Error reply;
  reply.set_code(code);
  reply.set_words(words);
  send(request, reply);
}

template <class Body>
void Session::send(std::uint64_t request, const Body& body) {
  // Checked before queueing: the queue holds at most its limit and one message, and outcomes.
  const bool full = unread(desk_.config.limits.write_queue.value);
  if (ending_) return;
  if (full) {
    desk_.log.warn("client dropped: it does not read",
                   {{"session", id_}, {"tenant", tenant_name()}, {"unsent_bytes", channel_.unsent()}});
    return close("the client does not read");
  }
  queue(request, body);
}

template <class Body>
void Session::queue(std::uint64_t request, const Body& body) {
  if (ending_) return;
  if (!channel_.queue(request, body)) {
    return refuse(request, wire::Error::INTERNAL, "the answer is larger than a message may be");
  }
  flush_soon();
}

bool Session::unread(std::uint64_t bytes) {
  if (ending_ || channel_.unsent() <= bytes) return false;
  if (auto ok = channel_.flush(); !ok) close(ok.error().message);
  return channel_.unsent() > bytes;
}

void Session::flush_soon() {
  if (flush_posted_ || waiting_writable_) return;
  flush_posted_ = true;
  // After the handler that is running, so that all its messages go out with one call.
  boost::asio::post(desk_.io, [self = shared_from_this()] {
    self->flush_posted_ = false;
    self->flush();
  });
}

void Session::flush() {
  if (ending_) return;
  if (auto ok = channel_.flush(); !ok) return close(ok.error().message);
  if (channel_.unsent() == 0) return send_lost_events();
  waiting_writable_ = true;
  socket_.async_wait(Wait::wait_write, [self = shared_from_this()](error_code ended) {
    self->waiting_writable_ = false;
    if (!ended) self->flush();
  });
}

// ---- ending ----

void Session::end(wire::Error::Code code, const std::string& words) {
  if (ending_) return;
  desk_.log.info("client sent away", {{"session", id_}, {"tenant", tenant_name()}, {"reason", words}});
  wire::Error last;
  last.set_code(code);
  last.set_words(words);
  (void)channel_.queue(kAboutConnection, last);
  close(words);
}

void Session::close(const std::string& why) {
  if (std::exchange(ending_, true)) return;
  desk_.tasks.forget(id_);
  // Later: the driver may be the one that called, and must not be called back.
  boost::asio::post(desk_.io, [self = shared_from_this(), why] {
    (void)self->channel_.flush();  // as far as the client reads
    self->patience_.cancel();
    self->socket_.cancel();
    const std::size_t jobs = self->jobs_.size();
    for (const auto& [request, job] : self->jobs_) self->desk_.driver.cancel(job, self->tenant_);
    if (jobs > 0) self->desk_.driver.pump();
    self->desk_.log.debug(
        "client disconnected",
        {{"session", self->id_}, {"tenant", self->tenant_name()}, {"jobs_cancelled", jobs}, {"reason", why}});
    self->on_end_(self->id_);
  });
}

}  // namespace einet
