#include "daemon/einetd/sessions.h"

#include <algorithm>

namespace einet {

void Sessions::add(Desk& desk, UniqueFd socket, uid_t user) {
  const int limit = desk.config.limits.connections;
  const std::string full =
      "the daemon has " + std::to_string(limit) + " connections, as many as it may (limits.connections)";
  const bool room = open() < limit || end_silent(full + ", and no hello came on this one");
  newest_ = SessionId{newest_.value + 1};
  const auto session = std::make_shared<Session>(desk, newest_, std::move(socket), user,
                                                 [this](SessionId id) { sessions_.erase(id); });
  sessions_.emplace(newest_, session);
  if (room) return session->start();
  session->end(wire::Error::LIMIT, full + "; try again later");
}

int Sessions::open() const {
  return static_cast<int>(
      std::count_if(sessions_.begin(), sessions_.end(), [](const auto& s) { return !s.second->ending(); }));
}

bool Sessions::end_silent(const std::string& words) {
  auto oldest = sessions_.end();
  for (auto s = sessions_.begin(); s != sessions_.end(); ++s) {
    if (s->second->greeted() || s->second->ending()) continue;
    if (oldest == sessions_.end() || s->first < oldest->first) oldest = s;
  }
  if (oldest == sessions_.end()) return false;
  oldest->second->end(wire::Error::LIMIT, words);
  return true;
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
