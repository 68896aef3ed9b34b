// What the daemon says of itself to those who look: jobs, models, lanes, tenants, counters. Only reads.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "daemon/einetd/driver.h"
#include "daemon/einetd/intake.h"
#include "daemon/einetd/rank.h"
#include "daemon/einetd/supervisor.h"
#include "ipc/client/protocol.pb.h"

namespace einet {

// One thread. `of`: whose jobs and quotas to show; empty: everybody's.
class StatusView {
 public:
  struct Parts {
    const Clock& clock;
    const DaemonConfig& config;
    const Rank& rank;
    const Catalog& catalog;
    const Tenants& tenants;
    const Tasks& tasks;
    const Intake& intake;
    const Arena& arena;
    const Driver& driver;
    const Supervisor& supervisor;
    std::function<std::size_t()> connections;
  };
  // All parts must outlive it.
  explicit StatusView(Parts parts) : parts_(parts), started_(parts.clock.now()) {}

  std::string version() const;  // "einetd 0.1.0"
  enum class Plans : std::uint8_t { leave, explain };
  wire::JobList jobs(std::optional<TenantId> of, Plans) const;
  wire::ModelList models() const;
  wire::Status status(std::optional<TenantId> of) const;

 private:
  std::optional<DeviceId> awaits_memory(const Core::JobView&) const;
  void add_lanes(wire::Status&) const;
  void add_tenants(wire::Status&, std::optional<TenantId> of) const;
  void add_counters(wire::Status&) const;
  void add_warnings(wire::Status&) const;

  Parts parts_;
  TimePoint started_;
};

}  // namespace einet
