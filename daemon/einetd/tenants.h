// Who may use the daemon and how much: users to tenants, and what each tenant has in use against its quota.
// Charges give themselves back, so that whatever ends a connection or a job, the quota is right.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "config/daemon_config.h"
#include "config/ids.h"
#include "config/result.h"

namespace einet {

enum class QuotaRefusal : std::uint8_t { jobs_of_tenant, bytes_of_tenant, jobs_of_all };

// One thread.
class Tenants {
 public:
  struct Use {
    int connections = 0;
    int jobs = 0;
    ByteCount bytes{};
  };

  // One connection, or one job with its bytes, until destroyed. Move-only; must not outlive the Tenants.
  class Charge {
   public:
    Charge() = default;
    Charge(Charge&& other) noexcept;
    Charge& operator=(Charge&& other) noexcept;
    ~Charge();

   private:
    friend class Tenants;
    Charge(Tenants* owner, TenantId tenant, Use use) : owner_(owner), tenant_(tenant), use_(use) {}
    Tenants* owner_ = nullptr;
    TenantId tenant_;
    Use use_;
  };

  struct Refused {
    QuotaRefusal quota{};
    std::string words;
  };

  // The configuration must outlive this.
  explicit Tenants(const DaemonConfig&);

  // The tenant that a user acts as: `wanted`, or the first that is this user, or "default". Error: words for
  // the client.
  Result<TenantId> choose(uid_t, std::string_view wanted) const;

  // Error: words for the client.
  Result<Charge> connect(TenantId);
  boost::system::result<Charge, Refused> submit(TenantId, ByteCount input);

  std::size_t size() const { return config_.tenants.size(); }
  const TenantConfig& config(TenantId) const;
  const Use& use(TenantId) const;
  const Use& total() const { return total_; }

 private:
  void give_back(TenantId, const Use&);

  const DaemonConfig& config_;
  std::vector<Use> use_;  // by TenantId
  Use total_;
};

[[noreturn]] inline void throw_exception_from_error(const Tenants::Refused& r,
                                                    const boost::source_location&) {
  check_failed(__FILE__, __LINE__, "has_value()", r.words.c_str());
}

}  // namespace einet
