#include "scheduler/shares.h"

#include <algorithm>

namespace einet {
namespace {

// A job without a deadline lets jobs that are due sooner than this go first.
constexpr Duration kPatience = std::chrono::seconds(1);

}  // namespace

Shares::Tenant& Shares::tenant(TenantId id) {
  if (id.value >= tenants_.size()) tenants_.resize(id.value + 1);
  return tenants_[id.value];
}

Server* Shares::server(TenantId id) const {
  return id.value < tenants_.size() ? tenants_[id.value].server.get() : nullptr;
}

Server* Shares::payer(const JobRecord& job) const {
  Server* const its = server(job.spec.tenant);
  return its != nullptr && (its->carried == &job || its->put_down == &job) ? its : nullptr;
}

double Shares::weight(TenantId id) const {
  return id.value < tenants_.size() ? tenants_[id.value].weight : 1;
}

void Shares::set(TenantId id, const Share& share) {
  EINET_CHECK(share.weight > 0, "a tenant's weight is positive");
  Tenant& t = tenant(id);
  if (t.jobs > 0) active_weight_ += share.weight - t.weight;
  t.weight = share.weight;
  if (t.server) {
    EINET_CHECK(t.server->carried == nullptr && !t.server->has_waiting(), "the old budget holds no job");
    std::erase(servers_, t.server.get());
    t.server.reset();
  }
  if (!share.budget) return;
  t.server = std::make_unique<Server>(Server{.budget = *share.budget});
  servers_.push_back(t.server.get());
}

void Shares::join(JobRecord& job, Duration cost, std::size_t lanes) {
  Tenant& t = tenant(job.spec.tenant);
  if (t.jobs++ == 0) active_weight_ += t.weight;
  job.weight = t.weight;
  job.tag = std::max(now_, t.finish);
  job.cost = cost;
  t.finish = job.tag + static_cast<double>(cost.count()) / t.weight;
  constexpr double kLongest = 1e18;  // 30 years: far from overflow
  const double ahead = std::min(kLongest, (job.tag - now_) * active_weight_ / static_cast<double>(lanes));
  const TimePoint share = std::min(kNever, job.spec.release) + Duration{static_cast<std::int64_t>(ahead)};
  job.due = job.spec.deadline >= kNever ? share + kPatience : std::max(job.spec.deadline, share);
}

void Shares::begin(const JobRecord& job) {
  now_ = std::max(now_, job.tag);
}

void Shares::leave(const JobRecord& job) {
  Tenant& t = tenant(job.spec.tenant);
  t.finish += static_cast<double>((job.used - job.cost).count()) / t.weight;
  if (--t.jobs == 0) active_weight_ -= t.weight;
}

}  // namespace einet
