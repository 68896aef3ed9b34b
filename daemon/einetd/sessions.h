// All connections, and the way from a job to the client that submitted it and to those that watch.
#pragma once

#include <unordered_map>

#include "daemon/einetd/session.h"

namespace einet {

// One thread: the io_context's.
class Sessions final : public JobSink {
 public:
  // A new connection. With limits.connections of them, the oldest on which no hello has come makes room;
  // where all have said it, the new one is told so and closed.
  void add(Desk&, UniqueFd socket, uid_t user);
  // Tells every client that the daemon ends.
  void end_all(const std::string& words);
  std::size_t size() const { return sessions_.size(); }

  void exit_result(const HeldJob&, const wire::Answer&) override;
  void outcome(const HeldJob&, const wire::Outcome&) override;
  bool watched() const override;
  void event(TenantId, const wire::Event&) override;

 private:
  int open() const;  // connections that are not about to end
  // Ends the oldest open connection on which no hello has come. False: there is none.
  bool end_silent(const std::string& words);

  std::unordered_map<SessionId, std::shared_ptr<Session>> sessions_;
  SessionId newest_;
};

}  // namespace einet
