// One client's connection: the conversation of docs/protocol.md. Everything that comes in is foreign and is
// checked here or in the Intake; everything that goes out is bounded. A session knows its own jobs and nobody
// else's.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "daemon/einetd/driver.h"
#include "daemon/einetd/intake.h"
#include "daemon/einetd/regions.h"
#include "daemon/einetd/status.h"
#include "ipc/client/frame_channel.h"

namespace einet {

// What all sessions share. Everything outlives them.
struct Desk {
  boost::asio::io_context& io;
  const Clock& clock;
  const DaemonConfig& config;
  Tenants& tenants;
  Intake& intake;
  Driver& driver;
  Tasks& tasks;
  const StatusView& status;
  Log& log;
  enum class Open : std::uint8_t { yes, draining } open = Open::yes;
};

// One thread: the io_context's.
class Session : public std::enable_shared_from_this<Session> {
 public:
  // `on_end` is called once, from the event loop, when the connection is over and its jobs are cancelled.
  Session(Desk&, SessionId, UniqueFd socket, uid_t user, std::function<void(SessionId)> on_end);
  ~Session();
  void start();

  // About a job of this session. May be called from within the driver.
  void exit_result(std::uint64_t request, const wire::ExitResult&);
  void outcome(std::uint64_t request, const wire::Outcome&);
  // Dropped unless this session watches that tenant; counted if it reads too slowly.
  void event(TenantId, const wire::Event&);
  bool watches() const { return watch_request_ != 0 && !ending_; }
  // HELLO was said, and answered.
  bool greeted() const { return greeted_; }
  bool ending() const { return ending_; }

  // Refuses or ends the connection: the words go to the client, then it is closed. May be called from within
  // the driver.
  void end(wire::Error::Code, const std::string& words);

 private:
  void wait_readable();
  void on_readable();
  // What one receive brought, in turns with everybody else. Until all of it is taken nothing more is
  // received.
  void take_messages();
  bool take_next();  // false: there is none left
  void take(Message&);
  void take_hello(const Message&);
  void take_register(Message&);
  void take_unregister(const Message&);
  void take_submit(const Message&);
  void list_jobs(const Message&);
  void take_cancel(const Message&);
  void take_watch(const Message&);
  void take_add_task(const Message&);
  void take_remove_task(const Message&);
  // The body, or nothing after the connection was ended for it.
  template <class Body>
  std::optional<Body> parse(const Message&);

  // Ends the connection instead, if the client does not read.
  template <class Body>
  void send(std::uint64_t request, const Body&);
  template <class Body>
  void queue(std::uint64_t request, const Body&);
  // Whether more bytes than these wait for the client, although the socket was offered them.
  bool unread(std::uint64_t bytes);
  void refuse(std::uint64_t request, wire::Error::Code, const std::string& words);
  void flush_soon();
  void flush();
  void send_lost_events();
  // Without words for the client. `why` is for the log.
  void close(const std::string& why);
  std::string_view tenant_name() const;

  Desk& desk_;
  SessionId id_;
  uid_t user_;
  std::function<void(SessionId)> on_end_;
  FrameChannel channel_;
  boost::asio::posix::stream_descriptor socket_;  // the channel's, for waiting only
  boost::asio::steady_timer patience_;            // for HELLO
  bool greeted_ = false;                          // HELLO was said
  std::optional<TenantId> tenant_;  // whose jobs it submits; empty: it may not (root that is no tenant)
  std::optional<TenantId> scope_;   // whose jobs it sees and cancels; empty: everybody's (root)
  Tenants::Charge connection_;
  Regions regions_;
  std::unordered_map<std::uint64_t, JobId> jobs_;  // not ended, by request
  std::uint64_t watch_request_ = 0;                // 0: does not watch
  bool watch_blocks_ = false;
  std::uint64_t lost_events_ = 0;
  bool changed_ = false;  // the driver was told something: pump it
  bool flush_posted_ = false;
  bool waiting_writable_ = false;
  bool ending_ = false;
};

}  // namespace einet
