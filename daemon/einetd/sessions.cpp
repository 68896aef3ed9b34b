#include "daemon/einetd/sessions.h"

#include <algorithm>

namespace einet {

void Sessions::add(Desk& desk, UniqueFd socket, uid_t user) {
  newest_ = SessionId{newest_.value + 1};
  const auto session = std::make_shared<Session>(desk, newest_, std::move(socket), user,
                                                 [this](SessionId id) { sessions_.erase(id); });
  const bool full = sessions_.size() >= static_cast<std::size_t>(desk.config.limits.connections);
  sessions_.emplace(newest_, session);
  if (full) {
    session->end(wire::Error::LIMIT,
                 "the daemon has " + std::to_string(sessions_.size() - 1) +
                     " connections, as many as it may (limits.connections); try again later");
  } else {
    session->start();
  }
}

void Sessions::end_all(const std::string& words) {
  for (const auto& [id, session] : sessions_) session->end(wire::Error::SHUTTING_DOWN, words);
}

void Sessions::exit_result(const HeldJob& job, const wire::Answer& answer) {
  const auto session = sessions_.find(job.origin.session);
  if (session == sessions_.end()) return;
  wire::ExitResult result;
  result.set_job(job.spec().id.value);
  *result.mutable_answer() = answer;
  session->second->exit_result(job.origin.request, result);
}

void Sessions::outcome(const HeldJob& job, const wire::Outcome& outcome) {
  const auto session = sessions_.find(job.origin.session);
  if (session != sessions_.end()) session->second->outcome(job.origin.request, outcome);
}

bool Sessions::watched() const {
  return std::any_of(sessions_.begin(), sessions_.end(), [](const auto& s) { return s.second->watches(); });
}

void Sessions::event(TenantId tenant, const wire::Event& event) {
  for (const auto& [id, session] : sessions_) session->event(tenant, event);
}

}  // namespace einet
