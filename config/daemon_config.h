// einetd's configuration file, checked into plain structs. Everything that can be wrong with the file alone,
// or with the file on this machine (users, cores), is found here; nothing is opened, created or started.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "config/bytes.h"
#include "config/result.h"
#include "config/time.h"

namespace einet {

// Priorities of jobs and ceilings of tenants lie in [-kMaxPriority, kMaxPriority]; larger is more urgent.
inline constexpr int kMaxPriority = 1'000'000;

// A lane has at most this many threads.
inline constexpr int kMaxThreads = 1024;

enum class BackendKind : std::uint8_t { onednn, synthetic, synthetic_gpu, cuda };
std::string_view name(BackendKind);

struct DeviceConfig {
  std::string name;
  BackendKind backend = BackendKind::onednn;
  int lanes = 1;
  int threads = 1;  // per lane; 1 … kMaxThreads
  // Lane i is pinned to entries [i * threads, (i + 1) * threads); empty: not pinned.
  std::vector<int> cores{};
  int batch = 1;       // of a GPU: as many jobs at most run a block at once; 1 … kMaxBatch
  int in_flight = 1;   // of a GPU: so many blocks of a job at most are enqueued at a time; 1 … kMaxInFlight
  ByteCount memory{};  // for weights and the states of jobs; zero: as much as the device has
  // One of preemption_names(). Where that cannot be had, the reader of the file has put "boundary" here and a
  // sentence among the warnings.
  std::string preemption = "as-needed";

  // Whether each lane has an urgent lane beside it, and how many lanes that makes.
  bool has_urgent_lanes() const { return preemption != "boundary"; }
  bool is_gpu() const { return backend == BackendKind::cuda || backend == BackendKind::synthetic_gpu; }
  int all_lanes() const { return has_urgent_lanes() ? 2 * lanes : lanes; }
  friend bool operator==(const DeviceConfig&, const DeviceConfig&) = default;
};

// Lane time that a tenant's best-effort jobs may use as if they were reserved: `amount` in each `period`.
struct BudgetConfig {
  Duration amount{};  // > 0, <= period
  Duration period{};
  friend bool operator==(const BudgetConfig&, const BudgetConfig&) = default;
};

// What admission adds to measured times.
struct AdmissionConfig {
  double margin = 1.2;                                // >= 1; on worst block times
  Duration overhead = std::chrono::microseconds(50);  // of each block
  friend bool operator==(const AdmissionConfig&, const AdmissionConfig&) = default;
};

// How the exits of jobs are planned (docs/planner.md).
struct PlannerConfig {
  std::string expect = "lookalikes";  // or "predictor" or "statistics"
  // Some of "deadline", "demand" and "lived"; "demand" only beside "deadline".
  std::vector<std::string> survival{"deadline", "demand"};
  friend bool operator==(const PlannerConfig&, const PlannerConfig&) = default;
};

// Who may use the daemon, and how much of it. The name "default" stands for every user that no other tenant
// names.
struct TenantConfig {
  std::string name;
  std::optional<uid_t> uid{};      // empty for "default" only
  int max_priority = 0;            // the highest priority its jobs may have
  int max_jobs = 1024;             // accepted and not yet released
  ByteCount max_bytes{64u << 20};  // of inputs of such jobs
  int max_connections = 16;
  int max_tasks = 16;  // accepted and not removed
  double weight = 1;   // > 0; tenants share in proportion to it what tasks leave
  std::optional<BudgetConfig> budget{};
  friend bool operator==(const TenantConfig&, const TenantConfig&) = default;
};

struct LimitsConfig {
  int connections = 64;
  // A client that connects must say HELLO within this time.
  Duration hello = std::chrono::seconds(10);
  int jobs = 16384;              // accepted and not yet released, of all tenants together
  ByteCount arena{256u << 20};   // memory for the inputs of all jobs, shared with the workers
  ByteCount message{16u << 20};  // one message of a client
  ByteCount region{256u << 20};  // one memory region that a client registers
  int regions = 16;              // per connection
  // Unsent answers per connection; a client that lets it grow over, other than by outcomes, is dropped.
  ByteCount write_queue{1u << 20};
  friend bool operator==(const LimitsConfig&, const LimitsConfig&) = default;
};

struct WorkerConfig {
  std::filesystem::path path;                               // of einet-worker; empty: beside einetd
  Duration restart_delay = std::chrono::milliseconds(100);  // doubles with each failure in a row
  Duration restart_delay_max = std::chrono::seconds(10);
  Duration hang = std::chrono::seconds(2);  // a lane this much over the worst time of its block is hung
  friend bool operator==(const WorkerConfig&, const WorkerConfig&) = default;
};

struct DaemonConfig {
  std::filesystem::path socket = "/run/einetd/socket";
  unsigned socket_mode = 0660;
  std::filesystem::path models = "/var/lib/einetd/models";  // the folder that holds NAME.einet/
  std::string policy = "imprecise";                         // one of policy_names()
  Duration promote_at_laxity{};                             // imprecise: see CoreOptions; zero: never
  Duration drain = std::chrono::seconds(5);                 // how long SIGTERM lets running jobs go on
  std::string log_level = "info";                           // one of log_level_names()
  std::filesystem::path trace;                              // empty: no trace
  std::vector<DeviceConfig> devices;                        // at least one; names are unique
  std::vector<TenantConfig> tenants;                        // at least one; file order; names are unique
  LimitsConfig limits;
  WorkerConfig worker;
  AdmissionConfig admission;
  PlannerConfig planner;

  // Allowed, but probably not meant. Sentences for the log.
  std::vector<std::string> warnings;
  friend bool operator==(const DaemonConfig&, const DaemonConfig&) = default;
};

std::span<const std::string_view> policy_names();
std::span<const std::string_view> log_level_names();
std::span<const std::string_view> preemption_names();

// What the file's checks need to know of the machine. Injected so that tests do not depend on theirs.
struct Machine {
  std::vector<int> cores;  // that this process may run on, ascending
  // Why this process cannot take a real-time rank, in the system's words; "": it can.
  std::string no_real_time{};
  std::uint64_t files = ~std::uint64_t{0};  // descriptors that this process may open at once
  std::function<std::optional<uid_t>(const std::string& user)> uid_of;
  static Machine here();
};

// Relative paths in the file are relative to the file's own folder. Error: "FILE:LINE:COLUMN: KEY: what was
// found, what is allowed".
Result<DaemonConfig> parse_daemon_config(std::string_view text, const std::filesystem::path& file,
                                         const Machine&);
Result<DaemonConfig> load_daemon_config(const std::filesystem::path& file, const Machine&);

// A few lines for people: what `einetd --check-config` prints.
std::string summary(const DaemonConfig&);

}  // namespace einet
