// All connections, and the way from a job to the client that submitted it and to those that watch.
#pragma once

#include <unordered_map>

#include "daemon/einetd/session.h"

namespace einet {

// One thread: the io_context's.
class Sessions final : public JobSink {
 public:
  // A new connection. With more than limits.connections it is told so and closed.
  void add(Desk&, UniqueFd socket, uid_t user);
  // Tells every client that the daemon ends.
  void end_all(const std::string& words);
  std::size_t size() const { return sessions_.size(); }

  void exit_result(const HeldJob&, const wire::Answer&) override;
  void outcome(const HeldJob&, const wire::Outcome&) override;
  bool watched() const override;
  void event(TenantId, const wire::Event&) override;

 private:
  std::unordered_map<SessionId, std::shared_ptr<Session>> sessions_;
  SessionId newest_;
};

}  // namespace einet
