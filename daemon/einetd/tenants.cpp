#include "daemon/einetd/tenants.h"

#include <algorithm>
#include <utility>

#include "config/text.h"

namespace einet {

Tenants::Charge::Charge(Charge&& other) noexcept
    : owner_(std::exchange(other.owner_, nullptr)), tenant_(other.tenant_), use_(other.use_) {}

Tenants::Charge& Tenants::Charge::operator=(Charge&& other) noexcept {
  std::swap(owner_, other.owner_);
  std::swap(tenant_, other.tenant_);
  std::swap(use_, other.use_);
  return *this;
}

Tenants::Charge::~Charge() {
  if (owner_ != nullptr) owner_->give_back(tenant_, use_);
}

Tenants::Tenants(const DaemonConfig& config) : config_(config), use_(config.tenants.size()) {}

const TenantConfig& Tenants::config(TenantId id) const {
  return config_.tenants[id.value];
}

const Tenants::Use& Tenants::use(TenantId id) const {
  return use_[id.value];
}

Result<TenantId> Tenants::choose(uid_t user, std::string_view wanted) const {
  std::vector<std::string_view> own;
  std::optional<TenantId> fallback;
  for (std::uint32_t i = 0; i < config_.tenants.size(); ++i) {
    const TenantConfig& t = config_.tenants[i];
    if (!t.uid) {
      fallback = TenantId{i};
    } else if (*t.uid == user) {
      if (wanted.empty() || t.name == wanted) return TenantId{i};
      own.push_back(t.name);
    }
  }
  if (fallback && own.empty() && (wanted.empty() || wanted == "default")) return *fallback;
  const std::string who = "the user with uid " + std::to_string(user);
  if (own.empty() && !fallback) return error(who + " is not a tenant here; add it to einetd's configuration");
  if (own.empty()) own.emplace_back("default");
  return error(who + " may not act as tenant \"" + escape(wanted, 64) + "\"; allowed: " + one_of(own));
}

Result<Tenants::Charge> Tenants::connect(TenantId id) {
  Use& use = use_[id.value];
  const TenantConfig& t = config(id);
  if (use.connections >= t.max_connections) {
    return error("tenant " + t.name + " has " + std::to_string(use.connections) +
                 " connections, as many as it may (max_connections); close one first");
  }
  const Use one{.connections = 1};
  ++use.connections;
  ++total_.connections;
  return Charge(this, id, one);
}

boost::system::result<Tenants::Charge, Tenants::Refused> Tenants::submit(TenantId id, ByteCount input) {
  Use& use = use_[id.value];
  const TenantConfig& t = config(id);
  if (use.jobs >= t.max_jobs) {
    return Refused{QuotaRefusal::jobs_of_tenant,
                   "tenant " + t.name + " has " + std::to_string(use.jobs) +
                       " jobs, as many as it may (max_jobs); wait for one to end"};
  }
  if (input > t.max_bytes || use.bytes > t.max_bytes - input) {
    return Refused{QuotaRefusal::bytes_of_tenant,
                   "the input has " + format_bytes(input) + " and the jobs of tenant " + t.name + " hold " +
                       format_bytes(use.bytes) + " of the " + format_bytes(t.max_bytes) +
                       " that they may (max_bytes)"};
  }
  if (total_.jobs >= config_.limits.jobs) {
    return Refused{QuotaRefusal::jobs_of_all, "the daemon has " + std::to_string(total_.jobs) +
                                                  " jobs, as many as it may (limits.jobs); try again later"};
  }
  const Use one{.jobs = 1, .bytes = input};
  ++use.jobs;
  ++total_.jobs;
  use.bytes = use.bytes + input;
  total_.bytes = total_.bytes + input;
  return Charge(this, id, one);
}

void Tenants::give_back(TenantId id, const Use& back) {
  for (Use* use : {&use_[id.value], &total_}) {
    use->connections -= back.connections;
    use->jobs -= back.jobs;
    use->bytes = use->bytes - back.bytes;
  }
}

}  // namespace einet
